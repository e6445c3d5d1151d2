"""From files and verdicts to facts, and policies from files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.artifact import Artifact, UnreadableError
from chopmark.core.contracts import Versioned
from chopmark.core.errors import BrokenError, InputError, UsageError
from chopmark.core.finding import Finding, Outcome
from chopmark.core.verdict import SealVerdict, Status, Verdict
from chopmark.core.versions import Release
from chopmark.engine import check, identify
from chopmark.engine.catalog import consulting
from chopmark.engine.policing import facts, loading
from chopmark.policy import reasons, state
from chopmark.policy.deciding import Mode
from chopmark.policy.source import PolicyError
from chopmark.trust import context as contexts
from chopmark.trust.blocklists import reasons as blocklist_reasons
from chopmark.trust.crl import origins
from chopmark.trust.log import reasons as log_reasons
from chopmark.trust.stores import store
from tests.contract import laws
from tests.support import drivers, pki
from tests.support.desk import Desk

if TYPE_CHECKING:
    from chopmark.policy.facts import FileFacts

TINY = (laws.VECTORS / "kmod" / "sample-tiny.ko").read_bytes()
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that belong to root")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir(mode=0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    return Desk(folder, capsys)


def of(path: str | Path, desk: Desk, known: state.State | None = None, catalogs: tuple[str, ...] = ()) -> FileFacts:
    context = contexts.Context(store.load([desk.root]), pki.NOW, contexts.PREFER, origins.CrlSource())
    if catalogs:
        context.vouchers = consulting.load(catalogs, context)
    with Artifact.open(path) as artifact:
        return facts.of_file(artifact, check.check(artifact, context), known)


def test_a_signed_file(desk: Desk) -> None:
    path = desk.signed("pe")
    found = of(path, desk)
    assert (found.path, found.format, found.status) == (str(path.resolve()), "pe", Status.TRUSTED)
    [seal] = found.seals
    assert (seal.kind, seal.store, seal.revocation) == ("x509", desk.root, "unchecked")
    assert seal.subject.startswith("CN=Example Signer")
    assert [each.subject.split(",")[0] for each in seal.authorities] == ["CN=Example Issuing", "CN=Example Root"]
    assert seal.root == seal.authorities[-1].key_sha256
    assert seal.purposes == ("1.3.6.1.5.5.7.3.3",)
    assert found.logged is None
    assert of(desk.sample("pe", "other.exe"), desk).seals == ()


def test_a_file_listed_in_a_catalog(desk: Desk) -> None:
    tree = desk.folder / "tree"
    tree.mkdir()
    (tree / "tool").write_bytes(b"\0tool")
    assert desk.run("catalog", "create", tree, "-o", "t.catalog", *desk.by_signer) == 0, desk.err
    [seal] = of(tree / "tool", desk, catalogs=("t.catalog",)).seals
    assert seal.catalog == str((desk.folder / "t.catalog").resolve())
    assert seal.store == desk.root


def test_versions_that_files_say_of_themselves(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.write("w.exe", drivers.launcher())
    assert of(path, desk).release == Release("w64.exe", "1.1.0.14")
    assert of(desk.sample("pe"), desk).release is None
    broken = drivers.launcher().replace("VS_VERSION_INFO".encode("utf-16-le"), "XS_VERSION_INFO".encode("utf-16-le"))
    found = of(desk.write("broken.exe", broken), desk)
    assert (found.release, found.release_readable) == (None, False)
    newest = state.State({}, {})
    monkeypatch.setattr(newest, "newest", lambda _release, _roots: "9")
    assert of(path, desk, newest).newest == "9"


def test_versions_of_kernel_modules(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(identify.formats()["kmod"], Versioned)
    assert of(desk.write("tiny.ko", TINY), desk).release is None
    text = (laws.VECTORS / "kmod" / "module.s").read_text().replace("license=GPL", "version=1.2.3-k")
    (tmp_path / "m.s").write_text(text)
    made = tmp_path / "m.ko"
    try:
        subprocess.run(["as", "-o", made, tmp_path / "m.s"], check=True)
    except FileNotFoundError:
        pytest.skip("there is no assembler")
    assert of(made, desk).release == Release("tiny", "1.2.3-k", "rpm")
    with monkeypatch.context() as patch:
        patch.setattr(limits, "MODINFO_MAX", 10)
        assert not of(made, desk).release_readable
    without = made.read_bytes().replace(b"\0.modinfo\0", b"\0.modinfx\0")
    found = of(desk.write("none.ko", without), desk)
    assert (found.release, found.release_readable) == (None, False)


def test_a_file_that_changes_after_it_was_verified_is_not_known(desk: Desk) -> None:
    path = desk.signed("pe")
    with Artifact.open(path) as artifact:
        found = check.check(artifact, contexts.Context(store.load([desk.root]), pki.NOW))
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(UnreadableError):
            facts.of_file(artifact, found)


def verdict(*findings: Finding, seal: tuple[Finding, ...] = ()) -> Verdict:
    seals = (SealVerdict("1", "cms", True, "sha256", None, None, 0, seal),) if seal else ()  # noqa: FBT003 - a record
    return Verdict("x", "pe", seals, findings)


def test_blocklists_count_wherever_they_spoke(desk: Desk) -> None:
    path = desk.sample("pe")
    with Artifact.open(path) as artifact:
        for found in (
            verdict(blocklist_reasons.BLOCKED_FILE.found("drivers: x")),
            verdict(seal=(blocklist_reasons.BLOCKED_CERTIFICATE.found("drivers: x"),)),
        ):
            assert facts.of_file(artifact, found).blocked == "drivers: x"
        assert facts.of_file(artifact, verdict(blocklist_reasons.BLOCKLIST_CLEAR.found())).blocked == ""


@pytest.mark.parametrize(
    ("findings", "logged"),
    [
        ((), None),
        ((log_reasons.PROOF_UNCHECKED.found(),), None),
        ((log_reasons.PROOF_MISSING.found(),), False),
        ((log_reasons.PROOF_HOLDS.found(), log_reasons.CHECKPOINT_TRUSTED.found()), True),
        ((log_reasons.PROOF_HOLDS.found(), log_reasons.WITNESS_MISSING.found()), False),
    ],
)
def test_what_logs_said(desk: Desk, findings: tuple[Finding, ...], logged: bool | None) -> None:  # noqa: FBT001
    with Artifact.open(desk.sample("pe")) as artifact:
        assert facts.of_file(artifact, verdict(*findings)).logged is logged


@pytest.mark.parametrize(
    ("codes", "known"),
    [
        ((), "nobody"),
        (("revocation.nobody",), "nobody"),
        (("revocation.good", "revocation.good"), "good"),
        (("revocation.good", "revocation.later"), "good"),
        (("revocation.good", "revocation.not_checked"), "unchecked"),
        (("revocation.unavailable",), "unchecked"),
        (("revocation.off",), "unchecked"),
    ],
)
def test_what_is_known_of_revocation(codes: tuple[str, ...], known: str) -> None:
    findings = tuple(Finding(code, Outcome.INFO) for code in codes)
    seal = SealVerdict("1", "cms", True, "sha256", None, None, 0, findings)  # noqa: FBT003 - a record
    assert facts.of_seal(seal).revocation == known


@as_root
def test_who_may_write_where_a_file_lies(desk: Desk) -> None:
    folder = desk.folder / "a" / "b"
    folder.mkdir(parents=True, mode=0o755)
    (desk.folder / "a").chmod(0o755)
    path = folder / "tool"
    path.write_bytes(b"x")
    path.chmod(0o755)
    root = str(desk.folder)
    assert facts.writable(str(path), root) is False
    for where in (path, folder, desk.folder / "a"):
        before = where.stat().st_mode
        for mode in (0o757, 0o1777):
            where.chmod(mode)
            assert facts.writable(str(path), root) is True
        where.chmod(before)
        os.chown(where, 12345, 0)
        assert facts.writable(str(path), root) is True
        os.chown(where, 0, 12345)
        where.chmod(0o775)
        assert facts.writable(str(path), root) is True
        os.chown(where, 0, 0)
        where.chmod(before)
    assert facts.writable(str(path), root) is False
    assert facts.writable(str(folder / "missing"), root) is True


def test_paths_are_those_of_the_tree() -> None:
    assert facts.below("/srv/tree/usr/bin/x", "/srv/tree") == "/usr/bin/x"
    assert facts.below("/srv/treetop/x", "/srv/tree") == "/srv/treetop/x"
    assert facts.below("/srv/tree", "/srv/tree/") == "/"
    assert facts.below("/usr/bin/x", "/") == "/usr/bin/x"


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("x.ko", TINY, "module"),
        ("run", b"#!/bin/sh\ntrue\n", "script"),
        ("libx.so.6", b"\x7fELF\2\1\1", "library"),
        ("x", b"\x7fELF\2\1\1", "exec"),
        ("x.service", b"[Unit]\n", "service"),
        ("x.deb", b"!<arch>\n", "package"),
        ("notes.txt", b"text\n", ""),
    ],
)
def test_how_files_are_used(desk: Desk, name: str, data: bytes, kind: str) -> None:
    with Artifact.open(desk.write(name, data)) as artifact:
        assert facts.kind_of(artifact, identify.identify(artifact).name) == kind


POLICY = b'chopmark-policy = 1\nname = "hosts"\nversion = 3\nmode = "audit"\n'


def test_a_policy_and_what_it_includes(desk: Desk) -> None:
    more = b'[[rule]]\naction = "deny"\nproduct = "x"\nversion = "1"\n'
    desk.write("more.toml", POLICY.replace(b"hosts", b"revoked") + more)
    path = desk.write("p.toml", POLICY + b'include = "more.toml"\n[[rule]]\naction = "allow"\nformat = "pe"\n')
    policy = loading.load(path, pki.NOW)
    assert [str(rule.place) for rule in policy.rules] == [f"{path}:6", f"{desk.folder}/more.toml:5"]
    assert [rule.number for rule in policy.rules] == [0, 1]
    assert (policy.main.name, policy.compiled.mode) == ("hosts", Mode.AUDIT)
    assert loading.load(path, pki.NOW, mode=Mode.ENFORCE).compiled.mode is Mode.ENFORCE


def test_a_policy_larger_than_any_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = b'[[rule]]\naction = "deny"\nformat = "pe"\n'
    path = desk.write("p.toml", POLICY + b'include = "more.toml"\n' + rule)
    desk.write("more.toml", POLICY.replace(b"hosts", b"more") + rule)
    monkeypatch.setattr(limits, "POLICY_RULES_MAX", 1)
    with pytest.raises(PolicyError):
        loading.load(path, pki.NOW)
    monkeypatch.setattr(limits, "POLICY_MAX", 100)
    with pytest.raises(InputError):
        loading.load(path, pki.NOW)


@pytest.mark.parametrize("included", [POLICY, POLICY.replace(b"hosts", b"other") + b'include = "p.toml"\n', b"x"])
def test_includes_that_make_no_sense_are_refused(desk: Desk, included: bytes) -> None:
    desk.write("more.toml", included)
    with pytest.raises(PolicyError):
        loading.load(desk.write("p.toml", POLICY + b'include = "more.toml"\n'), pki.NOW)


def test_once_there_is_a_store_for_policies_all_must_be_signed(desk: Desk) -> None:
    path = desk.write("p.toml", POLICY)
    loading.load(path, pki.NOW)
    with pytest.raises(BrokenError) as error:
        loading.load(path, pki.NOW, signers=desk.root)
    assert error.value.reason is reasons.UNSIGNED
    assert desk.run("store", "add", "policy", desk.root) == 0, desk.err
    with pytest.raises(BrokenError):
        loading.load(path, pki.NOW)
    assert desk.run("sign", path, "--format", "detached", *desk.by_signer) == 0, desk.err
    assert loading.load(path, pki.NOW).main.version == 3
    Path(path).write_bytes(POLICY.replace(b"audit", b"enforce"))
    with pytest.raises(BrokenError):
        loading.load(path, pki.NOW)


def test_a_store_for_policies_that_cannot_be_used_is_not_passed_over(desk: Desk) -> None:
    path = desk.write("p.toml", POLICY)
    Path(store.folder("policy")).mkdir(parents=True)
    with pytest.raises(UsageError):
        loading.load(path, pki.NOW)


def test_policies_in_use_are_remembered(desk: Desk) -> None:
    path = desk.write("p.toml", POLICY)
    loading.load(path, pki.NOW, remember=True)
    Path(path).write_bytes(POLICY.replace(b"3", b"2"))
    assert loading.load(path, pki.NOW).main.version == 2
    with pytest.raises(BrokenError) as error:
        loading.load(path, pki.NOW, remember=True)
    assert error.value.reason is reasons.ROLLBACK
