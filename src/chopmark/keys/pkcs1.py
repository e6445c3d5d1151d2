"""RSA private keys from their own numbers: RSAPrivateKey (RFC 8017 appendix A.1.2), bare or in PKCS #8.

Nearly every signing key is one, and cryptography's loader for all encodings takes as long to import as Python itself.
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import algorithms, der

_TWO_PRIMES = 0
_NUMBERS = 8
_LONGEST = limits.RSA_BITS_MAX // 8 + 1


def load(raw: bytes) -> rsa.RSAPrivateKey | None:
    """The key in a DER structure that is not encrypted; None for any other, which a general loader may know or refuse.

    The primes are not tested (a tenth of a second each time): what that guards against, a signature that gives the key
    away, cannot get out, because whoever makes a signature verifies it first.
    """
    try:
        version, *rest = der.parse(raw).children()
        if version.expect(der.INTEGER).integer() != _TWO_PRIMES:
            return None
        return _key(rest if rest[0].tag == der.INTEGER else _enveloped(der.Fields(rest)))
    except (MalformedError, ValueError, IndexError, UnsupportedAlgorithm):
        return None


def _enveloped(fields: der.Fields) -> list[der.Node]:
    """The numbers behind the version of an RSAPrivateKey in PKCS #8 (RFC 5958); none if it is for another algorithm."""
    algorithm = fields.take().fields()
    if algorithm.take().oid() != algorithms.RSA_ENCRYPTION:
        return []
    algorithm.take(der.NULL).null()
    algorithm.done()
    version, *numbers = fields.take(der.OCTET_STRING).inside().expect(der.SEQUENCE).children()
    fields.optional(der.context(0))  # attributes, which say nothing about the key
    fields.done()
    return numbers if version.expect(der.INTEGER).integer() == _TWO_PRIMES else []


def _key(nodes: list[der.Node]) -> rsa.RSAPrivateKey | None:
    if len(nodes) != _NUMBERS:
        return None
    modulus, public, private, p, q, dp, dq, inverse = (node.natural(_LONGEST) for node in nodes)
    numbers = rsa.RSAPrivateNumbers(p, q, private, dp, dq, inverse, rsa.RSAPublicNumbers(public, modulus))
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)
