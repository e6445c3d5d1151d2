"""Public keys written as SubjectPublicKeyInfo (RFC 5280 clause 4.1.2.7), as OpenSSL writes them.

Written here, because importing cryptography's own way to all encodings takes longer than checking a hundred signatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from chopmark.envelopes import algorithms, der, public_keys
from chopmark.envelopes import dsa as dsa_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import dsa
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_CURVES = {curve.name: der.oid(oid) for oid, curve in public_keys.CURVES.items()}


def rsa_key(modulus: int, exponent: int) -> bytes:
    """An RSA key (RFC 3279 clause 2.3.1): NULL for parameters."""
    numbers = der.sequence(der.integer(modulus), der.integer(exponent))
    return der.sequence(der.sequence(der.oid(algorithms.RSA_ENCRYPTION), der.null()), der.bit_string(numbers))


def ed25519_key(point: bytes) -> bytes:
    """An Ed25519 key of 32 bytes (RFC 8410 clause 4)."""
    return der.sequence(der.sequence(der.oid(algorithms.ED25519)), der.bit_string(point))


def of(key: rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey) -> bytes:
    """The key in DER. Points are not compressed (RFC 5480 clause 2.2)."""
    if isinstance(key, rsa.RSAPublicKey):
        whole = key.public_numbers()
        return rsa_key(whole.n, whole.e)
    if isinstance(key, ec.EllipticCurvePublicKey):
        point, size = key.public_numbers(), (key.curve.key_size + 7) // 8
        identifier = der.sequence(der.oid(algorithms.EC_PUBLIC_KEY), _CURVES[key.curve.name])
        bits = b"\x04" + point.x.to_bytes(size, "big") + point.y.to_bytes(size, "big")
        return der.sequence(identifier, der.bit_string(bits))
    from cryptography.hazmat.primitives.asymmetric import dsa  # hardly any key gets so far

    if not isinstance(key, dsa.DSAPublicKey):
        return ed25519_key(key.public_bytes_raw())
    numbers = key.public_numbers()
    group = numbers.parameter_numbers
    parameters = der.sequence(der.integer(group.p), der.integer(group.q), der.integer(group.g))
    return der.sequence(der.sequence(der.oid(dsa_keys.KEY), parameters), der.bit_string(der.integer(numbers.y)))
