"""Whether certificates were revoked, and whether that was before the signature.

The rule: what a certificate signed counts until the earlier of its revocation date and its invalidity date, and only a
trusted time that is strictly before that date shows it. Without one, revoked is revoked.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core.finding import Outcome
from chopmark.trust import reasons, standing
from chopmark.trust.context import OFF, REQUIRE
from chopmark.trust.crl.entry import (
    AFFILIATION_CHANGED,
    CERTIFICATE_HOLD,
    CESSATION_OF_OPERATION,
    REASON_NAMES,
    SUPERSEDED,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason
    from chopmark.envelopes import x509
    from chopmark.trust.context import Context
    from chopmark.trust.crl.entry import Entry
    from chopmark.trust.moment import Moment
    from chopmark.trust.ocsp.answer import Answer
    from chopmark.trust.standing import Standing

_STAMPS_SURVIVE = frozenset(
    {
        AFFILIATION_CHANGED,
        SUPERSEDED,
        CESSATION_OF_OPERATION,
    }
)
"""After these reasons, and no other, what a time-stamp authority said before stays true (RFC 3161 clause 4)."""


def check(
    path: Sequence[x509.Certificate],
    moment: Moment,
    context: Context,
    carried: Sequence[bytes],
    *,
    certificates: Sequence[bytes],
    answers: Sequence[bytes],
    stamp: bool,
) -> list[Finding]:
    """A finding for every certificate of a trusted path but its anchor, and one for each OCSP answer that fails.

    `carried` are DER CRLs that came with the signature, `certificates` the DER certificates and `answers` the OCSP
    answers that did; `stamp` says that the path is a time-stamp authority's, which follows a rule of its own.
    """
    if context.revocation == OFF:
        return [reasons.REVOCATION_OFF.found(subject=path[0].subject_text)]
    if len(path) == 1:
        return [reasons.REVOCATION_NOBODY.found(subject=path[0].subject_text)]
    required = context.revocation == REQUIRE
    findings = []
    for certificate, found in zip(path, _standings(path, context, carried, certificates, answers), strict=False):
        if found.entry is not None:
            reason, detail = _revoked(found.entry, moment, stamp=stamp)
            detail += f"; {_shown(found)}"
        elif found.unknown:
            reason, detail = reasons.REVOCATION_UNKNOWN, found.problem
        elif found.problem:
            reason = reasons.REVOCATION_UNAVAILABLE if required else reasons.REVOCATION_NOT_CHECKED
            detail = found.problem
        else:
            reason = reasons.REVOCATION_GOOD
            detail = _shown(found)
        findings.append(reason.found(detail, subject=certificate.subject_text))
        outcome = Outcome.UNKNOWN if found.problem and required else None
        if found.remarks:
            findings += [
                doubt.reason.found(doubt.detail, subject=certificate.subject_text, outcome=outcome)
                for doubt in found.remarks
            ]
    return findings


def _standings(
    path: Sequence[x509.Certificate],
    context: Context,
    carried: Sequence[bytes],
    certificates: Sequence[bytes],
    answers: Sequence[bytes],
) -> list[Standing]:
    """What is known about each certificate but the anchor.

    Nobody vouches for those above, so what is known about these is the same for all signers of an authority.
    """
    lists = standing.read(carried) if carried else []
    if context.evidence is not None:
        lists = [*context.evidence.lists, *lists]
        answers = (*answers, *context.evidence.answers)
    read = _read(answers) if answers else ()
    own = standing.Inquiry(context, path, lists, certificates, answers=read).standing(path[0], path[1])
    above = tuple(path[1:])
    if len(above) == 1:
        return [own]

    def ask() -> list[Standing]:
        inquiry = standing.Inquiry(context, above, lists, certificates, answers=read)
        return [inquiry.standing(certificate, issuer) for certificate, issuer in itertools.pairwise(above)]

    came = (tuple(carried), tuple(certificates), tuple(answers))
    size = sum(map(len, came[0])) + sum(map(len, came[1])) + sum(map(len, came[2]))
    if context.collector is not None or size > limits.JUDGED_SIZE_KEPT_MAX:
        return [own, *ask()]
    return [own, *context.settled((above, came), ask)]


def _read(answers: Sequence[bytes]) -> Sequence[Answer]:
    from chopmark.trust.ocsp import source  # few signatures bring any

    return source.carried(answers)


def _shown(found: Standing) -> str:
    """How new the data is that says so, and when newer is due."""
    return _dated("OCSP answer" if found.by_answer else "list", found.as_of, found.until)


@lru_cache(maxsize=256)
def _dated(what: str, as_of: dt.datetime | None, until: dt.datetime | None) -> str:
    due = f", the next due {clock.show(until)}" if until else ", which does not say when the next is due"
    return f"{what} of {clock.show(as_of)}{due}" if as_of else ""


def _revoked(entry: Entry, moment: Moment, *, stamp: bool) -> tuple[Reason, str]:
    shown = f"revoked {clock.show(entry.revoked)} ({REASON_NAMES.get(entry.reason, entry.reason)})"
    if entry.invalid_since is not None:
        shown += f", invalid since {clock.show(entry.invalid_since)}"
    if stamp and entry.reason not in _STAMPS_SURVIVE:
        return reasons.REVOCATION_REVOKED, shown
    if moment.surely_before(entry.effective):
        return reasons.REVOCATION_LATER, shown
    if moment.proven and moment.before(entry.effective):
        shown += f"; by its time stamp it is older, but that may be {moment.accuracy.total_seconds():g} s wrong"
    held = entry.reason == CERTIFICATE_HOLD
    return (reasons.REVOCATION_HELD if held else reasons.REVOCATION_REVOKED), shown
