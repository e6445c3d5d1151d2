"""Rules for what a certificate may be used for, and for how long (CSBR 6.3.2, 7.1.2)."""

from __future__ import annotations

from chopmark.authority.issuing import profiles
from chopmark.authority.lint import reasons
from chopmark.authority.lint.csbr.case import ANY, AUTHORITIES, BOUND, SIGNERS, Case, Kind, Rule, at
from chopmark.authority.lint.csbr.structure import known_extensions
from chopmark.core.errors import MalformedError
from chopmark.envelopes import der, x509

_SHORTER = at(2026, 3, 1)
_RFC_3647 = at(2022, 6, 29)
"""Version 3.0, whose text is today's. What 1.2 (appendix B) left open before is not held against anybody."""
_DAYS, _MONTHS, _TIME_MONTHS, _TIME_CA_MONTHS = 460, 39, 135, 72
_TIME_CA_SINCE = at(2025, 4, 15)
_EKU_SERVER = "1.3.6.1.5.5.7.3.1"
_EKU_EMAIL = "1.3.6.1.5.5.7.3.4"
_EKU_DOCUMENTS = "1.3.6.1.4.1.311.3.10.3.12"
_CODE, _SUB, _ROOT, _TIME, _OCSP = (
    frozenset((kind,)) for kind in (Kind.CODE, Kind.SUBORDINATE, Kind.ROOT, Kind.TIME, Kind.OCSP)
)
_CA_BITS = frozenset((x509.KEY_CERT_SIGN, x509.CRL_SIGN))
_NAMED = frozenset(
    (
        x509.AUTHORITY_KEY_ID,
        x509.SUBJECT_KEY_ID,
        x509.KEY_USAGE,
        x509.EXTENDED_KEY_USAGE,
        x509.BASIC_CONSTRAINTS,
        x509.CERTIFICATE_POLICIES,
        x509.CRL_DISTRIBUTION_POINTS,
        x509.AUTHORITY_INFORMATION_ACCESS,
        x509.SUBJECT_ALT_NAME,
        x509.NAME_CONSTRAINTS,
        x509.OCSP_NO_CHECK,
    )
)
"""What 7.1.2 names for some kind of certificate, RFC 5280's name constraints, and nocheck."""


def _validity(subject: Case) -> str:
    since, until = subject.certificate.not_before, subject.certificate.not_after
    if subject.kind is Kind.TIME:
        over, text = until > profiles.last_second(since, months=_TIME_MONTHS), f"{_TIME_MONTHS} months"
    elif since >= _SHORTER:
        over, text = until > profiles.last_second(since, days=_DAYS), f"{_DAYS} days"
    else:
        over, text = until > profiles.last_second(since, months=_MONTHS), f"{_MONTHS} months"
    return f"it is valid for more than {text}" if over else ""


def _time_ca(subject: Case) -> str | None:
    if x509.EKU_TIME_STAMPING not in (subject.certificate.extended_key_usage or ()):
        return None
    latest = profiles.last_second(subject.since, months=_TIME_CA_MONTHS)
    return "it lives longer" if subject.certificate.not_after > latest else ""


def _critical_usage(subject: Case) -> frozenset[int] | None:
    extension = subject.certificate.extensions.get(x509.KEY_USAGE)
    return subject.certificate.key_usage if extension is not None and extension.critical else None


def _signer_usage(subject: Case) -> str:
    bits = _critical_usage(subject)
    if bits is None:
        return "key usage is missing, or not critical"
    if x509.DIGITAL_SIGNATURE not in bits:
        return "key usage lacks digitalSignature"
    return "key usage lets a signer sign certificates or CRLs" if bits & _CA_BITS else ""


def _more_usage(subject: Case) -> str:
    bits = subject.certificate.key_usage or frozenset()
    more = bits - {x509.DIGITAL_SIGNATURE} - _CA_BITS
    return f"also bits {', '.join(map(str, sorted(more)))}" if more else ""


def _authority_usage(subject: Case) -> str:
    bits = _critical_usage(subject)
    if bits is None:
        return "key usage is missing, or not critical"
    return "" if bits >= _CA_BITS else "key usage lacks keyCertSign or cRLSign"


def _forbidden(purposes: tuple[str, ...], *more: str) -> str:
    wrong = set(purposes) & {x509.EKU_ANY, _EKU_SERVER, *more}
    return f"the purposes include {', '.join(sorted(wrong))}" if wrong else ""


def _code_purpose(subject: Case) -> str:
    purposes = subject.certificate.extended_key_usage or ()
    if x509.EKU_TIME_STAMPING in purposes:
        return "time stamping is not its sole purpose (RFC 3161 clause 2.3)"
    return _forbidden(purposes) or _above(subject, x509.EKU_CODE_SIGNING)


def _time_purpose(subject: Case) -> str:
    purposes = subject.certificate.extended_key_usage or ()
    if not subject.certificate.extensions[x509.EXTENDED_KEY_USAGE].critical:
        return "time stamping is not critical"
    if len(purposes) > 1:
        return f"time stamping is not its sole purpose (RFC 3161 clause 2.3), but one of {', '.join(purposes)}"
    return _forbidden(purposes) or _above(subject, x509.EKU_TIME_STAMPING)


def _above(subject: Case, purpose: str) -> str:
    """A CA below a root has the purpose too (7.1.2.2 g)."""
    issuer = subject.issuer
    if issuer is None or (issuer.self_issued and not subject.own):
        return ""
    if issuer.extended_key_usage is None and not subject.own:
        return ""  # that is said of the CA itself
    return "" if purpose in (issuer.extended_key_usage or ()) else "the CA is for another purpose"


def _root_purpose(subject: Case) -> str:
    return "a root with purposes" if subject.certificate.extended_key_usage is not None else ""


def _authority_purpose(subject: Case) -> str | None:
    certificate = subject.certificate
    purposes = certificate.extended_key_usage
    if purposes is None:
        # A root certified by another one is for whatever the CAs below it are; it looks like this.
        return None if _unbounded(certificate) else "a CA without purposes"
    both = {x509.EKU_CODE_SIGNING, x509.EKU_TIME_STAMPING} & set(purposes)
    if not both:
        return "neither code signing nor time stamping is among its purposes"
    if subject.since < _RFC_3647:
        return _forbidden(purposes)
    return "one CA for code signing and for time stamps" if len(both) > 1 else _forbidden(purposes, _EKU_EMAIL)


def _unbounded(certificate: x509.Certificate) -> bool:
    constraints = certificate.basic_constraints
    return constraints is not None and constraints.path_length is None


def _more_purposes(subject: Case) -> str | None:
    if subject.kind is Kind.SUBORDINATE and subject.certificate.extended_key_usage is None and not subject.own:
        return "none at all, as for a root that another root certifies"
    purposes = set(subject.certificate.extended_key_usage or ())
    known = {x509.EKU_CODE_SIGNING, x509.EKU_TIME_STAMPING, x509.EKU_ANY, _EKU_SERVER}
    if subject.kind is Kind.CODE:
        known |= {x509.EKU_LIFETIME_SIGNING, _EKU_EMAIL, _EKU_DOCUMENTS}
    more = purposes - known
    return f"also {', '.join(sorted(more))}" if more else ""


def _constraints_of_signer(subject: Case) -> str:
    constraints = subject.certificate.basic_constraints
    if constraints is None:
        return ""
    return "a signer that claims to be a CA" if constraints.ca or constraints.path_length is not None else ""


def _constraints_of_authority(subject: Case) -> str:
    constraints = subject.certificate.basic_constraints
    critical = subject.certificate.extensions[x509.BASIC_CONSTRAINTS].critical
    if constraints is None or not critical:
        return "basic constraints are not critical"
    length = constraints.path_length
    return "a negative path length" if length is not None and length < 0 else ""


def _root_plain(subject: Case) -> str:
    constraints = subject.certificate.basic_constraints
    if constraints is not None and constraints.path_length is not None:
        return "it has a path length"
    return "it has policies" if x509.CERTIFICATE_POLICIES in subject.certificate.extensions else ""


def _crl_place(subject: Case) -> str:
    extension = subject.certificate.extensions.get(x509.CRL_DISTRIBUTION_POINTS)
    if extension is None:
        optional = subject.since < _RFC_3647 and subject.kind is not Kind.SUBORDINATE
        return "" if optional else "no address of a CRL"
    if extension.critical:
        return "the address of the CRL is critical"
    points = der.parse(extension.value).expect(der.SEQUENCE).children()
    if all(point.children() and point.children()[0].tag != der.context(0) for point in points):
        return "distribution points without a name"
    return "" if any(map(_http, subject.certificate.crl_urls)) else "no HTTP URL of a CRL"


def _issuer_place(subject: Case) -> str:
    extension = subject.certificate.extensions.get(x509.AUTHORITY_INFORMATION_ACCESS)
    if extension is None:
        return "no address of the issuer's certificate"
    if extension.critical:
        return "authority information access is critical"
    urls = subject.certificate.access_urls(x509.ACCESS_CA_ISSUERS)
    if subject.kind is Kind.SUBORDINATE and subject.since < _RFC_3647:
        urls += subject.certificate.access_urls(x509.ACCESS_OCSP)  # either of them was enough
    return "" if any(map(_http, urls)) else "no HTTP URL of the issuer's certificate"


def _ocsp_place(subject: Case) -> str | None:
    extension = subject.certificate.extensions.get(x509.AUTHORITY_INFORMATION_ACCESS)
    if extension is None:
        return None
    listed = der.parse(extension.value).expect(der.SEQUENCE).children()
    if not any(node.fields().take().oid() == x509.ACCESS_OCSP for node in listed):
        return None
    return "" if any(map(_http, subject.certificate.access_urls(x509.ACCESS_OCSP))) else "no HTTP URL of the responder"


def _http(url: str) -> bool:
    return url.startswith("http://")


def _nocheck(subject: Case) -> str:
    return "" if x509.OCSP_NO_CHECK in subject.certificate.extensions else "it is missing"


def _ocsp_purpose(subject: Case) -> str:
    purposes = subject.certificate.extended_key_usage or ()
    return _forbidden(purposes) or ("" if x509.EKU_OCSP_SIGNING in purposes else "not for signing OCSP answers")


def _unnamed(subject: Case) -> str:
    unnamed = sorted(set(subject.certificate.extensions) - _NAMED)
    return f"not named by the requirements: {', '.join(unnamed)}" if unnamed else ""


def _unread(subject: Case) -> str:
    """Values that RFC 5280 defines and nobody else looks at here must at least be readable."""
    for oid in (x509.SUBJECT_ALT_NAME, x509.NAME_CONSTRAINTS):
        if extension := subject.certificate.extensions.get(oid):
            try:
                der.parse(extension.value).expect(der.SEQUENCE).children()
            except MalformedError as error:
                return f"{oid}: {error}"
    return known_extensions(subject)


RULES = (
    Rule(reasons.VALIDITY, _validity, SIGNERS, csbr=True),
    Rule(reasons.TIME_CA_LIFE, _time_ca, _SUB, csbr=True, since=_TIME_CA_SINCE),
    Rule(reasons.KEY_USAGE, _signer_usage, SIGNERS, csbr=True),
    Rule(reasons.KEY_USAGE_MORE, _more_usage, SIGNERS, csbr=True),
    Rule(reasons.KEY_USAGE, _authority_usage, AUTHORITIES, csbr=True),
    Rule(reasons.PURPOSE, _code_purpose, _CODE, csbr=True),
    Rule(reasons.PURPOSE, _time_purpose, _TIME, csbr=True),
    Rule(reasons.PURPOSE, _root_purpose, _ROOT, csbr=True),
    Rule(reasons.PURPOSE, _authority_purpose, _SUB, csbr=True),
    Rule(reasons.PURPOSE, _ocsp_purpose, _OCSP),
    Rule(reasons.PURPOSE_MORE, _more_purposes, _CODE | _TIME | _SUB, csbr=True),
    Rule(reasons.BASIC_CONSTRAINTS, _constraints_of_signer, SIGNERS | _OCSP),
    Rule(reasons.BASIC_CONSTRAINTS, _constraints_of_authority, AUTHORITIES),
    Rule(reasons.ROOT_PLAIN, _root_plain, _ROOT, csbr=True),
    Rule(reasons.CRL_PLACE, _crl_place, SIGNERS | _SUB, csbr=True),
    Rule(reasons.ISSUER_PLACE, _issuer_place, SIGNERS | _SUB, csbr=True),
    Rule(reasons.OCSP_PLACE, _ocsp_place, SIGNERS | _SUB, csbr=True),
    Rule(reasons.NOCHECK, _nocheck, _OCSP, csbr=True),
    Rule(reasons.EXTENSIONS, _unread, ANY),
    Rule(reasons.EXTENSIONS_MORE, _unnamed, BOUND, csbr=True),
)
