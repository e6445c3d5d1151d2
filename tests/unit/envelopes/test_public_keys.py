"""Public keys: what they are is what is loaded, and bad ones are refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import algorithms, der, public_keys
from tests.support import rsa_numbers
from tests.unit.envelopes import material


def test_an_elliptic_curve_that_the_key_brings_along_is_forbidden() -> None:
    spki = material.public_der(material.private_key("p256"))
    identifier, point = der.parse(spki).children()
    explicit = der.sequence(der.integer(1), der.sequence(der.oid("1.2.840.10045.1.1"), der.integer(23)))
    with pytest.raises(public_keys.ForbiddenKeyError):
        public_keys.load(der.sequence(der.sequence(identifier.children()[0].raw, explicit), point.raw))


@pytest.mark.parametrize("oid", ["1.2.840.10040.4.1", "1.2.840.10046.2.1", "1.3.101.113"])
def test_other_kinds_of_keys_are_refused(oid: str) -> None:
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(der.sequence(der.sequence(der.oid(oid)), der.bit_string(bytes(32))))


def test_an_unknown_curve_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP224R1())
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(material.public_der(key))


def test_an_absurd_rsa_key_is_refused_before_it_is_used() -> None:
    numbers = der.sequence(der.integer((1 << 20000) + 1), der.integer(65537))
    spki = der.sequence(der.sequence(der.oid(algorithms.RSA_ENCRYPTION), der.null()), der.bit_string(numbers))
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(spki)


def rsa_key(
    modulus: int, exponent: int, parameters: bytes = b"\x05\x00", oid: str = algorithms.RSA_ENCRYPTION
) -> bytes:
    numbers = der.sequence(der.integer(modulus), der.integer(exponent))
    return der.sequence(der.sequence(der.oid(oid), parameters), der.bit_string(numbers))


def test_rsa_keys_whose_numbers_cannot_be_right_are_refused() -> None:
    modulus = material.private_key("rsa").public_key().public_numbers().n
    assert public_keys.load(rsa_key(modulus, 65537)) == material.private_key("rsa").public_key()
    for bad in (
        rsa_key(modulus, -65537),
        rsa_key(-modulus, 65537),
        rsa_key(modulus, 1),
        rsa_key(modulus, 2),
        rsa_key(modulus, 0),
        rsa_key(modulus, modulus + 2),
        rsa_key(3 * 5, 3),
        rsa_key(modulus, 65537, b"\x15\x00"),
        rsa_key(modulus, 65537, b"\x05\x01\x00"),
        rsa_key(modulus, 65537, b"\x05\x00", algorithms.RSASSA_PSS),
        rsa_key(modulus, 65537).replace(b"\x02\x03\x01\x00\x01", b"\x0a\x03\x01\x00\x01"),
        rsa_key(modulus, 65537) + b"\x00",
    ):
        with pytest.raises(ChopmarkError):
            public_keys.load(bad)


def test_the_largest_rsa_key_is_loaded() -> None:
    modulus = rsa_numbers.honest((1 << 16383) + 1)
    assert public_keys.size(rsa_key(modulus, 65537)) == 16384
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(rsa_key(modulus << 8, 65537))


def test_key_sizes() -> None:
    sizes = {kind: public_keys.size(material.KeySigner(kind).public_key) for kind in material.KINDS}
    assert sizes == {"rsa": 2048, "rsa-pss": 2048, "p256": 256, "p384": 384, "p521": 521, "ed25519": 256}


@given(st.binary(max_size=60))
def test_random_bytes_are_no_keys(raw: bytes) -> None:
    with pytest.raises(ChopmarkError):
        public_keys.load(raw)


@pytest.mark.parametrize("kind", material.KINDS)
def test_no_changed_byte_of_a_key_raises_anything_but_a_chopmark_error(kind: str) -> None:
    spki = material.KeySigner(kind).public_key
    for position in range(min(len(spki), 60)):
        for bit in (1, 0x20, 0x80):
            try:
                public_keys.load(spki[:position] + bytes((spki[position] ^ bit,)) + spki[position + 1 :])
            except ChopmarkError:
                continue


def test_pem_of_the_same_key_loads_as_the_same_numbers() -> None:
    key = material.private_key("p256")
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    theirs = serialization.load_pem_public_key(pem)
    assert public_keys.load(material.public_der(key)) == theirs
