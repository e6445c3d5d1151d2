"""Building SignedData: asn1crypto reads in it what was put in, chopmark verifies it, and nothing unsound is built."""

from __future__ import annotations

import hashlib

import pytest
from asn1crypto import cms as oracle
from asn1crypto import tsp  # it teaches the oracle the attributes of RFC 5035
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509 import load_der_x509_certificate

from chopmark.core.contracts import Content
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError
from chopmark.core.finding import Outcome
from chopmark.envelopes import cms, der
from chopmark.envelopes.cms import oids
from tests.unit.envelopes import material

BODY = b"what is signed"
assert tsp.SigningCertificateV2


@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize("kind", material.KINDS)
def test_asn1crypto_reads_what_was_put_in(kind: str, attached: bool) -> None:  # noqa: FBT001 - a parameter of the test
    raw = material.signed(kind, BODY, attached=attached)
    info = oracle.ContentInfo.load(raw, strict=True)
    assert info["content_type"].native == "signed_data"
    data = info["content"]
    digest = material.DIGESTS[kind]
    assert data["version"].native == "v1"
    assert [item["algorithm"].native for item in data["digest_algorithms"]] == [digest]
    assert data["encap_content_info"]["content_type"].native == "data"
    assert data["encap_content_info"]["content"].native == (BODY if attached else None)
    assert sorted(item.dump() for item in data["certificates"]) == sorted(material.chain(kind))
    (signer,) = data["signer_infos"]
    leaf = load_der_x509_certificate(material.chain(kind)[0])
    assert signer["sid"].chosen["serial_number"].native == leaf.serial_number
    assert signer["sid"].chosen["issuer"].dump() == leaf.issuer.public_bytes()
    attributes = {item["type"].native: item["values"] for item in signer["signed_attrs"]}
    assert set(attributes) == {"content_type", "message_digest", "signing_time", "signing_certificate_v2"}
    assert attributes["content_type"].native == ["data"]
    assert attributes["message_digest"].native == [hashlib.new(digest, BODY).digest()]
    assert attributes["signing_time"].native == [material.NOON]
    named = attributes["signing_certificate_v2"][0]["certs"][0]
    assert named["cert_hash"].native == hashlib.new(digest, material.chain(kind)[0]).digest()
    assert named["issuer_serial"]["serial_number"].native == leaf.serial_number
    # Read and written again by the oracle it is the same: sets are sorted, lengths are minimal.
    assert oracle.ContentInfo.load(raw).dump(force=True) == raw
    assert der.set_of(node.raw for node in der.parse(cms.read(raw).signers[0].signed_attributes_der).children()) == (
        cms.read(raw).signers[0].signed_attributes_der
    )


@pytest.mark.parametrize("kind", material.KINDS)
def test_what_is_built_verifies(kind: str) -> None:
    proof = material.prove(material.signed(kind, BODY))
    assert proof.intact
    assert material.codes(proof, Outcome.OK) == {
        "cms.attributes_sound",
        "cms.content_match",
        "cms.signature_valid",
        "cms.signer_bound",
        "cms.signer_found",
    }
    assert proof.digest_algorithm == material.DIGESTS[kind]
    assert proof.claimed_time == material.NOON
    assert proof.certificates[0] == material.chain(kind)[0]
    assert set(proof.certificates) == set(material.chain(kind))
    assert proof.signer is not None
    assert proof.signer.subject.startswith(f"CN=Test {kind}")


def test_detached_content_is_compared_where_it_is_known() -> None:
    raw = material.signed("p256", BODY, attached=False)
    assert material.codes(material.prove(raw), Outcome.INFO) == {"cms.content_outside"}
    assert material.prove(raw, digest=hashlib.sha256(BODY).digest()).intact
    wrong = material.prove(raw, digest=hashlib.sha256(b"other").digest())
    assert material.codes(wrong) == {"cms.content_mismatch"}


def test_signing_time_is_left_out_when_asked_to() -> None:
    signer = material.KeySigner("p256")
    draft = cms.draft(material.data_content(), signer, material.chain("p256"), signing_time=None)
    raw = draft.finish(signer.sign(draft.to_be_signed, "sha256"))
    assert cms.read(raw).signers[0].signing_time is None
    assert material.prove(raw).claimed_time is None


def test_further_attributes_are_signed_along() -> None:
    content = Content(oids.DATA, "sha256", b"", BODY, attributes=(("1.2.3.4", der.utf8("more")),))
    signer = material.KeySigner("p256")
    draft = cms.draft(content, signer, material.chain("p256"), signing_time=None)
    raw = draft.finish(signer.sign(draft.to_be_signed, "sha256"))
    (value,) = cms.read(raw).signers[0].signed_attributes["1.2.3.4"]
    assert value.text() == "more"
    twice = Content(oids.DATA, "sha256", b"", BODY, attributes=((oids.MESSAGE_DIGEST, der.octet_string(b"mine")),))
    with pytest.raises(RefusedError):
        cms.draft(twice, signer, material.chain("p256"), signing_time=None)


def test_content_of_other_types_stands_as_it_is_and_is_digested_without_its_header() -> None:
    body = der.sequence(der.integer(1), der.octet_string(b"image"))
    signer = material.KeySigner("rsa")
    draft = cms.draft(
        Content(oids.SPC_INDIRECT_DATA, "sha256", b"", body), signer, material.chain("rsa"), signing_time=None
    )
    envelope = cms.read(draft.finish(signer.sign(draft.to_be_signed, "sha256")))
    assert envelope.version == 1
    assert envelope.content_raw == envelope.content_der == body
    assert envelope.content == der.parse(body).value
    assert envelope.signers[0].message_digest == hashlib.sha256(der.parse(body).value).digest()
    assert cms.check(envelope, envelope.signers[0]).intact


def test_certificates_are_left_out_when_asked_to() -> None:
    signer = material.KeySigner("p256")
    draft = cms.draft(
        material.data_content(), signer, material.chain("p256"), signing_time=None, include_certificates=False
    )
    raw = draft.finish(signer.sign(draft.to_be_signed, "sha256"))
    assert cms.read(raw).certificates == ()
    assert material.codes(material.prove(raw)) == {"cms.signer_missing"}


@pytest.mark.parametrize("kind", material.KINDS)
def test_a_signature_made_elsewhere_is_taken_up_again(kind: str) -> None:
    signer, certificates = material.KeySigner(kind), material.chain(kind)
    content = material.data_content(digest=material.DIGESTS[kind])
    to_be_signed = cms.draft(content, signer, certificates, signing_time=material.NOON).to_be_signed
    signature = signer.sign(to_be_signed, material.DIGESTS[kind])
    raw = cms.resume(content, to_be_signed, certificates).finish(signature)
    assert material.prove(raw).intact
    algorithm = cms.read(raw).signers[0].signature_algorithm
    assert algorithm.kind == {"ed25519": "ed25519", "rsa": "rsa", "rsa-pss": "rsa-pss"}.get(kind, "ecdsa")


def test_a_signature_by_another_key_or_over_other_bytes_is_refused() -> None:
    signer, certificates = material.KeySigner("p256"), material.chain("p256")
    draft = cms.draft(material.data_content(), signer, certificates, signing_time=None)
    for signature in (
        material.KeySigner("p256", "other").sign(draft.to_be_signed, "sha256"),
        signer.sign(draft.to_be_signed + b"!", "sha256"),
        signer.sign(draft.to_be_signed, "sha384"),
        b"",
    ):
        with pytest.raises(RefusedError):
            draft.finish(signature)


def test_what_was_prepared_for_something_else_is_refused() -> None:
    signer, certificates = material.KeySigner("p256"), material.chain("p256")
    content = material.data_content()
    to_be_signed = cms.draft(content, signer, certificates, signing_time=None).to_be_signed
    for other in (material.data_content(b"changed since"), Content(oids.TST_INFO, "sha256", b"", BODY)):
        with pytest.raises(RefusedError):
            cms.resume(other, to_be_signed, certificates)
    with pytest.raises(RefusedError):
        cms.resume(content, to_be_signed, material.chain("p256", material.TIME_STAMPING))
    for broken in (b"", b"\x31", to_be_signed[:-1], to_be_signed + b"\x00", b"\x30" + to_be_signed[1:], b"\x31\x00"):
        with pytest.raises(ChopmarkError):
            cms.resume(content, broken, certificates)


def test_key_certificate_and_digest_must_go_together() -> None:
    signer = material.KeySigner("p256")
    with pytest.raises(RefusedError):
        cms.draft(material.data_content(), signer, material.chain("p384"), signing_time=None)
    with pytest.raises(RefusedError):
        cms.draft(material.data_content(), signer, (), signing_time=None)
    with pytest.raises(RefusedError):
        cms.draft(material.data_content(digest="sha1"), signer, material.chain("p256"), signing_time=None)
    edwards = material.KeySigner("ed25519")
    with pytest.raises(RefusedError):
        cms.draft(material.data_content(), edwards, material.chain("ed25519"), signing_time=None)


@pytest.mark.parametrize("options", [[], [pkcs7.PKCS7Options.DetachedSignature]])
@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
def test_what_cryptography_signs_verifies(kind: str, options: list[pkcs7.PKCS7Options]) -> None:
    leaf, issuer = (load_der_x509_certificate(raw) for raw in material.chain(kind))
    raw = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(BODY)
        .add_signer(leaf, material.private_key(kind), material.private_hash(kind))
        .add_certificate(issuer)
        .sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary, *options])
    )
    digest = hashlib.new(material.DIGESTS[kind], BODY).digest()
    proof = material.prove(raw, digest=digest)
    assert proof.intact
    assert material.codes(proof, Outcome.INFO) <= {"cms.order"}
    assert cms.read(raw).content == (None if options else BODY)
    if options:
        assert material.codes(material.prove(raw, digest=bytes(len(digest)))) == {"cms.content_mismatch"}


def test_what_cryptography_signs_without_attributes_is_refused() -> None:
    leaf = load_der_x509_certificate(material.chain("p256")[0])
    raw = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(BODY)
        .add_signer(leaf, material.private_key("p256"), material.private_hash("p256"))
        .sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoAttributes])
    )
    assert material.codes(material.prove(raw)) == {"cms.attributes_missing"}


def test_an_unsigned_value_is_added_and_every_other_byte_stays() -> None:
    before = material.signed("rsa")
    once = cms.add_unsigned(before, "1.2.3.5", der.utf8("z"))
    twice = cms.add_unsigned(once, "1.2.3.5", der.utf8("a"))
    thrice = cms.add_unsigned(twice, "1.2.3.4", der.null())
    for raw in (once, twice, thrice):
        old, new = cms.read(before), cms.read(raw)
        assert new.signers[0].signed_attributes_der == old.signers[0].signed_attributes_der
        assert new.signers[0].signature == old.signers[0].signature
        assert (new.certificates, new.content_raw) == (old.certificates, old.content_raw)
        assert old.signers[0].node.value in raw
        assert oracle.ContentInfo.load(raw, strict=True).dump(force=True) == raw
    unsigned = cms.read(thrice).signers[0].unsigned_attributes
    assert [node.text() for node in unsigned["1.2.3.5"]] == ["a", "z"]
    assert [node.raw for node in unsigned["1.2.3.4"]] == [der.null()]
    assert list(unsigned) == ["1.2.3.4", "1.2.3.5"]
    assert material.prove(thrice, allowed_unsigned=frozenset({"1.2.3.4", "1.2.3.5"})).intact


def test_a_value_is_put_last_where_a_set_is_not_sorted_anyway() -> None:
    unsorted = [material.attribute("1.2.4", der.null()), material.attribute("1.2.3", der.null())]
    raw = material.Loose(unsigned=unsorted).encoded()
    added = cms.add_unsigned(raw, "1.2.3.4", der.null())
    block = cms.read(added).signers[0].node.children()[-1]
    assert [node.raw for node in block.children()] == [*unsorted, material.attribute("1.2.3.4", der.null())]


def test_the_second_signer_gets_what_is_meant_for_it() -> None:
    first, second = material.Loose(), material.Loose(kind="p384")
    both = material.Loose(certificates=[*material.chain("p256"), *material.chain("p384")])
    raw = both.encoded(first.signer_info(), second.signer_info())
    added = cms.read(cms.add_unsigned(raw, "1.2.3.4", der.null(), signer_index=1))
    assert [set(signer.unsigned_attributes) for signer in added.signers] == [set(), {"1.2.3.4"}]
    assert all(cms.check(added, signer, allowed_unsigned=frozenset({"1.2.3.4"})).intact for signer in added.signers)


def test_nothing_is_added_to_what_is_not_there() -> None:
    raw = material.signed("p256")
    with pytest.raises(RefusedError):
        cms.add_unsigned(raw, "1.2.3.4", der.null(), signer_index=1)
    for broken, value in ((raw[:-1], der.null()), (raw, b"\x05"), (raw, der.null() * 2)):
        with pytest.raises(MalformedError):
            cms.add_unsigned(broken, "1.2.3.4", value)
