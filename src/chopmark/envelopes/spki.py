"""Loaded public keys as SubjectPublicKeyInfo (RFC 5280 clause 4.1.2.7), as OpenSSL writes them.

Written here, because importing cryptography's own way to all encodings takes longer than checking a hundred signatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from chopmark.envelopes import algorithms, der
from chopmark.envelopes import dsa as dsa_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_CURVES = {curve.name: der.oid(oid) for oid, curve in algorithms.CURVES.items()}


def of(key: rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey) -> bytes:
    """The key in DER. Points are not compressed (RFC 5480 clause 2.2), RSA has NULL for parameters (RFC 3279)."""
    if isinstance(key, rsa.RSAPublicKey):
        whole = key.public_numbers()
        identifier = der.sequence(der.oid(algorithms.RSA_ENCRYPTION), der.null())
        bits = der.sequence(der.integer(whole.n), der.integer(whole.e))
    elif isinstance(key, ec.EllipticCurvePublicKey):
        point, size = key.public_numbers(), (key.curve.key_size + 7) // 8
        identifier = der.sequence(der.oid(algorithms.EC_PUBLIC_KEY), _CURVES[key.curve.name])
        bits = b"\x04" + point.x.to_bytes(size, "big") + point.y.to_bytes(size, "big")
    elif isinstance(key, dsa.DSAPublicKey):
        numbers = key.public_numbers()
        group = numbers.parameter_numbers
        identifier = der.sequence(
            der.oid(dsa_keys.KEY), der.sequence(der.integer(group.p), der.integer(group.q), der.integer(group.g))
        )
        bits = der.integer(numbers.y)
    else:
        return algorithms.ed25519_spki(key.public_bytes_raw())
    return der.sequence(identifier, der.bit_string(bits))
