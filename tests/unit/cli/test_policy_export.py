"""Exports on the command line: what is written, what is told, and what is refused before anything is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.core import discovery, limits, patch
from chopmark.core.artifact import Artifact
from chopmark.engine import blocking, identify
from chopmark.envelopes import cms
from chopmark.harden import folder
from tests.support import pki

if TYPE_CHECKING:
    from tests.support.desk import Desk

HEAD = 'chopmark-policy = 1\nname = "hosts"\nversion = 3\n'


def write(desk: Desk, *rules: str) -> str:
    text = HEAD + f'stores = ["{desk.root}"]\n' + "".join(f"[[rule]]\n{rule}\n" for rule in rules)
    return desk.write("p.toml", text.encode())


def ours(desk: Desk) -> str:
    return f'action = "allow"\nstore = "{desk.root}"'


def export(desk: Desk, policy: str, to: str, *more: str) -> int:
    common = ("--signer", desk.cert, "--offline", "--revocation", "off", "--at", "2026-07-01")
    return desk.run("policy", "export", policy, "--to", to, *common, *more)


def manifest(folder: str) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((Path(folder) / "export.json").read_text())
    return held


def test_an_export_is_a_folder_that_says_where_it_comes_from(desk: Desk) -> None:
    policy = write(desk, ours(desk))
    assert export(desk, policy, "ima", "--use", "exec") == 0
    held = manifest("ima")
    assert sorted(held["files"]) == sorted(
        str(path.relative_to("ima")) for path in Path("ima").rglob("*") if path.is_file() and path.name != "export.json"
    )
    assert (held["to"], held["uses"], held["policy"][0]["version"]) == ("ima", ["exec"], 3)
    assert {each["code"] for each in held["findings"]} >= {"harden.narrowed", "harden.signer_taken"}
    [key] = Path("ima", "keys").iterdir()
    assert key.read_bytes() == desk.world.signer.der
    assert os.access("ima/load-ima-policy", os.X_OK)
    assert desk.out.splitlines()[-1].strip() == "1 rule: 1 narrower"
    before = {path: path.read_bytes() for path in Path("ima").rglob("*") if path.is_file()}
    assert export(desk, policy, "ima", "--use", "exec", "--force", "--json") == 0
    assert {path: path.read_bytes() for path in Path("ima").rglob("*") if path.is_file()} == before
    assert json.loads(desk.out.splitlines()[0])["code"] == "harden.narrowed"


def test_a_full_disk_and_a_kill_leave_nothing_in_the_way(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = write(desk, ours(desk))
    written: list[str] = []

    def full(path: str, data: bytes, mode: int) -> None:
        if len(written) == 2:
            raise patch.WriteError(f"{path}: not written (No space left on device)")
        patch.write_file(path, data, mode)
        written.append(path)

    with monkeypatch.context() as patched:
        patched.setattr(folder, "write_file", full)
        assert export(desk, policy, "ima", "--use", "exec") == 4
        assert not Path("ima").exists()
        written.clear()
        patched.setattr(folder, "_undo", lambda *_: None)  # as after a kill
        assert export(desk, policy, "ima", "--use", "exec") == 4
    assert written[0] == "ima/export.json"
    assert export(desk, policy, "ima", "--use", "exec", "--force") == 0


def test_only_an_earlier_export_is_replaced(desk: Desk) -> None:
    policy = write(desk, ours(desk))
    assert export(desk, policy, "ima", "--use", "exec") == 0
    assert export(desk, policy, "ima", "--use", "exec") == 2
    assert "--force" in desk.err
    stale = Path("ima/keys/stale.der")
    stale.write_bytes(b"")
    kept = Path("kept")
    kept.write_bytes(b"")
    held = manifest("ima")
    held["files"] |= {"keys/stale.der": "", "../kept": "", "gone": ""}
    Path("ima/export.json").write_text(json.dumps(held))
    assert export(desk, policy, "ima", "--use", "exec", "--force") == 0
    assert kept.exists(), "a manifest names files elsewhere"
    assert not stale.exists()
    for broken in ("", "[]", '{"files": 1}'):
        Path("ima/export.json").write_text(broken)
        assert export(desk, policy, "ima", "--use", "exec", "--force") == 2
    assert export(desk, policy, "ima", "--use", "exec", "--output", policy) == 2


def test_a_rule_that_cannot_be_said_refuses_the_export(desk: Desk) -> None:
    policy = write(desk, ours(desk), 'name = "old"\naction = "deny"\nproduct = "tool"\nbelow = "2.4"')
    assert export(desk, policy, "ipe") == 1
    assert "harden.wider" in desk.out
    assert not Path("ipe").exists()
    assert export(desk, policy, "ipe", "--leave-out", "other") == 2
    assert export(desk, policy, "ipe", "--leave-out", "old") == 0
    assert export(desk, policy, "ipe", "--leave-out", f"{policy}:8", "--output", "again") == 0
    assert manifest("again")["left_out"] == [f"{policy}:8"]
    assert export(desk, policy, "ipe", "--leave-out", "old", "--at", "2040-01-01", "--output", "late") == 1
    assert "harden.empty" in desk.out


def test_ipe_is_signed_by_whose_key_is_given(desk: Desk) -> None:
    policy = write(desk, ours(desk))
    assert export(desk, policy, "ipe", *desk.by_signer) == 0
    raw = Path("ipe/ipe-policy.p7b").read_bytes()
    assert Path("ipe/ipe-policy").read_bytes() in raw
    [signer] = cms.read(raw).signers
    assert signer.digest_algorithm == "sha256"
    assert export(desk, policy, "ipe", "--key", desk.key, "--output", "other") == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ("--option", "other"),
        ("--option", "keyring=other"),
        ("--until", "soon"),
        ("--signer", "missing.pem"),
        ("--use", "package"),
    ],
)
def test_wrong_options_are_told_before_anything_is_written(desk: Desk, wrong: tuple[str, str]) -> None:
    policy = write(desk, ours(desk))
    assert export(desk, policy, "ima", *wrong) == 2
    assert desk.err.startswith("chopmark: ")
    assert not Path("ima").exists()


def test_what_is_no_certificate_and_too_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = write(desk, ours(desk))
    assert export(desk, policy, "ima", "--signer", desk.key) == 2
    monkeypatch.setattr(limits, "EXPORT_SIGNERS_MAX", 1)
    assert export(desk, policy, "ima") == 2
    desk.write("p.toml", HEAD.encode())
    assert export(desk, policy, "ima", "--store", "none") == 2
    assert desk.run("policy", "export", policy, "--to", "ima", "--signer", desk.cert) == 2
    assert "--store" in desk.err


def test_systems_that_are_none_or_take_the_policy_as_it_is(desk: Desk) -> None:
    policy = write(desk, ours(desk))
    assert export(desk, policy, "guard") == 2
    assert export(desk, policy, "other") == 2
    assert "ima" in desk.err
    assert desk.run("policy", "capabilities", "--to", "other") == 2


def test_a_signer_of_another_authority_is_not_believed(desk: Desk) -> None:
    policy = write(desk, ours(desk))
    stranger = desk.write("stranger.pem", pki.leaf(pki.authority("Other Root"), "Stranger").pem)
    assert desk.run("policy", "export", policy, "--to", "ima", "--signer", stranger, "--offline") == 1
    assert "harden.signer_out" in desk.out
    assert "harden.empty" in desk.out


def test_capabilities_fit_on_a_screen(desk: Desk) -> None:
    assert desk.run("policy", "capabilities") == 0
    assert max(map(len, desk.out.splitlines())) <= 80
    assert desk.run("policy", "capabilities", "--json") == 0
    names = [json.loads(line)["name"] for line in desk.out.splitlines()]
    assert names == sorted(each.name for each in discovery.exported("chopmark.harden", "BACKEND").values())
    for name in names:
        assert desk.run("policy", "capabilities", "--to", name) == 0
        assert max(map(len, desk.out.splitlines())) <= 80


def with_files(desk: Desk, to: str, *more: str) -> int:
    """A signed program and a signed script, and an unsigned program."""
    tree = desk.folder / "tree"
    if not tree.exists():
        tree.mkdir()
        for kind in ("pe", "script"):
            desk.signed(kind).rename(tree / f"signed-{kind}")
        desk.sample("pe").rename(tree / "unsigned")
    return export(desk, write(desk, ours(desk)), to, "--root", str(tree), *more)


@pytest.mark.parametrize(
    ("to", "file"),
    [
        ("santa", "rules.json"),
        ("fapolicyd", "trust.d/chopmark"),
        ("applocker", "applocker.xml"),
        ("app-control", "app-control.xml"),
    ],
)
def test_files_at_hand_are_listed_by_what_the_policy_decides(desk: Desk, to: str, file: str) -> None:
    assert with_files(desk, to) == 0
    text = (Path(to) / file).read_text()
    assert "signed-pe" in text
    assert "/unsigned" not in text.replace('"unsigned"', "/unsigned")
    first = {path: path.read_bytes() for path in Path(to).rglob("*") if path.is_file()}
    assert with_files(desk, to, "--force", "-j", "2") == 0
    assert {path: path.read_bytes() for path in Path(to).rglob("*") if path.is_file()} == first


def test_an_image_is_known_by_what_its_signature_is_over(desk: Desk) -> None:
    assert with_files(desk, "app-control") == 0
    facts = json.loads(Path("app-control/export.json").read_text())
    assert facts["files"].keys() == {"app-control.xml"}
    before = Path("app-control/app-control.xml").read_text()
    desk.run("strip", "tree/signed-pe")
    digests = [line for line in before.splitlines() if "signed-pe" in line]
    assert desk.run("sign", "tree/signed-pe", "--digest-only", "--cert", desk.cert) == 0
    assert len(digests) == 1
    [hexadecimal] = [word.split('"')[1] for word in digests[0].split() if word.startswith("Hash=")]
    assert bytes.fromhex(hexadecimal) in authenticode_digests("tree/signed-pe")


def authenticode_digests(path: str) -> list[bytes]:
    with Artifact.open(path) as artifact:
        return [each.value for each in blocking.file_digests(artifact, identify.formats()["pe"], ["sha256"])]


def test_catalogs_vouch_for_files_at_hand(desk: Desk) -> None:
    tree = desk.folder / "listed"
    tree.mkdir()
    desk.sample("pe").rename(tree / "tool")
    assert desk.run("catalog", "create", str(tree), "-o", "listed.catalog", *desk.by_signer) == 0
    policy = write(desk, ours(desk))
    assert export(desk, policy, "santa", "--root", str(tree)) == 1
    assert export(desk, policy, "santa", "--root", str(tree), "--catalogs", "listed.catalog") == 0
    assert "/tool" in Path("santa/rules.json").read_text()


def test_a_tree_that_is_none_and_too_many_files(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = write(desk, ours(desk))
    assert export(desk, policy, "santa", "--root", "missing") == 2
    monkeypatch.setattr(limits, "EXPORT_FILES_MAX", 1)
    assert with_files(desk, "santa") == 2
    assert not Path("santa").exists()


def test_digests_need_neither_stores_nor_files(desk: Desk) -> None:
    policy = desk.write("d.toml", f'{HEAD}[[rule]]\naction = "allow"\ndigest = "sha256:{"a" * 64}"\n'.encode())
    assert desk.run("policy", "export", policy, "--to", "santa") == 0
    assert "harden.exact" not in desk.out
    assert desk.run("policy", "export", policy, "--to", "santa", "--root", ".", "--force") == 0
    assert "a" * 64 in Path("santa/rules.json").read_text()
