"""RFC 3161 tokens: asn1crypto reads what is made, and every rule about the authority and the imprint is broken once."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import pytest
from asn1crypto import tsp as oracle
from cryptography import x509 as oracle_x509
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.contracts import Content
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.envelopes import algorithms, cms, der, timestamp
from chopmark.envelopes.cms import ess, oids
from chopmark.envelopes.timestamp.info import imprint
from chopmark.envelopes.x509 import certificate
from tests.unit.envelopes import material
from tests.unit.envelopes.material import Loose, attribute, codes, prove

STAMPED = b"a signature value"
DIGEST = hashlib.sha256(STAMPED).digest()
PLAIN = timestamp.TstInfo(material.POLICY, "sha256", DIGEST, 4711, material.NOON)
IMPRINT = imprint("sha256", DIGEST)
TSA = material.chain("p256", material.TIME_STAMPING, "tsa")
BOUND = attribute(oids.SIGNING_CERTIFICATE_V2, ess.attribute(certificate(TSA[0]), "sha256"))


def loose_token(info: bytes | None = None, *, bound: bytes = BOUND, **changes: material.Value) -> Loose:
    octets = PLAIN.encoded() if info is None else info
    fields: dict[str, Any] = {
        "key_name": "tsa",
        "content_type": oids.TST_INFO,
        "octets": octets,
        "body": der.octet_string(octets),
        "certificates": TSA,
        "version": 3,
        "identifier": Loose(certificates=TSA).issuer_and_serial(),
        **changes,
    }
    loose = Loose(**fields)
    if bound and loose.attributes is not None:
        loose.attributes.append(bound)
    return loose


def without_signers(raw: bytes) -> bytes:
    fields = der.parse(raw).children()[1].only_child().children()
    empty = der.sequence(*(node.raw for node in fields[:-1]), der.encode(der.SET))
    return der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, empty))


def stamp_codes(raw: bytes, **options: bool) -> set[str]:
    stamp = timestamp.check(raw, STAMPED, **options)
    found = codes(stamp.proof)
    assert stamp.proof.intact is not bool(found)
    return found


@pytest.mark.parametrize("kind", material.KINDS)
def test_asn1crypto_reads_what_was_put_in(kind: str) -> None:
    moment = material.NOON.replace(microsecond=123400)
    raw = material.token(STAMPED, kind, time=moment, accuracy=1.0025, nonce=2**63 + 5)
    theirs = oracle.ContentInfo.load(raw, strict=True)["content"]
    assert theirs["version"].native == "v3"
    assert theirs["encap_content_info"]["content_type"].native == "tst_info"
    info = theirs["encap_content_info"]["content"].parsed
    assert info["version"].native == "v1"
    assert info["policy"].native == material.POLICY
    assert info["message_imprint"]["hash_algorithm"]["algorithm"].native == "sha256"
    assert info["message_imprint"]["hashed_message"].native == DIGEST
    assert info["serial_number"].native == 4711
    assert info["gen_time"].native == moment
    assert (info["accuracy"]["seconds"].native, info["accuracy"]["millis"].native) == (1, 2)
    assert info["accuracy"]["micros"].native == 500
    assert info["ordering"].native is False
    assert info["nonce"].native == 2**63 + 5


@pytest.mark.parametrize("kind", material.KINDS)
def test_what_is_made_verifies(kind: str) -> None:
    moment = material.NOON.replace(microsecond=500000)
    raw = material.token(STAMPED, kind, time=moment, accuracy=0.25, serial=255)
    stamp = timestamp.check(raw, STAMPED)
    assert stamp.proof.intact
    assert {"timestamp.imprint_match", "timestamp.purpose_right", "cms.signer_bound"} <= codes(stamp.proof, Outcome.OK)
    assert (stamp.kind, stamp.time, stamp.policy, stamp.serial) == ("rfc3161", moment, material.POLICY, "ff")
    assert stamp.accuracy == pytest.approx(0.25)
    assert stamp.proof.claimed_time == moment
    assert stamp.proof.certificates[0] == material.chain(kind, material.TIME_STAMPING, "tsa")[0]


def test_the_loose_token_is_intact() -> None:
    assert stamp_codes(loose_token().encoded()) == set()


def test_a_token_over_something_else_is_caught() -> None:
    stamp = timestamp.check(material.token(STAMPED), b"another signature value")
    assert codes(stamp.proof) == {"timestamp.imprint_mismatch"}
    assert not stamp.proof.intact


def test_a_weak_imprint_is_named() -> None:
    sha1 = hashlib.sha1(STAMPED, usedforsecurity=False).digest()
    stamp = timestamp.check(material.token(STAMPED, algorithm="sha1", digest=sha1), STAMPED)
    assert stamp.proof.intact
    assert stamp.proof.digest_algorithm == "sha1"


@pytest.mark.parametrize(
    "purposes",
    [(), (material.CODE_SIGNING,), (material.TIME_STAMPING, material.CODE_SIGNING), (material.SERVER_AUTH,)],
)
def test_the_authoritys_purpose_must_be_time_stamping_alone(purposes: tuple[Any, ...]) -> None:
    raw = timestamp.make_token(PLAIN, material.KeySigner("p256", "tsa"), material.authority(*purposes))
    assert stamp_codes(raw) == {"timestamp.purpose_wrong"}
    assert stamp_codes(raw, critical_purpose=False) == {"timestamp.purpose_wrong"}


def test_an_authority_whose_purposes_cannot_be_read_has_none() -> None:
    junk = oracle_x509.UnrecognizedExtension(oracle_x509.ExtendedKeyUsage.oid, b"\x30\x01")
    key, above = material.private_key("p256", "tsa"), material.private_key("p256", "issuing")
    odd = material.issue(key, "Odd", issuer=material.issuing(), issuer_key=above, extensions=[(junk, True)])
    raw = timestamp.make_token(PLAIN, material.KeySigner("p256", "tsa"), [material.encoded(odd)])
    assert stamp_codes(raw) == {"timestamp.purpose_wrong"}
    counter = countersignature(SIGNATURE, "p256", certificates=[material.encoded(odd)])
    assert broken_stamp(counter) == {"timestamp.purpose_wrong"}


def test_the_authoritys_purpose_must_be_critical_except_as_microsoft_has_it() -> None:
    raw = timestamp.make_token(PLAIN, material.KeySigner("p256", "tsa"), material.lax_authority())
    assert stamp_codes(raw) == {"timestamp.purpose_not_critical"}
    assert stamp_codes(raw, critical_purpose=False) == set()
    signed = material.signed("p256")
    over_it = timestamp.make_token(
        PLAIN._replace(digest=hashlib.sha256(cms.read(signed).signers[0].signature).digest()),
        material.KeySigner("p256", "tsa"),
        material.lax_authority(),
    )
    assert prove(cms.add_unsigned(signed, timestamp.MICROSOFT_ATTRIBUTE, over_it)).intact
    assert codes(prove(cms.add_unsigned(signed, timestamp.RFC3161_ATTRIBUTE, over_it))) == {"timestamp.broken"}


def test_a_token_that_does_not_name_its_certificate_is_refused() -> None:
    assert stamp_codes(loose_token(bound=b"").encoded()) == {"timestamp.signer_not_named"}


def test_a_token_that_names_another_certificate_is_refused() -> None:
    other = certificate(material.chain("p384", material.TIME_STAMPING)[0])
    bound = attribute(oids.SIGNING_CERTIFICATE_V2, ess.attribute(other, "sha256"))
    assert stamp_codes(loose_token(bound=bound).encoded()) == {"cms.signer_not_bound"}


def test_who_stamped_is_whose_key_it_was_whatever_else_came_along() -> None:
    """Another authority's certificate in front is nobody's (CVE-2026-33753)."""
    other = material.chain("p256", material.TIME_STAMPING, "other tsa")[0]
    stamp = timestamp.check(loose_token(certificates=(other, *TSA)).encoded(), STAMPED)
    assert stamp.proof.intact
    assert stamp.proof.certificates[0] == TSA[0]
    assert stamp.proof.signer == certificate(TSA[0]).signer_id


def test_the_older_way_of_naming_the_certificate_is_read() -> None:
    digest = hashlib.sha1(TSA[0], usedforsecurity=False).digest()
    value = der.sequence(der.sequence(der.sequence(der.octet_string(digest))))
    stamp = timestamp.check(loose_token(bound=attribute(oids.SIGNING_CERTIFICATE, value)).encoded(), STAMPED)
    assert stamp.proof.intact
    assert "cms.signer_bound" in codes(stamp.proof, Outcome.OK)
    assert stamp.proof.digest_algorithm == "sha256"


def test_two_signatures_are_one_too_many() -> None:
    loose = loose_token()
    assert stamp_codes(loose.encoded(loose.signer_info(), loose.signer_info())) == {"timestamp.signers_wrong"}


def test_another_content_type_is_refused() -> None:
    loose = loose_token(content_type=oids.DATA, version=1)
    assert stamp_codes(loose.encoded()) == {"timestamp.content_type_wrong"}


def test_the_authoritys_name_must_be_its_certificates() -> None:
    own, other = certificate(TSA[0]).subject, certificate(TSA[0]).issuer
    assert stamp_codes(loose_token(PLAIN._replace(authority=own).encoded()).encoded()) == set()
    assert stamp_codes(loose_token(PLAIN._replace(authority=other).encoded()).encoded()) == {
        "timestamp.authority_name_wrong"
    }
    by_address = der.sequence(
        der.parse(PLAIN.encoded()).value, der.explicit(0, der.implicit(6, b"http://tsa.example/"))
    )
    assert stamp_codes(loose_token(by_address).encoded()) == set(), "a name that no certificate has says nothing"


@pytest.mark.parametrize(("critical", "expected"), [(True, {"timestamp.extension_unknown"}), (False, set())])
def test_unknown_extensions_matter_when_they_are_critical(critical: bool, expected: set[str]) -> None:  # noqa: FBT001
    extension = der.sequence(der.oid("1.2.3.4"), der.boolean(critical) if critical else b"", der.octet_string(b"x"))
    info = der.sequence(der.parse(PLAIN.encoded()).value, der.explicit(1, extension))
    assert stamp_codes(loose_token(info).encoded()) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        material.signed("p256", attached=False),
        material.signed("p256"),
        without_signers(loose_token().encoded()),
        loose_token(b"").encoded(),
        loose_token(PLAIN.encoded() + b"\x00").encoded(),
        loose_token(PLAIN.encoded().replace(b"\x02\x01\x01", b"\x02\x01\x02", 1)).encoded(),
        loose_token(PLAIN._replace(digest=b"short").encoded()).encoded(),
        loose_token(
            der.sequence(der.parse(PLAIN.encoded()).value.replace(IMPRINT, der.sequence(IMPRINT[2:], der.null())))
        ).encoded(),
        loose_token(der.sequence(der.parse(PLAIN.encoded()).value, der.boolean(True), der.sequence())).encoded(),  # noqa: FBT003
    ],
)
def test_what_is_no_token_at_all_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        timestamp.check(raw, STAMPED)


@pytest.mark.parametrize("text", ["20260701120000.500Z", "20260701120000.Z", "20260701120000", "202607011200Z"])
def test_a_time_that_is_not_der_is_malformed(text: str) -> None:
    time = der.generalized_time(material.NOON)
    odd = der.encode(der.GENERALIZED_TIME, text.encode())
    info = der.sequence(*(odd if node.raw == time else node.raw for node in der.parse(PLAIN.encoded()).children()))
    with pytest.raises(MalformedError):
        timestamp.read_info(info)


@pytest.mark.parametrize(
    "accuracy",
    [
        der.sequence(der.implicit(0, b"\x03\xe8")),  # 1000 milliseconds
        der.sequence(der.implicit(1, b"\xff")),
        der.sequence(der.integer(-1)),
        der.sequence(der.integer(10**12)),
        der.sequence(der.integer(10**400)),
        der.sequence(der.implicit(1, b"\x01"), der.implicit(0, b"\x01")),
        der.sequence(der.null()),
    ],
)
def test_an_accuracy_that_is_none_is_malformed(accuracy: bytes) -> None:
    with pytest.raises(MalformedError):
        timestamp.read_info(der.sequence(der.parse(PLAIN.encoded()).value, accuracy))


@given(
    st.integers(0, 10**9 - 1),
    st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(9999, 1, 1)),  # noqa: DTZ001 - the zone follows
    st.integers(0, 2**160),
    st.one_of(st.none(), st.integers(0, 2**64)),
    st.booleans(),
)
def test_what_is_written_is_read(
    micros: int,
    moment: dt.datetime,
    serial: int,
    nonce: int | None,
    ordering: bool,  # noqa: FBT001 - a value
) -> None:
    info = PLAIN._replace(
        accuracy=micros / 1e6, time=moment.replace(tzinfo=dt.UTC), serial=serial, nonce=nonce, ordering=ordering
    )
    read = timestamp.read_info(info.encoded())
    assert read.accuracy == pytest.approx(info.accuracy, abs=1e-9)
    assert read._replace(accuracy=info.accuracy) == info
    theirs = oracle.TSTInfo.load(info.encoded(), strict=True)
    assert theirs["serial_number"].native == serial
    assert theirs["gen_time"].native == info.time
    assert theirs["nonce"].native == nonce


def test_tokens_on_a_signature_become_stamps_in_order() -> None:
    raw = material.signed("rsa")
    signature = cms.read(raw).signers[0].signature
    for oid, moment in ((oids.RFC3161_TIMESTAMP, material.NOON), (oids.MICROSOFT_TIMESTAMP, material.UNTIL)):
        raw = cms.add_unsigned(raw, oid, material.token(signature, time=moment))
    proof = prove(raw)
    assert proof.intact
    assert {stamp.time for stamp in proof.stamps} == {material.NOON, material.UNTIL}
    assert [stamp.time for stamp in proof.stamps] == sorted(
        (material.NOON, material.UNTIL), key=lambda moment: raw.index(der.generalized_time(moment))
    )
    subjects = [finding.subject for finding in proof.findings if finding.code == "timestamp.intact"]
    assert subjects == ["time stamp 1", "time stamp 2"]


def test_a_broken_stamp_is_never_left_out_silently() -> None:
    raw = material.signed("rsa")
    signature = cms.read(raw).signers[0].signature
    good = cms.add_unsigned(raw, oids.RFC3161_TIMESTAMP, material.token(signature))
    grafted = cms.add_unsigned(good, oids.RFC3161_TIMESTAMP, material.token(b"another signature"))
    proof = prove(grafted)
    assert codes(proof) == {"timestamp.broken"}
    assert not proof.intact
    assert [stamp.proof.intact for stamp in proof.stamps].count(True) == 1
    for junk in (der.null(), der.sequence(), material.signed("p256"), der.octet_string(b"payload")):
        proof = prove(cms.add_unsigned(good, oids.RFC3161_TIMESTAMP, junk))
        assert codes(proof) == {"timestamp.malformed"}
        assert len(proof.stamps) == 1


def test_a_stamp_with_an_algorithm_nobody_checks_leaves_the_question_open() -> None:
    raw = material.signed("rsa")
    info = PLAIN._replace(digest=hashlib.sha256(cms.read(raw).signers[0].signature).digest()).encoded()
    odd = loose_token(info, algorithm=der.sequence(der.oid("1.2.3.4"))).encoded()
    proof = prove(cms.add_unsigned(raw, oids.RFC3161_TIMESTAMP, odd))
    assert codes(proof) == set()
    assert codes(proof, Outcome.UNKNOWN) == {"timestamp.undecided"}


def test_too_many_stamps_are_refused_and_not_all_checked() -> None:
    values = [der.octet_string(bytes((number,))) for number in range(100)]
    proof = prove(Loose(unsigned=[attribute(oids.RFC3161_TIMESTAMP, *values)]).encoded())
    assert codes(proof) == {"timestamp.too_many", "timestamp.malformed"}
    assert len([finding for finding in proof.findings if finding.code == "timestamp.malformed"]) == 8
    assert codes(prove(Loose(unsigned=[attribute(oids.RFC3161_TIMESTAMP, *values[:8])]).encoded())) == {
        "timestamp.malformed"
    }


def test_the_token_leaves_certificates_out_when_asked_to() -> None:
    raw = timestamp.make_token(PLAIN, material.KeySigner("p256", "tsa"), TSA, include_certificates=False)
    assert cms.read(raw).certificates == ()
    assert stamp_codes(raw) == {"cms.signer_missing"}


# Legacy countersignatures


def countersignature(stamped: bytes, kind: str = "rsa", digest: str = "sha256", **changes: material.Value) -> Loose:
    loose = Loose(
        kind=kind,
        digest=digest,
        octets=stamped,
        certificates=material.chain(kind, material.TIME_STAMPING, "tsa"),
        key_name="tsa",
    )
    assert loose.attributes is not None
    loose.attributes.append(attribute(oids.SIGNING_TIME, der.time(material.NOON)))
    for field, value in changes.items():
        setattr(loose, field, value)
    return loose


def countersigned(loose_counter: Loose) -> bytes:
    """A signature with a countersignature, whose certificates are in the outer set."""
    outer = Loose(unsigned=[attribute(oids.COUNTERSIGNATURE, loose_counter.signer_info())])
    outer.signature = SIGNATURE
    outer.certificates = [*material.chain("p256"), *(loose_counter.certificates or ())]
    return outer.encoded()


SIGNATURE = cms.read(Loose().encoded()).signers[0].signature


@pytest.mark.parametrize(("kind", "digest"), [("rsa", "sha1"), ("rsa", "sha256"), ("p256", "sha256")])
def test_a_countersignature_is_a_stamp(kind: str, digest: str) -> None:
    proof = prove(countersigned(countersignature(SIGNATURE, kind, digest)))
    assert proof.intact
    (stamp,) = proof.stamps
    assert (stamp.kind, stamp.time) == ("authenticode", material.NOON)
    assert stamp.proof.digest_algorithm == digest
    assert stamp.proof.certificates[0] == material.chain(kind, material.TIME_STAMPING, "tsa")[0]
    assert "timestamp.purpose_right" in codes(stamp.proof, Outcome.OK)
    assert proof.digest_algorithm == "sha256"


def test_a_countersignature_needs_no_content_type() -> None:
    loose = countersignature(SIGNATURE)
    assert loose.attributes is not None
    del loose.attributes[0]
    assert prove(countersigned(loose)).intact


def broken_stamp(loose: Loose) -> set[str]:
    proof = prove(countersigned(loose))
    assert codes(proof) == {"timestamp.broken"}
    return codes(proof.stamps[0].proof)


def test_a_countersignature_over_something_else_is_broken() -> None:
    assert broken_stamp(countersignature(b"another signature")) == {"cms.content_mismatch"}


def test_a_countersigner_for_another_purpose_is_broken() -> None:
    chain = material.chain("rsa", material.CODE_SIGNING, "tsa")
    assert broken_stamp(countersignature(SIGNATURE, certificates=chain)) == {"timestamp.purpose_wrong"}
    nothing = countersignature(SIGNATURE, "p256", certificates=material.authority())
    assert broken_stamp(nothing) == {"timestamp.purpose_wrong"}


def test_a_countersignature_with_unsigned_attributes_is_broken() -> None:
    blob = attribute("1.2.3.4", der.octet_string(b"payload"))
    assert broken_stamp(countersignature(SIGNATURE, unsigned=[blob])) == {"cms.unsigned_unknown"}


def test_a_countersignature_without_a_time_is_malformed() -> None:
    loose = countersignature(SIGNATURE)
    assert loose.attributes is not None
    del loose.attributes[2]
    assert codes(prove(countersigned(loose))) == {"timestamp.malformed"}


def test_a_countersignature_without_its_certificate_is_broken() -> None:
    loose = countersignature(SIGNATURE)
    loose.identifier = loose.issuer_and_serial()
    loose.certificates = material.chain("p384")
    assert broken_stamp(loose) == {"cms.signer_missing"}


def test_a_digest_without_its_algorithm_is_tolerated_in_countersignatures_alone() -> None:
    key = material.private_key("rsa", "tsa")

    def bare(loose: Loose) -> Loose:
        assert loose.attributes is not None
        digest = hashlib.new(loose.digest, der.set_of(loose.attributes)).digest()
        numbers, size = key.private_numbers(), key.key_size // 8
        block = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
        loose.signature = pow(int.from_bytes(block), numbers.d, numbers.public_numbers.n).to_bytes(size)
        return loose

    proof = prove(countersigned(bare(countersignature(SIGNATURE, digest="sha1"))))
    assert proof.intact
    assert codes(proof.stamps[0].proof, Outcome.INFO) == {"timestamp.bare_digest"}
    ordinary = Loose(kind="rsa", key_name="tsa")
    assert codes(prove(bare(ordinary).encoded())) == {"cms.signature_invalid"}


def test_a_token_of_ed25519_rests_on_sha512() -> None:
    raw = material.token(STAMPED, "ed25519")
    assert cms.read(raw).signers[0].digest_algorithm == "sha512"
    assert algorithms.DIGEST_OIDS


def test_content_of_a_token_is_built_in_an_octet_string() -> None:
    content = Content(oids.TST_INFO, "sha256", b"", PLAIN.encoded())
    signer = material.KeySigner("p256", "tsa")
    draft = cms.draft(content, signer, TSA, signing_time=None)
    raw = draft.finish(signer.sign(draft.to_be_signed, "sha256"))
    assert cms.read(raw).content_raw == der.octet_string(PLAIN.encoded())
    assert stamp_codes(raw) == set()
