"""OCSP requests and responses: what is read, what is refused, and that both agree with cryptography."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as oracle
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as oracle_ocsp
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import der, ocsp, x509
from chopmark.envelopes.ocsp import writing
from tests.support import pki, probing

if TYPE_CHECKING:
    from collections.abc import Sequence

WORLD = pki.world()
CERTIFICATE, ISSUER = x509.certificate(WORLD.signer.der), x509.certificate(WORLD.issuing.der)
IDENTITY = ocsp.for_certificate(CERTIFICATE, ISSUER)
ALGORITHM = der.sequence(der.oid("1.2.840.10045.4.3.2"))
GOOD = writing.UNREVOKED[ocsp.GOOD]
DAY = dt.timedelta(days=1)


def single(status: bytes = GOOD, more: Sequence[bytes] = ()) -> bytes:
    return writing.single(IDENTITY.encoded(), status, pki.NOW, pki.NOW + DAY, more)


def data(*singles: bytes, nonce: bytes | None = None) -> bytes:
    return ocsp.response_data(bytes(20), pki.NOW, singles, nonce)


def signed(tbs: bytes, *certificates: bytes) -> bytes:
    return ocsp.response(tbs, ALGORITHM, WORLD.issuing.sign(tbs, "sha256"), certificates)


def basic(raw: bytes) -> ocsp.Basic:
    found = ocsp.read_response(raw).basic
    assert found is not None
    return found


def wrapped(inner: bytes, *, kind: str = ocsp.BASIC, status: int = 0) -> bytes:
    """An OCSPResponse around something."""
    held = der.sequence(der.oid(kind), der.octet_string(inner))
    return der.sequence(der.encode(der.ENUMERATED, bytes([status])), der.explicit(0, held))


# Requests


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_a_request_is_the_one_that_cryptography_makes(algorithm: str) -> None:
    digest = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}  # noqa: S303 - what OCSP speaks
    theirs = (
        oracle_ocsp.OCSPRequestBuilder()
        .add_certificate(WORLD.signer.certificate, WORLD.issuing.certificate, digest[algorithm])
        .build()
    )
    read = ocsp.read_request(theirs.public_bytes(Encoding.DER))
    ours = ocsp.request([ocsp.for_certificate(CERTIFICATE, ISSUER, algorithm)])
    assert read.asked[0].cert_id == ocsp.read_request(ours).asked[0].cert_id
    assert oracle_ocsp.load_der_ocsp_request(ours).serial_number == CERTIFICATE.serial
    assert oracle_ocsp.load_der_ocsp_request(ours).issuer_key_hash == theirs.issuer_key_hash
    assert read.plain


def test_several_certificates_and_a_nonce() -> None:
    other = IDENTITY._replace(serial=b"\x05")
    read = ocsp.read_request(ocsp.request([IDENTITY, other], b"n" * 32))
    assert [each.cert_id for each in read.asked] == [IDENTITY, other]
    assert read.nonce == b"n" * 32
    assert not read.plain


def test_an_unknown_digest_is_read_but_is_nobody() -> None:
    strange = der.sequence(
        der.sequence(der.oid("1.2.3.4")), der.octet_string(b"a"), der.octet_string(b"b"), der.integer(5)
    )
    read = ocsp.read_request(der.sequence(der.sequence(der.sequence(der.sequence(strange)))))
    assert read.asked[0].cert_id.issuer == ("1.2.3.4", b"a", b"b")


def one(cert_id: bytes) -> bytes:
    return der.sequence(der.sequence(der.sequence(der.sequence(cert_id))))


BAD_REQUESTS = {
    "empty": b"",
    "trailing byte": ocsp.request([IDENTITY]) + b"\0",
    "cut off": ocsp.request([IDENTITY])[:-1],
    "no certificate": ocsp.request([]),
    "too many": ocsp.request([IDENTITY] * (limits.OCSP_ASKED_MAX + 1)),
    "too long": ocsp.request([IDENTITY]) + bytes(limits.OCSP_REQUEST_MAX),
    "version written out": der.sequence(
        der.sequence(der.explicit(0, der.integer(0)), der.sequence(der.sequence(IDENTITY.encoded())))
    ),
    "another version": der.sequence(
        der.sequence(der.explicit(0, der.integer(1)), der.sequence(der.sequence(IDENTITY.encoded())))
    ),
    "short digest": one(IDENTITY._replace(key_hash=bytes(19)).encoded()),
    "no serial number": one(IDENTITY._replace(serial=b"").encoded()),
    "a huge serial number": one(IDENTITY._replace(serial=b"\x01" * 65).encoded()),
    "an empty nonce": ocsp.request([IDENTITY], b""),
    "a long nonce": ocsp.request([IDENTITY], bytes(limits.OCSP_NONCE_MAX + 1)),
    "digest parameters": one(IDENTITY.encoded().replace(b"\x05\x00", b"\x05\x01\x00")),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_requests_that_are_none(name: str) -> None:
    with pytest.raises(MalformedError):
        ocsp.read_request(BAD_REQUESTS[name])


# Responses


def test_a_response_as_cryptography_makes_it() -> None:
    builder = (
        oracle_ocsp.OCSPResponseBuilder()
        .add_response(
            WORLD.signer.certificate,
            WORLD.issuing.certificate,
            hashes.SHA256(),
            oracle_ocsp.OCSPCertStatus.REVOKED,
            pki.NOW,
            pki.NOW + DAY,
            pki.NOW - DAY,
            oracle.ReasonFlags.key_compromise,
        )
        .responder_id(oracle_ocsp.OCSPResponderEncoding.NAME, WORLD.issuing.certificate)
        .certificates([WORLD.issuing.certificate])
        .add_extension(oracle.OCSPNonce(b"n" * 16), critical=False)
    )
    key = WORLD.issuing.private_key
    found = basic(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    [answer] = found.singles
    assert answer.cert_id == ocsp.for_certificate(CERTIFICATE, ISSUER, "sha256")
    assert (answer.status, answer.revoked, answer.reason) == (ocsp.REVOKED, pki.NOW - DAY, 1)
    assert (answer.this_update, answer.next_update) == (pki.NOW, pki.NOW + DAY)
    assert found.responder_name == ISSUER.subject
    assert found.responder_key == b""
    assert found.nonce == b"n" * 16
    assert found.certificates == (ISSUER.raw,)


def test_what_is_written_is_read_by_cryptography_too() -> None:
    tbs = data(single(writing.revoked(pki.NOW - DAY, 4)), nonce=b"x")
    theirs = oracle_ocsp.load_der_ocsp_response(signed(tbs, ISSUER.raw))
    assert theirs.certificate_status is oracle_ocsp.OCSPCertStatus.REVOKED
    assert theirs.revocation_time_utc == pki.NOW - DAY
    assert theirs.revocation_reason is oracle.ReasonFlags.superseded
    assert theirs.responder_key_hash == bytes(20)
    assert theirs.tbs_response_bytes == tbs


def test_several_answers_with_what_only_some_have() -> None:
    more = [ocsp.archive_cutoff(pki.SINCE), ocsp.invalidity_date(pki.SINCE + DAY)]
    raw = signed(data(single(), single(writing.UNREVOKED[ocsp.UNKNOWN]), single(writing.revoked(pki.NOW), more)))
    good, unknown, revoked = basic(raw).singles
    assert [each.status for each in (good, unknown, revoked)] == [ocsp.GOOD, ocsp.UNKNOWN, ocsp.REVOKED]
    assert good.archive_cutoff is None
    assert good.invalid_since is None
    assert revoked.archive_cutoff == pki.SINCE
    assert revoked.invalid_since == pki.SINCE + DAY
    assert revoked.reason == 0


@pytest.mark.parametrize("status", [1, 2, 3, 5, 6])
def test_every_failure_has_its_name(status: int) -> None:
    response = ocsp.read_response(ocsp.failure(status))
    assert response.basic is None
    assert response.status_text == ocsp.STATUSES[status]
    theirs = oracle_ocsp.load_der_ocsp_response(ocsp.failure(status))
    assert theirs.response_status.value == status


TBS = data(single())
SIGNED = signed(TBS)
BASIC = der.sequence(TBS, ALGORITHM, der.bit_string(b"s"))
PARTS = [node.raw for node in der.parse(TBS).children()]
SINGLE = [node.raw for node in der.parse(single()).children()]
REVOKED = writing.revoked(pki.NOW, 1)


def around(*parts: bytes) -> bytes:
    return wrapped(der.sequence(der.sequence(*parts), ALGORITHM, der.bit_string(b"s")))


def about(*parts: bytes) -> bytes:
    return around(*PARTS[:2], der.sequence(der.sequence(*parts)))


def fraction(node: bytes) -> bytes:
    return der.encode(der.GENERALIZED_TIME, der.parse(node).value[:-1] + b".5Z")


BAD_RESPONSES = {
    "empty": b"",
    "trailing byte": SIGNED + b"\0",
    "cut off": SIGNED[:-1],
    "too long": SIGNED + bytes(limits.OCSP_RESPONSE_MAX),
    "status 4, which is not used": ocsp.failure(4),
    "status 7": ocsp.failure(7),
    "successful without answers": ocsp.failure(0),
    "a failure with answers": wrapped(BASIC, status=3),
    "another type": wrapped(BASIC, kind="1.3.6.1.5.5.7.48.1.2"),
    "something behind the answers": wrapped(BASIC + b"\0"),
    "version written out": around(der.explicit(0, der.integer(0)), *PARTS),
    "another version": around(der.explicit(0, der.integer(1)), *PARTS),
    "nobody answers": around(*PARTS[1:]),
    "a responder under another tag": around(der.explicit(3, der.octet_string(bytes(20))), *PARTS[1:]),
    "a short key hash": around(der.explicit(2, der.octet_string(bytes(19))), *PARTS[1:]),
    "produced in UTCTime": around(PARTS[0], der.time(pki.NOW), PARTS[2]),
    "a fraction of a second": around(PARTS[0], fraction(PARTS[1]), PARTS[2]),
    "an empty nonce": around(*PARTS, der.explicit(1, der.sequence(ocsp.nonce(b"")))),
    "good with a value": about(SINGLE[0], der.implicit(0, b"x"), *SINGLE[2:]),
    "a status that there is not": about(SINGLE[0], der.implicit(3, b""), *SINGLE[2:]),
    "revoked without a date": about(SINGLE[0], der.explicit(1), *SINGLE[2:]),
    "no status": about(SINGLE[0], *SINGLE[2:]),
    "no time": about(*SINGLE[:2]),
    "something behind an answer": about(*SINGLE, der.null()),
    "an extension twice": around(*PARTS, der.explicit(1, der.sequence(ocsp.nonce(b"1"), ocsp.nonce(b"2")))),
    "too many certificates": signed(TBS, *[ISSUER.raw] * (limits.OCSP_CERTIFICATES_MAX + 1)),
    "too many answers": signed(data(*[single()] * (limits.OCSP_SINGLES_MAX + 1))),
    "an integer for a reason": about(SINGLE[0], REVOKED.replace(b"\x0a\x01\x01", b"\x02\x01\x01"), *SINGLE[2:]),
}


@pytest.mark.parametrize("name", BAD_RESPONSES)
def test_responses_that_are_none(name: str) -> None:
    with pytest.raises(MalformedError):
        ocsp.read_response(BAD_RESPONSES[name])


def test_the_smallest_response_and_the_bad_ones_differ_in_what_is_bad() -> None:
    assert len(basic(around(*PARTS)).singles) == 1
    assert len(basic(about(*SINGLE)).singles) == 1


def test_no_answers_at_all_is_well_formed() -> None:
    assert basic(signed(data())).singles == ()


@given(st.binary(max_size=300))
def test_bytes_are_read_or_refused(raw: bytes) -> None:
    probing.clearly(lambda: ocsp.read_request(raw))
    probing.clearly(lambda: ocsp.read_response(raw))


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(position: int, value: int) -> None:
    raw = bytearray(SIGNED)
    raw[position % len(raw)] = value
    probing.clearly(lambda: ocsp.read_response(bytes(raw)))


@given(st.integers(0, len(SIGNED) - 1))
def test_a_truncated_response_is_refused(size: int) -> None:
    with pytest.raises(MalformedError):
        ocsp.read_response(SIGNED[:size])
