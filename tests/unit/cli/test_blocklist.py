"""`chopmark blocklist`, and what `chopmark verify` makes of lists: files, drivers, signers."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.core import clock
from tests.support import drivers, pki
from tests.support.desk import VECTORS

if TYPE_CHECKING:
    from tests.support.desk import Desk

HEAD = f"chopmark-blocklist 1\ndate {clock.show(clock.now())}\n"


def listed(desk: Desk, *lines: str, name: str = "corp.txt", head: str = HEAD) -> str:
    return desk.write(name, (head + "".join(f"{line}\n" for line in lines)).encode())


def sha256(path: Path | str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def found(desk: Desk) -> list[str]:
    """The codes of all findings of the one verdict that was printed as JSON."""
    verdict = json.loads(desk.out)
    every = [*verdict["findings"], *(each for seal in verdict["seals"] for each in seal["findings"])]
    return [each["code"] for each in every if each["code"].startswith("blocklist")]


# Verify


@pytest.mark.parametrize("kind", ["pe", "script", "powershell", "detached"])
def test_a_file_that_a_list_names_is_rejected_whoever_signed_it(desk: Desk, kind: str) -> None:
    path = desk.signed(kind)
    listing = listed(desk, f"file sha256:{sha256(path)} malicious")
    assert desk.verify("--json", path, "--blocklist", listing) == 1
    assert found(desk) == ["blocklist.file"]
    assert desk.verify("--json", path) == 0
    assert found(desk) == []
    unsigned = desk.sample(kind, "unsigned")
    assert desk.verify("--json", unsigned, "--blocklist", listed(desk, f"file sha256:{sha256(unsigned)}")) == 1
    assert found(desk) == ["blocklist.file"]
    assert json.loads(desk.out)["status"] == "rejected"


def test_what_is_not_named_passes_and_the_lists_age_shows(desk: Desk) -> None:
    path = desk.signed("pe")
    listing = listed(desk, f"file sha256:{'00' * 32}", head="chopmark-blocklist 1\ndate 2020-01-01\n")
    assert desk.verify("--json", path, "--blocklist", listing) == 0
    assert found(desk) == ["blocklist.stale", "blocklist.clear"]
    assert "2020-01-01" in desk.out
    assert "days old" in desk.out


def test_what_was_blocked_is_taken_off_again(desk: Desk) -> None:
    path = desk.signed("script")
    for by in ("file", "key", "certificate"):
        assert desk.run("blocklist", "block", path, "--by", by) == 0
    assert desk.run("blocklist", "unblock", path, "--by", "image") == 2
    assert desk.run("blocklist", "unblock", path, desk.cert) == 2  # all or nothing
    assert desk.run("blocklist", "show", "own") == 0
    assert desk.out.count("sha256:") == 3
    assert desk.run("blocklist", "unblock", desk.cert, "--by", "key") == 0
    assert desk.run("blocklist", "unblock", f"sha256:{sha256(path)}".upper()) == 0
    assert desk.verify("--json", path) == 1
    assert found(desk) == ["blocklist.certificate"]
    assert desk.run("blocklist", "unblock", path, "--by", "certificate") == 0
    assert desk.verify(path) == 0
    assert desk.run("blocklist", "unblock", path) == 2
    assert desk.run("blocklist", "unblock", path, "--name", "other") == 2


@pytest.mark.parametrize("kind", ["minisign", "ssh", "openpgp"])
def test_keys_without_certificates_are_blocked_by_key(desk: Desk, kind: str) -> None:
    key = VECTORS / kind / ("signer.asc" if kind == "openpgp" else "signer.pub")
    secret = desk.write("secret", (VECTORS / kind / "signer.key").read_bytes())
    path = desk.sample("detached")
    assert desk.run("sign", path, "--format", kind, "--key", f"{kind}:{secret}") == 0, desk.err
    verify = ("verify", "--offline", "--json", path, "--store", key)
    assert desk.run(*verify) == 0
    assert desk.run("blocklist", "block", key, "--by", "certificate") == 2
    assert desk.run("blocklist", "block", key, "--by", "key") == 0
    assert desk.run(*verify) == 1
    assert found(desk) == ["blocklist.key"]


def test_a_driver_is_recognised_signed_or_not(desk: Desk) -> None:
    plain = Path(desk.write("plain.sys", drivers.driver()))
    assert desk.run("blocklist", "block", plain, "--by", "image") == 0
    signed = Path(desk.write("signed.sys", drivers.driver()))
    assert desk.run("sign", signed, *desk.by_signer) == 0
    assert sha256(plain) != sha256(signed)
    for path in (plain, signed):
        assert desk.verify("--json", path) == 1
        assert "blocklist.file" in found(desk)
    other = desk.signed("pe", "other.exe")
    assert desk.verify("--json", other) == 0


def test_microsofts_rules_by_signer_name_and_version(desk: Desk) -> None:
    path = Path(desk.write("signed.sys", drivers.driver()))
    assert desk.run("sign", path, *desk.by_signer, "--description", "Cheat") == 0
    program = Path(desk.write("program.exe", drivers.launcher()))
    assert desk.run("sign", program, *desk.by_signer) == 0
    attribute = '<FileAttrib ID="F" FileName="W64.EXE" MinimumFileVersion="0.0.0.0" MaximumFileVersion="{}"/>'
    refer = '<FileAttribRef RuleID="F"/>'
    world = desk.world
    signer = ""
    for entity in (world.signer, world.issuing, world.root):
        for algorithm in ("sha1", "sha256", "sha384"):
            signer = drivers.signer(drivers.tbs(entity.der, algorithm), refer)
            policy = drivers.policy(attribute.format("1.1.0.14"), signer, ["ID_SIGNER_1"])
            assert desk.verify("--json", path, "--blocklist", desk.write("drivers.xml", policy)) == 1
            assert found(desk) == ["blocklist.rule"]
    assert desk.verify("--json", program, "--blocklist", "drivers.xml") == 0, "the rule is about drivers"
    mended = drivers.policy(attribute.format("1.1.0.13"), signer, ["ID_SIGNER_1"])
    assert desk.verify("--json", path, "--blocklist", desk.write("mended.xml", mended)) == 0
    for condition, status in (
        ('<CertPublisher Value="example signer P256"/>', 1),
        ('<CertPublisher Value="Somebody Else"/>', 0),
        ('<CertOemID Value="Cheat"/>', 1),
        ('<CertOemID Value="Other"/>', 0),
    ):
        policy = drivers.policy("", drivers.signer(drivers.tbs(world.root.der), condition), ["ID_SIGNER_1"])
        assert desk.verify(path, "--blocklist", desk.write("conditions.xml", policy)) == status, condition
    wellknown = '<Signer ID="ID_SIGNER_1" Name="x"><CertRoot Type="Wellknown" Value="06"/></Signer>'
    policy = drivers.policy("", wellknown, ["ID_SIGNER_1"])
    assert desk.verify("--json", path, "--blocklist", desk.write("wellknown.xml", policy)) == 3
    assert found(desk) == ["blocklist.undecided"]


def test_microsofts_rules_by_hash_and_by_name(desk: Desk) -> None:
    from chopmark.core.artifact import Artifact
    from chopmark.core.digest import hash_ranges
    from chopmark.formats.pe import FORMAT, describing

    path = desk.write("plain.sys", drivers.driver())
    with Artifact.open(path) as artifact:
        recipes = [each for each in describing.describe(artifact).recipes if each.algorithm in ("sha1", "sha256")]
        digests = {payload.value.hex() for payload in hash_ranges(artifact.view, recipes)}
        assert FORMAT.name == "pe"
    assert len(digests) == 4, "the image and its first page, each in SHA-1 and SHA-256"
    for digest in digests:
        rule = f'<Deny ID="D" FriendlyName="a driver" Hash="{digest.upper()}"/>'
        policy = desk.write("hash.xml", drivers.policy(rule, referred=["D"]))
        assert desk.verify("--json", path, "--blocklist", policy) == 1
        assert "blocklist.file" in found(desk)
    rule = '<Deny ID="D" FriendlyName="a driver" FileName="w64.exe" MaximumFileVersion="2.0.0.0"/>'
    policy = desk.write("name.xml", drivers.policy(rule, referred=["D"]))
    assert desk.verify("--json", path, "--blocklist", policy) == 1
    assert "blocklist.rule" in found(desk)


@pytest.mark.parametrize("content", [None, b"", b"junk", b"chopmark-blocklist 1\n", b"<SiPolicy"])
def test_a_list_that_cannot_be_read_stops_everything(desk: Desk, content: bytes | None) -> None:
    path = desk.signed()
    if content is not None:
        desk.write("list.txt", content)
    assert desk.verify(path, "--blocklist", "list.txt") == 2
    assert (desk.out, desk.err.count("\n")) == ("", 1)
    folder = desk.folder.parent / "home" / "config" / "blocklists"
    folder.mkdir(parents=True)
    (folder / "broken.txt").write_bytes(content or b"")
    assert desk.verify(path) == 2


def test_lists_come_from_settings_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.signed()
    listing = listed(desk, f"file sha256:{sha256(path)}")
    config = desk.folder.parent / "home" / "config"
    config.mkdir(parents=True)
    (config / "chopmark.toml").write_text(f'[verify]\nblocklist = ["{listing}"]\n')
    assert desk.verify(path) == 1
    (config / "chopmark.toml").unlink()
    Path("chopmark.toml").write_text(f'[verify]\nblocklist = ["{listed(desk, name="other.txt")}"]\n')
    monkeypatch.setenv("CHOPMARK_BLOCKLIST", listing)
    assert desk.verify(path) == 1


# The command


def test_a_list_is_added_listed_shown_and_removed(desk: Desk) -> None:
    assert desk.run("blocklist", "list") == 0
    assert desk.out == "no list was added\n"
    path = desk.sample()
    desk.write(
        "drivers.xml", drivers.policy('<Deny ID="D" FriendlyName="a driver" Hash="' + "AB" * 32 + '"/>', referred=["D"])
    )
    old = (clock.now() - dt.timedelta(days=200)).timestamp()
    os.utime("drivers.xml", (old, old))
    assert desk.run("blocklist", "add", "drivers.xml") == 0
    assert desk.run("blocklist", "add", listed(desk, f"file sha256:{sha256(path)} bad"), "--name", "mine") == 0
    assert desk.run("blocklist", "list", "--json") == 0
    facts = {each["list"]: each for each in map(json.loads, desk.out.splitlines())}
    assert {name: (each["entries"], each["stale"]) for name, each in facts.items()} == {
        "drivers": (1, True),
        "mine": (1, False),
    }
    assert desk.run("blocklist", "list") == 0
    assert "200 days old, get a newer one" in desk.out
    assert desk.run("blocklist", "show", "drivers") == 0
    assert f"hash sha256:{'ab' * 32} a driver" in desk.out
    assert desk.run("blocklist", "show", "mine", "BAD") == 0
    assert sha256(path) in desk.out
    assert desk.run("blocklist", "add", listed(desk, name="drivers.txt")) == 0
    assert desk.run("blocklist", "list", "--json") == 0
    assert len(desk.out.splitlines()) == 2, "one name, one list"
    for name in ("drivers", "mine"):
        assert desk.run("blocklist", "remove", name) == 0
    assert desk.run("blocklist", "remove", "mine") == 2
    assert desk.run("blocklist", "show", "mine") == 2


@pytest.mark.parametrize("kind", ["certificate", "key", "tbs", "issuer-serial"])
def test_signers_are_blocked_by_their_certificates(desk: Desk, kind: str) -> None:
    path = desk.signed()
    for certificate in (desk.cert, desk.root):
        assert desk.run("blocklist", "block", certificate, "--by", kind, "--name", "signers", "--remark", "why") == 0
        assert desk.verify("--json", path) == 1
        assert set(found(desk)) <= {"blocklist.certificate", "blocklist.key"}
        assert desk.run("blocklist", "remove", "signers") == 0
    assert desk.verify(path) == 0


def test_the_signers_of_a_file_are_blocked_and_not_their_authority(desk: Desk) -> None:
    path, other = desk.signed(), desk.sample("script", "other.sh")
    stranger = pki.leaf(desk.world.issuing, "Stranger")
    key, cert = desk.write("s.key", stranger.private_pem()), desk.write("s.pem", stranger.pem + desk.world.issuing.pem)
    assert desk.run("sign", other, "--key", key, "--cert", cert) == 0
    assert desk.run("blocklist", "block", path, "--by", "key") == 0
    assert (desk.verify(path), desk.verify(other)) == (1, 0)
    assert desk.run("blocklist", "block", cert, "--by", "key") == 0
    assert desk.verify(other) == 1
    assert desk.run("blocklist", "list", "--json") == 0
    assert json.loads(desk.out)["entries"] == 2


def test_block_adds_to_what_is_there(desk: Desk) -> None:
    first, second = desk.sample("script", "first.sh"), desk.sample("detached", "second.txt")
    assert desk.run("blocklist", "block", first) == 0
    assert desk.run("blocklist", "block", second) == 0
    assert desk.run("blocklist", "check", first, second, desk.sample("pe")) == 1
    assert [line.split()[0] for line in desk.out.splitlines() if not line.startswith(" ")] == [
        "blocked",
        "blocked",
        "not",
    ]
    assert desk.run("blocklist", "check", desk.sample("pe")) == 0


def test_check_asks_the_lists_alone(desk: Desk) -> None:
    assert desk.run("blocklist", "check", "x") == 2
    path = desk.signed()
    assert desk.run("blocklist", "block", desk.cert, "--by", "key") == 0
    assert desk.run("blocklist", "check", path) == 1
    assert "blocklist.key" in desk.out
    assert desk.run("blocklist", "check", "missing") == 3
    empty, broken = desk.write("empty", b""), desk.write("broken.exe", b"MZ" + bytes(100))
    assert desk.run("blocklist", "check", empty, broken) == 0
    other = listed(desk, f"file sha256:{sha256(empty)}")
    assert desk.run("blocklist", "check", empty, "--blocklist", other) == 1


def test_a_list_may_have_to_be_signed(desk: Desk) -> None:
    listing = listed(desk, f"file sha256:{'00' * 32}")
    assert desk.run("blocklist", "add", listing, "--store", desk.root) == 2
    assert desk.run("sign", listing, *desk.by_signer) == 0
    assert desk.run("blocklist", "add", listing, "--store", desk.root) == 0
    Path(listing).write_bytes(Path(listing).read_bytes() + b"# changed\n")
    assert desk.run("blocklist", "add", listing, "--store", desk.root) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "missing.txt"),
        ("add", "junk"),
        ("add", "good.txt", "--name", "../up"),
        ("add", "good.txt", "--name", ""),
        ("block", "missing"),
        ("block", "junk", "--by", "certificate"),
        ("block", "junk", "--by", "image"),
        ("block", "junk", "--name", "a b"),
        ("remove", "x"),
        ("nonsense",),
        (),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(desk: Desk, arguments: tuple[str, ...]) -> None:
    desk.write("junk", b"junk")
    listed(desk, name="good.txt")
    if arguments[-1:] == ("",):
        arguments = (*arguments[:-1], ".hidden")
    assert desk.run("blocklist", *arguments) == 2
    assert desk.out == ""
    assert "Traceback" not in desk.err


def test_somebody_elses_list_is_not_written_to(desk: Desk) -> None:
    assert desk.run("blocklist", "add", desk.write("drivers.xml", drivers.policy())) == 0
    assert desk.run("blocklist", "block", desk.sample(), "--name", "drivers") == 2


def test_a_full_medium_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    home = desk.folder.parent / "home"
    home.write_bytes(b"")
    monkeypatch.setenv("CHOPMARK_HOME", str(home))
    assert desk.run("blocklist", "add", listed(desk)) in (2, 4)
    assert desk.err.count("\n") == 1
