"""Which time stamp counts: the earliest that is sound and whose authority is trusted (RFC 3161 clauses 2 and 4).

The older countersignature of Authenticode is judged in the same way. A stamp that does not hold speaks against the
signature; one whose authority nobody here trusts just says nothing.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from chopmark.core import clock, digest, limits
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Finding, Outcome
from chopmark.core.named import NamedTuple
from chopmark.core.reasons import DIGEST_DATED, DIGEST_UNSUPPORTED, DIGEST_WEAK
from chopmark.envelopes import x509
from chopmark.trust import reasons
from chopmark.trust.belief import Belief, Carried, believe
from chopmark.trust.moment import INACCURACY_MAX, Moment
from chopmark.trust.paths import reasons as path_reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.proof import Stamp
    from chopmark.trust.context import Context

_REVOKED = frozenset({reasons.REVOCATION_REVOKED.code, reasons.REVOCATION_HELD.code})
_ONLY_WEAK = frozenset({DIGEST_WEAK.code, path_reasons.PATH_WEAK_DIGEST.code})
_TRUSTED, _WEAK, _REFUSED = "trusted", "weak", "refused"


class Chosen(NamedTuple):
    """The stamp that counts, if there is one, and what was found about all of them.

    `weak` is the earliest stamp that would count if its digest, or its authority's, were not broken by its time. It
    proves nothing; it only says at which time to look at a signature that is refused anyway because its own digest is
    broken.
    """

    stamp: Stamp | None
    findings: tuple[Finding, ...]
    weak: Stamp | None = None


def moment_of(stamp: Stamp) -> Moment:
    """The time a stamp proves, and how much later it may have been."""
    seconds = min(max(stamp.accuracy or 0.0, 0.0), INACCURACY_MAX.total_seconds())
    return Moment(stamp.time, proven=True, accuracy=dt.timedelta(seconds=seconds))


def choose(stamps: Sequence[Stamp], context: Context) -> Chosen:
    """Judge every stamp on a signature and choose the one that counts."""
    findings: list[Finding] = []
    trusted: list[tuple[Stamp, str]] = []
    weak: list[Stamp] = []
    for number, stamp in enumerate(stamps, 1):
        subject = f"time stamp {number}"
        answer = _assess(stamp, subject, context, findings)
        if answer is _TRUSTED:
            trusted.append((stamp, subject))
        elif answer is _WEAK:
            weak.append(stamp)
    trusted.sort(key=lambda pair: pair[0].time)
    for stamp, subject in trusted:
        reason = reasons.STAMP_TRUSTED if stamp is trusted[0][0] else reasons.STAMP_SPARE
        who = stamp.proof.signer.subject if stamp.proof.signer else ""
        findings.append(reason.found(f"{clock.show(stamp.time)} by {who}", subject=subject))
    if not trusted:
        findings.append(reasons.STAMP_NONE.found())
    earliest = min(weak, key=lambda stamp: stamp.time, default=None)
    return Chosen(trusted[0][0] if trusted else None, tuple(findings), earliest)


def _assess(stamp: Stamp, subject: str, context: Context, findings: list[Finding]) -> str:
    """_TRUSTED, _WEAK or _REFUSED; a finding says why unless it is trusted."""
    if not stamp.proof.intact:
        broken = any(finding.outcome is Outcome.NO for finding in stamp.proof.findings) or stamp.proof.signer is None
        codes = ", ".join(f.code for f in stamp.proof.findings if f.outcome in (Outcome.NO, Outcome.UNKNOWN))
        findings.append((reasons.STAMP_UNSOUND if broken else reasons.STAMP_UNCHECKED).found(codes, subject=subject))
        return _REFUSED
    shown = clock.show(stamp.time)
    if stamp.time - context.at > limits.CLOCK_SKEW:
        findings.append(reasons.STAMP_LATER.found(shown, subject=subject))
        return _REFUSED
    moment = moment_of(stamp)
    belief = _belief(stamp, moment, context)
    if belief is None:
        findings.append(reasons.STAMP_UNTRUSTED.found("its certificate cannot be read", subject=subject))
        return _REFUSED
    own = weakness(stamp.proof.digest_algorithm, moment, limits.SHA1_STAMP_SUNSET)
    if own is not None and own.outcome is Outcome.UNKNOWN:
        findings.append(reasons.STAMP_UNCHECKED.found(_shown([own]), subject=subject))
        return _REFUSED
    against = [own, *belief.against] if own is not None and own.outcome is Outcome.NO else belief.against
    if against and belief.path.anchor and _ONLY_WEAK.issuperset(finding.code for finding in against):
        findings.append(reasons.STAMP_WEAK.found(f"{_shown(against)}, {shown}", subject=subject))
        return _WEAK
    return _TRUSTED if _is_trusted(belief, subject, findings) else _REFUSED


def _belief(stamp: Stamp, moment: Moment, context: Context) -> Belief | None:
    proof = stamp.proof
    try:
        leaf = x509.certificate(proof.certificates[0])
    except (IndexError, MalformedError):
        return None
    return believe(leaf, Carried(proof.certificates[1:], proof.crls, proof.answers), "time-stamping", moment, context)


def _is_trusted(belief: Belief, subject: str, findings: list[Finding]) -> bool:
    """What the authority's certificate comes to for its stamp.

    What speaks against the authority is not held against the signature, so it goes into the detail of one finding. What
    could not be found out about it is: whether the signature is good then depends on it.
    """
    against = belief.against
    if not belief.path.trusted:
        problems = [finding for finding in belief.findings if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)]
        findings.append(reasons.STAMP_UNTRUSTED.found(_shown(problems), subject=subject))
        return False
    if against:
        revoked = any(finding.code in _REVOKED for finding in against)
        reason = reasons.STAMP_REVOKED if revoked else reasons.STAMP_UNTRUSTED
        findings.append(reason.found(_shown(against), subject=subject))
        return False
    for finding in belief.findings:
        if finding.outcome is not Outcome.OK:
            located = f"{subject}: {finding.subject}" if finding.subject else subject
            findings.append(Finding(finding.code, finding.outcome, located, finding.detail, finding.cites))
    return True


def _shown(problems: Sequence[Finding]) -> str:
    return "; ".join(f"{finding.code} {finding.detail}".strip() for finding in problems)


def weakness(algorithm: str, moment: Moment, sunset: dt.datetime = limits.SHA1_SUNSET) -> Finding | None:
    """A finding about a digest that a signature rests on, when it is not a strong one; `sunset` is that of SHA-1."""
    if algorithm in digest.STRONG:
        return None
    known = digest.ALGORITHMS.get(algorithm)
    if known is None:
        return DIGEST_UNSUPPORTED.found(algorithm)
    dated = known.strength is digest.Strength.DATED and moment.surely_before(sunset)
    return (DIGEST_DATED if dated else DIGEST_WEAK).found(algorithm)
