"""Rules for certificate policies (CSBR 7.1.2, 7.1.6)."""

from __future__ import annotations

from functools import lru_cache

from chopmark.authority.issuing import profiles
from chopmark.authority.lint import reasons
from chopmark.authority.lint.csbr.case import SIGNERS, Case, Kind, Rule, at
from chopmark.envelopes import der, x509

_CPS = "1.3.6.1.5.5.7.2.1"
_RESERVED = {
    Kind.CODE: (profiles.POLICY_OV, profiles.POLICY_EV),
    Kind.TIME: (profiles.POLICY_TIME_STAMPING,),
}
_TIME_CA_SINCE = at(2022, 4, 1)


def policies(certificate: x509.Certificate) -> tuple[str, ...]:
    """The policies that a certificate names, in order. Raises DerError."""
    extension = certificate.extensions.get(x509.CERTIFICATE_POLICIES)
    return _listed(extension.value) if extension else ()


@lru_cache(maxsize=256)
def _listed(value: bytes) -> tuple[str, ...]:
    return tuple(node.fields().take().oid() for node in der.parse(value).expect(der.SEQUENCE).children())


def _present(subject: Case) -> str:
    listed = policies(subject.certificate)
    if not listed:
        return "there is no policy"
    if len(set(listed)) != len(listed):
        return "a policy stands twice"
    return _qualifiers(subject.certificate)


def _qualifiers(certificate: x509.Certificate) -> str:
    """A CPS pointer is an HTTP URL (7.1.2.2 a, 7.1.2.3 a)."""
    for node in der.parse(certificate.extensions[x509.CERTIFICATE_POLICIES].value).children():
        for qualifier in (part for more in node.children()[1:] for part in more.children()):
            fields = qualifier.fields()
            if fields.take().oid() == _CPS:
                url = fields.take().text()
                if not url.lower().startswith(("http://", "https://")):
                    return f"the practice statement is at {url[:64]!r}, which is no HTTP URL"
    return ""


def _reserved(subject: Case) -> str:
    listed = policies(subject.certificate)
    return "" if set(listed) & set(_RESERVED[subject.kind]) else f"only {', '.join(listed) or 'none'}"


def _reserved_authority(subject: Case) -> str | None:
    """For an affiliate, which does not show; a CA for time stamps since 31 March 2022 (7.1.6.3)."""
    purposes = subject.certificate.extended_key_usage or ()
    wanted: set[str] = {profiles.POLICY_ANY}
    if x509.EKU_CODE_SIGNING in purposes:
        wanted |= {profiles.POLICY_OV, profiles.POLICY_EV}
    elif x509.EKU_TIME_STAMPING in purposes and subject.since >= _TIME_CA_SINCE:
        wanted |= {profiles.POLICY_TIME_STAMPING}
    else:
        return None
    listed = policies(subject.certificate)
    return "" if wanted & set(listed) else f"only {', '.join(listed) or 'none'}"


def _critical(subject: Case) -> str:
    extension = subject.certificate.extensions.get(x509.CERTIFICATE_POLICIES)
    if extension is not None and extension.critical:
        return "policies are critical"
    purposes = subject.certificate.extensions.get(x509.EXTENDED_KEY_USAGE)
    critical = subject.kind is Kind.SUBORDINATE and purposes is not None and purposes.critical
    return "the CA's extended key usage is critical" if critical else ""


RULES = (
    Rule(reasons.POLICY, _present, SIGNERS | {Kind.SUBORDINATE}, csbr=True),
    Rule(reasons.POLICY_RESERVED, _reserved, SIGNERS, csbr=True),
    Rule(reasons.POLICY_RESERVED, _reserved_authority, frozenset((Kind.SUBORDINATE,)), csbr=True),
    Rule(reasons.CRITICALITY, _critical, SIGNERS | {Kind.SUBORDINATE}, csbr=True),
)
