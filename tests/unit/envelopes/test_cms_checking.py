"""Checking SignedData: every rule of RFC 5652 that an attacker could lean on, broken once."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509 as oracle

from chopmark.core import limits
from chopmark.core.artifact import BytesView
from chopmark.core.digest import hash_ranges
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.core.seal import Payload, Range, Recipe
from chopmark.envelopes import algorithms, cms, der, ocsp
from chopmark.envelopes.cms import ess, oids
from chopmark.envelopes.x509 import certificate
from tests.unit.envelopes import material
from tests.unit.envelopes.material import Loose, attribute, codes, prove

CONTENT_TYPE = attribute(oids.CONTENT_TYPE, der.oid(oids.DATA))
MESSAGE_DIGEST = attribute(oids.MESSAGE_DIGEST, der.octet_string(hashlib.sha256(b"hello").digest()))
SIGNING_TIME = attribute(oids.SIGNING_TIME, der.time(material.NOON))


def refused(loose: Loose, *expected: str) -> None:
    proof = prove(loose.encoded())
    assert codes(proof) == set(expected)
    assert not proof.intact


def test_the_ordinary_one_is_intact() -> None:
    proof = prove(Loose().encoded())
    assert proof.intact
    assert not codes(proof, Outcome.INFO)
    assert codes(proof, Outcome.OK) == {
        "cms.attributes_sound",
        "cms.content_match",
        "cms.signer_found",
        "cms.signature_valid",
    }
    assert proof.claimed_time is None
    assert proof.certificates == material.chain("p256")
    timed = prove(Loose(attributes=[CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME]).encoded())
    assert (timed.intact, timed.claimed_time) == (True, material.NOON)


@pytest.mark.parametrize("kind", material.KINDS)
def test_one_changed_byte_of_the_signature_is_caught(kind: str) -> None:
    loose = Loose(kind=kind, digest=material.DIGESTS[kind])
    good = cms.read(loose.encoded()).signers[0].signature
    assert prove(Loose(kind=kind, digest=material.DIGESTS[kind], signature=good).encoded()).intact
    bad = good[:-1] + bytes((good[-1] ^ 1,))
    refused(Loose(kind=kind, digest=material.DIGESTS[kind], signature=bad), "cms.signature_invalid")


def test_changed_content_is_caught() -> None:
    refused(Loose(body=der.octet_string(b"hallo")), "cms.content_mismatch")


def test_no_signed_attributes_are_refused_however_good_the_signature() -> None:
    refused(Loose(attributes=None), "cms.attributes_missing")
    refused(Loose(attributes=None, body=None), "cms.attributes_missing")


def test_signed_attributes_that_are_presented_as_content_are_refused() -> None:
    honest = Loose()
    signer = cms.read(honest.encoded()).signers[0]
    stripped = Loose(
        attributes=None,
        body=der.octet_string(signer.signed_attributes_der),
        signature=signer.signature,
    )
    refused(stripped, "cms.attributes_missing", "cms.attributes_as_content")
    octets = signer.signed_attributes_der
    assert prove(Loose(octets=octets, body=der.octet_string(octets)).encoded()).intact, "it is content like any other"


@pytest.mark.parametrize(
    "attributes",
    [
        [MESSAGE_DIGEST],
        [CONTENT_TYPE],
        [CONTENT_TYPE, CONTENT_TYPE, MESSAGE_DIGEST],
        [CONTENT_TYPE, MESSAGE_DIGEST, MESSAGE_DIGEST],
        [attribute(oids.CONTENT_TYPE, der.oid(oids.DATA), der.oid(oids.TST_INFO)), MESSAGE_DIGEST],
        [attribute(oids.CONTENT_TYPE, der.utf8(oids.DATA)), MESSAGE_DIGEST],
        [CONTENT_TYPE, attribute(oids.MESSAGE_DIGEST, der.integer(5))],
        [
            CONTENT_TYPE,
            attribute(
                oids.MESSAGE_DIGEST,
                der.octet_string(hashlib.sha256(b"hello").digest()),
                der.octet_string(hashlib.sha256(b"other").digest()),
            ),
        ],
        [CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME, SIGNING_TIME],
        [CONTENT_TYPE, MESSAGE_DIGEST, attribute(oids.SIGNING_TIME, der.utf8("noon"))],
        [CONTENT_TYPE, MESSAGE_DIGEST, attribute("1.2.3.4", der.null()), attribute("1.2.3.4", der.null())],
        [CONTENT_TYPE, MESSAGE_DIGEST, attribute(oids.SIGNING_CERTIFICATE_V2, der.sequence())],
        [CONTENT_TYPE, MESSAGE_DIGEST, attribute(oids.SIGNING_CERTIFICATE, der.sequence(der.sequence()))],
    ],
)
def test_attributes_that_are_missing_doubled_or_of_another_type_are_refused(attributes: list[bytes]) -> None:
    proof = prove(Loose(attributes=attributes).encoded())
    assert "cms.attribute_wrong" in codes(proof)
    assert codes(proof) <= {"cms.attribute_wrong", "cms.content_mismatch"}
    assert "cms.attributes_sound" not in codes(proof, Outcome.OK) or b"\x09\x10\x02" in b"".join(attributes)


def test_an_attribute_without_a_value_is_malformed() -> None:
    with pytest.raises(MalformedError):
        cms.read(Loose(attributes=[CONTENT_TYPE, MESSAGE_DIGEST, attribute("1.2.3.4")]).encoded())


def test_another_content_type_than_the_signed_one_is_refused() -> None:
    other = [attribute(oids.CONTENT_TYPE, der.oid(oids.TST_INFO)), MESSAGE_DIGEST]
    refused(Loose(attributes=other), "cms.content_type_wrong")


def test_the_signer_is_found_by_key_identifier_too() -> None:
    key_id = certificate(material.chain("p256")[0]).subject_key_id
    assert key_id is not None
    loose = Loose(version=3, signer_version=3, identifier=der.implicit(0, key_id))
    assert prove(loose.encoded()).intact
    refused(Loose(version=3, signer_version=3, identifier=der.implicit(0, b"\x00" + key_id[1:])), "cms.signer_missing")
    refused(Loose(version=3, signer_version=3, identifier=der.implicit(0, b"")), "cms.signer_missing")


def test_a_signer_who_is_not_among_the_certificates_is_missing() -> None:
    elsewhere = Loose(certificates=[material.encoded(material.issuing())], identifier=Loose().issuer_and_serial())
    proof = prove(elsewhere.encoded())
    assert codes(proof) == {"cms.signer_missing"}
    assert proof.signer is None
    assert proof.certificates == (material.encoded(material.issuing()),)


def test_an_issuer_name_written_otherwise_names_nobody() -> None:
    leaf = oracle.load_der_x509_certificate(material.chain("p256")[0])
    renamed = der.sequence(
        *(
            der.set_of([der.sequence(der.oid(oid), der.utf8(text.upper()))])
            for oid, text in (("2.5.4.6", "DE"), ("2.5.4.10", "Chop"), ("2.5.4.3", "Test  issuing CA"))
        )
    )
    identifier = der.sequence(renamed, der.integer(leaf.serial_number))
    refused(Loose(identifier=identifier), "cms.signer_missing")


def test_two_certificates_that_answer_to_one_name_are_ambiguous() -> None:
    leaf = oracle.load_der_x509_certificate(material.chain("p256")[0])
    twin = material.encoded(
        material.issue(
            material.private_key("p256", "twin"),
            "Twin",
            issuer=material.issuing(),
            issuer_key=material.private_key("p256", "issuing"),
            serial=leaf.serial_number,
        )
    )
    proof = prove(Loose(certificates=[*material.chain("p256"), twin]).encoded())
    assert codes(proof) == {"cms.signer_ambiguous"}
    same = prove(Loose(certificates=[*material.chain("p256"), material.chain("p256")[0]]).encoded())
    assert same.intact


def test_a_certificate_that_is_none_is_refused() -> None:
    refused(Loose(certificates=[*material.chain("p256"), der.sequence(b"payload")]), "cms.certificate_unreadable")


def test_other_kinds_of_certificates_are_tolerated_and_reported() -> None:
    attribute_certificate = der.encode(der.context(1), der.sequence())
    loose = Loose(version=3, certificates=[*material.chain("p256"), attribute_certificate])
    proof = prove(loose.encoded())
    assert proof.intact
    assert "cms.certificates_other" in codes(proof, Outcome.INFO)


def other_revocation(kind: str, value: bytes) -> bytes:
    """OtherRevocationInfoFormat (RFC 5652 clause 10.2.1)."""
    return der.explicit(1, der.oid(kind), value)


def test_ocsp_answers_are_found_reported_and_must_be_some() -> None:
    answer = ocsp.failure(ocsp.TRY_LATER)
    carried = other_revocation("1.3.6.1.5.5.7.16.2", answer)
    proof = prove(Loose(crls=[carried], version=5).encoded())
    assert proof.intact
    assert proof.answers == (answer,)
    assert proof.crls == ()
    assert "cms.answers" in codes(proof, Outcome.INFO)
    assert "cms.certificates_other" not in codes(proof, Outcome.INFO)
    payload = other_revocation("1.3.6.1.5.5.7.16.2", der.octet_string(b"payload"))
    refused(Loose(crls=[payload], version=5), "cms.certificate_unreadable")
    strange = prove(Loose(crls=[other_revocation("1.2.3.4", answer)], version=5).encoded())
    assert strange.answers == ()
    assert "cms.certificates_other" in codes(strange, Outcome.INFO)


def test_crls_are_reported_and_must_be_some() -> None:
    outline = der.sequence(der.sequence(), der.sequence(der.oid("1.2.3")), der.bit_string(b"x"))
    proof = prove(Loose(crls=[outline]).encoded())
    assert proof.intact
    assert proof.crls == (outline,)
    assert "cms.crls" in codes(proof, Outcome.INFO)
    behind = der.sequence(der.parse(outline).value, der.octet_string(b"payload"))
    for odd in (der.sequence(der.octet_string(b"payload")), behind):
        refused(Loose(crls=[odd]), "cms.certificate_unreadable")


@pytest.mark.parametrize("version", [0, 2, 3, 4, 5, 1000])
def test_versions_that_this_structure_does_not_have_are_refused(version: int) -> None:
    refused(Loose(version=version), "cms.version_wrong")
    refused(Loose(signer_version=version), "cms.version_wrong")


@pytest.mark.parametrize(
    ("version", "loose"),
    [
        (3, Loose(content_type="1.2.3")),
        (4, Loose(certificates=[*material.chain("p256"), der.encode(der.context(2), der.sequence())])),
        (5, Loose(certificates=[*material.chain("p256"), der.encode(der.context(3), der.sequence())])),
    ],
)
def test_versions_follow_from_what_is_inside_and_pkcs7_has_one_only(version: int, loose: Loose) -> None:
    for written in (1, version):
        loose.version = written
        assert prove(loose.encoded()).intact
    loose.version = version - 1
    assert codes(prove(loose.encoded())) == {"cms.version_wrong"}


def test_the_digest_must_be_announced() -> None:
    sha384 = algorithms.digest_identifier("sha384")
    refused(Loose(announced=[sha384]), "cms.digest_inconsistent")
    assert prove(Loose(announced=[sha384, algorithms.digest_identifier("sha256")], version=1).encoded()).intact
    unknown = der.sequence(der.oid("1.2.3.4"))
    assert prove(Loose(announced=[unknown, algorithms.digest_identifier("sha256")]).encoded()).intact


def test_a_signature_with_another_digest_than_the_signers_is_refused() -> None:
    signer = material.KeySigner("p256")
    with_sha384 = algorithms.signing_identifier(signer, "sha384")
    to_be_signed = der.set_of([CONTENT_TYPE, MESSAGE_DIGEST])
    loose = Loose(algorithm=with_sha384, signature=signer.sign(to_be_signed, "sha384"))
    refused(loose, "cms.digest_inconsistent")


def test_ed25519_needs_sha512() -> None:
    refused(Loose(kind="ed25519", digest="sha256"), "cms.digest_inconsistent")
    assert prove(Loose(kind="ed25519", digest="sha512").encoded()).intact


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_weak_digests_are_verified_and_named(digest: str) -> None:
    proof = prove(Loose(kind="rsa", digest=digest).encoded())
    assert proof.intact
    assert proof.digest_algorithm == digest


def test_an_unknown_digest_of_a_signer_is_unsupported() -> None:
    raw = Loose().encoded().replace(der.oid("2.16.840.1.101.3.4.2.1"), der.oid("2.16.840.1.101.3.4.2.77"))
    with pytest.raises(algorithms.UnsupportedError):
        cms.read(raw)


def test_an_unknown_signature_algorithm_leaves_the_question_open() -> None:
    proof = prove(Loose(algorithm=der.sequence(der.oid("1.2.3.4"))).encoded())
    assert codes(proof, Outcome.UNKNOWN) == {"cms.signature_unsupported"}
    assert not proof.intact


def test_a_key_with_its_own_curve_is_forbidden() -> None:
    chain = material.chain("p256")
    key, curve = der.oid(algorithms.EC_PUBLIC_KEY), der.oid("1.2.840.10045.3.1.7")
    # A SEQUENCE instead of the name of a curve; of the same length, so that what stands around it need not change.
    explicit = der.encode(der.SEQUENCE, der.encode(der.OCTET_STRING, curve[4:]))
    forged = chain[0].replace(key + curve, key + explicit)
    assert forged != chain[0]
    refused(Loose(certificates=sorted([forged, chain[1]]), identifier=Loose().issuer_and_serial()), "cms.key_forbidden")


def test_the_named_certificate_must_be_the_one_that_came_along() -> None:
    own = certificate(material.chain("p256")[0])
    other = certificate(material.chain("p384")[0])
    for named, algorithm, code in (
        (own, "sha256", None),
        (own, "sha512", None),
        (other, "sha256", "cms.signer_not_bound"),
    ):
        value = attribute(oids.SIGNING_CERTIFICATE_V2, ess.attribute(named, algorithm))
        proof = prove(Loose(attributes=[CONTENT_TYPE, MESSAGE_DIGEST, value]).encoded())
        assert codes(proof) == ({code} if code else set())
        assert ("cms.signer_bound" in codes(proof, Outcome.OK)) is (code is None)


def test_the_named_certificates_issuer_and_serial_must_be_right_too() -> None:
    own = certificate(material.chain("p256")[0])
    digest = hashlib.sha1(own.raw, usedforsecurity=False).digest()
    issuer = der.sequence(der.explicit(4, own.issuer))
    serial = der.encode(der.INTEGER, own.serial_octets)
    for pair, fits in (
        (b"", True),
        (der.sequence(issuer, serial), True),
        (der.sequence(issuer, der.integer(1)), False),
        (der.sequence(der.sequence(der.explicit(4, own.subject)), serial), False),
        (der.sequence(der.sequence(), serial), False),
    ):
        value = der.sequence(der.sequence(der.sequence(der.octet_string(digest), pair)))
        attributes = [CONTENT_TYPE, MESSAGE_DIGEST, attribute(oids.SIGNING_CERTIFICATE, value)]
        assert prove(Loose(attributes=attributes).encoded()).intact is fits


def test_unsigned_attributes_of_unknown_kind_are_refused() -> None:
    blob = attribute("1.3.6.1.4.1.42921.1.2.1", der.octet_string(b"payload"))
    refused(Loose(unsigned=[blob]), "cms.unsigned_unknown")
    assert prove(Loose(unsigned=[blob]).encoded(), allowed_unsigned=frozenset({"1.3.6.1.4.1.42921.1.2.1"})).intact


def test_unsigned_attributes_have_a_limit_even_when_allowed() -> None:
    blob = attribute("1.2.3.4", der.octet_string(bytes(limits.UNSIGNED_ATTRIBUTES_MAX)))
    proof = prove(Loose(unsigned=[blob]).encoded(), allowed_unsigned=frozenset({"1.2.3.4"}))
    assert codes(proof) == {"cms.unsigned_too_large"}
    nested = attribute(oids.NESTED_SIGNATURE, der.octet_string(bytes(limits.UNSIGNED_ATTRIBUTES_MAX)))
    assert prove(Loose(unsigned=[nested]).encoded(), allowed_unsigned=frozenset({oids.NESTED_SIGNATURE})).intact


def test_signed_attributes_that_are_not_sorted_are_taken_as_they_are() -> None:
    backwards = sorted([CONTENT_TYPE, MESSAGE_DIGEST], reverse=True)
    raw = Loose(attributes=backwards, sort_attributes=False).encoded()
    assert prove(raw).intact
    # The signature is over the bytes that stand there, not over their sorted form.
    assert codes(prove(raw.replace(b"".join(backwards), b"".join(sorted(backwards))))) == {"cms.signature_invalid"}


def test_sets_that_are_not_sorted_are_reported() -> None:
    backwards = sorted(material.chain("p256"), reverse=True)
    proof = prove(Loose(certificates=backwards, identifier=Loose().issuer_and_serial()).encoded())
    assert proof.intact
    assert codes(proof, Outcome.INFO) == {"cms.order"}


def test_content_in_an_octet_string_is_digested_without_its_header() -> None:
    """As .NET's SignedCms writes SpcIndirectData."""
    body = der.sequence(der.integer(7))
    loose = Loose(content_type=oids.SPC_INDIRECT_DATA, body=der.octet_string(body), octets=body, version=3)
    envelope = cms.read(loose.encoded())
    assert envelope.content == envelope.content_der == body
    assert envelope.content_raw == der.octet_string(body)
    assert cms.check(envelope, envelope.signers[0]).intact


def test_each_signer_is_checked_by_itself() -> None:
    first, second = Loose(), Loose(kind="p384", signature=b"\x30\x00")
    both = Loose(certificates=[*material.chain("p256"), *material.chain("p384")])
    envelope = cms.read(both.encoded(first.signer_info(), second.signer_info()))
    good, bad = (cms.check(envelope, signer) for signer in envelope.signers)
    assert (good.intact, bad.intact) == (True, False)


@pytest.mark.parametrize(
    "loose",
    [
        Loose(certificates=[*material.chain("p256"), *[material.chain("p256")[1]] * limits.CERTIFICATES_MAX]),
        Loose(certificates=[*material.chain("p256"), der.sequence(bytes(limits.CERTIFICATES_SIZE_MAX))]),
        Loose(announced=[algorithms.digest_identifier("sha256")] * (limits.SIGNERS_MAX + 1)),
        Loose(crls=[der.sequence()] * (limits.CERTIFICATES_MAX + 1)),
    ],
)
def test_what_exceeds_a_limit_is_refused_on_reading(loose: Loose) -> None:
    loose.identifier = Loose().issuer_and_serial()
    with pytest.raises(MalformedError):
        cms.read(loose.encoded())


def test_too_many_signers_and_too_large_an_envelope_are_refused_on_reading() -> None:
    loose = Loose()
    with pytest.raises(MalformedError):
        cms.read(loose.encoded(*[loose.signer_info()] * (limits.SIGNERS_MAX + 1)))
    with pytest.raises(MalformedError):
        cms.read(der.octet_string(bytes(limits.ENVELOPE_MAX)))


@pytest.mark.parametrize("tail", [b"\x00", b"\x00" * 8, b"payload"])
def test_nothing_may_follow(tail: bytes) -> None:
    with pytest.raises(MalformedError):
        cms.read(material.signed("p256") + tail)


def test_no_signer_is_no_signature() -> None:
    info = der.parse(material.signed("p256")).children()[1].only_child().children()
    empty = der.sequence(*(node.raw for node in info[:-1]), der.encode(der.SET))
    assert cms.read(der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, empty))).signers == ()


def payload(body: bytes, algorithm: str) -> Payload:
    return hash_ranges(BytesView(body), [Recipe(algorithm, (Range(0, len(body)),))])[0]


def test_the_envelope_compares_detached_content_with_its_payload() -> None:
    signed = cms.read(material.signed("p256", b"body", attached=False))
    envelope = cms.CmsEnvelope(signed, signed.signers[0])
    assert (envelope.scheme, envelope.raw) == ("cms", signed.raw)
    assert envelope.check([payload(b"body", "sha256")]).intact
    assert envelope.check([payload(b"x", "sha256"), payload(b"body", "sha256")]).intact
    assert codes(envelope.check([payload(b"other", "sha256")])) == {"cms.content_mismatch"}
    for payloads in ([], [payload(b"body", "sha384")]):
        proof = envelope.check(payloads)
        assert codes(proof, Outcome.UNKNOWN) == {"cms.content_missing"}
        assert (codes(proof), codes(proof, Outcome.INFO)) == (set(), {"cms.content_outside"})
        assert not proof.intact


def test_the_envelope_needs_no_payload_for_attached_content() -> None:
    signed = cms.read(material.signed("p256", b"body"))
    assert cms.CmsEnvelope(signed, signed.signers[0]).check([]).intact
