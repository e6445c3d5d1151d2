"""A new authority: what it is made of, and what is refused before anything is made."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as other
from cryptography.hazmat.primitives.asymmetric import ec

from chopmark.authority.ca import Authority
from chopmark.authority.hierarchy import founding
from chopmark.authority.issuing import profiles
from chopmark.authority.register.register import Register
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.envelopes import x509
from chopmark.keys import generate
from chopmark.keys.errors import PassphraseError
from tests.support import pki
from tests.unit.authority.conftest import NOW, Clock, order

if TYPE_CHECKING:
    from pathlib import Path

SETUP = founding.Setup("Example Ltd", "http://pki.example.com/ca/", "p256", "gb", rounds=1000)


def test_three_certificates_that_fit(authority: Authority) -> None:
    root, signing, stamping = (issuer.certificate for issuer in authority.issuers())
    assert root.self_issued
    assert [root.common_name, signing.common_name, stamping.common_name] == [
        "Example Ltd Root CA",
        "Example Ltd Code Signing CA",
        "Example Ltd Time Stamping CA",
    ]
    for certificate in (root, signing, stamping):
        assert certificate.verify_signed_by(root.spki) == "sha256"
        assert certificate.issuer == root.subject
        assert certificate.authority_key_id == root.subject_key_id
        assert certificate.key_usage == frozenset((x509.KEY_CERT_SIGN, x509.CRL_SIGN))
        assert certificate.not_before == NOW
    assert root.extended_key_usage is None
    assert root.basic_constraints == (True, None)
    assert root.crl_urls == ()
    for certificate, purpose in ((signing, x509.EKU_CODE_SIGNING), (stamping, x509.EKU_TIME_STAMPING)):
        assert certificate.extended_key_usage == (purpose,)
        assert certificate.basic_constraints == (True, 0)
        assert certificate.crl_urls == ("http://pki.example.com/crl/root.crl",)
        assert certificate.access_urls(x509.ACCESS_CA_ISSUERS) == ("http://pki.example.com/aia/root.cer",)


def test_another_implementation_reads_them(authority: Authority) -> None:
    root, signing, _ = (other.load_der_x509_certificate(issuer.certificate.raw) for issuer in authority.issuers())
    signing.verify_directly_issued_by(root)
    constraints = signing.extensions.get_extension_for_class(other.BasicConstraints)
    assert constraints.critical
    assert constraints.value == other.BasicConstraints(ca=True, path_length=0)
    policies = signing.extensions.get_extension_for_class(other.CertificatePolicies).value
    assert {policy.policy_identifier.dotted_string for policy in policies} == {profiles.POLICY_EV, profiles.POLICY_OV}
    public = signing.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    identifier = signing.extensions.get_extension_for_class(other.SubjectKeyIdentifier).value
    assert identifier == other.SubjectKeyIdentifier.from_public_key(public)


def test_only_its_owner_reads_the_folder(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    assert authority.folder == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keys = list((folder / "keys").iterdir())
    assert len(keys) == 4
    assert all(stat.S_IMODE(key.stat().st_mode) == 0o600 for key in keys)
    assert [path.name for path in tmp_path.iterdir()] == ["ca"]


def test_first_crls_are_there(authority: Authority) -> None:
    for issuer in authority.issuers():
        with open(authority.crl_path(issuer.name), "rb") as file:  # noqa: PTH123
            crl = other.load_der_x509_crl(file.read())
        key = other.load_der_x509_certificate(issuer.certificate.raw).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert crl.is_signature_valid(key)
        assert len(crl) == 0
        with open(authority.certificate_path(issuer.name), "rb") as file:  # noqa: PTH123
            assert file.read() == issuer.certificate.raw


def test_keys_are_encrypted_with_what_was_chosen(tmp_path: Path) -> None:
    folder = str(tmp_path / "ca")
    founding.found(folder, SETUP, lambda _: b"open", lambda _: b"vault").close()
    with Authority.open(folder, lambda _: b"open") as authority:
        assert authority.issue(order()).certificate
        assert authority.publish("code-signing").number == 2
        with pytest.raises(PassphraseError):
            authority.publish("root")
    with Authority.open(folder, lambda _: b"vault") as authority:
        assert authority.publish("root").number == 2
        with pytest.raises(PassphraseError):
            authority.issue(order())
    with Authority.open(folder) as authority, pytest.raises(PassphraseError):
        authority.issue(order())


def test_nothing_is_overwritten(authority: Authority, tmp_path: Path) -> None:
    del authority
    with pytest.raises(UsageError, match="something already"):
        founding.found(str(tmp_path / "ca"), SETUP)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageError):
        founding.found(str(file), SETUP)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    founding.found(str(tmp_path / "ca"), SETUP).close()


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        message = "out of luck"
        raise ChopmarkError(message)

    monkeypatch.setattr(Register, "found", fail)
    with pytest.raises(ChopmarkError, match="out of luck"):
        founding.found(str(tmp_path / "ca"), SETUP)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pki.example.com",
        "https://pki.example.com/",
        "http:///crl",
        "http://pki.example.com/?x",
        "http://pki.example.com/#x",
        "http://pki.example.com/a b",
        "http://pki.example.com/ä",
        "http://pki.example.com/\n",
        "ftp://pki.example.com",
    ],
)
def test_addresses_that_cannot_stand_in_a_certificate(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        founding.found(str(tmp_path / "ca"), founding.Setup("Example Ltd", url, "p256"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", " ", "Example\u202eLtd", "x" * 60])
def test_names_that_cannot_stand_in_a_certificate(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        founding.found(str(tmp_path / "ca"), founding.Setup(name, "http://pki.example.com", "p256"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["rsa-3072", "ed25519", "rsa-2048", ""])
def test_keys_that_a_ca_must_not_have(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        founding.found(str(tmp_path / "ca"), founding.Setup("Example Ltd", "http://pki.example.com", kind))


@pytest.mark.parametrize(("kind", "digest"), [("p384", "sha384"), ("p521", "sha512"), ("rsa-4096", "sha256")])
def test_digests_as_strong_as_the_keys(kind: str, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generate.KINDS, "rsa-4096", lambda: pki.key("rsa4096"))  # finding primes takes seconds
    setup = founding.Setup("Example Ltd", "http://pki.example.com", kind)
    with founding.found(str(tmp_path / "ca"), setup) as authority:
        root, signing, _ = (issuer.certificate for issuer in authority.issuers())
        assert signing.verify_signed_by(root.spki) == digest


def test_it_may_be_backdated_for_tests(tmp_path: Path, clock: Clock) -> None:
    then = profiles.months_after(NOW, -24)
    setup = founding.Setup("Example Ltd", "http://pki.example.com", "p256", not_before=then)
    with founding.found(str(tmp_path / "ca"), setup, clock=clock) as authority:
        assert {issuer.certificate.not_before for issuer in authority.issuers()} == {then}


def test_no_authority(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="chopmark ca init"):
        Authority.open(str(tmp_path))


def test_a_database_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "authority.sqlite3").write_bytes(b"this is no database" * 100)
    with pytest.raises(ChopmarkError, match="database"):
        Authority.open(str(tmp_path))
    (tmp_path / "authority.sqlite3").write_bytes(b"")
    with pytest.raises(ChopmarkError, match="database"):
        Authority.open(str(tmp_path))
