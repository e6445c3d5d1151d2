"""`chopmark ocsp`: init, presign, respond, query, inspect; and `verify --ocsp`."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.ca import Authority
from chopmark.authority.ocsp.responder import Responder
from chopmark.cli import main
from chopmark.envelopes import ocsp, pem, x509
from tests.unit.net.test_http import says, serving, whole

if TYPE_CHECKING:
    Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody is there to be asked; names and data are in a folder of the test's own."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority that has responders, a certificate `alice.pem` and its key `alice.key`."""
    folder = tmp_path_factory.mktemp("founded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO())
        patch.setenv("CHOPMARK_HOME", str(folder / "home"))
        patch.chdir(folder)
        command = ["ca", "init", "--name", "Example Ltd", "--url", "http://pki.example.com", "--type", "p256"]
        assert main([*command, "--no-passphrase"]) == 0
        assert main(["ocsp", "init", "--no-key-passphrase"]) == 0
        assert main(issue("alice")) == 0
    return folder


@pytest.fixture
def made(founded: Path, tmp_path: Path, capsys: Output) -> None:
    """A copy of that folder, to work in."""
    shutil.copytree(founded, tmp_path, dirs_exist_ok=True)
    capsys.readouterr()


def issue(label: str) -> list[str]:
    subject = f"CN={label}, O=Example Ltd, L=Leeds, C=GB"
    new = ["--new-key", f"{label}.key", "--type", "p256", "--no-key-passphrase"]
    return ["ca", "issue", *new, "--subject", subject, "--output", f"{label}.pem"]


def chain(path: str = "alice.pem") -> list[x509.Certificate]:
    return [x509.certificate(raw) for raw in pem.certificates(Path(path).read_bytes())]


def answered(path: str = "alice.pem") -> bytes:
    """What the responder says about the first certificate in a file."""
    leaf, issuer = chain(path)
    with Authority.open("home/data/ca") as authority, Responder(authority) as responder:
        return responder.respond(ocsp.request([ocsp.for_certificate(leaf, issuer)]))


@pytest.mark.usefixtures("made")
def test_certificates_name_the_responder_once_there_is_one() -> None:
    assert chain()[0].access_urls(x509.ACCESS_OCSP) == ("http://pki.example.com/ocsp",)
    assert main(["ocsp", "init", "--no-key-passphrase", "--url", "http://ocsp.example.com/x", "--issuer", "root"]) == 0
    assert main(issue("bob")) == 0
    assert chain("bob.pem")[0].access_urls(x509.ACCESS_OCSP) == ("http://ocsp.example.com/x",)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    "wrong",
    [
        ["--url", "https://secure.example.com"],
        ["--url", "http://a b"],
        ["--issuer", "nobody"],
        ["--days", "0"],
    ],
)
def test_init_refuses_what_cannot_be(wrong: list[str]) -> None:
    assert main(["ocsp", "init", "--no-key-passphrase", *wrong]) == 2


def test_without_an_authority_or_a_responder(capsys: Output) -> None:
    assert main(["ocsp", "presign"]) == 2
    command = ["ca", "init", "--name", "Example Ltd", "--url", "http://pki.example.com", "--type", "p256"]
    assert main([*command, "--no-passphrase"]) == 0
    assert main(["ocsp", "presign"]) == 1
    assert "ocsp init" in capsys.readouterr().err


@pytest.mark.usefixtures("made")
def test_presign_signs_what_is_due(capsys: Output) -> None:
    assert main(["ocsp", "presign"]) == 0
    assert "presigned  3 answers; 0 were fresh" in capsys.readouterr().out
    assert main(["ocsp", "presign"]) == 0
    assert "presigned  0 answers; 3 were fresh" in capsys.readouterr().out
    assert main(["ocsp", "presign", "--hours", "1000"]) == 2


@pytest.mark.usefixtures("made")
def test_respond_to_a_request_in_a_file(capsys: Output) -> None:
    leaf, issuer = chain()
    Path("request.der").write_bytes(ocsp.request([ocsp.for_certificate(leaf, issuer)], b"nonce"))
    assert main(["ocsp", "respond", "request.der"]) == 0
    assert f"good     {leaf.serial_octets.hex()}" in capsys.readouterr().out
    basic = ocsp.read_response(Path("request.der.ors").read_bytes()).basic
    assert basic is not None
    assert basic.nonce == b"nonce"
    Path("bad.der").write_bytes(b"nonsense")
    assert main(["ocsp", "respond", "bad.der", "-o", "bad.ors"]) == 1
    assert ocsp.read_response(Path("bad.ors").read_bytes()).status_text == "malformedRequest"
    assert main(["ocsp", "respond", "missing.der"]) == 2


@pytest.mark.usefixtures("made")
def test_query_explains_an_answer_in_a_file(capsys: Output) -> None:
    Path("answer.ors").write_bytes(answered())
    assert main(["ocsp", "query", "alice.pem", "--answer", "answer.ors"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("good       ")
    assert max(map(len, shown.splitlines())) <= 80
    serial = chain()[0].serial_octets.hex()
    assert main(["ca", "revoke", serial, "--reason", "keyCompromise"]) == 0
    Path("answer.pem").write_bytes(pem.encode("OCSP RESPONSE", answered()))
    capsys.readouterr()
    assert main(["ocsp", "query", "alice.pem", "--answer", "answer.pem", "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["reason"]) == ("revoked", "key compromise")


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "ocsp.malformed"),
        (b"nonsense", "ocsp.malformed"),
        (ocsp.failure(ocsp.TRY_LATER), "ocsp.try_later"),
        (ocsp.failure(ocsp.UNAUTHORIZED), "ocsp.refused"),
    ],
)
def test_query_says_why_an_answer_is_none(capsys: Output, answer: bytes, code: str) -> None:
    Path("answer.ors").write_bytes(answer)
    assert main(["ocsp", "query", "alice.pem", "--answer", "answer.ors", "--json"]) == 3
    facts = json.loads(capsys.readouterr().out)
    assert facts["status"] == "unknown"
    assert [each["code"] for each in facts["findings"]] == [code]


@pytest.mark.usefixtures("made")
def test_query_judges_by_time(capsys: Output) -> None:
    Path("answer.ors").write_bytes(answered())
    command = ["ocsp", "query", "alice.pem", "--answer", "answer.ors"]
    assert main([*command, "--at", "2099-01-01"]) == 3
    assert "ocsp.stale" in capsys.readouterr().out
    assert main([*command, "--at", "2020-01-01"]) == 3
    assert "ocsp.future" in capsys.readouterr().out


@pytest.mark.usefixtures("made")
def test_query_asks_over_http(capsys: Output) -> None:
    raw = answered()
    with serving(says(whole(raw, b"Content-Type: application/ocsp-response"))) as peer:
        assert main(["ocsp", "query", "alice.pem", "--url", peer.url, "-o", "kept.ors"]) == 0
        assert peer.seen[-1].startswith(b"GET /list.crl/M")
        assert Path("kept.ors").read_bytes() == raw
        assert main(["ocsp", "query", "alice.pem", "--url", peer.url, "--nonce"]) == 3
        assert "ocsp.nonce" in capsys.readouterr().out
        assert peer.seen[-1].startswith(b"POST /list.crl")
    assert main(["ocsp", "query", "alice.pem", "--url", "http://127.0.0.1:9"]) == 3


@pytest.mark.usefixtures("made")
def test_query_about_a_signed_file_and_others(capsys: Output) -> None:
    Path("tool.sh").write_bytes(b"#!/bin/sh\necho hello\n")
    assert main(["sign", "tool.sh", "--key", "alice.key", "--cert", "alice.pem"]) == 0
    Path("answer.ors").write_bytes(answered())
    assert main(["ocsp", "query", "tool.sh", "--answer", "answer.ors"]) == 0
    Path("plain.txt").write_bytes(b"nothing")
    Path("bare.pem").write_bytes(pem.encode("CERTIFICATE", chain()[0].raw))
    capsys.readouterr()
    for wrong in (["plain.txt"], ["missing.pem"], ["bare.pem", "--store", "microsoft"]):
        assert main(["ocsp", "query", *wrong, "--answer", "answer.ors"]) == 2
    Path("issuer.pem").write_bytes(pem.encode("CERTIFICATE", chain()[1].raw))
    assert main(["ocsp", "query", "bare.pem", "--issuer", "issuer.pem", "--answer", "answer.ors"]) == 0


@pytest.mark.usefixtures("made")
def test_inspect_shows_requests_and_answers(capsys: Output) -> None:
    leaf, issuer = chain()
    Path("request.der").write_bytes(ocsp.request([ocsp.for_certificate(leaf, issuer)], b"nonce"))
    Path("answer.pem").write_bytes(pem.encode("OCSP RESPONSE", answered()))
    Path("later.ors").write_bytes(ocsp.failure(ocsp.TRY_LATER))
    for path, kind in (("request.der", "request"), ("answer.pem", "response"), ("later.ors", "response")):
        assert main(["ocsp", "inspect", path]) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
        assert main(["ocsp", "inspect", path, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["kind"] == kind
    Path("bad").write_bytes(b"bad")
    assert main(["ocsp", "inspect", "bad"]) == 2


@pytest.fixture
def signed(made: None, capsys: Output) -> str:  # noqa: ARG001 - comes first
    """A script signed by alice, whose root is trusted."""
    Path("tool.sh").write_bytes(b"#!/bin/sh\necho hello\n")
    assert main(["sign", "tool.sh", "--key", "alice.key", "--cert", "alice.pem"]) == 0
    capsys.readouterr()
    return "tool.sh"


def test_verify_takes_answers_from_files(signed: str, capsys: Output) -> None:
    assert main(["ocsp", "init", "--no-key-passphrase", "--issuer", "root"]) == 0
    with Authority.open("home/data/ca") as authority, Responder(authority) as responder:
        root, issuing = (authority.issuer(name).certificate for name in ("root", "code-signing"))
        Path("issuing.ors").write_bytes(responder.respond(ocsp.request([ocsp.for_certificate(issuing, root)])))
    Path("alice.ors").write_bytes(answered())
    command = ["verify", signed, "--store", "corp", "--offline", "--revocation", "require", "--json"]
    assert main(command) == 3
    assert main([*command, "--ocsp", "alice.ors", "--ocsp", "issuing.ors"]) == 0
    assert main(["ca", "revoke", chain()[0].serial_octets.hex()]) == 0
    Path("alice.ors").write_bytes(answered())
    assert main([*command, "--ocsp", "alice.ors", "--ocsp", "issuing.ors"]) == 1
    capsys.readouterr()
    assert main([*command, "--ocsp", "missing.ors"]) == 2
    assert main([*command, "--ocsp", "alice.pem"]) == 2
