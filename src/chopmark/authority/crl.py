"""Certificate revocation lists (RFC 5280 clause 5), written as DER in one pass.

Size is bounded by memory alone; time is linear in the number of entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chopmark.authority import extensions
from chopmark.authority.certificates import digest_for, verified
from chopmark.core.errors import UsageError
from chopmark.envelopes import algorithms, der

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from chopmark.core.contracts import Signer
    from chopmark.envelopes import x509

REASONS = {
    "unspecified": 0,
    "keyCompromise": 1,
    "cACompromise": 2,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "certificateHold": 6,
    "privilegeWithdrawn": 9,
}
"""Why a certificate is revoked (clause 5.3.1); 8 is for delta CRLs and 10 for attribute certificates alone."""

HOLD = REASONS["certificateHold"]
REASON_NAMES = {number: name for name, number in REASONS.items()}


class Entry(NamedTuple):
    """A revoked certificate: when, why (a number of REASONS), and since when its key is not to be believed."""

    serial: int
    revoked: dt.datetime
    reason: int = 0
    invalidity: dt.datetime | None = None

    def encoded(self) -> bytes:
        """Its DER. The reason `unspecified` is left out, as clause 5.3.1 wants it."""
        parts = [extensions.reason_code(self.reason)] if self.reason else []
        if self.invalidity is not None:
            parts.append(extensions.invalidity_date(self.invalidity))
        block = (der.sequence(*parts),) if parts else ()
        return der.sequence(der.integer(self.serial), der.time(self.revoked), *block)


def reason_number(name: str) -> int:
    """The number of a reason, by its name in any case, with or without hyphens. Raises UsageError."""
    plain = name.replace("-", "").replace("_", "").casefold()
    for known, number in REASONS.items():
        if known.casefold() == plain:
            return number
    message = f"unknown reason {name!r}: one of {', '.join(REASONS)}"
    raise UsageError(message)


def build(
    issuer: x509.Certificate,
    signer: Signer,
    entries: Iterable[Entry],
    *,
    number: int,
    this_update: dt.datetime,
    next_update: dt.datetime,
) -> bytes:
    """A full CRL, version 2, with its number and the issuer's key identifier, in DER."""
    digest = digest_for(signer.public_key)
    algorithm = algorithms.signature_identifier(signer, digest)
    listed = b"".join(entry.encoded() for entry in entries)
    block = der.sequence(extensions.authority_key_id(issuer.subject_key_id or b""), extensions.crl_number(number))
    to_be_signed = der.sequence(
        der.integer(1),
        algorithm,
        issuer.subject,
        der.time(this_update),
        der.time(next_update),
        # An empty list is left out altogether (clause 5.1.2.6).
        *((der.sequence(listed),) if listed else ()),
        der.explicit(0, block),
    )
    return der.sequence(to_be_signed, algorithm, der.bit_string(verified(signer, to_be_signed, digest)))
