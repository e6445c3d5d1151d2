"""DSA keys (RFC 3279 clause 2.3.2), only to check what was signed with them long ago.

FIPS 186-5 withdrew DSA for signing in February 2024. A key may leave out its parameters; then they are those of its
issuer's key, and whoever walks the path has to fill them in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes import der

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import dsa

KEY = "1.2.840.10040.4.1"
SIGNED_WITH = {
    "1.2.840.10040.4.3": "sha1",
    "2.16.840.1.101.3.4.3.1": "sha224",
    "2.16.840.1.101.3.4.3.2": "sha256",
    "2.16.840.1.101.3.4.3.3": "sha384",
    "2.16.840.1.101.3.4.3.4": "sha512",
}
"""Signature algorithms (RFC 3279 clause 2.2.2, RFC 5758 clause 3.1)."""
_KEY_OCTETS = der.oid(KEY)
_HEAD = 24
"""In so many bytes of a SubjectPublicKeyInfo its kind can be seen."""
_COMPLETE = 2
"""Elements of an AlgorithmIdentifier with parameters."""


def read(identifier: der.Fields, bits: bytes) -> dsa.DSAPublicNumbers:
    """The numbers of a SubjectPublicKeyInfo whose algorithm has been taken. Raises DerError."""
    from cryptography.hazmat.primitives.asymmetric import dsa  # hardly anybody has such keys any more

    parameters = identifier.optional(der.SEQUENCE)
    identifier.done()
    if parameters is None:
        raise der.DerError("a DSA key whose parameters are its issuer's")
    numbers = parameters.fields()
    p, q, g = (numbers.take().natural() for _ in "pqg")
    numbers.done()
    y = der.parse(bits).natural()
    return dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g))


def inherits(spki: bytes) -> bool:
    """Whether a key is of DSA and leaves its parameters to its issuer."""
    return _KEY_OCTETS in spki[:_HEAD] and len(_identifier(spki)) == 1


def completed(spki: bytes, above: bytes) -> bytes:
    """A key with the parameters of its issuer's key; itself when that has none (RFC 5280 clause 6.1.4 (f))."""
    own, issuers = _identifier(spki), _identifier(above)
    if len(own) != 1 or len(issuers) != _COMPLETE:
        return spki
    bits = der.parse(spki).children()[1]
    return der.sequence(der.sequence(own[0].raw, issuers[1].raw), bits.raw)


def _identifier(spki: bytes) -> list[der.Node]:
    """The elements of a DSA key's AlgorithmIdentifier; none for other keys and for what cannot be read."""
    try:
        fields = der.parse(spki).fields()
        found = fields.take(der.SEQUENCE).children()
        fields.take(der.BIT_STRING)
        fields.done()
    except der.DerError:
        return []
    return found if found and found[0].raw == _KEY_OCTETS and len(found) <= _COMPLETE else []
