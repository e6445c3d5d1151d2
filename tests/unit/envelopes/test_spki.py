"""Public keys as SubjectPublicKeyInfo, beside what OpenSSL writes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from chopmark.envelopes import public_keys, spki
from tests.support import dsa_keys, rsa_numbers


def openssl(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("curve", public_keys.CURVES.values(), ids=lambda curve: curve.name)
def test_points(curve: ec.EllipticCurve) -> None:
    made = [ec.derive_private_key(secret, curve).public_key() for secret in range(1, 300, 7)]
    assert [spki.of(key) for key in made] == [openssl(key) for key in made]  # some coordinates begin with zeros
    key = made[-1]
    short = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    assert spki.of(ec.EllipticCurvePublicKey.from_encoded_point(curve, short)) == openssl(key)


@given(st.integers(1 << 1023, (1 << 2047) - 1), st.sampled_from([3, 17, 65537]))
def test_rsa(modulus: int, exponent: int) -> None:
    key = rsa.RSAPublicNumbers(exponent, rsa_numbers.honest(modulus | 1)).public_key()
    assert spki.of(key) == openssl(key)
    assert public_keys.load(spki.of(key)).public_numbers() == key.public_numbers()


def test_ed25519() -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    assert spki.of(key) == openssl(key)


def test_dsa() -> None:
    key = dsa_keys.private_key(2048).public_key()
    assert spki.of(key) == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
