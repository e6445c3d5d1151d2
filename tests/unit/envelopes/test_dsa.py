"""DSA is checked and never made: with its own parameters, or with those of the issuer's key."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import MalformedError
from chopmark.envelopes import algorithms, der, dsa, public_keys, signatures
from tests.support import dsa_keys, pki

DATA = b"what was signed"
HASHES = {"sha1": hashes.SHA1(), "sha224": hashes.SHA224(), "sha256": hashes.SHA256(), "sha512": hashes.SHA512()}  # noqa: S303 - what was used then


def public(bits: int, label: str = "") -> bytes:
    return (
        dsa_keys.private_key(bits, label)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def without_parameters(spki: bytes) -> bytes:
    _, bits = der.parse(spki).children()
    return der.sequence(der.sequence(der.oid(dsa.KEY)), bits.raw)


@pytest.mark.parametrize("digest", list(HASHES))
@pytest.mark.parametrize("bits", [1024, 2048])
def test_what_cryptography_signed_verifies(bits: int, digest: str) -> None:
    oid = next(oid for oid, name in dsa.SIGNED_WITH.items() if name == digest)
    algorithm = algorithms.signature_algorithm(der.parse(der.sequence(der.oid(oid))))
    signature = dsa_keys.private_key(bits).sign(DATA, HASHES[digest])
    assert signatures.verify(public(bits), algorithm, signature, DATA) == digest
    assert public_keys.size(public(bits)) == bits
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(public(bits), algorithm, signature, DATA + b"!")
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(public(bits, "other"), algorithm, signature, DATA)


def test_an_algorithm_of_another_kind_of_key_is_not_checked() -> None:
    algorithm = algorithms.SignatureAlgorithm("rsa", "sha256")
    with pytest.raises(algorithms.UnsupportedError):
        signatures.verify(public(2048), algorithm, b"", DATA)
    with pytest.raises(algorithms.UnsupportedError):
        signatures.verify(pki.authority("Any").public_key, algorithms.SignatureAlgorithm("dsa", "sha256"), b"", DATA)


def test_nothing_is_signed_with_dsa() -> None:
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.kind(public(2048))
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.kind(public(2048))


@pytest.mark.parametrize("wrong", range(4))
def test_a_key_with_a_negative_number_is_refused(wrong: int) -> None:
    key = dsa_keys.private_key(1024).public_key().public_numbers()
    numbers = (key.parameter_numbers.p, key.parameter_numbers.q, key.parameter_numbers.g, key.y)
    p, q, g, y = (der.integer(-each if at == wrong else each) for at, each in enumerate(numbers))
    spki = der.sequence(der.sequence(der.oid(dsa.KEY), der.sequence(p, q, g)), der.bit_string(y))
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(spki)


def test_parameters_come_from_the_issuers_key() -> None:
    short = without_parameters(public(2048))
    assert dsa.inherits(short)
    assert not dsa.inherits(public(2048))
    assert dsa.completed(short, public(2048, "above")) == public(2048)
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(short)


def test_parameters_come_from_nothing_but_a_complete_dsa_key() -> None:
    short = without_parameters(public(2048))
    for above in (short, pki.authority("Any").public_key, b"", der.sequence()):
        assert dsa.completed(short, above) == short
    assert dsa.completed(public(2048), public(1024)) == public(2048), "a key that has some keeps them"


@given(st.binary(max_size=64), st.booleans())
def test_no_key_does_more_than_be_refused(junk: bytes, begins: bool) -> None:  # noqa: FBT001 - drawn
    spki = der.sequence(der.sequence(der.oid(dsa.KEY), junk), der.bit_string(junk)) if begins else junk
    assert dsa.completed(spki, junk) == spki
    dsa.inherits(spki)
    with pytest.raises(MalformedError):
        public_keys.load(spki)
