"""`chopmark ca`: init, issue, revoke, release, crl, list, show."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as other

from chopmark.authority.crl import encoding
from chopmark.authority.hierarchy import changing
from chopmark.authority.issuing import profiles
from chopmark.authority.register import records
from chopmark.cli import ca as verb
from chopmark.cli import ca_hierarchy, ca_show, main
from chopmark.cli.key import CA_KINDS
from chopmark.core import clock
from chopmark.envelopes import pem, pkcs10, x509
from chopmark.keys import generate
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

SUBJECT = "CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody is there to be asked; names and data are in a folder of the test's own."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What `ca init` made, a folder that can be copied, and what it said."""
    home = tmp_path_factory.mktemp("founded") / "home"
    command = ["ca", "init", "--name", "Example Ltd", "--url", "http://pki.example.com", "--type", "p256"]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setenv("CHOPMARK_HOME", str(home))
        assert main([*command, "--no-passphrase"]) == 0
    return home, said.getvalue()


@pytest.fixture
def made(founded: tuple[Path, str], tmp_path: Path) -> str:
    """An authority of the test's own; what `ca init` said."""
    home, said = founded
    shutil.copytree(home, tmp_path / "home", symlinks=True)
    return said


def issue(*arguments: str, out: str = "signer.crt") -> str:
    """Issue for a new key; the serial number."""
    if os.path.exists("new.pem"):  # noqa: PTH110
        os.unlink("new.pem")  # noqa: PTH108
    command = ["ca", "issue", "--new-key", "new.pem", "--no-key-passphrase", "--type", "p256", "-o", out]
    assert main([*command, "--subject", SUBJECT, *arguments]) == 0
    with open(out, "rb") as file:  # noqa: PTH123
        return x509.certificate(pem.certificates(file.read())[0]).serial_octets.hex()


def test_what_is_offered_is_what_there_is() -> None:
    assert tuple(encoding.REASONS) == verb.REASONS
    assert records.STATUSES == ca_show.STATUSES
    assert set(changing.KINDS) < set(generate.KINDS)
    assert CA_KINDS == changing.KINDS
    assert tuple(profiles.AUTHORITIES) == ca_hierarchy.ROLES


def test_init(made: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Example Ltd Code Signing CA, until 20" in made
    assert "not encrypted" in made
    [trusted] = (tmp_path / "home" / "data" / "stores" / "corp").iterdir()
    assert main(["ca", "show", "--pem"]) == 0
    assert trusted.read_text().endswith(capsys.readouterr().out)
    assert main(["ca", "init", "--name", "Again", "--url", "http://x/", "--no-passphrase"]) == 2
    assert "something already" in capsys.readouterr().err


def test_init_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["ca", "init", "--name", "Example Ltd", "--url", "http://x/", "--type", "p256", "--no-trust"]
    assert main([*common, "--no-passphrase", "--ca", "here"]) == 0
    monkeypatch.setenv("CHOPMARK_CA", str(tmp_path / "there"))
    monkeypatch.setattr(generate, "PBKDF2_ROUNDS", 1000)
    monkeypatch.setenv("P", "open")
    monkeypatch.setenv("Q", "vault")
    assert main([*common, "--passphrase", "env:P", "--root-passphrase", "env:Q"]) == 0
    assert main(["ca", "crl"]) == 2
    assert "is encrypted" in capsys.readouterr().err
    assert main(["ca", "crl", "--passphrase", "env:P"]) == 0
    assert main(["ca", "crl", "--passphrase", "env:P", "--issuer", "root"]) == 2
    assert main(["ca", "crl", "--passphrase", "env:Q", "--issuer", "root"]) == 0
    assert not (tmp_path / "home").exists()


def test_init_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ca", "init", "--name", "Example Ltd", "--url", "https://x/", "--no-passphrase"]) == 2
    assert main(["ca", "init", "--name", "Example Ltd", "--url", "http://x/"]) == 2
    assert main(["ca", "init", "--name", "\x1b[31m", "--url", "http://x/", "--no-passphrase", "--type", "p256"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 3
    assert "\x1b" not in said
    assert not (tmp_path / "home").exists()


@pytest.mark.usefixtures("made")
class TestIssue:
    def test_a_new_key(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        serial = issue()
        assert serial in capsys.readouterr().out
        chain = pem.certificates((tmp_path / "signer.crt").read_bytes())
        assert [x509.certificate(raw).common_name for raw in chain] == ["Example Ltd", "Example Ltd Code Signing CA"]
        assert (tmp_path / "new.pem").stat().st_mode & 0o777 == 0o600

    def test_a_request(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        signer = pki.world().signer
        name = other.Name.from_rfc4514_string("C=GB,L=Leeds,O=Example Ltd,CN=Example Ltd")
        raw = pkcs10.build(name.public_bytes(), signer)
        (tmp_path / "signer.csr").write_bytes(pem.encode("CERTIFICATE REQUEST", raw))
        assert main(["ca", "issue", "--csr", "signer.csr"]) == 0
        printed = capsys.readouterr()
        assert "issued" in printed.err
        certificate = x509.certificate(pem.certificates(printed.out.encode())[0])
        assert certificate.spki == signer.public_key
        assert certificate.subject_text == SUBJECT
        assert main(["ca", "issue", "--csr", "signer.csr", "--subject", SUBJECT.replace("Leeds", "York")]) == 0

    def test_a_request_that_was_changed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        raw = pkcs10.build(pki.name("Example").public_bytes(), pki.world().signer)
        for changed in (raw.replace(b"Example", b"Another"), raw[:-1], b"", pki.world().signer.der):
            (tmp_path / "signer.csr").write_bytes(changed)
            assert main(["ca", "issue", "--csr", "signer.csr", "--subject", SUBJECT]) == 1
            assert "signer.csr: refused" in capsys.readouterr().err
        assert main(["ca", "issue", "--csr", "none.csr"]) == 2

    def test_a_public_key(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        signer = pki.world().signer
        (tmp_path / "key.pub").write_bytes(pem.encode("PUBLIC KEY", signer.public_key))
        assert main(["ca", "issue", "--public-key", "key.pub", "-o", "signer.crt"]) == 2
        assert "--subject" in capsys.readouterr().err
        assert main(["ca", "issue", "--public-key", "key.pub", "-o", "signer.crt", "--subject", SUBJECT]) == 0
        first = pem.certificates((tmp_path / "signer.crt").read_bytes())[0]
        # Renewed: the same key and name.
        assert main(["ca", "issue", "--public-key", "signer.crt", "-o", "renewed.crt"]) == 0
        second = x509.certificate(pem.certificates((tmp_path / "renewed.crt").read_bytes())[0])
        assert (second.spki, second.subject) == (signer.public_key, x509.certificate(first).subject)
        assert second.serial != x509.certificate(first).serial

    def test_a_key_in_hand(self, tmp_path: Path) -> None:
        generate.store("key.pem", generate.encode(generate.new("p256"), None))
        command = ["ca", "issue", "--key", "key.pem", "--subject", "O=Example Ltd,L=Leeds,C=GB", "-o", "signer.crt"]
        assert main(command) == 0
        [certificate, _] = pem.certificates((tmp_path / "signer.crt").read_bytes())
        assert x509.certificate(certificate).common_name == "Example Ltd"

    def test_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = sorted(tmp_path.iterdir())
        common = ["ca", "issue", "--new-key", "new.pem", "--no-key-passphrase", "-o", "signer.crt"]
        assert main([*common, "--type", "p256", "--subject", SUBJECT, "--days", "461"]) == 1
        assert main([*common, "--type", "ed25519", "--subject", SUBJECT]) == 1
        assert main([*common, "--type", "p256", "--subject", "CN=Example Ltd"]) == 1
        assert main([*common, "--type", "p256", "--subject", SUBJECT, "--not-after", "2020-01-01"]) == 2
        assert main([*common, "--type", "p256"]) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 5
        assert all("CSBR" in line for line in said[:3])
        assert sorted(tmp_path.iterdir()) == before

    def test_a_key_that_is_there_is_kept(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "new.pem").write_bytes(b"precious")
        command = ["ca", "issue", "--new-key", "new.pem", "--no-key-passphrase", "--subject", SUBJECT]
        assert main(command) == 2
        assert "exists already" in capsys.readouterr().err
        assert (tmp_path / "new.pem").read_bytes() == b"precious"

    def test_internal(self, capsys: pytest.CaptureFixture[str]) -> None:
        serial = issue("--profile", "internal", "--not-before", "2020-01-01", "--not-after", "2020-02-01T12:00:00Z")
        capsys.readouterr()
        assert main(["ca", "show", serial, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["status"], facts["not_before"], facts["not_after"]) == (
            "expired",
            "2020-01-01T00:00:00Z",
            "2020-02-01T12:00:00Z",
        )


@pytest.mark.usefixtures("made")
class TestRevoke:
    def test_by_number_and_by_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        first, second = issue(), issue(out="second.crt")
        assert main(["ca", "revoke", first[:10], "--reason", "key-compromise"]) == 0
        assert main(["ca", "revoke", "second.crt"]) == 0
        assert "reason unspecified" in capsys.readouterr().out
        assert main(["ca", "revoke", "second.crt", "--reason", "superseded"]) == 0
        said = capsys.readouterr().out
        assert said.index("reason superseded") < said.index("it was already") < said.index("reason unspecified")
        assert main(["ca", "crl", "--issuer", "code-signing", "-o", "list.crl"]) == 0
        found = other.load_der_x509_crl((tmp_path / "list.crl").read_bytes())
        assert {f"{entry.serial_number:x}" for entry in found} == {first, second}
        assert "2 revoked" in capsys.readouterr().out
        assert main(["ca", "crl", "--issuer", "code-signing", "-o", "list.pem", "--pem", "--days", "10"]) == 0
        assert len(other.load_pem_x509_crl((tmp_path / "list.pem").read_bytes())) == 2

    def test_dates(self, capsys: pytest.CaptureFixture[str]) -> None:
        serial = issue("--profile", "internal", "--not-before", "2026-01-01", "--days", "400")
        dates = ["--date", "2026-03-01", "--invalidity-date", "2026-02-01T10:00:00+02:00"]
        assert main(["ca", "revoke", serial, *dates, "--reason", "keyCompromise"]) == 0
        capsys.readouterr()
        assert main(["ca", "show", serial, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["revoked"] == "2026-03-01T00:00:00Z"
        assert facts["invalidity_date"] == "2026-02-01T08:00:00Z"
        assert facts["reason"] == "keyCompromise"
        assert [event["action"] for event in facts["history"]] == ["issue", "revoke"]

    def test_suspended_and_released(self, capsys: pytest.CaptureFixture[str]) -> None:
        serial = issue("--profile", "internal")
        assert main(["ca", "revoke", serial, "--reason", "certificateHold"]) == 0
        assert "suspended" in capsys.readouterr().out
        assert main(["ca", "release", serial]) == 0
        assert main(["ca", "release", serial]) == 1

    @pytest.mark.parametrize(
        ("arguments", "status"),
        [
            (["abcdef012345"], 2),
            (["none.crt"], 2),
            (["new.pem"], 2),
            (["signer.crt", "--reason", "boredom"], 2),
            (["signer.crt", "--reason", "certificateHold"], 1),
            (["signer.crt", "--date", "2999-01-01"], 1),
            (["signer.crt", "--date", "yesterday"], 2),
            (["signer.crt", "--date", "2001-01-01"], 1),
        ],
    )
    def test_refused(self, arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
        issue()
        capsys.readouterr()
        assert main(["ca", "revoke", *arguments]) == status
        assert capsys.readouterr().err.count("\n") == 1
        assert main(["ca", "list", "--status", "revoked"]) == 0
        assert capsys.readouterr().out == "no certificates\n"

    def test_a_file_that_is_not_there_is_no_serial_number(self, capsys: pytest.CaptureFixture[str]) -> None:
        issue()
        for name in ("none.crt", "certificates/none"):
            assert main(["ca", "revoke", name]) == 2
            assert "no such file" in capsys.readouterr().err

    def test_one_list_for_one_file(self) -> None:
        assert main(["ca", "crl", "-o", "list.crl"]) == 2
        assert main(["ca", "crl", "--issuer", "code-signing", "--days", "11"]) == 2


@pytest.mark.usefixtures("made")
class TestLook:
    def test_list(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        serial = issue()
        issue("--profile", "internal", "--not-before", "2020-01-01", "--days", "1")
        capsys.readouterr()
        assert main(["ca", "list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 5
        assert lines[-1].endswith("CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB")
        assert lines[0].split() == ["STATUS", "UNTIL", "SERIAL", "SUBJECT"]
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert main(["ca", "list"]) == 0
        folded = capsys.readouterr().out.splitlines()
        assert max(map(len, folded)) <= 80
        assert " ".join(" ".join(folded).split()) == " ".join(" ".join(lines).split())
        command = ["ca", "list", "--status", "valid", "--profile", "code-signing", "--subject", "EXAMPLE", "--json"]
        assert main(command) == 0
        [facts] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert (facts["serial"], facts["status"], facts["subject"]) == (serial, "valid", SUBJECT)

    def test_show(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        serial = issue()
        assert main(["ca", "revoke", serial, "--reason", "superseded"]) == 0
        capsys.readouterr()
        assert main(["ca", "show", "signer.crt"]) == 0
        shown = capsys.readouterr().out
        assert "superseded, since" in shown
        assert max(map(len, shown.splitlines())) <= 80
        assert main(["ca", "show", serial, "--pem"]) == 0
        assert (
            pem.certificates(capsys.readouterr().out.encode())
            == pem.certificates((tmp_path / "signer.crt").read_bytes())[:1]
        )

    def test_the_authority(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["ca", "show"]) == 0
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= 80 or "/home/" in shown
        assert main(["ca", "show", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["name"], facts["url"]) == ("Example Ltd", "http://pki.example.com/")
        assert [issuer["name"] for issuer in facts["issuers"]] == ["root", "code-signing", "time-stamping"]
        assert {issuer["crl_number"] for issuer in facts["issuers"]} == {1}


def test_no_authority(capsys: pytest.CaptureFixture[str]) -> None:
    for action in (["list"], ["show"], ["crl"], ["revoke", "40aabbcc"], ["issue", "--csr", "x"]):
        assert main(["ca", *action]) == 2
    assert capsys.readouterr().err.count("chopmark ca init") == 4 + 1


class TestLists:
    def test_shards_and_deltas(self, made: str, capsys: pytest.CaptureFixture[str]) -> None:
        del made
        crl_ = ["ca", "crl", "--issuer", "code-signing"]
        assert main([*crl_, "--shards", "2", "--with-deltas"]) == 0
        assert "number 2, 0 revoked, 5 more lists" in capsys.readouterr().out
        assert main([*crl_, "--delta", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["number"], facts["base"], len(facts["lists"])) == (3, 2, 6)
        assert main([*crl_, "--show", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["shards"], facts["deltas"], facts["due"], len(facts["lists"])) == (2, True, None, 6)
        assert main(["ca", "crl", "--show"]) == 0
        assert "crl/code-signing.1.delta.crl" in capsys.readouterr().out
        assert main(["ca", "crl", "--due"]) == 0
        assert capsys.readouterr().out == ""

    def test_the_delta_is_what_goes_out(self, made: str, tmp_path: Path) -> None:
        del made
        crl_ = ["ca", "crl", "--issuer", "code-signing"]
        assert main([*crl_, "--with-deltas"]) == 0
        assert main([*crl_, "--delta", "--output", "delta.crl", "--pem"]) == 0
        found = other.load_pem_x509_crl((tmp_path / "delta.crl").read_bytes())
        assert found.extensions.get_extension_for_class(other.DeltaCRLIndicator).value.crl_number == 2

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--delta",),
            ("--shards", "-1"),
            ("--shards", "5000"),
            ("--delta", "--due"),
            ("--due", "--output", "x"),
            ("--show", "--output", "x"),
            ("--days", "11"),
        ],
    )
    def test_refused(self, made: str, arguments: tuple[str, ...]) -> None:
        del made
        try:
            status = main(["ca", "crl", "--issuer", "code-signing", *arguments])
        except SystemExit as error:
            status = int(error.code or 0)
        assert status == 2

    def test_due(self, made: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        del made
        later = clock.now() + dt.timedelta(days=5)
        monkeypatch.setattr(clock, "now", lambda: later)
        assert main(["ca", "crl", "--show", "--issuer", "code-signing"]) == 0
        assert "due: complete, the list ends" in capsys.readouterr().out
