"""Certification requests: read from others, read by others, and held to their signature."""

from __future__ import annotations

import pytest
from cryptography import x509 as other
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import MalformedError
from chopmark.envelopes import der, names, pem, pkcs10, public_keys, signatures
from tests.support import pki

KINDS = ["rsa2048", "p256", "p384", "ed25519"]
SUBJECT = names.encode([("O", "Example Mint"), ("CN", "Signer")])


def made_elsewhere(kind: str) -> bytes:
    key = pki.key(kind)
    builder = (
        other.CertificateSigningRequestBuilder()
        .subject_name(pki.name("Signer"))
        .add_extension(other.SubjectAlternativeName([other.DNSName("example.com")]), critical=False)
        .add_extension(other.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("kind", KINDS)
def test_made_elsewhere(kind: str) -> None:
    raw = made_elsewhere(kind)
    for data in (raw, pem.encode("CERTIFICATE REQUEST", raw), pem.encode("NEW CERTIFICATE REQUEST", raw)):
        request = pkcs10.read(data)
        request.verify()
        assert request.subject == SUBJECT
        assert public_keys.size(request.spki) == {"rsa2048": 2048, "p384": 384}.get(kind, 256)


@pytest.mark.parametrize("kind", KINDS)
def test_made_here(kind: str) -> None:
    entity = pki.leaf(None, kind=kind)
    raw = pkcs10.build(SUBJECT, entity)
    request = other.load_der_x509_csr(raw)
    assert request.is_signature_valid
    assert request.subject == pki.name("Signer")
    pkcs10.read(raw).verify()


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_by_another_key(kind: str) -> None:
    outer = der.parse(made_elsewhere(kind)).children()
    stranger = der.parse(pkcs10.build(SUBJECT, pki.leaf(None, "Stranger", kind=kind))).children()
    if kind.startswith("rsa"):  # there is one RSA key of each size: its signature over something else
        forged = der.sequence(stranger[0].raw, outer[1].raw, outer[2].raw)
    else:
        forged = der.sequence(outer[0].raw, outer[1].raw, stranger[2].raw)
    with pytest.raises(signatures.BadSignatureError):
        pkcs10.read(forged).verify()


def test_every_changed_byte_is_noticed() -> None:
    raw = made_elsewhere("p256")
    for position in range(len(raw)):
        changed = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        with pytest.raises(MalformedError):
            pkcs10.read(changed).verify()


def test_truncations() -> None:
    raw = made_elsewhere("p256")
    for length in range(len(raw)):
        with pytest.raises(MalformedError):
            pkcs10.read(raw[:length])


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(MalformedError):
        pkcs10.read(data).verify()


def test_what_is_no_request() -> None:
    world = pki.world()
    for data in (b"", world.signer.der, world.signer.pem, pem.encode("CERTIFICATE REQUEST", b"") * 2):
        with pytest.raises(MalformedError):
            pkcs10.read(data)
