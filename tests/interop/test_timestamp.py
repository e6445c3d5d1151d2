"""Time stamps with `openssl ts`: each reads what the other asks, answers and stamps; both refuse the tampered."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from chopmark.core.errors import UnavailableError
from chopmark.core.finding import Outcome
from chopmark.envelopes import cms, timestamp
from tests.support.openssl import openssl
from tests.unit.envelopes import material

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop

DATA = b"a signature value"
KINDS = ("rsa", "p256", "p384", "p521")

CONFIGURATION = """
[tsa]
default_tsa = test
[test]
serial = {folder}/serial
signer_cert = {folder}/{kind}.pem
signer_key = {folder}/{kind}.key
certs = {folder}/chain.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.5
digests = sha256, sha384, sha512
{more}
"""
PLAIN = "ess_cert_id_alg = sha256"
RICH = """accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 3
ordering = yes
tsa_name = yes
ess_cert_id_chain = yes
ess_cert_id_alg = sha1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A time-stamp authority for openssl, and what is to be stamped."""
    assert shutil.which("openssl"), "make interop installs it"
    place = tmp_path_factory.mktemp("openssl-ts")
    (place / "data").write_bytes(DATA)
    (place / "serial").write_text("1000\n")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = serialization.Encoding.PEM
    (place / "root.pem").write_bytes(material.root().public_bytes(pem))
    (place / "chain.pem").write_bytes(material.issuing().public_bytes(pem) + material.root().public_bytes(pem))
    for kind in KINDS:
        (place / f"{kind}.key").write_bytes(material.private_key(kind, "tsa").private_bytes(*form))
        (place / f"{kind}.der").write_bytes(material.chain(kind, material.TIME_STAMPING, "tsa")[0])
        openssl("x509", "-inform", "DER", "-in", place / f"{kind}.der", "-out", place / f"{kind}.pem")
    return place


def reply(folder: Path, request: bytes, kind: str = "rsa", more: str = PLAIN) -> bytes:
    """The response of openssl's authority."""
    (folder / "request").write_bytes(request)
    (folder / "conf").write_text(CONFIGURATION.format(folder=folder, kind=kind, more=more))
    openssl(
        "ts", "-reply", "-config", folder / "conf", "-queryfile", folder / "request", "-out", folder / "response"
    )  # fmt: skip
    return (folder / "response").read_bytes()


def verify(folder: Path, source: str, *options: str | Path, fails: bool = False) -> None:
    """Let openssl verify a response ("response") or a token ("token") that lies in the folder."""
    given: list[str | Path] = ["-in", folder / source, *(["-token_in"] if source == "token" else [])]
    at = str(int(material.NOON.timestamp()))
    openssl("ts", "-verify", *given, "-CAfile", folder / "root.pem", "-attime", at, *options, fails=fails)


def ask(digest: str = "sha256", **options: material.Value) -> bytes:
    return timestamp.request(hashlib.new(digest, DATA).digest(), digest, nonce=options.pop("nonce", 5), **options)


@pytest.mark.parametrize("more", [PLAIN, RICH], ids=["plain", "rich"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_openssl_stamps_verifies(folder: Path, kind: str, digest: str, more: str) -> None:
    request = ask(digest, nonce=2**64 - 1)
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=2)
    token = timestamp.token(reply(folder, request, kind, more), request)
    stamp = timestamp.check(token, DATA)
    assert stamp.proof.intact, stamp.proof.findings
    assert "cms.signer_bound" in material.codes(stamp.proof, Outcome.OK)
    # openssl leaves certificates in the order they were given.
    assert material.codes(stamp.proof, Outcome.INFO) <= {"cms.order"}
    assert stamp.proof.certificates[0] == material.chain(kind, material.TIME_STAMPING, "tsa")[0]
    assert stamp.policy == "1.2.3.4.1"
    assert before <= stamp.time <= dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    info = timestamp.read_info(cms.read(token).content or b"")
    assert info.nonce == 2**64 - 1
    assert info.ordering is (more is RICH)
    assert stamp.accuracy == (pytest.approx(1.5001) if more is RICH else None)
    assert not timestamp.check(token, DATA + b"!").proof.intact
    tampered = token[:-1] + bytes((token[-1] ^ 1,))
    assert not timestamp.check(tampered, DATA).proof.intact


def test_openssl_reads_every_field_of_a_request(folder: Path) -> None:
    (folder / "request").write_bytes(ask("sha384", nonce=0xBEEF, policy="1.2.3.4.5"))
    text = openssl("ts", "-query", "-in", folder / "request", "-text").decode()
    for word in ("Hash Algorithm: sha384", "Policy OID: 1.2.3.4.5", "Nonce: 0xBEEF", "Certificate required: yes"):
        assert word in text


@pytest.mark.parametrize("options", [("-cert",), ("-cert", "-tspolicy", "1.2.3.4.5"), ("-no_nonce",), ("-sha512",)])
def test_what_openssl_asks_is_understood(folder: Path, options: tuple[str, ...]) -> None:
    openssl("ts", "-query", "-data", folder / "data", "-out", folder / "request", *options)
    request = timestamp.read_request((folder / "request").read_bytes())
    digest = "sha512" if "-sha512" in options else "sha256"
    assert (request.algorithm, request.digest) == (digest, hashlib.new(digest, DATA).digest())
    assert request.wants_certificates is ("-cert" in options)
    assert (request.nonce is None) is ("-no_nonce" in options)
    assert request.policy == ("1.2.3.4.5" if "-tspolicy" in options else None)


def test_a_policy_that_openssl_does_not_offer_is_declined(folder: Path) -> None:
    request = ask(policy="1.2.3.4.9")
    with pytest.raises(UnavailableError, match="unacceptedPolicy"):
        timestamp.token(reply(folder, request), request)


def test_a_token_without_certificates_is_what_was_asked_for(folder: Path) -> None:
    request = ask(certificates=False)
    token = timestamp.token(reply(folder, request), request)
    assert material.codes(timestamp.check(token, DATA).proof) == {"cms.signer_missing"}


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_verifies_what_chopmark_stamps(folder: Path, kind: str) -> None:
    token = material.token(DATA, kind, time=material.NOON.replace(microsecond=250000), accuracy=0.5, nonce=77)
    (folder / "token").write_bytes(token)
    verify(folder, "token", "-data", folder / "data", "-untrusted", folder / "chain.pem")
    (folder / "other").write_bytes(b"another signature value")
    verify(folder, "token", "-data", folder / "other", "-untrusted", folder / "chain.pem", fails=True)
    (folder / "token").write_bytes(token[:-1] + bytes((token[-1] ^ 1,)))
    verify(folder, "token", "-data", folder / "data", "-untrusted", folder / "chain.pem", fails=True)


def test_openssl_takes_chopmarks_answer_to_its_question(folder: Path) -> None:
    openssl("ts", "-query", "-data", folder / "data", "-cert", "-out", folder / "request")
    asked = timestamp.read_request((folder / "request").read_bytes())
    token = material.token(DATA, "rsa", nonce=asked.nonce, accuracy=1.0)
    (folder / "response").write_bytes(timestamp.response(token, text="at your service"))
    verify(folder, "response", "-queryfile", folder / "request", "-untrusted", folder / "chain.pem")
    text = openssl("ts", "-reply", "-in", folder / "response", "-text").decode()
    for word in ("Status: Granted", "at your service", f"Policy OID: {material.POLICY}", "Ordering: no"):
        assert word in text
    (folder / "response").write_bytes(timestamp.response(material.token(DATA, "rsa", nonce=1)))
    verify(folder, "response", "-queryfile", folder / "request", "-untrusted", folder / "chain.pem", fails=True)


def test_openssl_reads_a_refusal(folder: Path) -> None:
    (folder / "response").write_bytes(timestamp.response(None, timestamp.REJECTION, failure="timeNotAvailable"))
    text = openssl("ts", "-reply", "-in", folder / "response", "-text").decode()
    assert "Status: Rejected" in text
    assert "time source is not available" in text


def test_the_token_stands_on_a_signature(folder: Path) -> None:
    """What openssl stamps over a signature value holds as a stamp on that signature."""
    raw = material.signed("rsa")
    signature = cms.read(raw).signers[0].signature
    request = timestamp.request(hashlib.sha256(signature).digest(), "sha256", nonce=3)
    token = timestamp.token(reply(folder, request, "p256", RICH), request)
    proof = material.prove(cms.add_unsigned(raw, timestamp.RFC3161_ATTRIBUTE, token))
    assert proof.intact
    assert len(proof.stamps) == 1
