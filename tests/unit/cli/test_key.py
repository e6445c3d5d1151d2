"""`chopmark key`: new, show, csr."""

from __future__ import annotations

import io
import json
import stat
from typing import TYPE_CHECKING

import pytest

from chopmark import keys
from chopmark.cli import key as verb
from chopmark.cli import main
from chopmark.core.digest import SIGNING_ALGORITHMS
from chopmark.envelopes import pem, pkcs10, x509
from chopmark.keys import generate
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.desk import Desk


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody is there to be asked, and relative names are in a folder of the test's own."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)


def test_what_is_offered_is_what_there_is() -> None:
    assert tuple(generate.KINDS) == verb.KINDS
    assert SIGNING_ALGORITHMS


def test_new_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new", "--type", "p256", "-o", "key.pem", "--no-passphrase"]) == 0
    made = capsys.readouterr().out
    assert "P-256, not encrypted" in made
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert main(["key", "show", "key.pem"]) == 0
    fingerprint = made.splitlines()[-1].split()[-1]
    assert fingerprint in capsys.readouterr().out
    assert main(["key", "show", "key.pem", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"key": "key.pem", "algorithm": "ec", "bits": 256, "sha256": fingerprint, "certificates": []}
    assert main(["key", "show", "key.pem", "--public"]) == 0
    assert pem.single(capsys.readouterr().out.encode(), "PUBLIC KEY") == keys.open_key("key.pem").public_key


def test_an_encrypted_key(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(generate, "PBKDF2_ROUNDS", 1000)
    monkeypatch.setenv("KEY_PASS", "open")
    assert main(["key", "new", "--type", "ed25519", "-o", "key.pem", "--passphrase", "env:KEY_PASS"]) == 0
    assert "Ed25519, encrypted" in capsys.readouterr().out
    assert main(["key", "show", "key.pem"]) == 2
    assert "is encrypted" in capsys.readouterr().err
    assert main(["key", "show", "key.pem", "--passphrase", "env:KEY_PASS"]) == 0
    monkeypatch.setenv("KEY_PASS", "shut")
    assert main(["key", "show", "key.pem", "--passphrase", "env:KEY_PASS"]) == 2
    assert "wrong passphrase" in capsys.readouterr().err


def test_somebody_has_to_say_how_it_is_protected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new", "--type", "p256", "-o", "key.pem"]) == 2
    assert main(["key", "new", "--type", "p256", "-o", "key.pem", "--passphrase", "hunter2"]) == 2
    said = capsys.readouterr().err
    assert "--no-passphrase" in said
    assert "hunter2" not in said
    assert said.count("\n") == 2
    assert list(tmp_path.iterdir()) == []


def test_no_key_is_overwritten_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["key", "new", "--type", "p256", "-o", "key.pem", "--no-passphrase"]
    assert main(command) == 0
    before = (tmp_path / "key.pem").read_bytes()
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "key.pem").read_bytes() == before
    assert main([*command, "--force"]) == 0
    assert (tmp_path / "key.pem").read_bytes() != before


def test_certificates_that_come_with_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signer = pki.world().signer
    (tmp_path / "both.pem").touch(0o600)
    (tmp_path / "both.pem").write_bytes(signer.private_pem() + signer.pem)
    assert main(["key", "show", "both.pem"]) == 0
    assert "with       CN=Example Signer" in capsys.readouterr().out
    assert main(["key", "show", "both.pem", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["certificates"]
    assert found["sha256"] == x509.certificate(signer.der).sha256


def test_csr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate.store("key.pem", generate.encode(generate.new("p256"), None))
    assert main(["key", "csr", "--key", "key.pem", "--subject", "CN=Example, C=GB", "-o", "key.csr"]) == 0
    assert capsys.readouterr().out == ""
    request = pkcs10.read((tmp_path / "key.csr").read_bytes())
    request.verify()
    assert x509.name_text(request.subject) == "CN=Example, C=GB"
    assert main(["key", "csr", "--key", "key.pem", "--subject", "C=GB, CN=Example"]) == 0
    assert pkcs10.read(capsys.readouterr().out.encode()).subject == request.subject
    assert main(["key", "csr", "--key", "key.pem", "--subject", "Example"]) == 2
    assert main(["key", "csr", "--key", "none.pem", "--subject", "CN=Example"]) == 2


@pytest.mark.parametrize("arguments", [[], ["old"], ["new"], ["show"], ["csr", "--key", "x"], ["new", "--type", "dsa"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["key", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("chopmark key")
    assert said.count("\n") == 1


def test_what_is_missing_is_named_as_it_is_called_there(desk: Desk) -> None:
    assert desk.run("key", "new", "--output", "bare.pem") == 2
    assert "--no-passphrase" in desk.err
    founding = ("--name", "Example", "--url", "http://pki.example.com/", "--type", "p256", "--no-passphrase")
    assert desk.run("ca", "init", *founding) == 0
    assert desk.run("tsa", "init") == 2
    assert "--no-key-passphrase" in desk.err
