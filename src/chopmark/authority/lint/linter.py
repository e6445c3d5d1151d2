"""Certificates and CRLs held against their rules, each with a finding: others' as they are, our own before they exist.

What is looked at is the encoded certificate itself, not what was meant to go into it.
"""

from __future__ import annotations

import datetime as dt
from itertools import chain
from typing import TYPE_CHECKING

from chopmark.authority.issuing import profiles
from chopmark.authority.lint import reasons
from chopmark.authority.lint.csbr import policies, structure, subject, usage
from chopmark.authority.lint.csbr.case import IN_FORCE, Case, Kind, kind_for, kind_of, run
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.core.finding import Outcome
from chopmark.envelopes import names, public_keys, x509

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chopmark.authority.issuing.profiles import AuthorityProfile, Profile
    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason

RULES = (*structure.RULES, *subject.RULES, *usage.RULES, *policies.RULES)
_BACKDATED_MAX = dt.timedelta(hours=1)
_ALWAYS = frozenset(
    (
        x509.AUTHORITY_KEY_ID,
        x509.SUBJECT_KEY_ID,
        x509.KEY_USAGE,
        x509.EXTENDED_KEY_USAGE,
        x509.CERTIFICATE_POLICIES,
        x509.CRL_DISTRIBUTION_POINTS,
        x509.AUTHORITY_INFORMATION_ACCESS,
        x509.FRESHEST_CRL,
    )
)
_WORST = (Outcome.NO, Outcome.UNKNOWN, Outcome.INFO, Outcome.OK)


class IssueRefusedError(RefusedError):
    """A certificate that would break its rules; `findings` are all that were checked."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        broken = [finding for finding in findings if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)]
        what = "; ".join(f"{finding.detail or finding.code} ({finding.cites})" for finding in broken)
        super().__init__(f"refused, nothing was issued: {what}")


def require(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, if none of them says no, and none leaves a question open; else IssueRefusedError."""
    found = tuple(findings)
    if any(finding.outcome in (Outcome.NO, Outcome.UNKNOWN) for finding in found):
        raise IssueRefusedError(found)
    return found


def certificate(raw: bytes, issuer: x509.Certificate | None = None) -> list[Finding]:
    """Every rule for a certificate made by anybody, judged by the rules of the time when it was issued.

    `issuer` is the certificate above it when it is at hand. Nothing is raised for what is found.
    """
    try:
        case = Case(x509.Certificate(raw), Kind.OTHER, issuer)
    except MalformedError as error:
        return [reasons.UNREADABLE.found(str(error))]
    case = case._replace(kind=kind_of(case.certificate))
    public = case.kind is not Kind.OTHER and case.since >= IN_FORCE
    about = f"{case.kind}, issued {case.since:%Y-%m-%d}"
    in_force = reasons.IN_FORCE.found(about, outcome=Outcome.OK if public else Outcome.INFO)
    return _merged(chain((in_force,), run(RULES, case, public=public)))


def leaf(
    certificate: x509.Certificate, issuer: x509.Certificate, profile: Profile, now: dt.datetime
) -> Iterator[Finding]:
    """Every rule for one of our own that signs code or time stamps, issued now."""
    case = Case(certificate, kind_for(profile.purposes), issuer, own=True, signed=False)
    yield from _merged(chain(run(RULES, case, public=profile.public), _of_profile(case, profile, now)))


def authority(
    certificate: x509.Certificate, issuer: x509.Certificate | None, profile: AuthorityProfile
) -> Iterator[Finding]:
    """The rules for one of our own CA certificates; `issuer` is None for a root."""
    case = Case(certificate, kind_of(certificate), issuer, own=True, signed=False)
    latest = profiles.last_second(certificate.not_before, months=profile.months)
    lives = "" if certificate.not_after <= latest else f"a CA for more than {profile.months} months"
    own = (_answer(reasons.VALIDITY, lives), _answer(reasons.VALIDITY_NESTED, structure.nested(case) or ""))
    yield from _merged(chain(run(RULES, case, public=profile.public), own))


def crossed(certificate: x509.Certificate, issuer: x509.Certificate, *, ours: bool) -> list[Finding]:
    """The rules for a CA that another one certifies.

    All of the CSBR bind our own, and others that are given a policy; a partner of an internal hierarchy needs a
    strong key, and what RFC 5280 wants. One whose own keys the CSBR do not know is internal.
    """
    case = Case(certificate, Kind.SUBORDINATE, issuer, own=ours, signed=False)
    known = public_keys.kind(issuer.spki) not in profiles.CSBR_UNKNOWN
    public = known and (ours or bool(policies.policies(certificate)))
    rules = [rule for rule in RULES if public or not rule.csbr or (known and rule.reason is reasons.KEY_SIZE)]
    return _merged(run(rules, case, public=True))


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each reason: what went wrong before what went well."""
    by_code: dict[str, Finding] = {}
    for finding in findings:
        before = by_code.get(finding.code)
        if before is None or _WORST.index(finding.outcome) < _WORST.index(before.outcome):
            by_code[finding.code] = finding
        elif finding.outcome is before.outcome and finding.detail not in before.detail:
            by_code[finding.code] = before._replace(detail=f"{before.detail}; {finding.detail}".removeprefix("; "))
    return list(by_code.values())


def _answer(reason: Reason, fault: str) -> Finding:
    return reason.found(fault, outcome=Outcome.NO if fault else Outcome.OK)


def _of_profile(case: Case, profile: Profile, now: dt.datetime) -> Iterator[Finding]:
    """What the profile says, exactly: whatever else there is was not meant."""
    certificate = case.certificate
    yield _answer(reasons.VALIDITY, _validity_fault(certificate, profile))
    yield _answer(reasons.VALIDITY_NESTED, structure.nested(case) or "")
    yield _answer(reasons.PURPOSE, _purpose_fault(case, profile))
    usage_fault = "" if certificate.key_usage == frozenset(profile.usage) else "key usage is not the profile's"
    yield _answer(reasons.KEY_USAGE, usage_fault)
    yield _answer(reasons.KEY_SIZE, _key_fault(certificate.spki, profile))
    allowed = _ALWAYS | {oid for oid, _ in profile.more}
    if profile.constraints:
        allowed |= {x509.BASIC_CONSTRAINTS}
    yield _answer(reasons.EXTENSIONS, ", ".join(sorted(set(certificate.extensions) - allowed)))
    kinds = {kind for kind, _ in names.parts(certificate.subject)}
    missing = [kind for kind in profile.subject if kind not in kinds]
    yield _answer(reasons.NAME_COMPLETE, f"the subject lacks {', '.join(missing)}" if missing else "")
    yield _answer(reasons.POLICY, _policy_fault(certificate, profile))
    if profile.public:
        older = case.issuer is not None and case.since < case.issuer.not_before
        yield _answer(reasons.VALIDITY_NESTED, "it is older than the CA that issues it" if older else "")
        drift = abs(certificate.not_before - now)
        late = "" if drift <= _BACKDATED_MAX else f"it begins {certificate.not_before:%Y-%m-%d}"
        yield _answer(reasons.VALIDITY_NOW, late)


def _validity_fault(certificate: x509.Certificate, profile: Profile) -> str:
    since, until = certificate.not_before, certificate.not_after
    if profile.days_max and until > profiles.last_second(since, days=profile.days_max):
        return f"it is valid for more than {profile.days_max} days"
    if profile.months_max and until > profiles.last_second(since, months=profile.months_max):
        return f"it is valid for more than {profile.months_max} months"
    return ""


def _purpose_fault(case: Case, profile: Profile) -> str:
    certificate, above = case.certificate, case.issuer.extended_key_usage if case.issuer else None
    if certificate.extended_key_usage != profile.purposes:
        return f"the purposes are {certificate.extended_key_usage}"
    if profile.stamps and not certificate.extensions[x509.EXTENDED_KEY_USAGE].critical:
        return "time stamping is not critical"
    if x509.EKU_OCSP_SIGNING in profile.purposes:
        return ""  # what a CA is for says nothing about who answers for it (RFC 6960 clause 4.2.2.2)
    return "" if above is not None and set(profile.purposes) <= set(above) else "the CA is for another purpose"


def _policy_fault(certificate: x509.Certificate, profile: Profile) -> str:
    extension = certificate.extensions.get(x509.CERTIFICATE_POLICIES)
    if extension is not None and extension.critical:
        return "policies are critical"
    listed = policies.policies(certificate)
    return "" if listed == profile.policies else f"the policies are {', '.join(listed) or 'none'}"


def _key_fault(spki: bytes, profile: Profile) -> str:
    try:
        kind = public_keys.kind(spki)
        if kind == "rsa":
            bits = [int(each.removeprefix("rsa-")) for each in profile.keys if each.startswith("rsa-")]
            good = bool(bits) and public_keys.size(spki) >= min(bits)
        else:
            good = structure.key_text(spki).lower().replace("p-", "p") in profile.keys
    except MalformedError as error:
        return str(error)
    return "" if good else f"a key of {structure.key_text(spki)}, where {', '.join(profile.keys)} are allowed"
