"""Certificates that take the place of others: issued anew before they end, and what is due."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from chopmark.authority.ca import Order
from chopmark.authority.crl import encoding
from chopmark.authority.register.records import AUTHORITY_PROFILE
from chopmark.core.errors import RefusedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import names, x509

if TYPE_CHECKING:
    from chopmark.authority.ca import Authority, Issued
    from chopmark.authority.register.records import Record

_BROKEN = (encoding.REASONS["keyCompromise"], encoding.REASONS["cACompromise"])


def renew(authority: Authority, old: Record, spki: bytes | None = None, *, days: int | None = None) -> Issued:
    """Issue a certificate again: same subject and profile, the same key or another one, valid from now on.

    The register links it to the one before. Raises RefusedError when that one cannot be renewed, IssueRefusedError
    when today's rules refuse it.
    """
    if old.certificate is None:
        message = f"{old.serial}: no certificate was ever issued under this number"
        raise RefusedError(message)
    if old.profile == AUTHORITY_PROFILE:
        message = f"{old.serial}: a CA is not renewed but rolled over: `chopmark ca roll`"
        raise RefusedError(message)
    if old.revoked is not None and (spki is None or spki == x509.certificate(old.certificate).spki):
        why = "its key is compromised" if old.reason in _BROKEN else "it is revoked"
        message = f"{old.serial}: {why}; renew it with a new key"
        raise RefusedError(message)
    before = x509.certificate(old.certificate)
    subject = names.parts(before.subject)
    return authority.issue(Order(old.profile, subject, spki or before.spki, days, predecessor=old.id))


class Due(NamedTuple):
    """Something that ends soon: a certificate, a CA or a CRL, and when."""

    kind: str
    name: str
    ends: dt.datetime
    detail: str


def due(authority: Authority, within: dt.timedelta) -> list[Due]:
    """What ends within a period and has no successor yet, soonest first; ended CAs and CRLs as well.

    Certificates that have ended already are nobody's concern any more, unlike a CA that should still publish.
    """
    now = authority.clock()
    until = now + within
    found = [
        Due("certificate", record.serial, record.not_after, record.subject)
        for record in authority.finder.ending(now, until)
        if record.profile != AUTHORITY_PROFILE
    ]
    issuers = authority.issuers()
    wanted = {issuer.name for issuer in issuers if not issuer.retired} | set(authority.publishing())
    for issuer in issuers:
        newer = any(each.id > issuer.id and each.role == issuer.role and not each.retired for each in issuers)
        ends = issuer.certificate.not_after
        if not issuer.retired and not newer and ends <= until:
            found.append(Due("CA", issuer.name, ends, issuer.certificate.subject_text))
        latest = authority.register.latest_crl(issuer)
        if issuer.name in wanted and latest is not None and latest.next_update <= min(until, now + _CRL_SOON):
            found.append(Due("CRL", issuer.name, latest.next_update, f"number {latest.number}"))
    return sorted(found, key=lambda each: each.ends)


_CRL_SOON = dt.timedelta(days=1)
"""A CRL that lives for days is renewed daily, not a month ahead."""
