"""CertID: which certificate is meant (RFC 6960 clause 4.1.1)."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, der

if TYPE_CHECKING:
    from chopmark.envelopes import x509

DIGESTS = ("sha1", "sha256", "sha384", "sha512")
"""What issuers may be named with. Nothing rests on it: SHA-1 is what RFC 5019 clause 2.1.1 wants everybody to speak."""

_SERIAL_MAX = 64
"""Octets of a serial number; 20 are allowed (RFC 5280 clause 4.1.2.2), and some authorities have more."""


class CertId(NamedTuple):
    """A serial number of an issuer that is known by digests of its name and of its key.

    `algorithm` is a digest's name, or a dotted identifier when it is none of DIGESTS; `serial` are the octets of the
    INTEGER, as the certificate has them.
    """

    algorithm: str
    name_hash: bytes
    key_hash: bytes
    serial: bytes

    @property
    def issuer(self) -> tuple[str, bytes, bytes]:
        """Who is meant, without the serial number."""
        return self[:3]

    def encoded(self) -> bytes:
        """Its DER, with NULL parameters as everybody writes them."""
        return der.sequence(
            algorithms.digest_identifier(self.algorithm),
            der.octet_string(self.name_hash),
            der.octet_string(self.key_hash),
            der.encode(der.INTEGER, self.serial),
        )


def read(node: der.Node) -> CertId:
    """Read a CertID. Raises DerError; an unknown digest is none, because it may stand beside what is asked about."""
    fields = node.fields()
    identifier = fields.take(der.SEQUENCE)
    name_hash, key_hash = fields.take().octets(), fields.take().octets()
    serial = fields.take(der.INTEGER).value
    fields.done()
    if not 0 < len(serial) <= _SERIAL_MAX:
        raise der.DerError(f"a serial number of {len(serial)} octets")
    try:
        algorithm = algorithms.digest_name(identifier)
    except algorithms.UnsupportedError:
        algorithm = identifier.fields().take().oid()
    if algorithm in DIGESTS:
        size = hashlib.new(algorithm, usedforsecurity=False).digest_size
        if (len(name_hash), len(key_hash)) != (size, size):
            raise der.DerError(f"digests of {len(name_hash)} and {len(key_hash)} octets for {algorithm}")
    return CertId(algorithm, name_hash, key_hash, serial)


def for_certificate(certificate: x509.Certificate, issuer: x509.Certificate, algorithm: str = "sha1") -> CertId:
    """The CertID of a certificate: the issuer's name as the certificate has it, and the bits of the issuer's key."""
    return CertId(algorithm, *issuer_hashes(certificate.issuer, issuer.spki, algorithm), certificate.serial_octets)


@lru_cache(maxsize=256)
def issuer_hashes(name: bytes, spki: bytes, algorithm: str) -> tuple[bytes, bytes]:
    """The digests of a Name in DER and of the key's bits, without the tag, the length and the count of unused bits."""
    fields = der.parse(spki).fields()
    fields.take()
    bits = fields.take().bit_string()
    first, second = (hashlib.new(algorithm, data, usedforsecurity=False).digest() for data in (name, bits))
    return first, second
