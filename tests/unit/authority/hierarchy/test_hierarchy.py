"""New CAs, new keys, and CAs that certify each other; every chain is also built by the path engine."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as other

from chopmark.authority.hierarchy import changing
from chopmark.authority.hierarchy.changing import Hierarchy, NewKey
from chopmark.authority.issuing import profiles
from chopmark.authority.lint.linter import IssueRefusedError
from chopmark.core.errors import RefusedError, UsageError
from chopmark.envelopes import pkcs10, x509
from chopmark.envelopes.signatures import BadSignatureError
from tests.support import pki
from tests.unit.authority.conftest import NOW, order, spki

if TYPE_CHECKING:
    from chopmark.authority.ca import Authority
    from tests.unit.authority.conftest import Clock

KEY = NewKey("p256")


@pytest.fixture
def change(authority: Authority) -> Hierarchy:
    return Hierarchy(authority)


def signed_by(certificate: bytes, issuer: x509.Certificate) -> None:
    """Name, key identifier and signature fit; cryptography reads it too."""
    below = x509.certificate(certificate)
    assert below.issuer == issuer.subject
    assert below.authority_key_id == issuer.subject_key_id
    below.verify_signed_by(issuer.spki)
    other.load_der_x509_certificate(certificate).verify_directly_issued_by(other.load_der_x509_certificate(issuer.raw))


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


class TestAdd:
    def test_a_platform_ca(self, authority: Authority, change: Hierarchy) -> None:
        with pytest.raises(UsageError, match="ca add platform"):
            authority.issue(order("driver", key=spki("rsa3072")))
        made = change.add("platform", KEY).issuer
        assert made.name == "platform"
        signed_by(made.certificate.raw, authority.issuer("root").certificate)
        assert os.path.exists(authority.crl_path("platform"))  # noqa: PTH110
        with open(authority.certificate_path("platform"), "rb") as file:  # noqa: PTH123
            assert file.read() == made.certificate.raw
        driver = x509.certificate(authority.issue(order("driver", key=spki("rsa3072"))).certificate)
        assert profiles.EKU_KERNEL_MODE in (driver.extended_key_usage or ())
        signed_by(driver.raw, made.certificate)
        assert driver.crl_urls == ("http://pki.example.com/crl/platform.crl",)
        assert authority.register.find(driver.serial_octets.hex()).issuer == "platform"

    def test_what_a_killed_process_did_not_publish_follows_with_the_lists(
        self, authority: Authority, change: Hierarchy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as killed:
            killed.setattr(type(authority), "publish_certificate", _killed)
            with pytest.raises(KeyboardInterrupt):
                change.add("platform", KEY)
        made = authority.issuer("platform")
        assert not os.path.exists(authority.certificate_path("platform"))  # noqa: PTH110
        authority.publish("platform")
        with open(authority.certificate_path("platform"), "rb") as file:  # noqa: PTH123
            assert file.read() == made.certificate.raw

    def test_a_second_root_and_a_ca_below_it(self, authority: Authority, change: Hierarchy) -> None:
        root = change.add("root", KEY, name="root-emea", title="EMEA Root CA").issuer
        assert root.certificate.common_name == "Example Ltd EMEA Root CA"
        assert root.certificate.self_issued
        below = change.add("code-signing", KEY, name="emea", parent="root-emea").issuer
        signed_by(below.certificate.raw, root.certificate)
        issued = authority.issue(order())
        assert issued.chain == (below.certificate.raw,)

    def test_names(self, change: Hierarchy) -> None:
        assert change.add("code-signing", KEY).issuer.name == "code-signing-2"
        assert change.add("code-signing", KEY).issuer.name == "code-signing-3"
        for wrong in ("", "../x", "UPPER", "a--b", "x" * 41, "-a"):
            if wrong:
                with pytest.raises(UsageError, match="not a name"):
                    change.add("code-signing", KEY, name=wrong)
        with pytest.raises(UsageError, match="unknown role"):
            change.add("tls", KEY)
        with pytest.raises(UsageError, match="no CA"):
            change.add("code-signing", KEY, parent="nobody")
        with pytest.raises(RefusedError, match="no root"):
            change.add("code-signing", KEY, parent="code-signing")
        with pytest.raises(UsageError, match="a CA's key"):
            change.add("code-signing", NewKey("ed25519"))

    def test_a_key_from_elsewhere(self, change: Hierarchy, tmp_path: object) -> None:
        path = f"{tmp_path}/other.pem"
        with open(path, "wb") as file:  # noqa: PTH123
            os.fchmod(file.fileno(), 0o600)
            file.write(pki.authority("Elsewhere").private_pem())
        made = change.add("code-signing", NewKey(uri=path)).issuer
        assert made.key == path
        with pytest.raises(RefusedError, match="has a CA already"):
            change.add("code-signing", NewKey(uri=path))


class TestRollOver:
    def test_old_and_new_side_by_side(self, authority: Authority, change: Hierarchy, clock: Clock) -> None:
        before = authority.issue(order())
        clock.advance(days=100)
        new = change.roll("code-signing", KEY).issuer
        assert new.name == "code-signing-2"
        assert new.certificate.common_name == "Example Ltd Code Signing CA G2"
        after = authority.issue(order())
        signed_by(after.certificate, new.certificate)
        assert x509.certificate(after.certificate).crl_urls == ("http://pki.example.com/crl/code-signing-2.crl",)
        signed_by(before.certificate, authority.issuer("code-signing").certificate)
        authority.revoke(before.serial)
        assert authority.publish("code-signing").entries == 1
        assert authority.publish("code-signing-2").entries == 0
        assert authority.issue(order()).chain == (new.certificate.raw,)

    def test_a_root_and_its_successor_certify_each_other(
        self, authority: Authority, change: Hierarchy, clock: Clock
    ) -> None:
        clock.advance(days=365)
        grown = change.roll("root", KEY)
        old, new = authority.issuer("root").certificate, grown.issuer.certificate
        assert authority.root == new.raw
        assert grown.crosses == ("root-2-by-root", "root-by-root-2")
        new_with_old, old_with_new = (cross.certificate for cross in authority.lineage.crosses())
        signed_by(new_with_old.raw, old)
        signed_by(old_with_new.raw, new)
        assert (new_with_old.subject, new_with_old.spki) == (new.subject, new.spki)
        assert (old_with_new.subject, old_with_new.spki) == (old.subject, old.spki)
        # RFC 4210 clause 4.4: old with new lasts from when the old key was made until it ends.
        assert (old_with_new.not_before, old_with_new.not_after) == (old.not_before, old.not_after)
        assert (new_with_old.not_before, new_with_old.not_after) == (new.not_before, old.not_after)
        assert new_with_old.subject_key_id == new.subject_key_id
        below = change.roll("code-signing", KEY).issuer
        signed_by(below.certificate.raw, new)
        assert authority.issue(order()).chain == (below.certificate.raw, new_with_old.raw)
        # Both are in the register, and can be revoked.
        serial = new_with_old.serial_octets.hex()
        assert authority.register.find(serial).profile == "authority"
        authority.revoke(serial, "cACompromise")
        assert authority.publish("root").entries == 1

    def test_a_retired_ca_issues_no_more_but_publishes(
        self, authority: Authority, change: Hierarchy, clock: Clock
    ) -> None:
        issued = authority.issue(order())
        assert change.retire("code-signing").retired == NOW
        with pytest.raises(UsageError, match="no code-signing CA that issues"):
            authority.issue(order())
        with pytest.raises(RefusedError, match="retired already"):
            change.retire("code-signing")
        with pytest.raises(UsageError, match="retired"):
            change.roll("code-signing", KEY)
        change.add("code-signing", KEY)
        with pytest.raises(UsageError, match="is retired"):
            authority.issue(replace(order(), issuer="code-signing"))
        assert "code-signing" in authority.publishing()
        authority.revoke(issued.serial)
        assert authority.publish("code-signing").entries == 1
        clock.advance(days=366 + 3653)
        assert "code-signing" not in authority.publishing()
        assert "code-signing-2" in authority.publishing()

    def test_a_retired_root_certifies_nobody(self, authority: Authority, change: Hierarchy) -> None:
        change.roll("root", KEY)
        change.retire("root")
        with pytest.raises(RefusedError, match="retired"):
            change.cross("root-2", by="root")
        assert authority.active("root").name == "root-2"


class TestForeign:
    def test_a_request_is_certified(self, authority: Authority, change: Hierarchy) -> None:
        theirs = pki.authority("Partner CA")
        request = pkcs10.build(theirs.certificate.subject.public_bytes(), theirs)
        granted = changing.crossing(["codeSigning"], [], 0, ["dn:O=Partner,C=DE", "dns:partner.example"], ["dns:x.y"])
        made = change.certify(changing.foreign(request, request=True), "root", granted)
        signed_by(made, authority.issuer("root").certificate)
        parsed = other.load_der_x509_certificate(made)
        constraints = parsed.extensions.get_extension_for_class(other.NameConstraints)
        assert constraints.critical
        assert [type(each).__name__ for each in constraints.value.permitted_subtrees or ()] == [
            "DirectoryName",
            "DNSName",
        ]
        assert parsed.extensions.get_extension_for_class(other.BasicConstraints).value.path_length == 0
        assert x509.certificate(made).spki == theirs.public_key

    def test_a_certificate_keeps_its_key_identifier(self, authority: Authority, change: Hierarchy) -> None:
        theirs = pki.authority("Partner CA")
        made = x509.certificate(
            change.certify(
                changing.foreign(theirs.der, request=False), "root", changing.crossing(["codeSigning"], [], 1, [], [])
            )
        )
        own = x509.certificate(theirs.der)
        assert (made.subject, made.subject_key_id) == (own.subject, own.subject_key_id)
        assert made.not_after <= own.not_after
        assert made.not_after <= authority.issuer("root").certificate.not_after

    def test_what_is_not_certified(self, authority: Authority, change: Hierarchy) -> None:
        world = pki.world()
        with pytest.raises(RefusedError, match="no CA"):
            changing.foreign(world.signer.der, request=False)
        request = pkcs10.build(world.root.certificate.subject.public_bytes(), world.root)
        broken = request[:-1] + bytes([request[-1] ^ 1])
        with pytest.raises(BadSignatureError):
            changing.foreign(broken, request=True)
        asked = changing.foreign(request, request=True)
        with pytest.raises(UsageError, match="purposes"):
            change.certify(asked, "root", changing.crossing([], [], 0, [], []))
        with pytest.raises(RefusedError, match="no root"):
            change.certify(asked, "code-signing", changing.crossing(["codeSigning"], [], 0, [], []))
        own = changing.foreign(authority.root, request=False)
        with pytest.raises(RefusedError, match="of our own"):
            change.certify(own, "root", changing.crossing(["codeSigning"], [], 0, [], []))
        weak = pki.authority("Weak CA", kind="rsa1024")
        with pytest.raises(IssueRefusedError):
            change.certify(
                changing.foreign(weak.der, request=False), "root", changing.crossing(["codeSigning"], [], 0, [], [])
            )

    def test_ours_certified_by_them(self, authority: Authority, change: Hierarchy) -> None:
        request = pkcs10.read(change.request("root"))
        request.verify()
        own = authority.issuer("root").certificate
        assert (request.subject, request.spki) == (own.subject, own.spki)
        theirs = pki.authority("Their Root")
        made = pki.issue(
            other.load_der_x509_certificate(own.raw).subject,
            _Public(own.raw),  # type: ignore[arg-type]
            theirs,
            [
                pki.Extension(other.BasicConstraints(ca=True, path_length=None), critical=True),
                pki.Extension(pki.key_usage("key_cert_sign", "crl_sign"), critical=True),
            ],
        )
        issuer = x509.certificate(theirs.der)
        assert change.accept("root", made.der, issuer) == "root-by-their-root"
        assert authority.issue(order()).chain[-1] == made.der
        assert change.accept("root", made.der, issuer) == "root-by-their-root-2"
        with pytest.raises(RefusedError, match="another key"):
            change.accept("code-signing", made.der, issuer)
        with pytest.raises(BadSignatureError):
            change.accept("root", made.der[:-1] + bytes([made.der[-1] ^ 1]), issuer)
        with pytest.raises(RefusedError, match="from the CA itself"):
            change.accept("root", own.raw, own)
        with pytest.raises(RefusedError, match="issuer given"):
            change.accept("root", made.der, own)


class _Public:
    """A key of which only the public half is known, for pki.issue."""

    def __init__(self, raw: bytes) -> None:
        self._key = other.load_der_x509_certificate(raw).public_key()

    def public_key(self) -> object:
        return self._key


@pytest.mark.parametrize("text", ["dn:", "dns:", "ip:10.0.0.0", "dns:b\u00fccher.example", "plain", "dns:a\nb"])
def test_names_that_cannot_be_constrained(text: str) -> None:
    with pytest.raises(UsageError):
        changing.crossing(["codeSigning"], [], 0, [text], [])


@pytest.mark.parametrize("text", ["", "codesigning", "1", "3.1", "1.02.3", "1.2." + "9" * 40])
def test_purposes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        profiles.purpose(text)


def test_lives_do_not_outlast_their_issuer(authority: Authority, change: Hierarchy, clock: Clock) -> None:
    clock.advance(days=19 * 365)
    made = change.add("code-signing", KEY).issuer.certificate
    assert made.not_after == authority.issuer("root").certificate.not_after
    clock.now = made.not_after + dt.timedelta(days=1)
    with pytest.raises(IssueRefusedError):
        change.add("code-signing", KEY)
