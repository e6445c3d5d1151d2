"""Whether a certificate may be revoked as asked, and what its CRL says then (RFC 5280 clause 5.3, CSBR 4.9, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.authority.crl import encoding
from chopmark.authority.register.records import AUTHORITY_PROFILE, Record, Revocation
from chopmark.core import clock
from chopmark.core.errors import RefusedError

if TYPE_CHECKING:
    import datetime as dt

_CA_COMPROMISE = encoding.REASONS["cACompromise"]


def decide(
    record: Record,
    reason: int,
    *,
    now: dt.datetime,
    at: dt.datetime | None = None,
    invalidity: dt.datetime | None = None,
    public: bool = True,
) -> Revocation:
    """What to enter for a revocation.

    `at` is the date that the CRL gives (default: now, or the date it was first revoked); it may lie in the past, from
    when on signatures are not to be believed. `invalidity` is when the key became suspect. Under the CSBR both must be
    the same (7.2.2), so that one stands for the other; `public` says whether they hold. Raises RefusedError.
    """
    fault = _record_fault(record, reason, public=public)
    if not fault:
        first = record.revoked
        if at is None:
            at = first or (invalidity if public and invalidity else now)
        if first is not None and record.reason != encoding.HOLD:
            invalidity = invalidity or record.invalidity
        at, invalidity = at.replace(microsecond=0), invalidity and invalidity.replace(microsecond=0)
        fault = _date_fault(record, at, invalidity, now)
        if not fault and public and invalidity not in (None, at):
            fault = "the invalidity date must be the revocation date (CSBR 7.2.2), which may lie in the past"
        if not fault:
            return Revocation(at, reason, invalidity)
    message = f"{record.serial}: {fault}; nothing was changed"
    raise RefusedError(message)


def _record_fault(record: Record, reason: int, *, public: bool) -> str:
    if record.certificate is None:
        return "this serial number was reserved, but no certificate was ever issued under it"
    if reason == encoding.HOLD and public:
        return "it cannot be suspended, only revoked (CSBR 4.9.13)"
    if reason == _CA_COMPROMISE and record.profile != AUTHORITY_PROFILE:
        return "cACompromise is for certificates of a CA: say keyCompromise"
    if reason == encoding.HOLD and record.revoked is not None:
        return "it is revoked already, and a suspension would be less"
    return ""


def _date_fault(record: Record, at: dt.datetime, invalidity: dt.datetime | None, now: dt.datetime) -> str:
    if at > now or (invalidity is not None and invalidity > now):
        return "a revocation cannot lie in the future"
    if at < record.not_before:
        return f"a revocation cannot lie before the certificate's first day, {clock.show(record.not_before)}"
    if invalidity is not None and invalidity > at:
        return "a key cannot become suspect after its certificate was revoked: the invalidity date is too late"
    if record.revoked is not None and record.reason != encoding.HOLD and at > record.revoked:
        return f"it is revoked since {clock.show(record.revoked)}; the date can only be moved back"
    return ""
