"""`chopmark ca`: add, roll, cross, certify, retire, renew, due, list, lint, profiles, ceremony, backup, restore."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.ca import Authority
from chopmark.cli import main
from chopmark.envelopes import pem, x509
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

SUBJECT = "CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB"


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """An authority made by command, in a folder of the test's own; its path."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHOPMARK_CA", str(tmp_path / "ca"))
    monkeypatch.chdir(tmp_path)
    command = ["ca", "init", "--name", "Example Ltd", "--url", "http://pki.example.com", "--type", "p256"]
    assert main([*command, "--no-passphrase", "--no-trust"]) == 0
    (tmp_path / "leaf.pub").write_bytes(pem.encode("PUBLIC KEY", pki.leaf(None, "leaf").public_key))
    capsys.readouterr()
    return tmp_path / "ca"


def issue(tmp_path: Path, *more: str, out: str = "leaf.crt") -> str:
    command = ["ca", "issue", "--public-key", "leaf.pub", "--subject", SUBJECT, "-o", out, *more]
    assert main(command) == 0
    return x509.certificate(pem.certificates((tmp_path / out).read_bytes())[0]).serial_octets.hex()


def narrow(text: str) -> str:
    assert all(len(line) <= 80 for line in text.splitlines()), max(text.splitlines(), key=len)
    return text


def test_the_hierarchy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = ("--type", "p256", "--no-key-passphrase")
    assert main(["ca", "add", "platform", *key]) == 0
    assert main(["ca", "roll", "root", *key]) == 0
    assert main(["ca", "roll", "code-signing", *key]) == 0
    assert main(["ca", "retire", "code-signing"]) == 0
    assert main(["ca", "cross", "code-signing-2", "--by", "root"]) == 0
    said = narrow(capsys.readouterr().out)
    assert "made       root-2, until" in said
    assert "cross      root-by-root-2" in said
    issue(tmp_path)
    chain = pem.certificates((tmp_path / "leaf.crt").read_bytes())
    assert [x509.certificate(raw).common_name for raw in chain] == [
        "Example Ltd",
        "Example Ltd Code Signing CA G2",
        "Example Ltd Root CA G2",
        "Example Ltd Code Signing CA G2",
    ]
    issue(tmp_path, "--profile", "kernel-module")
    assert main(["ca", "show"]) == 0
    said = narrow(capsys.readouterr().out)
    assert "retired 20" in said
    assert main(["ca", "show", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in facts["crosses"]] == ["root-2-by-root", "root-by-root-2", "code-signing-2-by-root"]
    assert main(["ca", "retire", "code-signing"]) == 1
    assert main(["ca", "roll", "nobody", *key]) == 2
    assert main(["ca", "issue", "--public-key", "leaf.pub", "--subject", SUBJECT, "--issuer", "code-signing"]) == 2


def test_foreign_cas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    partner = pki.authority("Partner CA")
    (tmp_path / "partner.crt").write_bytes(partner.pem)
    options = ["--purpose", "codeSigning", "--permit", "dn:O=Partner,C=DE", "-o", "out.crt"]
    assert main(["ca", "certify", "partner.crt", *options]) == 0
    assert x509.certificate(pem.certificates((tmp_path / "out.crt").read_bytes())[0]).spki == partner.public_key
    assert main(["ca", "certify", "partner.crt", "--purpose", "x", "-o", "out.crt"]) == 2
    assert main(["ca", "certify", "leaf.pub", *options]) == 2
    assert main(["ca", "request", "root", "-o", "root.csr"]) == 0
    assert (tmp_path / "root.csr").read_text().startswith("-----BEGIN CERTIFICATE REQUEST")
    assert main(["ca", "accept", "root", "partner.crt", "--issuer", "partner.crt"]) == 1
    assert "another key" in capsys.readouterr().err


def test_renewing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serial = issue(tmp_path, "--days", "20")
    assert main(["ca", "due"]) == 1
    assert serial in narrow(capsys.readouterr().out)
    assert main(["ca", "renew", "leaf.crt", "-o", "next.crt"]) == 0
    assert "the same key" in narrow(capsys.readouterr().out)
    assert main(["ca", "due"]) == 0
    capsys.readouterr()
    assert main(["ca", "show", "leaf.crt", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    successor = facts["renewed_by"]
    assert main(["ca", "show", successor]) == 0
    said = narrow(capsys.readouterr().out)
    assert serial in said
    assert main(["ca", "renew", successor, "--new-key", "new.pem", "--type", "p256", "--no-key-passphrase"]) == 0
    assert "a new key" in capsys.readouterr().err
    assert main(["ca", "revoke", successor, "--reason", "keyCompromise"]) == 0
    assert main(["ca", "renew", successor]) == 1
    assert "compromised" in capsys.readouterr().err
    assert main(["ca", "due", "--days", "-1"]) == 2


def test_searching(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serials = [issue(tmp_path) for _ in range(3)]
    capsys.readouterr()

    def listed(*options: str) -> list[str]:
        assert main(["ca", "list", "--json", "--profile", "code-signing", *options]) == 0
        return [json.loads(line)["serial"] for line in capsys.readouterr().out.splitlines()]

    assert listed() == serials
    assert listed("--serial", serials[1][:8]) == [serials[1]]
    assert listed("--certificate", "leaf.crt") == serials
    assert listed("--key", "0" * 64) == []
    assert listed("--ends-before", "2020-01-01") == []
    assert listed("--issued-after", "2020-01-01", "--limit", "2") == serials[:2]
    assert main(["ca", "list", "--limit", "2"]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3  # programs get whole lines
    assert "--after" in told.err
    assert main(["ca", "list", "--count", "--issuer", "code-signing"]) == 0
    assert capsys.readouterr().out == "3\n"
    assert main(["ca", "list", "--key", "zz"]) == 2
    assert main(["ca", "list", "--serial", "xyz"]) == 2
    assert main(["ca", "list", "--limit", "1000000"]) == 2


def test_linting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issue(tmp_path)
    capsys.readouterr()
    assert main(["ca", "lint", "leaf.crt", "ca/public/crl/code-signing.crl"]) == 0
    assert "keeps      leaf.crt" in narrow(capsys.readouterr().out)
    (tmp_path / "bad.crt").write_bytes(pki.leaf(pki.authority("Root"), "bad").pem)
    assert main(["ca", "lint", "bad.crt"]) == 1
    said = narrow(capsys.readouterr().out)
    assert "lint.policy" in said
    assert "CSBR" in said
    assert main(["ca", "lint", "bad.crt", "leaf.crt", "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["outcome"] for line in lines] == ["no", "ok", "ok"]
    (tmp_path / "junk").write_bytes(b"junk")
    assert main(["ca", "lint", "junk", "leaf.crt"]) == 1
    assert main(["ca", "lint", "missing", "leaf.crt"]) == 2
    assert main(["ca", "lint", "leaf.crt", "--issuer", "bad.crt", "-v"]) == 0
    narrow(capsys.readouterr().out)


def test_profiles(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (made / "profiles.toml").write_text('[build]\nbased-on = "internal"\ndays = 7\n')
    assert main(["ca", "profiles"]) == 0
    assert "build" in narrow(capsys.readouterr().out)
    assert main(["ca", "profiles", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["days"] == 7
    (made / "profiles.toml").write_text("[build]\n")
    assert main(["ca", "profiles"]) == 2


def test_a_ceremony(tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = [pki.leaf(None, name) for name in ("alice", "bob")]
    names = []
    for name, entity in zip(("alice", "bob"), people, strict=True):
        (tmp_path / f"{name}.key").touch(0o600)
        (tmp_path / f"{name}.key").write_bytes(entity.private_pem())
        (tmp_path / f"{name}.crt").write_bytes(entity.pem)
        names += ["--approver", f"{name}={name}.crt"]
    assert main(["ca", "ceremony", "rules"]) == 0
    assert main(["ca", "ceremony", "rules", *names, "--threshold", "2", "--require"]) == 0
    assert main(["ca", "ceremony", "rules", *names, "--threshold", "1"]) == 1
    assert main(["ca", "retire", "code-signing"]) == 1
    assert main(["ca", "ceremony", "plan", "plan.toml", "--template", "retire"]) == 0
    text = (tmp_path / "plan.toml").read_text()
    (tmp_path / "plan.toml").write_text(
        text.replace('title = ""', 'title = "End it"').replace('ca = ""', 'ca = "code-signing"')
    )
    assert main(["ca", "ceremony", "plan", "plan.toml"]) == 1
    assert main(["ca", "ceremony", "run", "plan.toml"]) == 1
    for name in ("alice", "bob"):
        assert main(["ca", "ceremony", "approve", "plan.toml", "--key", f"{name}.key", "--cert", f"{name}.crt"]) == 0
    assert main(["ca", "ceremony", "plan", "plan.toml"]) == 0
    assert main(["ca", "ceremony", "run", "plan.toml"]) == 0
    assert main(["ca", "ceremony", "run", "plan.toml"]) == 1
    [transcript] = (made / "ceremonies").iterdir()
    assert main(["ca", "ceremony", "show", str(transcript)]) == 0
    narrow(capsys.readouterr().out.replace(str(tmp_path), ""))
    transcript.write_bytes(transcript.read_bytes().replace(b"End it", b"End IT"))
    assert main(["ca", "ceremony", "show", str(transcript)]) == 1
    with Authority.open(str(made)) as authority:
        assert authority.issuer("code-signing").retired


def test_backup_and_restore(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serial = issue(tmp_path)
    assert main(["ca", "backup", "b.tar"]) == 0
    digest = capsys.readouterr().out.split()[-1]
    late = issue(tmp_path, out="late.crt")
    assert main(["ca", "backup", "b.tar"]) == 2
    assert main(["ca", "restore", "b.tar", "--nothing-later"]) == 2
    with pytest.raises(SystemExit, match="2"):  # and what of its log?
        main(["ca", "restore", "b.tar", "--ca", "again", "--sha256", digest])
    newest = str(made / "public" / "log" / "checkpoint")
    assert main(["ca", "restore", "b.tar", "--ca", "again", "--checkpoint", newest]) == 1
    assert "must not go on" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()
    assert main(["ca", "restore", "b.tar", "--ca", "ended", "--end-log"]) == 0
    assert "log init" in capsys.readouterr().out
    assert main(["ca", "restore", "b.tar", "--ca", "again", "--sha256", digest, "--nothing-later"]) == 0
    narrow(capsys.readouterr().out.replace(str(tmp_path), ""))
    assert main(["ca", "show", serial, "--ca", "again"]) == 0
    assert main(["ca", "show", late, "--ca", "again"]) == 2
    assert main(["ca", "adopt", "late.crt", "--ca", "again"]) == 0
    assert main(["ca", "show", late, "--ca", "again"]) == 0
    (tmp_path / "b.tar").write_bytes((tmp_path / "b.tar").read_bytes()[:5000])
    assert main(["ca", "restore", "b.tar", "--ca", "third", "--nothing-later"]) == 1
    assert main(["ca", "restore", "missing.tar", "--ca", "third", "--nothing-later"]) == 2
    assert not (tmp_path / "third").exists()
