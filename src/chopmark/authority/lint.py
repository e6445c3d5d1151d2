"""A certificate looked at before it is signed: every rule that it has to keep, each with a finding.

What is looked at is the encoded certificate itself, not what was meant to go into it.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from chopmark.authority import profiles, reasons, weak_keys
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.core.finding import Outcome
from chopmark.envelopes import algorithms, der, names, x509

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chopmark.authority.profiles import AuthorityProfile, Profile
    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason

_LEAF_EXTENSIONS = frozenset(
    (
        x509.AUTHORITY_KEY_ID,
        x509.SUBJECT_KEY_ID,
        x509.KEY_USAGE,
        x509.EXTENDED_KEY_USAGE,
        x509.CERTIFICATE_POLICIES,
        x509.CRL_DISTRIBUTION_POINTS,
        x509.AUTHORITY_INFORMATION_ACCESS,
    )
)
_RSA_LEAF, _RSA_CA = 3072, 4096
_SERIAL_OCTETS_MIN, _SERIAL_OCTETS_MAX = 9, 20
_BACKDATED_MAX = dt.timedelta(hours=1)
_BUSINESS_CATEGORIES = ("Private Organization", "Government Entity", "Business Entity", "Non-Commercial Entity")


class IssueRefusedError(RefusedError):
    """A certificate that would break its rules; `findings` are all that were checked."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        broken = [finding for finding in findings if finding.outcome is Outcome.NO]
        what = "; ".join(f"{finding.detail or finding.code} ({finding.cites})" for finding in broken)
        super().__init__(f"refused, nothing was issued: {what}")


def require(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, if none of them says no; else IssueRefusedError."""
    found = tuple(findings)
    if any(finding.outcome is Outcome.NO for finding in found):
        raise IssueRefusedError(found)
    return found


def leaf(
    certificate: x509.Certificate, issuer: x509.Certificate, profile: Profile, now: dt.datetime
) -> Iterator[Finding]:
    """Every rule for a certificate that signs code or time stamps, issued now."""
    yield _answer(reasons.SERIAL, _serial_fault(certificate))
    yield _answer(reasons.VALIDITY, _validity_fault(certificate, profile))
    yield _answer(reasons.VALIDITY_NESTED, _nesting_fault(certificate, issuer, profile))
    yield from _key(certificate.spki, _RSA_LEAF, public=profile.public)
    yield from _names(certificate, issuer)
    yield _answer(reasons.SIGNATURE, _signature_fault(certificate))
    yield _answer(reasons.PURPOSE, _purpose_fault(certificate, issuer, profile))
    yield _answer(reasons.KEY_USAGE, _usage_fault(certificate))
    yield _answer(reasons.KEY_IDENTIFIERS, _identifier_fault(certificate, issuer))
    own = {x509.OCSP_NO_CHECK} if profile.name == profiles.OCSP_RESPONDER else set()
    unknown = sorted(set(certificate.extensions) - _LEAF_EXTENSIONS - own)
    yield _answer(reasons.EXTENSIONS, ", ".join(unknown))
    if profile.public:
        yield from _public(certificate, profile, now)


def authority(
    certificate: x509.Certificate, issuer: x509.Certificate | None, profile: AuthorityProfile
) -> Iterator[Finding]:
    """The rules for a CA certificate; `issuer` is None for a root."""
    yield _answer(reasons.SERIAL, _serial_fault(certificate))
    latest = profiles.last_second(certificate.not_before, months=profile.months)
    yield _answer(
        reasons.VALIDITY, "" if certificate.not_after <= latest else f"a CA for more than {profile.months} months"
    )
    yield from _key(certificate.spki, _RSA_CA, public=True)
    yield _answer(reasons.NAME, "; ".join(names.faults(names.parts(certificate.subject))))
    yield _answer(reasons.SIGNATURE, _signature_fault(certificate))
    if issuer is not None:
        outlives = certificate.not_after > issuer.not_after
        yield _answer(reasons.VALIDITY_NESTED, "it outlives its issuer" if outlives else "")
        yield _answer(reasons.KEY_IDENTIFIERS, _identifier_fault(certificate, issuer))


def _answer(reason: Reason, fault: str, *, passed: str = "") -> Finding:
    return reason.found(fault or passed, outcome=Outcome.NO if fault else Outcome.OK)


def _serial_fault(certificate: x509.Certificate) -> str:
    octets = certificate.serial_octets
    if certificate.serial <= 0 or not _SERIAL_OCTETS_MIN <= len(octets) <= _SERIAL_OCTETS_MAX:
        return f"the serial number {octets.hex()}"
    return ""


def _validity_fault(certificate: x509.Certificate, profile: Profile) -> str:
    since, until = certificate.not_before, certificate.not_after
    if until <= since:
        return "it ends before it begins"
    if profile.days_max and until > profiles.last_second(since, days=profile.days_max):
        return f"it is valid for more than {profile.days_max} days"
    if profile.months_max and until > profiles.last_second(since, months=profile.months_max):
        return f"it is valid for more than {profile.months_max} months"
    return ""


def _nesting_fault(certificate: x509.Certificate, issuer: x509.Certificate, profile: Profile) -> str:
    if certificate.not_after > issuer.not_after:
        return f"it outlives the CA that issues it, which ends {issuer.not_after:%Y-%m-%d}"
    if profile.public and certificate.not_before < issuer.not_before:
        return "it is older than the CA that issues it"
    return ""


def _key(spki: bytes, rsa_bits: int, *, public: bool) -> Iterator[Finding]:
    """The CSBR know RSA and three curves; nobody forbids Ed25519 to a certificate that they do not bind."""
    try:
        kind, size = algorithms.key_kind(spki), algorithms.key_size(spki)
        quality = weak_keys.fault(spki)
    except MalformedError as error:
        yield _answer(reasons.KEY_SIZE, str(error))
        return
    curve = der.parse(spki).children()[0].children()[-1].oid() if kind == "ec" else ""
    good = size >= rsa_bits if kind == "rsa" else curve in _CURVES or (kind == "ed25519" and not public)
    yield _answer(reasons.KEY_SIZE, "" if good else f"a key of {_kind_text(kind, size, curve)}")
    yield _answer(reasons.KEY_QUALITY, quality)


_CURVES = {"1.2.840.10045.3.1.7": "P-256", "1.3.132.0.34": "P-384", "1.3.132.0.35": "P-521"}


def _kind_text(kind: str, size: int, curve: str) -> str:
    if kind == "rsa":
        return f"RSA with {size} bits"
    return f"the curve {curve}" if kind == "ec" else kind


def _names(certificate: x509.Certificate, issuer: x509.Certificate) -> Iterator[Finding]:
    yield _answer(reasons.NAME, "; ".join(names.faults(names.parts(certificate.subject))))
    chained = certificate.issuer == issuer.subject
    yield _answer(reasons.NAME_CHAINED, "" if chained else "the issuer's name is not the CA's")


def _signature_fault(certificate: x509.Certificate) -> str:
    algorithm = certificate.signature_algorithm
    good = algorithm.kind in ("rsa", "rsa-pss", "ecdsa") and algorithm.digest in ("sha256", "sha384", "sha512")
    return "" if good else f"signed with {algorithm.kind} and {algorithm.digest}"


def _purpose_fault(certificate: x509.Certificate, issuer: x509.Certificate, profile: Profile) -> str:
    if certificate.extended_key_usage != profile.purposes:
        return f"the purposes are {certificate.extended_key_usage}"
    if profile.stamps and not certificate.extensions[x509.EXTENDED_KEY_USAGE].critical:
        return "time stamping is not critical"
    if profile.name == profiles.OCSP_RESPONDER:
        return ""  # what a CA is for says nothing about who answers for it (RFC 6960 clause 4.2.2.2)
    if issuer.extended_key_usage is None or not set(profile.purposes) <= set(issuer.extended_key_usage):
        return "the CA is for another purpose"
    return ""


def _usage_fault(certificate: x509.Certificate) -> str:
    extension = certificate.extensions.get(x509.KEY_USAGE)
    if extension is None or not extension.critical or certificate.key_usage != frozenset({x509.DIGITAL_SIGNATURE}):
        return "key usage is not digitalSignature alone, critical"
    return ""


def _identifier_fault(certificate: x509.Certificate, issuer: x509.Certificate) -> str:
    pair = [certificate.extensions.get(oid) for oid in (x509.SUBJECT_KEY_ID, x509.AUTHORITY_KEY_ID)]
    if not all(pair) or any(extension and extension.critical for extension in pair):
        return "a key identifier is missing, or critical"
    if certificate.subject_key_id != x509.subject_key_identifier(certificate.spki):
        return "the subject's key identifier is another key's"
    if certificate.authority_key_id != issuer.subject_key_id:
        return "the issuer's key identifier is another key's"
    return ""


def _public(certificate: x509.Certificate, profile: Profile, now: dt.datetime) -> Iterator[Finding]:
    """What the CSBR want besides."""
    drift = abs(certificate.not_before - now)
    yield _answer(
        reasons.VALIDITY_NOW, "" if drift <= _BACKDATED_MAX else f"it begins {certificate.not_before:%Y-%m-%d}"
    )
    parts = dict(names.parts(certificate.subject))
    yield _answer(reasons.NAME_COMPLETE, _incomplete(parts, profile))
    yield _answer(reasons.NAME_ALLOWED, "there is a domain component" if "DC" in parts else "")
    policies = certificate.extensions.get(x509.CERTIFICATE_POLICIES)
    listed = [node.fields().take().oid() for node in der.parse(policies.value).children()] if policies else []
    missing = set(profile.policies) - set(listed) or (policies is not None and policies.critical)
    yield _answer(reasons.POLICY, "the policy is missing, or critical" if missing else "")
    crl = [url for url in certificate.crl_urls if url.startswith("http://")]
    yield _answer(reasons.CRL_PLACE, "" if crl else "no HTTP URL of a CRL")
    issuers = [url for url in certificate.access_urls(x509.ACCESS_CA_ISSUERS) if url.startswith("http://")]
    yield _answer(reasons.ISSUER_PLACE, "" if issuers else "no HTTP URL of the issuer's certificate")


def _incomplete(parts: dict[str, str], profile: Profile) -> str:
    required = ["CN"] if profile.stamps else ["CN", "O", "C"]
    if profile.policies == (profiles.POLICY_EV,):
        required += ["businessCategory", "serialNumber", "jurisdictionC"]
    missing = [kind for kind in required if kind not in parts]
    if not profile.stamps and "L" not in parts and "ST" not in parts:
        missing.append("L or ST")
    if missing:
        return f"the subject lacks {', '.join(missing)}"
    category = parts.get("businessCategory")
    if category and category not in _BUSINESS_CATEGORIES:
        return f"businessCategory {category!r} is none of {', '.join(_BUSINESS_CATEGORIES)}"
    return ""
