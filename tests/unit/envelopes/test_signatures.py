"""Checking signatures: cryptography signs, chopmark verifies, and only what the key and its identifier are for."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import digest as digests
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import algorithms, der, public_keys, signatures
from tests.unit.envelopes import material

DATA = b"what is signed"
SHA2 = ("sha256", "sha384", "sha512")


def parsed(identifier: bytes) -> algorithms.SignatureAlgorithm:
    return algorithms.signature_algorithm(der.parse(identifier))


@pytest.mark.parametrize("digest", SHA2)
@pytest.mark.parametrize("kind", material.KINDS)
def test_what_a_signer_makes_verifies_under_the_identifier_for_it(kind: str, digest: str) -> None:
    signer = material.KeySigner(kind)
    algorithm = parsed(algorithms.signing_identifier(signer, digest))
    signature = signer.sign(DATA, digest)
    used = signatures.verify(signer.public_key, algorithm, signature, DATA, digest)
    assert used == (None if kind == "ed25519" else digest)
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(signer.public_key, algorithm, signature, DATA + b"!", digest)
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(material.KeySigner(kind, "other").public_key, algorithm, signature, DATA, digest)
    assert algorithms.signing_identifier(signer, digest) in algorithms.identifiers_for(
        public_keys.kind(signer.public_key), digest
    )


@pytest.mark.parametrize("digest", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_512"])
def test_rsa_and_ecdsa_verify_with_every_digest_that_is_recognised(digest: str) -> None:
    hash_algorithm = signatures.hash_algorithm(digest)
    rsa_key, ec_key = material.private_key("rsa"), material.private_key("p256")
    rsa_signature = rsa_key.sign(DATA, padding.PKCS1v15(), hash_algorithm)
    plain = parsed(der.sequence(der.oid(algorithms.RSA_ENCRYPTION), der.null()))
    assert plain.digest is None
    assert signatures.verify(material.public_der(rsa_key), plain, rsa_signature, DATA, digest) == digest
    by_key = parsed(der.sequence(der.oid(algorithms.OID_BY_DIGEST[digest])))
    assert signatures.verify(material.public_der(rsa_key), by_key, rsa_signature, DATA) == digest
    ec_signature = ec_key.sign(DATA, ec.ECDSA(hash_algorithm))
    assert signatures.verify(material.public_der(ec_key), by_key, ec_signature, DATA) == digest


def test_an_identifier_for_one_kind_of_key_is_refused_with_another() -> None:
    rsa_signer, ec_signer, ed_signer = (material.KeySigner(kind) for kind in ("rsa", "p256", "ed25519"))
    rsa_oid = parsed(der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null()))
    ec_oid = parsed(der.sequence(der.oid("1.2.840.10045.4.3.2")))
    ed_oid = parsed(der.sequence(der.oid(algorithms.ED25519)))
    for signer, identifier in (
        (rsa_signer, ec_oid),
        (rsa_signer, ed_oid),
        (ec_signer, rsa_oid),
        (ec_signer, ed_oid),
        (ed_signer, rsa_oid),
        (ed_signer, ec_oid),
    ):
        with pytest.raises(algorithms.UnsupportedError):
            signatures.verify(signer.public_key, identifier, signer.sign(DATA, "sha256"), DATA, "sha256")


def test_a_signature_without_any_digest_is_not_guessed_at() -> None:
    signer = material.KeySigner("rsa")
    with pytest.raises(algorithms.UnsupportedError):
        signatures.verify(
            signer.public_key, algorithms.SignatureAlgorithm("rsa", None), signer.sign(DATA, "sha256"), DATA
        )


def pss_key(parameters: bytes) -> bytes:
    spki = material.public_der(material.private_key("rsa"))
    return der.sequence(der.sequence(der.oid(algorithms.RSASSA_PSS), parameters), der.parse(spki).children()[1].raw)


def test_a_key_for_pss_verifies_nothing_else() -> None:
    signer = material.KeySigner("rsa")
    plain = parsed(algorithms.signing_identifier(signer, "sha256"))
    with pytest.raises(algorithms.UnsupportedError):
        signatures.verify(pss_key(b""), plain, signer.sign(DATA, "sha256"), DATA, "sha256")


def test_a_key_for_pss_with_parameters_verifies_nothing_with_others() -> None:
    signer = material.KeySigner("rsa-pss")
    identifiers = {digest: algorithms.signing_identifier(signer, digest) for digest in SHA2}
    key = material.private_key("rsa-pss")
    point = der.parse(material.public_der(key)).children()[1].raw
    parameters = der.parse(identifiers["sha256"]).children()[1].raw
    spki = der.sequence(der.sequence(der.oid(algorithms.RSASSA_PSS), parameters), point)
    signature = signer.sign(DATA, "sha256")
    assert signatures.verify(spki, parsed(identifiers["sha256"]), signature, DATA) == "sha256"
    with pytest.raises(algorithms.UnsupportedError):
        signatures.verify(spki, parsed(identifiers["sha384"]), signer.sign(DATA, "sha384"), DATA)


def test_pss_with_default_parameters_is_sha1() -> None:
    key = material.private_key("rsa-pss")
    algorithm = parsed(der.sequence(der.oid(algorithms.RSASSA_PSS), der.sequence()))
    assert algorithm == algorithms.SignatureAlgorithm("rsa-pss", "sha1", "sha1", 20)
    sha1 = signatures.hash_algorithm("sha1")
    signature = key.sign(DATA, padding.PSS(padding.MGF1(sha1), 20), sha1)
    assert signatures.verify(material.public_der(key), algorithm, signature, DATA) == "sha1"


def bare_signature(key: rsa.RSAPrivateKey, digest: bytes) -> bytes:
    """PKCS #1 1.5 padding around the digest itself, which no library makes any more."""
    numbers = key.private_numbers()
    size = key.key_size // 8
    block = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
    return pow(int.from_bytes(block), numbers.d, numbers.public_numbers.n).to_bytes(size)


def test_a_digest_without_its_algorithm_is_recognised_and_no_other() -> None:
    key = material.private_key("rsa")
    digest = digests.of(DATA, "sha1")
    signature = bare_signature(key, digest)
    spki = material.public_der(key)
    assert signatures.recovers_bare_digest(spki, signature, digest)
    assert not signatures.recovers_bare_digest(spki, signature, digests.of(b"other", "sha1"))
    assert not signatures.recovers_bare_digest(spki, material.KeySigner("rsa").sign(DATA, "sha256"), digest)
    assert not signatures.recovers_bare_digest(material.KeySigner("p256").public_key, signature, digest)
    plain = parsed(der.sequence(der.oid(algorithms.RSA_ENCRYPTION)))
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(spki, plain, signature, DATA, "sha1")


@given(st.binary(max_size=80), st.sampled_from(material.KINDS))
def test_random_signatures_raise_nothing_but_chopmark_errors(signature: bytes, kind: str) -> None:
    signer = material.KeySigner(kind)
    for identifier in algorithms.identifiers_for(public_keys.kind(signer.public_key), "sha256"):
        with pytest.raises(ChopmarkError):
            signatures.verify(signer.public_key, parsed(identifier), signature, DATA, "sha256")
