"""Certificate revocation lists (RFC 5280 clause 5), written as DER in one pass.

Entries are encoded one by one into a buffer, and copied once to stand between what comes before and after them: a list
of a million takes twice its own size in memory and time that is linear in the number of entries.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.authority.issuing import extensions
from chopmark.authority.issuing.certificates import digest_for, verified
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, der

if TYPE_CHECKING:
    from collections.abc import Sequence

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

REMOVE = 8
"""removeFromCRL, in delta lists alone: the suspension that the complete list tells of has ended."""

_UTC_TIME_SINCE, _UTC_TIME_UNTIL = b"1950", b"2050"
_INVALIDITY = extensions.invalidity_date(dt.datetime(2000, 1, 1, tzinfo=dt.UTC)).partition(b"2000")[0]
"""The beginning of an InvalidityDate (clause 5.3.2): its time, always as long, is all that differs."""
_SHORT = 0x80
"""From this length on, DER needs more than one octet to say it."""


def entry(serial: str, revoked: dt.datetime, reason: int, invalidity: dt.datetime | None = None) -> bytes:
    """The DER of an entry: which certificate (hexadecimal), since when it is revoked, and why (of REASONS, or REMOVE).

    `invalidity` is since when its key is not to be believed. The reason `unspecified` is left out, as clause 5.3.1
    wants it.
    """
    octets = bytes.fromhex(serial)
    if octets[0] & 0x80:
        octets = b"\0" + octets
    content = b"\x02%c%b%b" % (len(octets), octets, _time(revoked))
    if invalidity is not None:
        content += der.sequence(_reason(reason), _INVALIDITY, _digits(invalidity))
    elif reason:
        content += _reason_alone(reason)
    return b"\x30%c%b" % (len(content), content) if len(content) < _SHORT else der.sequence(content)


@lru_cache(maxsize=4)
def _time(moment: dt.datetime) -> bytes:
    """A Time as RFC 5280 writes it. Lists have a million of them, which come in order: the last ones may come again."""
    digits = _digits(moment)
    return b"\x17\x0d" + digits[2:] if _UTC_TIME_SINCE <= digits[:4] < _UTC_TIME_UNTIL else b"\x18\x0f" + digits


def _digits(moment: dt.datetime) -> bytes:
    """The value of a GeneralizedTime in whole seconds; without a zone it is UTC."""
    at = moment if moment.tzinfo in (None, dt.UTC) else moment.astimezone(dt.UTC)
    return b"%04d%02d%02d%02d%02d%02dZ" % (at.year, at.month, at.day, at.hour, at.minute, at.second)


@lru_cache
def _reason(reason: int) -> bytes:
    return extensions.reason_code(reason) if reason else b""


@lru_cache
def _reason_alone(reason: int) -> bytes:
    return der.sequence(_reason(reason))


def reason_number(name: str) -> int:
    """The number of a reason, by its name in any case, with or without hyphens. Raises UsageError."""
    plain = name.replace("-", "").replace("_", "").casefold()
    for known, number in REASONS.items():
        if known.casefold() == plain:
            return number
    message = f"unknown reason {name!r}: one of {', '.join(REASONS)}"
    raise UsageError(message)


class Frame(NamedTuple):
    """What a list says besides its entries.

    `base` is the number of the complete list that a delta is added to, None for a complete list; `url` is that of a
    list about a part of the certificates (clause 5.2.5), empty for one about all; `freshest` is where a complete list
    says its delta is, empty when there is none.
    """

    number: int
    this_update: dt.datetime
    next_update: dt.datetime
    base: int | None = None
    url: str = ""
    freshest: str = ""

    def extensions(self, issuer_key_id: bytes) -> bytes:
        """Its extensions (clauses 5.2.1 to 5.2.6)."""
        return der.sequence(
            extensions.authority_key_id(issuer_key_id),
            extensions.crl_number(self.number),
            *((extensions.delta_crl_indicator(self.base),) if self.base is not None else ()),
            *((extensions.issuing_distribution_point(self.url),) if self.url else ()),
            *((extensions.freshest_crl(self.freshest),) if self.freshest else ()),
        )


def write(
    issuer: x509.Certificate, signer: Signer, entries: Sequence[bytes | bytearray], frame: Frame
) -> tuple[bytes, ...]:
    """A signed list, version 2, in DER and in pieces; `entries` are encoded ones, any number in each piece.

    Raises what the key raises.
    """
    digest = digest_for(signer.public_key)
    algorithm = algorithms.signature_identifier(signer, digest)
    before = b"".join(
        (der.integer(1), algorithm, issuer.subject, der.time(frame.this_update), der.time(frame.next_update))
    )
    size = sum(map(len, entries))
    if size:  # an empty list is left out altogether (clause 5.1.2.6)
        before += der.header(der.SEQUENCE, size)
    after = der.explicit(0, frame.extensions(issuer.subject_key_id or b""))
    opening = der.header(der.SEQUENCE, len(before) + size + len(after))
    to_be_signed = b"".join((opening, before, *entries, after))
    closing = algorithm + der.bit_string(verified(signer, to_be_signed, digest))
    return der.header(der.SEQUENCE, len(to_be_signed) + len(closing)), to_be_signed, closing
