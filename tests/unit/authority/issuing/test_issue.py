"""Issuing: what a certificate is, and everything that is refused, by its rule."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as other
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.authority.ca import KEYS, Authority
from chopmark.authority.issuing import profiles
from chopmark.authority.lint import linter, reasons
from chopmark.core.errors import RefusedError, UsageError
from chopmark.core.finding import Outcome
from chopmark.envelopes import der, x509
from tests.support import pki
from tests.unit.authority.conftest import EV, NOW, SUBJECT, Clock, order, spki

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.authority.ca import Order
    from chopmark.core.reasons import Reason


def refused(authority: Authority, wanted: Order) -> set[str]:
    """The codes of the rules that a refused order breaks."""
    before = len(authority.register.search(NOW))
    with pytest.raises(linter.IssueRefusedError) as caught:
        authority.issue(wanted)
    assert len(authority.register.search(NOW)) == before
    return {finding.code for finding in caught.value.findings if finding.outcome is Outcome.NO}


@pytest.mark.parametrize(
    ("profile", "subject", "policy"),
    [
        ("code-signing", SUBJECT, profiles.POLICY_OV),
        ("ev-code-signing", EV, profiles.POLICY_EV),
        ("time-stamping", SUBJECT, profiles.POLICY_TIME_STAMPING),
        ("internal", (("CN", "Demo"),), None),
        ("internal-time-stamping", (("CN", "Demo"),), None),
    ],
)
def test_what_a_certificate_is(
    profile: str, subject: tuple[tuple[str, str], ...], policy: str | None, authority: Authority
) -> None:
    issued = authority.issue(order(profile, subject))
    kind = profiles.PROFILES[profile]
    issuer = authority.issuer(kind.issuer).certificate
    certificate = other.load_der_x509_certificate(issued.certificate)
    certificate.verify_directly_issued_by(other.load_der_x509_certificate(issuer.raw))
    assert certificate.version is other.Version.v3
    assert certificate.serial_number.bit_length() == 127
    assert f"{certificate.serial_number:x}" == issued.serial
    assert issued.chain == (issuer.raw,)
    extensions = certificate.extensions
    usage = extensions.get_extension_for_class(other.KeyUsage)
    assert usage.critical
    assert usage.value == pki.key_usage("digital_signature")
    purposes = extensions.get_extension_for_class(other.ExtendedKeyUsage)
    stamps = profile.endswith("time-stamping")
    assert purposes.critical is stamps
    wanted = ExtendedKeyUsageOID.TIME_STAMPING if stamps else ExtendedKeyUsageOID.CODE_SIGNING
    assert list(purposes.value) == [wanted]
    critical = {extension.oid.dotted_string for extension in extensions if extension.critical}
    assert critical == {x509.KEY_USAGE} | ({x509.EXTENDED_KEY_USAGE} if stamps else set())
    if policy:
        policies = extensions.get_extension_for_class(other.CertificatePolicies).value
        assert [each.policy_identifier.dotted_string for each in policies] == [policy]
    [point] = extensions.get_extension_for_class(other.CRLDistributionPoints).value
    assert point.full_name is not None
    assert point.full_name[0].value == f"http://pki.example.com/crl/{kind.issuer}.crl"
    [access] = extensions.get_extension_for_class(other.AuthorityInformationAccess).value
    assert access.access_location.value == f"http://pki.example.com/aia/{kind.issuer}.cer"
    assert len(extensions) == (7 if policy else 6)
    assert all(finding.outcome is Outcome.OK for finding in issued.findings)


def test_the_order_of_a_name_is_the_authoritys(authority: Authority) -> None:
    first = x509.certificate(authority.issue(order(subject=SUBJECT)).certificate)
    second = x509.certificate(authority.issue(order(subject=SUBJECT[::-1])).certificate)
    assert first.subject == second.subject
    assert first.subject_text == "CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB"


def test_validity_counts_both_ends(authority: Authority) -> None:
    certificate = x509.certificate(authority.issue(order(days=460)).certificate)
    assert certificate.not_before == NOW
    assert certificate.not_after == NOW + dt.timedelta(days=460, seconds=-1)
    assert x509.certificate(authority.issue(order()).certificate).not_after == NOW + dt.timedelta(days=365, seconds=-1)


@pytest.mark.parametrize("kind", ["rsa3072", "rsa4096", "p256", "p384", "p521"])
def test_keys_that_are_good_enough(kind: str, authority: Authority) -> None:
    assert x509.certificate(authority.issue(order(key=spki(kind))).certificate).spki == spki(kind)


def explicit_curve() -> bytes:
    """A P-256 key that spells its curve out."""
    key = der.parse(spki()).children()[1]
    parameters = der.sequence(der.integer(1), der.null())
    return der.sequence(der.sequence(der.oid("1.2.840.10045.2.1"), parameters), key.raw)


def brainpool() -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = ec.derive_private_key(7, ec.BrainpoolP256R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "key",
    [spki("rsa1024"), spki("rsa2048"), explicit_curve(), brainpool(), der.sequence(), der.null()],
)
@pytest.mark.parametrize("profile", ["code-signing", "internal"])
def test_keys_that_are_not(key: bytes, profile: str, authority: Authority) -> None:
    assert refused(authority, order(profile, key=key)) == {reasons.KEY_SIZE.code}


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_newer_keys_are_for_certificates_that_the_requirements_do_not_bind(kind: str, authority: Authority) -> None:
    key = spki(kind)
    assert refused(authority, order(key=key)) == {reasons.KEY_SIZE.code}
    assert x509.certificate(authority.issue(order("internal", key=key)).certificate).spki == key


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (order(days=461), reasons.VALIDITY),
        (order("ev-code-signing", EV, days=461), reasons.VALIDITY),
        (order("internal", days=11 * 365), reasons.VALIDITY_NESTED),
        (order("time-stamping", days=6 * 366), reasons.VALIDITY_NESTED),
        (order(subject=SUBJECT[1:]), reasons.NAME_COMPLETE),
        (order(subject=SUBJECT[:1] + SUBJECT[2:]), reasons.NAME_COMPLETE),
        (order(subject=SUBJECT[:2] + SUBJECT[3:]), reasons.NAME_COMPLETE),
        (order(subject=SUBJECT[:3]), reasons.NAME_COMPLETE),
        (order("ev-code-signing", SUBJECT), reasons.NAME_COMPLETE),
        (order("ev-code-signing", (*EV[:-1], ("businessCategory", "Start-up"))), reasons.NAME_CATEGORY),
        (order("time-stamping", (("O", "Example Ltd"),)), reasons.NAME_COMPLETE),
        (order(subject=(*SUBJECT, ("DC", "example"))), reasons.NAME_ALLOWED),
        (order(subject=()), reasons.NAME),
        (order(subject=(*SUBJECT[:3], ("C", "England"))), reasons.NAME),
        (order(subject=(*SUBJECT[:3], ("C", "gb"))), reasons.NAME),
        (order(subject=(*SUBJECT, ("CN", "Example Ltd"))), reasons.NAME),
        (order(subject=(*SUBJECT, ("1.2.3", "x"))), reasons.NAME),
        (order(subject=(("CN", "Example\u200b Ltd"), *SUBJECT[1:])), reasons.NAME),
        (order(subject=(("CN", "dtL elpmaxE\u202e"), *SUBJECT[1:])), reasons.NAME),
        (order(subject=(("CN", "Example\0Ltd"), *SUBJECT[1:])), reasons.NAME),
        (order(subject=(("CN", " Example Ltd"), *SUBJECT[1:])), reasons.NAME),
        (order(subject=(("CN", "-"), *SUBJECT[1:])), reasons.NAME),
        (order(subject=(("CN", "x" * 65), *SUBJECT[1:])), reasons.NAME),
        (order(subject=(("CN", "\ud800"), *SUBJECT[1:])), reasons.NAME),
        (order("internal", (("CN", "\n"),)), reasons.NAME),
    ],
)
def test_orders_that_break_a_rule(wanted: Order, reason: Reason, authority: Authority) -> None:
    assert refused(authority, wanted) == {reason.code}


def test_several_faults_are_all_named(authority: Authority) -> None:
    codes = refused(authority, order(subject=SUBJECT[:1], key=spki("rsa1024"), days=1000))
    assert codes == {reasons.VALIDITY.code, reasons.KEY_SIZE.code, reasons.NAME_COMPLETE.code}


def test_an_internal_certificate_may_lie_in_the_past(authority: Authority) -> None:
    since, until = NOW - dt.timedelta(days=400), NOW - dt.timedelta(days=100)
    issued = authority.issue(order("internal", not_before=since, not_after=until))
    certificate = x509.certificate(issued.certificate)
    assert (certificate.not_before, certificate.not_after) == (since, until)
    assert authority.register.find(issued.serial).status(NOW) == "expired"
    assert refused(authority, order("internal", not_before=until, not_after=since)) == {reasons.TIMES.code}


@pytest.mark.parametrize("profile", ["code-signing", "ev-code-signing", "time-stamping"])
def test_public_certificates_may_not(profile: str, authority: Authority) -> None:
    for wanted in (order(profile, not_before=NOW), order(profile, not_after=NOW)):
        with pytest.raises(UsageError, match="internal"):
            authority.issue(wanted)


@pytest.mark.parametrize("days", [0, -1, 10**6])
def test_days_that_are_none(days: int, authority: Authority) -> None:
    with pytest.raises(UsageError):
        authority.issue(order("internal", days=days))


def test_unknown_profile(authority: Authority) -> None:
    with pytest.raises(UsageError, match="code-signing"):
        authority.issue(order("server"))


def test_the_authoritys_own_keys_are_for_nobody(authority: Authority) -> None:
    for issuer in authority.issuers():
        assert refused(authority, order(key=issuer.certificate.spki)) == {reasons.KEY_OF_AUTHORITY.code}


def test_a_compromised_key_gets_no_certificate_again(authority: Authority) -> None:
    authority.revoke(authority.issue(order()).serial, "superseded")
    again = authority.issue(order())
    authority.revoke(again.serial, "keyCompromise")
    assert refused(authority, order()) == {reasons.KEY_COMPROMISED.code}
    assert authority.issue(order(key=spki(label="another"))).serial


def test_no_certificate_outlives_its_issuer_unasked(authority: Authority, clock: Clock) -> None:
    clock.advance(days=365 * 5)
    certificate = x509.certificate(authority.issue(order("time-stamping")).certificate)
    assert certificate.not_after == authority.issuer("time-stamping").certificate.not_after


def test_a_key_that_signs_wrongly_issues_nothing(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = authority.issuer("code-signing")
    signer = authority.signer(issuer)

    class Faulty:
        algorithm = signer.algorithm
        public_key = signer.public_key
        certificates = ()

        def sign(self, data: bytes, digest_algorithm: str) -> bytes:
            return signer.sign(data + b"!", digest_algorithm)

    monkeypatch.setattr(Authority, "signer", lambda *_: Faulty())
    with pytest.raises(RefusedError, match="does not verify"):
        authority.issue(order())
    [record] = authority.register.search(NOW, profile="code-signing")
    assert record.certificate is None
    assert record.status(NOW) == "unfinished"
    with pytest.raises(RefusedError, match="ever issued"):
        authority.revoke(record.serial)


def test_another_key_in_the_folder_is_noticed(authority: Authority, tmp_path: Path) -> None:
    keys = tmp_path / "ca" / KEYS
    (keys / "code-signing.pem").write_bytes((keys / "root.pem").read_bytes())
    with pytest.raises(RefusedError, match="not the key"):
        authority.issue(order())


def test_a_serial_number_drawn_twice_is_refused(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    first = authority.issue(order())
    monkeypatch.setattr("chopmark.authority.issuing.certificates.new_serial", lambda: int(first.serial, 16))
    with pytest.raises(RefusedError, match="exists already"):
        authority.issue(order())
    assert authority.register.find(first.serial).certificate == first.certificate
