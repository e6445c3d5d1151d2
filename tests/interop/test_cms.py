"""CMS with OpenSSL: each reads what the other signs, and where OpenSSL is too kind, chopmark is not."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.envelopes import cms, der
from chopmark.envelopes.cms import oids
from tests.support.openssl import openssl
from tests.unit.envelopes import material

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.core.proof import Proof

pytestmark = pytest.mark.interop

BODY = b"what is signed\n"
KINDS = ("rsa", "rsa-pss", "p256", "p384", "p521")
"""OpenSSL 3.0 cannot verify Ed25519 with signed attributes; asn1crypto and cryptography judge it in unit tests."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys, certificates and the body, as files for openssl."""
    assert shutil.which("openssl"), "make interop installs it"
    place = tmp_path_factory.mktemp("openssl")
    (place / "body").write_bytes(BODY)
    (place / "root.pem").write_bytes(material.root().public_bytes(serialization.Encoding.PEM))
    (place / "issuing.pem").write_bytes(material.issuing().public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for kind in (*KINDS, "ed25519"):
        (place / f"{kind}.key").write_bytes(material.private_key(kind).private_bytes(*form))
        (place / f"{kind}.der").write_bytes(material.chain(kind)[0])
        openssl("x509", "-inform", "DER", "-in", place / f"{kind}.der", "-out", place / f"{kind}.pem")
    return place


def sign(folder: Path, kind: str, *options: str) -> bytes:
    """A DER signature by openssl over the body."""
    arguments: list[str | Path] = ["cms", "-sign", "-binary", "-in", folder / "body", "-outform", "DER"]
    arguments += ["-signer", folder / f"{kind}.pem", "-inkey", folder / f"{kind}.key"]
    if kind == "rsa-pss":
        arguments += ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest"]
    return openssl(*arguments, "-certfile", folder / "issuing.pem", *options)


def verify(folder: Path, raw: bytes, *options: str | Path, fails: bool = False) -> bytes:
    """What openssl says the signature is over, with the root as its only anchor."""
    (folder / "signature").write_bytes(raw)
    arguments: list[str | Path] = ["cms", "-verify", "-binary", "-inform", "DER", "-in", folder / "signature"]
    arguments += ["-CAfile", folder / "root.pem", "-purpose", "any", "-attime", str(int(material.NOON.timestamp()))]
    return openssl(*arguments, *options, fails=fails)


def proof_of(raw: bytes, digest: str, **options: bool) -> Proof:
    return material.prove(raw, digest=hashlib.new(digest, BODY).digest(), **options)


@pytest.mark.parametrize("options", [(), ("-nodetach",), ("-nosmimecap", "-nodetach"), ("-keyid",), ("-cades",)])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_openssl_signs_verifies(folder: Path, kind: str, digest: str, options: tuple[str, ...]) -> None:
    raw = sign(folder, kind, "-md", digest, *options)
    proof = proof_of(raw, digest)
    assert proof.intact, proof.findings
    assert proof.digest_algorithm == digest
    assert proof.certificates[0] == material.chain(kind)[0]
    assert cms.read(raw).content == (BODY if "-nodetach" in options else None)
    assert ("cms.signer_bound" in material.codes(proof, Outcome.OK)) is ("-cades" in options)
    if "-nodetach" not in options:
        assert material.codes(material.prove(raw, digest=bytes(len(hashlib.new(digest).digest())))) == {
            "cms.content_mismatch"
        }


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_weak_digests_by_openssl_are_verified_and_named(folder: Path, digest: str) -> None:
    proof = proof_of(sign(folder, "rsa", "-md", digest), digest)
    assert proof.intact
    assert proof.digest_algorithm == digest


def test_what_openssl_smime_signs_verifies(folder: Path) -> None:
    raw = openssl(
        "smime", "-sign", "-binary", "-in", folder / "body", "-outform", "DER", "-md", "sha256",
        "-signer", folder / "rsa.pem", "-inkey", folder / "rsa.key", "-nodetach",
    )  # fmt: skip
    assert cms.read(raw).version == 1
    assert proof_of(raw, "sha256").intact


def test_a_stream_is_read_when_asked_for(folder: Path) -> None:
    raw = sign(folder, "rsa", "-md", "sha256", "-nodetach", "-stream")
    with pytest.raises(MalformedError):
        cms.read(raw)
    envelope = cms.read(raw, allow_ber=True)
    assert envelope.was_ber
    assert envelope.content == BODY
    assert cms.check(envelope, envelope.signers[0]).intact


def test_several_signers_are_each_checked(folder: Path) -> None:
    second = ("-signer", str(folder / "p384.pem"), "-inkey", str(folder / "p384.key"))
    envelope = cms.read(sign(folder, "rsa", "-md", "sha256", "-nodetach", *second))
    proofs = [cms.check(envelope, signer) for signer in envelope.signers]
    assert [proof.intact for proof in proofs] == [True, True]
    assert {proof.certificates[0] for proof in proofs} == {material.chain("rsa")[0], material.chain("p384")[0]}


def test_without_certificates_the_signer_is_missing(folder: Path) -> None:
    assert material.codes(proof_of(sign(folder, "rsa", "-md", "sha256", "-nocerts"), "sha256")) >= {
        "cms.signer_missing"
    }


def test_without_attributes_it_is_refused(folder: Path) -> None:
    raw = sign(folder, "rsa", "-md", "sha256", "-nodetach", "-noattr")
    assert verify(folder, raw) == BODY
    assert material.codes(proof_of(raw, "sha256")) == {"cms.attributes_missing"}


def test_attributes_presented_as_content_are_refused_though_openssl_accepts_them(folder: Path) -> None:
    honest = sign(folder, "rsa", "-md", "sha256", "-nodetach")
    signer = cms.read(honest).signers[0]
    loose = material.Loose(
        kind="rsa",
        attributes=None,
        body=der.octet_string(signer.signed_attributes_der),
        signature=signer.signature,
    )
    raw = loose.encoded()
    assert verify(folder, raw) == signer.signed_attributes_der
    assert material.codes(material.prove(raw)) == {"cms.attributes_missing", "cms.attributes_as_content"}


def test_a_payload_in_an_unsigned_attribute_is_refused_though_openssl_accepts_it(folder: Path) -> None:
    raw = cms.add_unsigned(sign(folder, "rsa", "-md", "sha256", "-nodetach"), "1.2.3.4", der.octet_string(b"payload"))
    assert verify(folder, raw) == BODY
    assert material.codes(proof_of(raw, "sha256")) == {"cms.unsigned_unknown"}


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_verifies_what_chopmark_signs(folder: Path, kind: str) -> None:
    attached = material.signed(kind, BODY)
    assert verify(folder, attached) == BODY
    assert verify(folder, attached, "-cades") == BODY
    detached = material.signed(kind, BODY, attached=False)
    assert verify(folder, detached, "-content", folder / "body") == BODY
    stamped = cms.add_unsigned(
        attached, oids.RFC3161_TIMESTAMP, material.token(cms.read(attached).signers[0].signature)
    )
    assert verify(folder, stamped) == BODY


@pytest.mark.parametrize("kind", KINDS)
def test_both_refuse_what_was_tampered_with(folder: Path, kind: str) -> None:
    raw = material.signed(kind, BODY)
    signer = cms.read(raw).signers[0]
    for part in (BODY, signer.signature, signer.message_digest or b"", signer.signed_attributes_der[1:]):
        place = raw.index(part) + len(part) - 1
        tampered = raw[:place] + bytes((raw[place] ^ 1,)) + raw[place + 1 :]
        verify(folder, tampered, fails=True)
        assert not material.prove(tampered).intact


def test_openssl_prints_every_field_of_what_chopmark_signs(folder: Path) -> None:
    (folder / "signature").write_bytes(material.stamped("rsa"))
    text = openssl("cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", folder / "signature").decode()
    for word in ("signingTime", "messageDigest", "id-smime-aa-signingCertificateV2", "id-smime-aa-timeStampToken"):
        assert word in text
