"""Whether certificates were revoked, and whether that was before the signature.

The rule: what a certificate signed counts until the earlier of its revocation date and its invalidity date, and only a
trusted time that is strictly before that date shows it. Without one, revoked is revoked.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from chopmark.core import clock
from chopmark.core.errors import MalformedError
from chopmark.envelopes import x509
from chopmark.trust import reasons, revocation_list
from chopmark.trust.context import OFF, REQUIRE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason
    from chopmark.trust.context import Context
    from chopmark.trust.moment import Moment
    from chopmark.trust.revocation_list import Crl, Entry

_STAMPS_SURVIVE = frozenset(
    {
        revocation_list.AFFILIATION_CHANGED,
        revocation_list.SUPERSEDED,
        revocation_list.CESSATION_OF_OPERATION,
    }
)
"""After these reasons, and no other, what a time-stamp authority said before stays true (RFC 3161 clause 4)."""


class Standing(NamedTuple):
    """What is known about one certificate: the entry that revokes it; else why nothing is known; else it is good."""

    entry: Entry | None
    problem: str
    as_of: dt.datetime | None = None


def check(
    path: Sequence[x509.Certificate],
    moment: Moment,
    context: Context,
    carried: Sequence[bytes] = (),
    *,
    stamp: bool = False,
) -> list[Finding]:
    """A finding for every certificate of a trusted path but its anchor.

    `carried` are DER CRLs that came with the signature; `stamp` says that the path is a time-stamp authority's, which
    follows a rule of its own.
    """
    if context.revocation == OFF:
        return [reasons.REVOCATION_OFF.found(subject=path[0].subject_text)]
    if len(path) == 1:
        return [reasons.REVOCATION_NOBODY.found(subject=path[0].subject_text)]
    own = _read(carried)
    findings = []
    for certificate, issuer in pairwise(path):
        standing = standing_of(certificate, issuer, context, own)
        if standing.entry is not None:
            reason, detail = _revoked(standing.entry, moment, stamp=stamp)
        elif standing.problem:
            required = context.revocation == REQUIRE
            reason = reasons.REVOCATION_UNAVAILABLE if required else reasons.REVOCATION_NOT_CHECKED
            detail = standing.problem
        else:
            reason = reasons.REVOCATION_GOOD
            detail = f"list of {clock.show(standing.as_of)}" if standing.as_of else ""
        findings.append(reason.found(detail, subject=certificate.subject_text))
    return findings


def standing_of(
    certificate: x509.Certificate, issuer: x509.Certificate, context: Context, carried: Sequence[Crl] = ()
) -> Standing:
    """What the issuer's lists say about a certificate: those at hand first, published ones only when these do not do.

    Among the lists that are the issuer's and about this certificate, the newest decides. Whom a list names is revoked
    even when the list has ended since; that it does not name somebody counts only while it holds.
    """
    best: Standing | None = None
    problems: list[str] = []
    newest: dt.datetime | None = None
    for crl, problem in _lists(certificate, issuer, context, carried):
        if problem:
            problems.append(problem)
        if crl is None or (newest is not None and crl.this_update <= newest):
            continue
        try:
            crl.check_scope(certificate)
            crl.check_signature(issuer)
            entry = crl.find(certificate)
        except MalformedError as error:
            problems.append(str(error))
            continue
        if entry is None and not crl.complete:
            problems.append("the CRL is about some reasons alone")
            continue
        newest = crl.this_update
        ended = crl.missing(certificate, context.at)
        best = Standing(entry, "" if entry else ended, crl.this_update)
        # Only a hold can end: for anything else an old list will do.
        if not ended or (entry is not None and entry.reason != revocation_list.CERTIFICATE_HOLD):
            return best
    if best is not None:
        detail = "; ".join(dict.fromkeys((best.problem, *problems))) if best.problem else ""
        return best._replace(problem=detail)
    return Standing(None, "; ".join(dict.fromkeys(problems)) or "there is no CRL")


def _lists(
    certificate: x509.Certificate, issuer: x509.Certificate, context: Context, carried: Sequence[Crl]
) -> Iterator[tuple[Crl | None, str]]:
    """Lists by the issuer's name: the newest at hand first, then published ones, with what went wrong there.

    What came with the signature comes last, because whoever made it may have chosen an old list.
    """
    name = x509.name_key(issuer.subject)
    near = [*context.crls.listed(issuer.subject), *(crl for crl in context.store_crls if crl.issuer_key == name)]
    for crl in sorted(near, key=lambda each: each.this_update, reverse=True):
        yield crl, ""
    try:
        for published, problem in context.crls.published(certificate, context.at):
            fits = published is not None and published.issuer_key == name
            yield (published if fits else None), problem or ("" if fits else "the published CRL is another issuer's")
    except MalformedError as error:
        yield None, str(error)
    for crl in sorted(carried, key=lambda each: each.this_update, reverse=True):
        if crl.issuer_key == name:
            yield crl, ""


def _revoked(entry: Entry, moment: Moment, *, stamp: bool) -> tuple[Reason, str]:
    shown = f"revoked {clock.show(entry.revoked)} ({revocation_list.REASON_NAMES.get(entry.reason, entry.reason)})"
    if entry.invalid_since is not None:
        shown += f", invalid since {clock.show(entry.invalid_since)}"
    if stamp and entry.reason not in _STAMPS_SURVIVE:
        return reasons.REVOCATION_REVOKED, shown
    if moment.surely_before(entry.effective):
        return reasons.REVOCATION_LATER, shown
    held = entry.reason == revocation_list.CERTIFICATE_HOLD
    return (reasons.REVOCATION_HELD if held else reasons.REVOCATION_REVOKED), shown


def _read(raws: Sequence[bytes]) -> list[Crl]:
    """Lists that came with a signature; what cannot be read is as if it were not there."""
    found = []
    for raw in raws:
        try:
            found.append(revocation_list.Crl(raw))
        except MalformedError:
            continue
    return found
