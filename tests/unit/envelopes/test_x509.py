"""Certificates: every field is what cryptography reads, and whatever is malformed is refused in an orderly way."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509 as oracle
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import der, signatures, x509
from tests.unit.envelopes import material

URLS = ("http://a.example/1.crl", "https://b.example/2.crl")
RICH_EXTENSIONS = (
    (oracle.KeyUsage(True, True, False, False, False, False, False, False, False), True),  # noqa: FBT003 - nine flags
    (
        oracle.CRLDistributionPoints(
            [
                oracle.DistributionPoint([oracle.UniformResourceIdentifier(URLS[0])], None, None, None),
                oracle.DistributionPoint([oracle.UniformResourceIdentifier(URLS[1])], None, None, None),
            ]
        ),
        False,
    ),
    (
        oracle.AuthorityInformationAccess(
            [
                oracle.AccessDescription(
                    AuthorityInformationAccessOID.OCSP, oracle.UniformResourceIdentifier("http://ocsp.example")
                ),
                oracle.AccessDescription(
                    AuthorityInformationAccessOID.CA_ISSUERS,
                    oracle.UniformResourceIdentifier("http://ca.example/ca.cer"),
                ),
                oracle.AccessDescription(
                    AuthorityInformationAccessOID.CA_ISSUERS, oracle.UniformResourceIdentifier("ldap://ca.example/ca")
                ),
            ]
        ),
        False,
    ),
    (oracle.AuthorityKeyIdentifier.from_issuer_public_key(material.private_key("p256", "issuing").public_key()), False),
)


def rich() -> oracle.Certificate:
    return material.issue(
        material.private_key("p384"),
        "Rich, and <odd>",
        [material.CODE_SIGNING, material.SERVER_AUTH],
        issuer=material.issuing(),
        issuer_key=material.private_key("p256", "issuing"),
        extensions=RICH_EXTENSIONS,
    )


@pytest.mark.parametrize("kind", material.KINDS)
def test_fields_are_those_that_cryptography_reads(kind: str) -> None:
    raw = material.chain(kind)[0]
    theirs, ours = oracle.load_der_x509_certificate(raw), x509.Certificate(raw)
    assert ours.version == 3
    assert ours.serial == theirs.serial_number
    assert ours.tbs == theirs.tbs_certificate_bytes
    assert ours.issuer == theirs.issuer.public_bytes()
    assert ours.subject == theirs.subject.public_bytes()
    assert (ours.not_before, ours.not_after) == (theirs.not_valid_before_utc, theirs.not_valid_after_utc)
    assert ours.spki == material.public_der(material.private_key(kind))
    assert ours.signature == theirs.signature
    assert ours.sha256 == theirs.fingerprint(hashes.SHA256()).hex()
    assert ours.subject_text == theirs.subject.rfc4514_string().replace(",", ", ")
    assert ours.key_sha256 == hashlib.sha256(ours.spki).hexdigest()
    assert not ours.self_issued


def test_extensions_are_those_that_cryptography_reads() -> None:
    ours = x509.Certificate(material.encoded(rich()))
    assert ours.key_usage == frozenset({x509.DIGITAL_SIGNATURE, x509.NON_REPUDIATION})
    assert ours.extended_key_usage == (x509.EKU_CODE_SIGNING, "1.3.6.1.5.5.7.3.1")
    assert ours.extensions[x509.EXTENDED_KEY_USAGE].critical
    assert ours.basic_constraints == (False, None)
    assert ours.crl_urls == URLS
    assert ours.access_urls(x509.ACCESS_CA_ISSUERS) == ("http://ca.example/ca.cer",)
    assert ours.access_urls(x509.ACCESS_OCSP) == ("http://ocsp.example",)
    public = material.private_key("p384").public_key()
    assert ours.subject_key_id == oracle.SubjectKeyIdentifier.from_public_key(public).digest
    assert ours.subject_key_id == x509.subject_key_identifier(ours.spki)
    assert ours.authority_key_id == x509.Certificate(material.encoded(material.issuing())).subject_key_id


def test_a_certificate_without_extensions_has_none() -> None:
    ours = x509.Certificate(material.encoded(material.root()))
    assert ours.basic_constraints == (True, None)
    assert ours.self_issued
    assert (ours.key_usage, ours.extended_key_usage, ours.authority_key_id) == (None, None, None)
    assert ours.crl_urls == ours.access_urls(x509.ACCESS_OCSP) == ()


def test_signer_id_shows_the_key_and_where_it_is_from() -> None:
    ours = x509.certificate(material.chain("rsa")[0])
    assert ours.signer_id.kind == "x509"
    assert ours.signer_id.fingerprint == ours.key_sha256
    assert dict(ours.signer_id.claims)["certificate_sha256"] == ours.sha256
    assert ours.common_name == "Test rsa"


@pytest.mark.parametrize("kind", material.KINDS)
def test_a_signature_verifies_with_the_issuers_key_alone(kind: str) -> None:
    key = material.private_key(kind)
    self_signed = x509.Certificate(material.encoded(material.issue(key, "self")))
    assert self_signed.verify_signed_by(self_signed.spki) == (None if kind == "ed25519" else "sha256")
    with pytest.raises(signatures.BadSignatureError):
        self_signed.verify_signed_by(material.public_der(material.private_key(kind, "another")))


def test_the_algorithm_inside_must_be_that_outside() -> None:
    ours = x509.Certificate(material.encoded(rich()))
    outer = der.parse(ours.raw).children()
    other = der.sequence(der.oid("1.2.840.10045.4.3.3"))
    with pytest.raises(der.DerError):
        _ = x509.Certificate(der.sequence(outer[0].raw, other, outer[2].raw)).signature_algorithm


def test_an_extension_that_stands_twice_is_refused() -> None:
    extension = der.sequence(der.oid(x509.KEY_USAGE), der.octet_string(b"\x03\x02\x07\x80"))
    with pytest.raises(der.DerError):
        x509.extensions(der.parse(der.sequence(extension, extension)))


def test_names_are_shown_without_tricks() -> None:
    parts = [
        ("1.2.3.4", der.octet_string(b"\x01")),
        ("2.5.4.10", der.utf8("Evil\x1b[2J, Inc\u202e")),
        ("2.5.4.11", der.utf8(" #1 ")),
        ("2.5.4.3", der.encode(der.PRINTABLE_STRING, "M\xfcller".encode("latin-1"))),
        ("2.5.4.3", der.encode(der.BMP_STRING, "Zw\u00f6lf".encode("utf-16-be"))),
    ]
    raw = der.sequence(*(der.set_of([der.sequence(der.oid(oid), value)]) for oid, value in parts))
    shown = x509.name_text(raw)
    assert shown == "CN=Zw\u00f6lf, CN=M\u00fcller, OU=\\ #1\\ , O=Evil\\1B[2J\\, Inc\\202E, 1.2.3.4=#040101"
    assert shown.isprintable()


def test_names_are_compared_without_case_and_runs_of_space() -> None:
    def encoded(text: str, tag: int) -> bytes:
        return der.sequence(der.set_of([der.sequence(der.oid("2.5.4.3"), der.encode(tag, text.encode()))]))

    some = x509.name_key(encoded("some ca", der.UTF8_STRING))
    assert some == x509.name_key(encoded(" Some  CA ", der.PRINTABLE_STRING))
    assert some != x509.name_key(encoded("someca", der.UTF8_STRING))


@given(st.text(min_size=1, max_size=16))
def test_a_name_is_read_as_cryptography_wrote_it(text: str) -> None:
    raw = oracle.Name([oracle.NameAttribute(NameOID.COMMON_NAME, text, _validate=False)]).public_bytes()
    assert x509.name_parts(raw) == (("CN", text),)


def every_property(raw: bytes) -> None:
    ours = x509.Certificate(raw)
    for read in (
        "signature_algorithm",
        "key_usage",
        "extended_key_usage",
        "basic_constraints",
        "subject_key_id",
        "authority_key_id",
        "crl_urls",
        "subject_text",
        "issuer_text",
        "common_name",
        "self_issued",
        "signer_id",
        "serial",
    ):
        try:
            getattr(ours, read)
        except ChopmarkError:
            continue
    for action in (lambda: ours.access_urls(x509.ACCESS_OCSP), lambda: ours.verify_signed_by(ours.spki)):
        try:
            action()
        except ChopmarkError:
            continue


def test_no_changed_byte_and_no_truncation_raises_anything_but_a_chopmark_error() -> None:
    raw = material.encoded(rich())
    for position in range(len(raw)):
        for value in (raw[position] ^ 0x01, raw[position] ^ 0x80, 0x00, 0xFF):
            try:
                every_property(raw[:position] + bytes((value,)) + raw[position + 1 :])
            except ChopmarkError:
                continue
        with pytest.raises(ChopmarkError):
            x509.Certificate(raw[:position])


@pytest.mark.parametrize(
    "parts",
    [
        (der.encode(der.SET),),
        (der.set_of([der.sequence(der.oid("2.5.4.3"), der.utf8("a"), der.utf8("b"))]),),
        (der.set_of([der.sequence(der.oid("2.5.4.3"))]),),
    ],
)
def test_names_are_pairs_of_type_and_value_and_nothing_else(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(der.DerError):
        x509.name_key(der.sequence(*parts))
