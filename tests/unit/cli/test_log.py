"""`chopmark log`, `sign --log` and `verify --log-key`."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from chopmark.authority.log.folder import FolderLog
from tests.support import log_verifier
from tests.unit.authority.log.conftest import entries

if TYPE_CHECKING:
    from tests.support.desk import Desk

CA = ("ca", "init", "--name", "Example", "--url", "http://pki.example.com/", "--type", "p256", "--no-passphrase")


@pytest.fixture
def key(desk: Desk) -> str:
    """A log in the folder `log`; its key."""
    assert desk.run("log", "init", "log", "--origin", "example.com/log", "--no-passphrase") == 0, desk.err
    return desk.out.split("key ")[1].strip()


def codes(desk: Desk, *arguments: str) -> tuple[int, dict[str, str]]:
    status = desk.run("log", "verify", *arguments, "--json")
    facts = json.loads(desk.out)
    return status, {finding["code"].removeprefix("log."): finding["outcome"] for finding in facts["findings"]}


def test_files_are_logged_and_proved(desk: Desk, key: str) -> None:
    for number, name in enumerate(("a", "b", "c")):
        desk.write(name, name.encode())
        assert desk.run("log", "append", "--log", "log", name, "--proofs", "--detail", "release 1") == 0, desk.err
        assert f"entry {number} of example.com/log" in desk.out
    found = log_verifier.verify(desk.folder / "log/public", key)
    assert json.loads(found[1])["detail"] == "release 1"
    assert log_verifier.verify_proof((desk.folder / "c.tlog-proof").read_bytes(), found[2], key) == 2
    for what in ("1", "b"):
        assert desk.run("log", "prove", "--log", "log", what, "-o", "proof") == 0, desk.err
        assert log_verifier.verify_proof((desk.folder / "proof").read_bytes(), found[1], key) == 1
    assert desk.run("log", "prove", "--log", "log", "7") == 2
    desk.write("d", b"d")
    assert desk.run("log", "prove", "--log", "log", "d") == 2


def test_the_key_is_its_owners(desk: Desk, key: str) -> None:
    assert key.startswith("example.com/log+")
    assert stat.S_IMODE((desk.folder / "log/log.pem").stat().st_mode) == 0o600
    assert desk.run("log", "init", "log", "--origin", "example.com/log", "--no-passphrase") != 0
    assert FolderLog.open("log").latest().checkpoint.size == 0


def test_a_log_needs_a_name_and_leaves_nothing_without(desk: Desk) -> None:
    assert desk.run("log", "init", "log", "--no-passphrase") == 2
    assert desk.run("log", "init", "log", "--origin", "with space", "--no-passphrase") == 1
    assert not (desk.folder / "log").exists()
    file = desk.write("file", b"")
    assert desk.run("log", "init", file, "--origin", "example.com/log", "--no-passphrase") == 4
    assert desk.err.count("\n") == 1


def test_verify_remembers_and_finds_what_was_changed(desk: Desk, key: str) -> None:
    log = FolderLog.open("log")
    log.append(entries(10))
    assert codes(desk, "log") == (0, {"checkpoint_trusted": "ok", "first_seen": "info", "complete": "ok"})
    assert codes(desk, "log")[1]["continued"] == "ok"
    shutil.copytree("log", "copy")
    log.append(entries(1, 10))
    assert codes(desk, "log", "--quick") == (0, {"checkpoint_trusted": "ok", "continued": "ok"})
    status, found = codes(desk, "copy/public", "--log-key", key)
    assert (status, found["truncated"]) == (1, "no")
    FolderLog.open("copy").append([b"other"])
    status, found = codes(desk, "copy")
    assert (status, found["forked"]) == (1, "no")
    assert desk.run("log", "verify", "copy") == 1
    evidence = Path(desk.out.split("evidence ")[1].strip())
    assert evidence.read_bytes() == (desk.folder / "copy/public/checkpoint").read_bytes()
    assert codes(desk, "log")[0] == 0  # what was remembered is still the genuine one
    path = desk.folder / "log/public/tile/entries/000.p/11"
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    assert codes(desk, "log")[1]["entry_changed"] == "no"


def test_verify_against_what_others_have(desk: Desk, key: str) -> None:
    log = FolderLog.open("log")
    log.append(entries(5))
    desk.write("proof", log.prove(3).encode())
    shutil.copy("log/public/checkpoint", "checkpoint")
    log.append(entries(5, 5))
    for other in ("proof", "checkpoint"):
        assert codes(desk, "log", "--forget", "--against", other)[1]["continued"] == "ok"
    desk.write("junk", b"junk")
    assert desk.run("log", "verify", "log", "--against", "junk") == 2
    assert codes(desk, "log")[1]["first_seen"] == "info"
    assert key


def test_verify_without_a_key_is_undecided(desk: Desk, key: str) -> None:
    assert codes(desk, "log/public") == (3, {"key_unknown": "unknown"})
    assert codes(desk, "log/public", "--log-key", key)[0] == 0
    assert desk.run("log", "verify", "log/public", "--log-key", "junk") == 2
    assert desk.run("log", "verify", "nowhere") == 2


def test_a_server_that_is_not_there_is_undecided(desk: Desk, key: str) -> None:
    assert codes(desk, "http://127.0.0.1:9/log", "--log-key", key) == (3, {"unreachable": "unknown"})


def test_show(desk: Desk, key: str) -> None:
    desk.write("a", b"a")
    assert desk.run("log", "append", "--log", "log", *["a"] * 3) == 0
    FolderLog.open("log").append([b"\x1b[2Jno event", b"[1]"])
    assert desk.run("log", "show", "log") == 0
    assert "\x1b" not in desk.out
    assert "example.com/log, 5 entries" in desk.out
    assert f"key        {key}\n" in desk.out
    assert desk.run("log", "show", "log/public") == 0
    assert "key        " not in desk.out  # whose key it is cannot be said by what is served
    assert desk.run("log", "show", "log", "--from", "1", "--count", "3", "--json") == 0
    shown = [json.loads(line) for line in desk.out.splitlines()]
    assert [one["number"] for one in shown] == [1, 2, 3]
    assert shown[0]["entry"]["action"] == "file"
    assert shown[2]["entry"] == b"\x1b[2Jno event".hex()


def test_an_authority_s_log(desk: Desk) -> None:
    assert desk.run(*CA) == 0, desk.err
    issue = ("ca", "issue", "--profile", "internal", "--public-key", desk.cert, "--subject", "CN=Alice", "-o", "a.pem")
    assert desk.run(*issue) == 0, desk.err
    serial = desk.out.split("serial ")[1].split(",")[0]
    assert codes(desk)[0] == 0
    for what in (serial, "a.pem"):
        assert desk.run("log", "prove", what, "-o", "proof") == 0, desk.err
    assert desk.run("log", "show", "--json", "--from", "6") == 0
    assert json.loads(desk.out)["entry"]["serial"] == serial
    assert desk.run("log", "checkpoint") == 0
    assert desk.out.startswith("pki.example.com/log\n7\n")
    assert desk.run("log", "init", str(desk.folder.parent / "home/data/ca"), "--no-passphrase") != 0


# Signing


def test_a_signature_is_logged_and_looked_for(desk: Desk, key: str) -> None:
    files = [desk.sample("script", "a.sh"), desk.sample("pe", "b.exe"), desk.sample("detached", "c.txt")]
    assert desk.run("sign", *files, *desk.by_signer, "--log", "log") == 0, desk.err
    for file in files:
        assert desk.verify(file, "--log-key", key, "-v") == 0, desk.out
        assert "log.included" in desk.out
    found = [json.loads(entry) for entry in log_verifier.verify(desk.folder / "log/public", key)]
    assert [event["format"] for event in found] == ["script", "pe", "detached"]
    assert {event["action"] for event in found} == {"sign"}


def test_signatures_of_keys_without_certificates(desk: Desk, key: str) -> None:
    assert desk.run("key", "new", "--type", "ed25519", "--output", "plain.pem", "--no-passphrase") == 0
    private = load_pem_private_key((desk.folder / "plain.pem").read_bytes(), None)
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    desk.write("plain.pub", public + b" alice\n")
    for format_ in ("ssh", "minisign"):
        file = desk.sample("detached", f"{format_}.txt")
        assert desk.run("sign", file, "--key", "plain.pem", "--format", format_, "--log", "log") == 0, desk.err
    verify = ("verify", "--offline", "--log-key", key)
    assert desk.run(*verify, "--store", "plain.pub", "ssh.txt", "--format", "ssh") == 0, desk.out
    # Whose key minisign's number means nobody has said: neither the signature nor the proof can be checked.
    assert desk.run(*verify, "--store", desk.root, "minisign.txt", "--format", "minisign") == 3
    assert "log.proof_unchecked" in desk.out


def test_a_file_without_its_proof_or_with_another_s(desk: Desk, key: str) -> None:
    a, b = desk.sample("script", "a.sh"), desk.sample("script", "b.sh")
    b.write_bytes(b.read_bytes() + b"\n# more\n")
    assert desk.run("sign", a, b, *desk.by_signer, "--log", "log", "--json") == 0, desk.err
    facts = [json.loads(line) for line in desk.out.splitlines()]
    assert [(one["log_entry"], one["log_proof"]) for one in facts] == [(0, f"{a}.tlog-proof"), (1, f"{b}.tlog-proof")]
    proof = Path(f"{a}.tlog-proof")
    good = proof.read_bytes()
    proof.unlink()
    assert desk.verify(a) == 0
    assert desk.verify(a, "--log-key", key) == 3
    assert "log.proof_missing" in desk.out
    shutil.copy(f"{b}.tlog-proof", proof)
    assert desk.verify(a, "--log-key", key) == 1
    assert "log.proof_of_another" in desk.out
    proof.write_bytes(good.replace(b"index 0", b"index 1"))
    assert desk.verify(a, "--log-key", key) == 1
    assert "log.proof_broken" in desk.out
    proof.unlink()
    proof.mkdir()
    assert desk.verify(a, "--log-key", key) == 1
    assert "log.proof_malformed" in desk.out


def test_a_proof_does_not_help_a_file_that_was_changed(desk: Desk, key: str) -> None:
    file = desk.sample("script", "a.sh")
    assert desk.run("sign", file, *desk.by_signer, "--log", "log") == 0, desk.err
    file.write_bytes(file.read_bytes().replace(b"echo", b"ecco"))
    assert desk.verify(file, "--log-key", key) == 1


def test_signing_says_when_it_could_not_log(desk: Desk, key: str) -> None:
    file = desk.sample("script", "a.sh")
    assert desk.run("sign", file, *desk.by_signer, "--log", "nowhere") == 2
    assert "nowhere" in desk.err
    assert desk.run("sign", file, "--cert", desk.cert, "--digest-only", "--log", "log") == 2
    (desk.folder / "log/public/checkpoint").write_bytes(b"junk")
    assert desk.run("sign", file, *desk.by_signer, "--log", "log") == 1
    assert desk.verify(file) == 1  # it was not signed either
    assert desk.verify("--witness", key, file) == 2


def test_a_signature_in_an_authority_s_log(desk: Desk) -> None:
    assert desk.run(*CA) == 0, desk.err
    file = desk.sample("script", "a.sh")
    ca = desk.folder.parent / "home/data/ca"
    assert desk.run("sign", file, *desk.by_signer, "--log", ca) == 0, desk.err
    with_key = desk.folder / "keys.txt"
    from chopmark.authority.ca import Authority

    with Authority.open(str(ca)) as authority:
        with_key.write_text(f"{authority.log.log().key}\n")
    assert desk.verify(file, "--log-key", with_key) == 0, desk.out


def test_issuing_warns_when_the_log_contradicts_itself(desk: Desk) -> None:
    assert desk.run(*CA) == 0, desk.err
    ca = desk.folder.parent / "home/data/ca"
    database = ca / "authority.sqlite3"
    old = database.read_bytes()
    issue = ("ca", "issue", "--profile", "internal", "--public-key", desk.cert, "--subject", "CN=Alice", "-o", "a.pem")
    assert desk.run(*issue) == 0, desk.err
    assert desk.err == ""
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    database.write_bytes(old)
    assert desk.run(*issue) == 0
    assert "log.fork" in desk.err
    assert desk.run("ca", "crl") == 0
    assert "log.fork" in desk.err
    assert desk.run("log", "checkpoint") == 1
