"""Profiles: what each of them puts into a certificate, and those of an authority's own file."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509 as other
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chopmark.authority.ca import Authority, Order
from chopmark.authority.hierarchy.changing import Hierarchy, NewKey
from chopmark.authority.issuing import custom_profiles, profiles
from chopmark.authority.lint import reasons
from chopmark.authority.lint.linter import IssueRefusedError
from chopmark.core.errors import UsageError
from chopmark.envelopes import x509
from tests.unit.authority.conftest import SUBJECT, Clock, order, spki


@pytest.fixture
def platform(authority: Authority) -> Authority:
    Hierarchy(authority).add("platform", NewKey("p256"))
    return authority


class TestPlatform:
    def test_kernel_modules(self, platform: Authority) -> None:
        """What the kernel's parser looks at: digitalSignature, CA:FALSE, both key identifiers."""
        raw = platform.issue(order("kernel-module", (("CN", "Modules"),), spki("rsa2048"))).certificate
        parsed = other.load_der_x509_certificate(raw).extensions
        basic = parsed.get_extension_for_class(other.BasicConstraints)
        assert (basic.value.ca, basic.critical) == (False, False)
        usage = parsed.get_extension_for_class(other.KeyUsage).value
        assert usage.digital_signature
        assert not usage.key_cert_sign
        assert x509.certificate(raw).extended_key_usage == (x509.EKU_CODE_SIGNING, profiles.EKU_MODULE_SIGNING)
        assert parsed.get_extension_for_class(other.SubjectKeyIdentifier).value.digest
        assert parsed.get_extension_for_class(other.AuthorityKeyIdentifier).value.key_identifier

    def test_secure_boot(self, platform: Authority) -> None:
        raw = platform.issue(order("secure-boot", (("CN", "db"),), spki("rsa2048"))).certificate
        certificate = x509.certificate(raw)
        assert certificate.extended_key_usage == (x509.EKU_CODE_SIGNING,)
        assert certificate.basic_constraints == (False, None)

    @pytest.mark.parametrize(
        ("profile", "kind"),
        [("secure-boot", "p256"), ("secure-boot", "rsa1024"), ("driver", "p256"), ("kernel-module", "ed25519")],
    )
    def test_keys_that_nothing_there_verifies(self, profile: str, kind: str, platform: Authority) -> None:
        with pytest.raises(IssueRefusedError) as caught:
            platform.issue(order(profile, (("CN", "x"),), spki(kind)))
        assert reasons.KEY_SIZE.code in {each.code for each in caught.value.findings if each.outcome == "no"}

    def test_a_responder_is_not_ordered(self, authority: Authority) -> None:
        with pytest.raises(UsageError, match="not ordered"):
            authority.issue(order("ocsp-responder"))


GOOD = """
[build-server]
title = "Build servers"
based-on = "internal"
purposes = ["codeSigning"]
days = 7
days-max = 14
keys = ["p256", "rsa-3072"]
subject = ["CN", "OU"]
key-usage = ["digitalSignature", "nonRepudiation"]
basic-constraints = true
policies = ["1.3.6.1.4.1.55555.1"]

[short]
based-on = "code-signing"
days = 30
days-max = 90
"""


class TestCustom:
    def test_issued_under_one(self, authority: Authority, clock: Clock) -> None:
        Path(authority.folder, custom_profiles.FILE).write_text(GOOD)
        with Authority.open(authority.folder, clock=clock) as again:
            subject = (("CN", "runner 7"), ("OU", "Builds"))
            raw = again.issue(Order("build-server", subject, spki())).certificate
            certificate = x509.certificate(raw)
            assert certificate.key_usage == frozenset((x509.DIGITAL_SIGNATURE, x509.NON_REPUDIATION))
            assert certificate.basic_constraints == (False, None)
            assert (certificate.not_after - certificate.not_before).days == 6
            for wrong, reason in (
                (Order("build-server", subject[:1], spki()), reasons.NAME_COMPLETE),
                (Order("build-server", subject, spki(), 15), reasons.VALIDITY),
                (Order("build-server", subject, spki("ed25519")), reasons.KEY_SIZE),
                (Order("short", SUBJECT, spki(), 91), reasons.VALIDITY),
                (Order("short", SUBJECT[:1], spki()), reasons.NAME_COMPLETE),
            ):
                with pytest.raises(IssueRefusedError) as caught:
                    again.issue(wrong)
                against = {each.code for each in caught.value.findings if each.outcome == "no"}
                assert against == {reason.code}
            serial = x509.certificate(again.issue(Order("short", SUBJECT, spki())).certificate).serial_octets.hex()
            assert again.public("short")
            assert not again.public("build-server")
        Path(authority.folder, custom_profiles.FILE).unlink()
        with Authority.open(authority.folder, clock=clock) as without:
            assert without.revoke(serial).reason == 0  # the strict rules hold where the profile is gone

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x = 1", "expected a table"),
            ("[internal]\nbased-on = 'internal'", "cannot be changed"),
            ("[X]\nbased-on = 'internal'", "name"),
            ("[x]", "based-on"),
            ("[x]\nbased-on = 'nothing'", "based-on"),
            ("[x]\nbased-on = 'internal'\npurpose = []", "unknown: purpose"),
            ("[x]\nbased-on = 'internal'\npurposes = []", "without a purpose"),
            ("[x]\nbased-on = 'internal'\npurposes = ['timeStamping']", "is not for"),
            ("[x]\nbased-on = 'internal'\npurposes = ['tls']", "expected one of"),
            ("[x]\nbased-on = 'internal'\nissuer = 'root'", "issuer"),
            ("[x]\nbased-on = 'ocsp-responder'", "issuer"),
            ("[x]\nbased-on = 'internal'\ndays = 0", "days"),
            ("[x]\nbased-on = 'internal'\ndays = true", "days"),
            ("[x]\nbased-on = 'internal'\ndays = 10\ndays-max = 5", "more than"),
            ("[x]\nbased-on = 'internal'\nkeys = ['rsa-1024']", "keys"),
            ("[x]\nbased-on = 'internal'\nkeys = []", "no kind"),
            ("[x]\nbased-on = 'internal'\nkey-usage = ['keyCertSign']", "key-usage"),
            ("[x]\nbased-on = 'internal'\nkey-usage = ['nonRepudiation']", "digitalSignature"),
            ("[x]\nbased-on = 'internal'\nsubject = ['XX']", "subject"),
            ("[x]\nbased-on = 'internal'\nsubject = ['CN', 'CN']", "different"),
            ("[x]\nbased-on = 'internal'\npolicies = ['x']", "object identifier"),
            ("[x]\nbased-on = 'internal'\npublic = 1", "true or false"),
            ("[x]\nbased-on = 'driver'\npublic = true", "internal"),
            ("[x]\nbased-on = 'internal'\ntitle = ''", "title"),
            ("not toml", "not a file of profiles"),
            ("\n".join(f"[a{number}]\nbased-on = 'internal'" for number in range(201)), "at most 200"),
        ],
    )
    def test_what_is_refused(self, text: str, said: str, tmp_path: Path) -> None:
        (tmp_path / "p.toml").write_text(text)
        with pytest.raises(UsageError, match=said):
            custom_profiles.read(str(tmp_path / "p.toml"))

    @given(st.binary(max_size=200))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_bytes(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "p.toml"
        path.write_bytes(data)
        try:
            custom_profiles.read(str(path))
        except UsageError:
            return
        assert not data.strip() or data.lstrip().startswith(b"#") or b"\n" in data
