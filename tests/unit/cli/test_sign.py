import datetime as dt
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.authority.tsa.tsa import TimeStampAuthority
from chopmark.core import limits
from chopmark.core.patch import Group
from chopmark.engine import sign
from chopmark.keys.software import SoftwareSigner
from chopmark.server import http, routes
from tests.support import pki
from tests.support.desk import SAMPLES, VECTORS, Desk
from tests.support.patience import PATIENCE, eventually

KINDS = sorted(SAMPLES)
DEAD = "http://127.0.0.1:1/"


@pytest.fixture
def stamps() -> Iterator[str]:
    """The URL of a time-stamp authority."""
    tsa = pki.world().tsa
    with http.serve(routes.time_stamps(TimeStampAuthority(tsa, tsa.certificates))) as url:
        yield url


# What it does


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_signed_in_place_and_verifies(desk: Desk, kind: str) -> None:
    path = desk.signed(kind)
    lines = desk.out.splitlines()
    assert lines[0] == f"signed     {path}{'.p7s' if kind == 'detached' else ''}"
    assert lines[1].startswith(f"           {kind}, sha256, by ")
    assert desk.verify(path) == 0
    assert desk.litter() == []


def test_many_files_have_a_line_each_and_what_they_share_once(desk: Desk) -> None:
    paths = [desk.sample(kind) for kind in KINDS]
    assert desk.run("sign", *paths, *desk.by_signer) == 0
    lines = desk.out.splitlines()
    assert [line.split()[0] for line in lines[: len(paths)]] == ["signed"] * len(paths)
    assert lines[len(paths)] == f"{len(paths)} files: {len(paths)} signed"
    assert desk.verify(*paths) == 0


def test_every_path_is_reported_and_the_worst_status_counts(desk: Desk) -> None:
    good, broken = desk.sample("script"), Path(desk.write("broken.exe", SAMPLES["pe"].read_bytes()[:300]))
    assert desk.run("sign", "missing", broken, ".", good, *desk.by_signer) == 2
    assert desk.err.count("\n") == 3
    assert all(name in desk.err for name in ("missing", "broken.exe", ".: "))
    assert "4 files: 1 signed, 3 not" in desk.out
    assert desk.verify(good) == 0


def test_jobs_change_neither_output_nor_order(desk: Desk) -> None:
    names = [str(desk.sample("pe", f"program{number}.exe")) for number in range(20)]
    names.insert(7, "missing")
    told = []
    for jobs in ("1", "2"):
        assert desk.run("sign", *names, *desk.by_signer, "-j", jobs) == 2
        told.append((desk.out, desk.err))
    assert told[0] == told[1]
    names.remove("missing")
    assert desk.verify(*names) == 0


def test_a_file_listed_twice_is_signed_in_one_process(desk: Desk) -> None:
    path = desk.sample("pe")
    os.link(path, desk.folder / "linked.exe")
    assert desk.run("sign", path, "linked.exe", path, *desk.by_signer, "-j", "2") == 0, desk.err
    assert desk.verify(path, "linked.exe") == 0


def test_json_is_a_line_for_each_file(desk: Desk) -> None:
    path = desk.sample("pe")
    assert desk.run("sign", path, "missing", *desk.by_signer, "--json") == 2
    good, bad = map(json.loads, desk.out.splitlines())
    assert (good["path"], good["format"], good["written"]) == (str(path), "pe", str(path))
    assert (good["digest_algorithm"], good["time_stamp"]) == ("sha256", False)
    assert (good["status"], bad["status"]) == ("signed", "failed")
    assert set(bad) == {"path", "status", "error"}
    assert desk.err == ""


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("script", ("--page-hashes",)),
        ("script", ("--description", "a script")),
        ("powershell", ("--page-hashes",)),
        ("pe", ("--variant", "pem")),
        ("detached", ("--variant", "pme")),
        ("detached", ("--url", "https://example.org/")),
    ],
)
def test_an_option_that_means_nothing_is_refused(desk: Desk, kind: str, option: tuple[str, ...]) -> None:
    path = desk.sample(kind)
    before = path.read_bytes()
    assert desk.run("sign", path, *desk.by_signer, *option, "--format", kind) == 2
    assert desk.out == ""
    assert path.read_bytes() == before
    assert not path.with_name(path.name + ".p7s").exists()


def test_output_leaves_the_file_alone(desk: Desk) -> None:
    path = desk.sample("pe")
    assert desk.run("sign", path, *desk.by_signer, "-o", "signed.exe") == 0
    assert path.read_bytes() == SAMPLES["pe"].read_bytes()
    assert desk.verify("signed.exe") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_signing_again_replaces_and_append_adds(desk: Desk, kind: str) -> None:
    path = desk.signed(kind)
    assert desk.run("sign", path, *desk.by_signer) == 0
    assert len(desk.facts(path)["seals"]) == 1
    assert desk.run("sign", path, *desk.by_signer, "--append") == 0
    assert len(desk.facts(path)["seals"]) == 2
    assert desk.verify(path) == 0


def test_signatures_are_not_signed_by_mistake(desk: Desk) -> None:
    path = desk.signed("detached")
    assert desk.run("sign", f"{path}.p7s", *desk.by_signer) == 1
    assert not Path(f"{path}.p7s.p7s").exists()
    assert desk.run("sign", f"{path}.p7s", "--format", "detached", *desk.by_signer) == 0
    Path(path).unlink()
    assert desk.run("sign", f"{path}.p7s", *desk.by_signer) == 0  # whatever it is a signature of is elsewhere


@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_what_shows_that_it_is_signed_with_a_key_alone_needs_no_word_about_it(desk: Desk, kind: str) -> None:
    path = desk.write(f"tiny.{kind}", (VECTORS / kind / f"sample-tiny.{kind}").read_bytes())
    notes = desk.sample("detached")
    by_key = ("--key", f"openpgp:{desk.write('openpgp.key', (VECTORS / kind / 'signer.key').read_bytes())}")
    assert desk.run("sign", path, notes, *desk.by_signer) == 2  # the notes are signed, and the package with no CMS
    assert (desk.out.count("signed     "), desk.err.count("\n")) == (1, 1)
    assert "--format detached" in desk.err
    for more in (("--digest-only",), ("--attach", desk.cert), ("--attach", f"{notes}.p7s")):
        assert desk.run("sign", path, *more, "--cert", desk.cert) == 2
        assert "internal" not in desk.err
    assert desk.run("sign", path, notes, *by_key) == 2  # the other way around
    assert (desk.out.count("signed     "), desk.err.count("\n")) == (1, 1)
    assert "--cert" in desk.err
    assert desk.run("sign", path, *by_key, "--timestamp", DEAD) == 2
    assert desk.run("verify", path, "--store", VECTORS / kind / "signer.asc", "--offline") == 0


def test_page_hashes_description_and_time_are_in_the_signature(desk: Desk) -> None:
    options = ("--page-hashes", "--description", "A program", "--url", "https://example.com/")
    path = desk.signed("pe", "", *options, "--signing-time", "2025-06-01T10:00:00Z")
    [seal] = desk.facts(path)["seals"]
    assert [claim["what"] for claim in seal["claims"]] == ["image", "page hashes"]
    assert seal["facts"] == {"description": "A program", "url": "https://example.com/"}
    assert seal["claimed_time"] == "2025-06-01T10:00:00Z"
    assert desk.verify(path) == 0


def test_a_detached_signature_of_a_program_in_pem(desk: Desk) -> None:
    path = desk.signed("pe", "", "--format", "detached", "--variant", "pem")
    assert path.read_bytes() == SAMPLES["pe"].read_bytes()
    assert Path(f"{path}.p7s").read_bytes().startswith(b"-----BEGIN CMS-----\n")
    assert desk.verify(path) == 0


# Keys


@pytest.mark.parametrize("source", ["env", "fd"])
def test_encrypted_keys_take_their_passphrase_from_elsewhere(
    desk: Desk, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = desk.write("locked.key", desk.world.signer.private_pem(b"open sesame"))
    path = desk.sample()
    reading, writing = os.pipe()
    monkeypatch.setenv("KEY_PASS", "open sesame")
    os.write(writing, b"open sesame\n")
    spec = f"fd:{reading}" if source == "fd" else "env:KEY_PASS"
    assert desk.run("sign", path, "--key", key, "--cert", desk.cert, "--passphrase", spec) == 0, desk.err
    os.close(reading)
    os.close(writing)
    assert desk.verify(path) == 0


def test_a_pkcs12_file_brings_its_certificates(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    signer, issuing = desk.world.signer, desk.world.issuing
    data = pkcs12.serialize_key_and_certificates(
        b"signer",
        signer.private_key,  # type: ignore[arg-type]
        signer.certificate,
        [issuing.certificate],
        BestAvailableEncryption(b"sesame"),
    )
    desk.write("signer.p12", data)
    monkeypatch.setenv("KEY_PASS", "sesame")
    path = desk.sample("pe")
    assert desk.run("sign", path, "--key", "pkcs12:signer.p12", "--passphrase", "env:KEY_PASS") == 0, desk.err
    assert desk.verify(path) == 0


def refused(desk: Desk, status: int, *arguments: str | Path) -> str:
    """Sign with these arguments: it fails with one line, and the file stays as it was; the line."""
    path = desk.sample()
    before = path.read_bytes()
    assert desk.run("sign", path, *arguments) == status, desk.err
    assert (desk.out, desk.err.count("\n")) == ("", 1)
    assert path.read_bytes() == before
    assert not Path(f"{path}.p7s").exists()
    return desk.err


def test_what_is_missing_or_wrong_is_told_in_one_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = desk.write("locked.key", desk.world.signer.private_pem(b"open sesame"))
    monkeypatch.setenv("KEY_PASS", "wrong")
    assert "--key" in refused(desk, 2)
    assert "--cert" in refused(desk, 2, "--key", desk.key)
    assert "nothing.key" in refused(desk, 2, "--key", "nothing.key", "--cert", desk.cert)
    assert "nothing.pem" in refused(desk, 2, "--key", desk.key, "--cert", "nothing.pem")
    assert "sample-hello.sh" in refused(desk, 2, "--key", desk.key, "--cert", SAMPLES["script"])
    assert "pkcs11" in refused(desk, 2, "--key", "pkcs11:token", "--cert", desk.cert)
    assert "passphrase" in refused(desk, 2, "--key", locked, "--cert", desk.cert, "--passphrase", "env:KEY_PASS")
    assert "--passphrase" in refused(desk, 2, "--key", locked, "--cert", desk.cert)
    said = refused(desk, 2, "--key", locked, "--cert", desk.cert, "--passphrase", "hunter2")
    assert "hunter2" not in said
    assert "'tar'" in refused(desk, 2, *desk.by_signer, "--format", "'tar'")
    assert "soon" in refused(desk, 2, *desk.by_signer, "--signing-time", "soon")
    assert "jobs" in refused(desk, 2, *desk.by_signer, "-j", "0")
    assert "attach" in refused(desk, 2, *desk.by_signer, "--attach", desk.cert)
    assert "--cert" in refused(desk, 2, "--digest-only")


def test_certificates_that_would_not_verify_are_refused(desk: Desk) -> None:
    world = desk.world
    old = pki.leaf(world.issuing, "Old", until=pki.SINCE + dt.timedelta(days=1))
    server = pki.leaf(world.issuing, "Server", purposes=(ExtendedKeyUsageOID.SERVER_AUTH,))
    for entity in (old, server):
        key = desk.write("other.key", entity.private_pem())
        refused(desk, 1, "--key", key, "--cert", desk.write("other.pem", entity.pem))
    foreign = desk.write("foreign.pem", pki.leaf(world.issuing, "Somebody Else").pem)
    assert "another key" in refused(desk, 1, "--key", desk.key, "--cert", foreign)
    refused(desk, 1, *desk.by_signer, "--signing-time", "2020-01-01")


def test_names_from_certificates_do_not_steer_the_terminal(desk: Desk) -> None:
    hostile = pki.issue(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Evil\x1b[2J\nsigned     all")]),
        pki.key("p256", "hostile"),
        desk.world.issuing,
        [],
    )
    line = refused(desk, 1, "--key", desk.key, "--cert", desk.write("hostile.pem", hostile.pem))
    assert "\x1b" not in line


# Time stamps


def test_the_next_authority_is_asked_when_one_is_dead(desk: Desk, stamps: str) -> None:
    path = desk.signed("pe", "", "--timestamp", DEAD, "--timestamp", stamps)
    assert "time-stamped" in desk.out
    [seal] = desk.facts(path)["seals"]
    assert [stamp["kind"] for stamp in seal["time_stamps"]] == ["rfc3161"]
    assert desk.verify(path) == 0
    assert ", at\n" in desk.out or ", at 20" in desk.out


def test_without_a_time_stamp_nothing_is_written(desk: Desk) -> None:
    line = refused(desk, 3, *desk.by_signer, "--timestamp", DEAD, "--timestamp", "http://127.0.0.2:9/")
    assert line.count(DEAD) == 1


@pytest.mark.parametrize("option", ["--timestamp", "--timestamp-legacy"])
@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "timestamp.example.com", ""])
def test_what_is_no_address_of_a_time_stamp_authority_is_wrong_usage(desk: Desk, option: str, url: str) -> None:
    refused(desk, 2, *desk.by_signer, option, DEAD, option, url)


@pytest.mark.parametrize("kind", ["pe", "powershell"])
def test_the_old_time_stamps_of_authenticode(desk: Desk, kind: str) -> None:
    tsa = pki.world().tsa
    served = routes.countersignatures(TimeStampAuthority(tsa, tsa.certificates))
    with http.serve(served) as url:
        path = desk.signed(kind, "", "--timestamp-legacy", DEAD, "--timestamp-legacy", f"{url}authenticode")
    assert "time-stamped" in desk.out
    [seal] = desk.facts(path)["seals"]
    assert [stamp["kind"] for stamp in seal["time_stamps"]] == ["authenticode"]
    assert desk.verify(path) == 0


def test_the_old_time_stamps_are_for_authenticode_alone(desk: Desk) -> None:
    path = desk.sample("script")
    assert desk.run("sign", path, *desk.by_signer, "--timestamp-legacy", DEAD) == 2
    assert "Authenticode" in desk.err
    both = ("--timestamp", DEAD, "--timestamp-legacy", DEAD)
    assert desk.run("sign", desk.sample("pe"), *desk.by_signer, *both) == 2
    assert "exclude each other" in desk.err


# Two steps


def two_steps(desk: Desk, path: Path) -> Path:
    """The first half, and the signature made elsewhere."""
    assert desk.run("sign", path, "--cert", desk.cert, "--digest-only") == 0, desk.err
    to_be_signed = Path(f"{path}.tbs")
    assert desk.out.startswith(f"{to_be_signed}  sha256:")
    return Path(desk.write("made.sig", desk.world.signer.sign(to_be_signed.read_bytes(), "sha256")))


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_may_be_elsewhere(desk: Desk, kind: str) -> None:
    path = desk.sample(kind)
    before = path.read_bytes()
    signature = two_steps(desk, path)
    assert path.read_bytes() == before
    assert desk.run("sign", path, "--cert", desk.cert, "--attach", signature) == 0, desk.err
    assert desk.verify(path) == 0


def test_the_second_step_can_be_time_stamped(desk: Desk, stamps: str) -> None:
    path = desk.sample("pe")
    signature = two_steps(desk, path)
    assert desk.run("sign", path, "--cert", desk.cert, "--attach", signature, "--timestamp", stamps) == 0, desk.err
    assert desk.facts(path)["seals"][0]["time_stamps"]


def test_what_does_not_belong_together_is_not_attached(desk: Desk) -> None:
    path = desk.sample("pe")
    signature = two_steps(desk, path)
    stranger = desk.write("stranger.pem", pki.leaf(desk.world.issuing, "Somebody Else").pem)
    before = path.read_bytes()

    def attach(file: Path, certificate: str, given: str | Path, status: int) -> None:
        assert desk.run("sign", file, "--cert", certificate, "--attach", given) == status, desk.err
        assert desk.err.count("\n") == 1

    attach(path, stranger, signature, 1)
    attach(path, desk.cert, desk.write("wrong.sig", b"not a signature"), 1)
    attach(path, desk.cert, "missing.sig", 2)
    attach(desk.sample("script"), desk.cert, signature, 2)  # its .tbs was never made
    assert ".tbs" in desk.err
    assert path.read_bytes() == before
    path.write_bytes(before[:600] + b"\xff" + before[601:])
    attach(path, desk.cert, signature, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_signature_fits_only_the_file_it_was_made_for(desk: Desk, kind: str) -> None:
    path = desk.signed(kind)
    assert desk.run("inspect", path, "--extract", "whole.p7s") == 0
    name = f"again{path.suffix}"
    again = desk.sample(kind, name)
    before = again.read_bytes()
    again.write_bytes(before + b"# more\n")
    assert desk.run("sign", again, "--attach", "whole.p7s") == 1, desk.out
    assert again.read_bytes() == before + b"# more\n"
    assert not Path(f"{again}.p7s").exists()
    again.write_bytes(before)
    assert desk.run("sign", again, "--attach", "whole.p7s") == 0, desk.err
    assert desk.verify(again) == 0


def test_contradictions_are_usage_errors(desk: Desk) -> None:
    assert desk.run("sign", "a", "b", *desk.by_signer, "-o", "c") == 2
    assert desk.run("sign", "a", "b", "--cert", desk.cert, "--attach", "c") == 2
    assert desk.run("sign", "a", "--digest-only", "--attach", "c") == 2
    assert desk.run("sign", "a", *desk.by_signer, "--digest-only") == 2
    desk.signed("detached", "plain.txt")
    assert desk.run("sign", "plain.txt", "--attach", "plain.txt.p7s", "--timestamp", DEAD) == 2


# Settings


def test_settings_come_from_the_command_line_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.sample("pe")
    Path("chopmark.toml").write_text(f'[sign]\nkey = "nowhere"\ncert = ["{desk.cert}"]\ndigest = "sha384"\n')
    assert desk.run("sign", path) == 2
    monkeypatch.setenv("CHOPMARK_KEY", desk.key)
    assert desk.run("sign", path) == 0, desk.err
    assert desk.facts(path)["seals"][0]["digest_algorithm"] == "sha384"
    assert desk.run("sign", path, "--digest", "sha512") == 0
    assert desk.facts(path)["seals"][0]["digest_algorithm"] == "sha512"


@pytest.mark.parametrize("line", ["key = 5", "digest = 'md5'", "jobs = 'many'", "digest = [1]", "key = \udcff"])
def test_settings_that_make_no_sense_are_usage_errors(desk: Desk, line: str) -> None:
    path = desk.sample()
    Path("chopmark.toml").write_text(f"[sign]\n{line}\n", errors="surrogateescape")
    given = ("--cert", desk.cert) if line.startswith("key") else desk.by_signer
    assert desk.run("sign", path, *given) == 2, desk.err
    assert desk.err.count("\n") == 1


# Files


def test_mode_and_links_stay_as_they_are(desk: Desk) -> None:
    path = desk.sample("pe", "real.exe")
    path.chmod(0o4555)
    Path("link.exe").symlink_to("real.exe")
    os.link("real.exe", "hard.exe")
    assert desk.run("sign", "link.exe", *desk.by_signer) == 0, desk.err
    assert Path("link.exe").is_symlink()
    assert path.stat().st_mode & 0o7777 == 0o4555
    assert Path("hard.exe").read_bytes() == SAMPLES["pe"].read_bytes()
    assert desk.verify("link.exe", "real.exe") == 0


def test_a_folder_that_cannot_be_written_to_is_the_tools_failure(desk: Desk) -> None:
    path = desk.sample()
    folder = desk.folder / "closed"
    folder.mkdir(0o555)
    target = "/proc/self/signed.sh" if os.geteuid() == 0 else str(folder / "signed.sh")
    assert desk.run("sign", path, *desk.by_signer, "-o", target) == 4
    assert desk.err.count("\n") == 1
    assert target in desk.err


def test_names_may_be_any_bytes(desk: Desk) -> None:
    names = [b"a\x1b[2Jb.sh", b"line\nbreak.sh", b"\xff\xfe.sh", b"-" + b"long" * 60 + b".sh"]
    for name in names:
        (desk.folder / os.fsdecode(name)).write_bytes(SAMPLES["script"].read_bytes())
    with desk.spawn("sign", *desk.by_signer, "--", *map(os.fsdecode, names)) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert b"\x1b" not in out
    assert out.count(b"\n") == len(names) + 2


def lives(group: int) -> bool:
    """Whether a process group has members."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interrupt_leaves_each_file_old_or_new(desk: Desk) -> None:
    unsigned = SAMPLES["pe"].read_bytes()
    slow = pki.leaf(desk.world.issuing, "Slow", kind="rsa4096")
    key, cert = desk.write("slow.key", slow.private_pem()), desk.write("slow.pem", slow.pem + desk.world.issuing.pem)
    paths = [desk.sample("pe", f"program{number}.exe") for number in range(1200)]
    status, err = 0, b""
    while not status:
        process = desk.spawn("sign", *paths, "--key", key, "--cert", cert, "-j", "2", session=True)
        assert process.stdout is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=2 * PATIENCE)
        status = process.returncode
        for path in [] if status else paths:  # all were signed before it came: we were paused for that long
            path.write_bytes(unsigned)
    assert status == 130
    assert err.count(b"\n") == 1
    eventually(lambda: not lives(process.pid))
    assert desk.litter() == []
    changed = [path for path in paths if path.read_bytes() != unsigned]
    assert 0 < len(changed) < len(paths)
    assert desk.verify(*changed, "-q") == 0


def test_a_file_under_two_names_is_signed_twice_one_after_the_other(desk: Desk) -> None:
    file, other = desk.sample("pe"), desk.sample("script")
    link = file.with_name("link.exe")
    link.symlink_to(file.name)
    assert desk.run("sign", file, link, other, *desk.by_signer) == 0
    assert [line.split()[0] for line in desk.out.splitlines()[:3]] == ["signed"] * 3
    assert desk.verify(file, other) == 0
    assert link.is_symlink()


def test_a_file_that_changes_before_its_group_is_written_is_told_and_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [desk.sample(kind) for kind in ("script", "powershell", "pe")]
    real = Group.commit

    def late(group: Group) -> object:
        paths[1].write_bytes(b"another")
        return real(group)

    monkeypatch.setattr(Group, "commit", late)
    monkeypatch.setattr(limits, "REPLACED_TOGETHER_SECONDS", 60.0)
    assert desk.run("sign", *paths, *desk.by_signer, "-j", "1") == 2
    assert desk.err.count("\n") == 1
    assert f"{paths[1]}: it changed while it was being read" in desk.err
    assert "3 files: 2 signed, 1 not" in desk.out
    monkeypatch.undo()
    assert paths[1].read_bytes() == b"another"
    assert desk.verify(paths[0], paths[2]) == 0


@pytest.mark.parametrize(
    ("at_hand", "order"), [(True, ["sign", "sign", "write", "write"]), (False, ["sign", "write", "sign", "write"])]
)
def test_nothing_signed_waits_for_a_device_or_a_service(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, at_hand: bool, order: list[str]
) -> None:
    done: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object, **settings: object) -> object:
            done.append(name)
            return real(*arguments, **settings)

        return call

    monkeypatch.setattr(SoftwareSigner, "at_hand", at_hand)
    monkeypatch.setattr(SoftwareSigner, "sign", noted("sign", SoftwareSigner.sign))
    monkeypatch.setattr(sign, "write", noted("write", sign.write))
    assert desk.run("sign", desk.sample("script"), desk.sample("pe"), *desk.by_signer, "-j", "1") == 0
    assert done == order
