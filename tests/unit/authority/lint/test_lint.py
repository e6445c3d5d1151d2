"""The rules, held against certificates that another program made wrongly."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509 as other
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from chopmark.authority.issuing import profiles
from chopmark.authority.lint import linter, reasons
from chopmark.core.finding import Outcome
from chopmark.core.reasons import Reason
from chopmark.envelopes import x509
from tests.support import pki
from tests.unit.authority.conftest import NOW

PROFILE = profiles.PROFILES["code-signing"]
FULL = other.Name(
    [
        other.NameAttribute(other.NameOID.COUNTRY_NAME, "GB"),
        other.NameAttribute(other.NameOID.LOCALITY_NAME, "Leeds"),
        other.NameAttribute(other.NameOID.ORGANIZATION_NAME, "Example Ltd"),
        other.NameAttribute(other.NameOID.COMMON_NAME, "Example Ltd"),
    ]
)
PURPOSE = pki.Extension(other.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]))
POLICY = pki.Extension(
    other.CertificatePolicies([other.PolicyInformation(other.ObjectIdentifier(profiles.POLICY_OV), None)])
)
USAGE = pki.Extension(pki.key_usage("digital_signature"), critical=True)


def crl_at(url: str) -> pki.Extension:
    names = [other.UniformResourceIdentifier(url)]
    return pki.Extension(other.CRLDistributionPoints([other.DistributionPoint(names, None, None, None)]))


def issuer_at(url: str) -> pki.Extension:
    where = other.UniformResourceIdentifier(url)
    method = AuthorityInformationAccessOID.CA_ISSUERS
    return pki.Extension(other.AuthorityInformationAccess([other.AccessDescription(method, where)]))


GOOD = {
    "usage": USAGE,
    "purpose": PURPOSE,
    "policy": POLICY,
    "crl": crl_at("http://x/y.crl"),
    "issuer": issuer_at("http://x/y.cer"),
}


def issuer(purpose: other.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING) -> pki.Entity:
    root = pki.authority("Root")
    return pki.authority("Signing", issuer=root, more=[pki.Extension(other.ExtendedKeyUsage([purpose]))])


def faults(
    *,
    profile: profiles.Profile = PROFILE,
    changed: dict[str, pki.Extension | None] | None = None,
    kind: str = "p256",
    days: int = 365,
    since: dt.datetime = NOW,
    serial: int | None = None,
    digest: str = "sha256",
    by: pki.Entity | None = None,
    said: pki.Entity | None = None,
    subject: other.Name = FULL,
) -> set[str]:
    """The codes of what is wrong with a certificate made elsewhere."""
    by = by or issuer()
    extensions = [extension for extension in (GOOD | (changed or {})).values() if extension]
    made = pki.issue(
        subject,
        pki.key(kind, "leaf"),
        by,
        extensions,
        since=since,
        until=since + dt.timedelta(days=days, seconds=-1),
        serial=serial,
        digest=digest,
    )
    above = x509.Certificate((said or by).der)
    found = linter.leaf(x509.Certificate(made.der), above, profile, NOW)
    return {finding.code for finding in found if finding.outcome is Outcome.NO}


def test_a_good_one() -> None:
    assert faults() == set()
    assert faults(days=460) == set()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"usage": pki.Extension(pki.key_usage("digital_signature"))}, reasons.KEY_USAGE),
        (
            {"usage": pki.Extension(pki.key_usage("digital_signature", "key_encipherment"), critical=True)},
            reasons.KEY_USAGE,
        ),
        (
            {"usage": pki.Extension(pki.key_usage("digital_signature", "key_cert_sign"), critical=True)},
            reasons.KEY_USAGE,
        ),
        ({"usage": None}, reasons.KEY_USAGE),
        ({"purpose": None}, reasons.PURPOSE),
        ({"purpose": pki.Extension(other.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))}, reasons.PURPOSE),
        (
            {
                "purpose": pki.Extension(
                    other.ExtendedKeyUsage(
                        [ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]
                    )
                )
            },
            reasons.PURPOSE,
        ),
        ({"policy": None}, reasons.POLICY),
        ({"policy": pki.Extension(POLICY.value, critical=True)}, reasons.POLICY),
        ({"crl": None}, reasons.CRL_PLACE),
        ({"crl": crl_at("https://x/y.crl")}, reasons.CRL_PLACE),
        ({"crl": crl_at("ldap://x/y")}, reasons.CRL_PLACE),
        ({"issuer": None}, reasons.ISSUER_PLACE),
        ({"issuer": issuer_at("https://x/y.cer")}, reasons.ISSUER_PLACE),
        ({"more": pki.Extension(other.SubjectAlternativeName([other.DNSName("example.com")]))}, reasons.EXTENSIONS),
        ({"more": pki.Extension(other.BasicConstraints(ca=False, path_length=None))}, reasons.EXTENSIONS),
        ({"more": pki.Extension(other.OCSPNoCheck())}, reasons.EXTENSIONS),
    ],
)
def test_one_wrong_extension(change: dict[str, pki.Extension | None], reason: Reason) -> None:
    assert faults(changed=change) == {reason.code}


def test_a_signer_that_claims_to_be_a_ca() -> None:
    claim = pki.Extension(other.BasicConstraints(ca=True, path_length=None), critical=True)
    assert faults(changed={"more": claim}) == {reasons.BASIC_CONSTRAINTS.code, reasons.EXTENSIONS.code}


def test_times() -> None:
    assert faults(days=461) == {reasons.VALIDITY.code}
    assert faults(since=NOW - dt.timedelta(days=3)) == {reasons.VALIDITY_NOW.code}
    assert faults(since=NOW + dt.timedelta(days=3)) == {reasons.VALIDITY_NOW.code}
    assert faults(since=NOW - dt.timedelta(minutes=59)) == set()
    old = pki.authority("Old", until=NOW + dt.timedelta(days=30), more=[GOOD["purpose"]])
    assert reasons.VALIDITY_NESTED.code in faults(by=old)


def test_keys() -> None:
    assert faults(kind="rsa2048") == {reasons.KEY_SIZE.code}
    assert faults(kind="ed25519") == {reasons.KEY_SIZE.code}
    assert faults(kind="rsa3072") == set()


def test_serial_numbers() -> None:
    assert faults(serial=1) == {reasons.SERIAL.code}
    assert faults(serial=2**63 - 1) == {reasons.SERIAL.code}
    assert faults(serial=2**64) == set()


def test_signatures() -> None:
    assert faults(by=pki.authority("Ed", kind="ed25519", more=[PURPOSE])) == {reasons.SIGNATURE.code}


def test_the_issuer() -> None:
    assert faults(by=issuer(ExtendedKeyUsageOID.TIME_STAMPING)) == {reasons.PURPOSE.code}
    assert faults(by=pki.authority("Root")) == {reasons.PURPOSE.code}
    stranger = pki.authority("Stranger", more=[PURPOSE])
    assert faults(said=stranger) == {reasons.NAME_CHAINED.code, reasons.KEY_IDENTIFIERS.code}


def test_time_stamping_is_critical() -> None:
    by = issuer(ExtendedKeyUsageOID.TIME_STAMPING)
    policy = other.PolicyInformation(other.ObjectIdentifier(profiles.POLICY_TIME_STAMPING), None)
    policies = pki.Extension(other.CertificatePolicies([policy]))
    for critical in (True, False):
        purpose = pki.Extension(other.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical)
        found = faults(
            profile=profiles.PROFILES["time-stamping"], changed={"policy": policies, "purpose": purpose}, by=by
        )
        assert found == (set() if critical else {reasons.PURPOSE.code})


def test_every_rule_cites_its_clause() -> None:
    rules = [value for value in vars(reasons).values() if isinstance(value, Reason)]
    assert len(rules) > 15
    assert all(rule.cites and rule.code.startswith(("lint.", "issue.")) for rule in rules)
