"""The judgement on one signature: who is believed, since when, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import clock
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome, against
from chopmark.core.named import NamedTuple
from chopmark.envelopes import x509
from chopmark.trust import reasons, stamps
from chopmark.trust.belief import Carried, believe
from chopmark.trust.moment import Moment
from chopmark.trust.paths import reasons as path_reasons
from chopmark.trust.stores import keyring
from chopmark.trust.stores import reasons as store_reasons

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.core.finding import Finding
    from chopmark.core.proof import Proof
    from chopmark.core.signer import SignerId
    from chopmark.trust.context import Context


class Judgement(NamedTuple):
    """Every finding of trust about one signature.

    `signed_at` is a time that a trusted stamp proves, or None; `path` is the way that was judged, the signer's
    certificate first and, if it led to one, the anchor's last; `store` is the trust store that has the anchor or key.
    `identity` is who signed, where the store trusts the anchor for identities.
    """

    findings: tuple[Finding, ...]
    signed_at: dt.datetime | None = None
    path: tuple[x509.Certificate, ...] = ()
    store: str = ""
    identity: SignerId | None = None

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against trusting the signer, and nothing needed is unknown."""
        return not against(self.findings)


def judge(proof: Proof, purpose: str, context: Context) -> Judgement:
    """Say whom to believe about a proof, for a purpose (a name of anchors.PURPOSES or a dotted extended key usage).

    The time that counts is that of the earliest trusted time stamp, else that of the check. Raises UsageError for an
    unknown purpose and nothing else: whatever certificates, stamps and lists contain is a finding.
    """
    if proof.signer is not None and proof.signer.kind != "x509":
        known, store = keyring.judge(proof, context.store.keyring, context.at)
        findings = [*known, *_blocked_key(proof, context)]
        if (weak := stamps.weakness(proof.digest_algorithm, Moment(context.at))) is not None:
            findings.insert(len(known), weak)
        return Judgement(tuple(findings), store=store)
    chosen = stamps.choose(proof.stamps, context)
    findings = list(chosen.findings)
    moment, weak = _moment(proof, chosen, context)
    if weak is not None:
        findings.append(weak)
    signed_at = chosen.stamp.time if chosen.stamp else None
    try:
        leaf = x509.certificate(proof.certificates[0])
    except (IndexError, MalformedError):
        findings.append(path_reasons.PATH_NO_CERTIFICATE.found())
        return Judgement(tuple(findings), signed_at)
    if proof.signer is None or proof.signer.fingerprint != leaf.key_sha256:
        findings.append(path_reasons.PATH_KEY_MISMATCH.found())
        return Judgement(tuple(findings), signed_at)
    belief = believe(leaf, Carried(proof.certificates[1:], proof.crls, proof.answers), purpose, moment, context)
    findings += belief.findings
    findings += _validity(leaf, signed_at, context)
    anchor = belief.path.anchor
    identity = None
    if anchor is not None and anchor.constraints.identities:
        identity, wrong = _identity(leaf)
        findings += wrong
    store = anchor.store if anchor else ""
    return Judgement(tuple(findings), signed_at, belief.path.certificates, store, identity)


def _identity(leaf: x509.Certificate) -> tuple[SignerId | None, list[Finding]]:
    from chopmark.trust import identities  # hardly any store vouches for some

    try:
        return identities.identity(leaf), []
    except MalformedError as error:
        return None, [store_reasons.STORE_NO_IDENTITY.found(str(error), subject=leaf.subject_text)]


def _blocked_key(proof: Proof, context: Context) -> list[Finding]:
    if not context.blocklists:
        return []
    from chopmark.trust.blocklists import blocklist  # hardly anybody has one

    return blocklist.key_findings(context.blocklists, proof.signer)


def _moment(proof: Proof, chosen: stamps.Chosen, context: Context) -> tuple[Moment, Finding | None]:
    """The time that counts, and what is to be said about the signature's digest at that time.

    A signature over a broken digest is refused at any time. If only a stamp as weak as itself says when it was made,
    the certificates are looked at as of then, so that its age is all that is said against it.
    """
    moment = stamps.moment_of(chosen.stamp) if chosen.stamp else Moment(context.at)
    weak = stamps.weakness(proof.digest_algorithm, moment) if proof.digest_algorithm else None
    if weak is not None and weak.outcome is Outcome.NO and chosen.stamp is None and chosen.weak is not None:
        dated = stamps.moment_of(chosen.weak)
        then = stamps.weakness(proof.digest_algorithm, dated)
        if then is not None and then.outcome is Outcome.NO:
            return dated, then
    return moment, weak


def _validity(leaf: x509.Certificate, signed_at: dt.datetime | None, context: Context) -> list[Finding]:
    """What the signer's validity says about the time stamp, and the time of the check about lifetime signing."""
    found = []
    if signed_at is not None and not leaf.not_before <= signed_at <= leaf.last_moment:
        detail = f"stamped {clock.show(signed_at)}, valid {clock.show(leaf.not_before)} to {clock.show(leaf.not_after)}"
        found.append(reasons.STAMP_OUTSIDE.found(detail))
    try:
        purposes = leaf.extended_key_usage or ()
    except MalformedError:
        return found  # the path says so
    if x509.EKU_LIFETIME_SIGNING in purposes and context.at > leaf.last_moment:
        found.append(path_reasons.PATH_LIFETIME.found(f"valid until {clock.show(leaf.not_after)}"))
    return found
