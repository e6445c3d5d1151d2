"""The same certificate under another fingerprint, which anybody can make where it is signed with ECDSA.

Of a signature (r, s) the twin (r, n - s) holds as well (SEC 1 clause 4.1.4: what is compared is one coordinate of a
point, and its opposite has the same), and no field that is signed knows of it. A list that names a certificate by its
SHA-256 means both (docs/adr/0269). Signatures of all other kinds have one form each.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.remembering import remembered
from chopmark.envelopes import der, public_keys, x509

if TYPE_CHECKING:
    from collections.abc import Iterator


@remembered(1024, limits.CERTIFICATE_KEPT_MAX)
def fingerprints(raw: bytes) -> tuple[bytes, ...]:
    """The SHA-256 of what this certificate may be the twin of; one for each curve on which it could be signed."""
    certificate = x509.certificate(raw)
    try:
        if certificate.signature_algorithm.kind != "ecdsa":
            return ()
        fields = der.parse(certificate.signature).fields()
        r, s = fields.take().natural(), fields.take().natural()
    except MalformedError:
        return ()  # no signature that holds, nor has its twin
    return tuple(hashlib.sha256(twin).digest() for twin in _twins(certificate, r, s))


def _twins(certificate: x509.Certificate, r: int, s: int) -> Iterator[bytes]:
    for curve in public_keys.CURVES.values():
        if max(r, s) < curve.group_order:
            value = der.sequence(der.integer(r), der.integer(curve.group_order - s))
            yield der.sequence(certificate.tbs, certificate.signature_algorithm_raw, der.bit_string(value))
