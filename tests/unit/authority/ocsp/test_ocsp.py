"""The OCSP responder: what it answers, how soon it notices changes, who signs, and what others may keep."""

from __future__ import annotations

import base64
import datetime as dt
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509 as oracle
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as oracle_ocsp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chopmark.authority.ca import Authority
from chopmark.authority.issuing import certificates, profiles
from chopmark.authority.ocsp import delegates
from chopmark.authority.ocsp.responder import Responder
from chopmark.authority.ocsp.store import FILE
from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.envelopes import der, ocsp, x509
from tests.unit.authority.conftest import NOW, Clock, order, spki

CODE, STAMPS, ROOT = profiles.CODE_SIGNING, profiles.TIME_STAMPING, profiles.ROOT
HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def served(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with responders for all its CAs."""
    folder = tmp_path_factory.mktemp("ocsp") / "ca"
    shutil.copytree(founded, folder)
    with Authority.open(str(folder), clock=Clock()) as authority, Responder(authority) as responder:
        for issuer in authority.issuers():
            responder.delegates.create(issuer)
    return folder


def internal(authority: Authority, label: str = "signer", **parts: object) -> x509.Certificate:
    return x509.certificate(authority.issue(order("internal", key=spki("p256", label), **parts)).certificate)  # type: ignore[arg-type]


def issuer_of(authority: Authority, name: str = CODE) -> x509.Certificate:
    return authority.issuer(name).certificate


def asking(
    authority: Authority, *asked: x509.Certificate, algorithm: str = "sha1", nonce: bytes | None = None
) -> bytes:
    issuer = issuer_of(authority)
    return ocsp.request([ocsp.for_certificate(each, issuer, algorithm) for each in asked], nonce)


def singles(raw: bytes) -> list[ocsp.Single]:
    basic = ocsp.read_response(raw).basic
    assert basic is not None
    return list(basic.singles)


def status(raw: bytes) -> str:
    [single] = singles(raw)
    return single.status


def failure(raw: bytes) -> str:
    return ocsp.read_response(raw).status_text


def test_a_good_answer_is_read_by_cryptography_too(authority: Authority, responder: Responder) -> None:
    certificate = internal(authority)
    raw = responder.respond(asking(authority, certificate))
    theirs = oracle_ocsp.load_der_ocsp_response(raw)
    assert theirs.response_status is oracle_ocsp.OCSPResponseStatus.SUCCESSFUL
    assert theirs.certificate_status is oracle_ocsp.OCSPCertStatus.GOOD
    assert theirs.serial_number == certificate.serial
    assert theirs.this_update_utc == theirs.produced_at_utc == NOW
    assert theirs.next_update_utc == NOW + 96 * HOUR
    [delegate] = theirs.certificates
    issuer = oracle.load_der_x509_certificate(issuer_of(authority).raw)
    delegate.verify_directly_issued_by(issuer)
    key = delegate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(theirs.signature, theirs.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    assert theirs.responder_key_hash == oracle.SubjectKeyIdentifier.from_public_key(key).digest


def test_the_responders_certificate_is_for_that_alone_and_short_lived(
    authority: Authority, responder: Responder
) -> None:
    responder.respond(asking(authority, internal(authority)))
    for delegate in responder.delegates.all():
        certificate = delegate.certificate
        assert certificate.extended_key_usage == (x509.EKU_OCSP_SIGNING,)
        assert x509.OCSP_NO_CHECK in certificate.extensions
        assert certificate.key_usage == frozenset({x509.DIGITAL_SIGNATURE})
        assert certificate.not_after - certificate.not_before <= dt.timedelta(days=180)
        assert authority.register.find(delegate.serial).profile == profiles.OCSP_RESPONDER


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_every_digest_of_the_issuer_is_understood(authority: Authority, responder: Responder, algorithm: str) -> None:
    request = asking(authority, internal(authority), algorithm=algorithm)
    [single] = singles(responder.respond(request))
    assert single.status == ocsp.GOOD
    assert single.cert_id.algorithm == algorithm


def test_a_certid_without_parameters_comes_back_as_it_was(authority: Authority, responder: Responder) -> None:
    known = ocsp.for_certificate(internal(authority), issuer_of(authority))
    bare = der.sequence(
        der.sequence(der.oid("1.3.14.3.2.26")),
        der.octet_string(known.name_hash),
        der.octet_string(known.key_hash),
        der.encode(der.INTEGER, known.serial),
    )
    responder.presign()
    raw = responder.respond(der.sequence(der.sequence(der.sequence(der.sequence(bare)))))
    assert status(raw) == ocsp.GOOD
    assert bare in raw


def test_revoked_says_when_and_why_and_since_when_the_key_is_doubtful(
    authority: Authority, responder: Responder
) -> None:
    certificate = internal(authority, not_before=NOW - 100 * HOUR)
    request = asking(authority, certificate)
    assert status(responder.respond(request)) == ocsp.GOOD
    serial = certificate.serial_octets.hex()
    authority.revoke(serial, "keyCompromise", at=NOW - HOUR, invalidity=NOW - 50 * HOUR)
    [single] = singles(responder.respond(request))
    assert (single.status, single.revoked, single.reason) == (ocsp.REVOKED, NOW - HOUR, 1)
    assert single.invalid_since == NOW - 50 * HOUR


def test_an_unspecified_reason_is_left_out(authority: Authority, responder: Responder) -> None:
    certificate = internal(authority)
    authority.revoke(certificate.serial_octets.hex())
    theirs = oracle_ocsp.load_der_ocsp_response(responder.respond(asking(authority, certificate)))
    assert theirs.certificate_status is oracle_ocsp.OCSPCertStatus.REVOKED
    assert theirs.revocation_reason is None


@pytest.mark.parametrize("ahead", [False, True])
def test_a_hold_and_its_end_reach_the_answers_at_once(
    authority: Authority, responder: Responder, *, ahead: bool
) -> None:
    certificate = internal(authority)
    request = asking(authority, certificate)
    serial = certificate.serial_octets.hex()
    if ahead:
        responder.presign()
    for change, expected in ((None, ocsp.GOOD), ("hold", ocsp.REVOKED), ("release", ocsp.GOOD)):
        if change == "hold":
            authority.revoke(serial, "certificateHold")
        elif change == "release":
            authority.release(serial)
        assert status(responder.respond(request)) == expected
        assert status(responder.respond(request)) == expected


def test_another_process_revokes_and_the_answer_in_memory_is_gone(
    authority: Authority, responder: Responder, clock: Clock
) -> None:
    certificate = internal(authority)
    request = asking(authority, certificate)
    assert responder.respond(request) == responder.respond(request)
    with Authority.open(authority.folder, clock=clock) as other:
        other.revoke(certificate.serial_octets.hex(), "keyCompromise")
    assert status(responder.respond(request)) == ocsp.REVOKED


def test_more_changes_than_are_looked_at_one_by_one(
    authority: Authority, responder: Responder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OCSP_CHANGES_MAX", 2)
    certificates_ = [internal(authority, str(number)) for number in range(4)]
    requests = [asking(authority, each) for each in certificates_]
    assert [status(responder.respond(each)) for each in requests] == [ocsp.GOOD] * 4
    for each in certificates_:
        authority.revoke(each.serial_octets.hex())
    assert [status(responder.respond(each)) for each in requests] == [ocsp.REVOKED] * 4


def test_a_restored_register_is_believed(authority: Authority, responder: Responder, tmp_path: Path) -> None:
    certificate = internal(authority)
    request = asking(authority, certificate)
    database = Path(authority.folder) / "authority.sqlite3"
    import sqlite3

    with sqlite3.connect(database) as source, sqlite3.connect(tmp_path / "backup") as target:
        source.backup(target)
    authority.revoke(certificate.serial_octets.hex())
    assert status(responder.respond(request)) == ocsp.REVOKED
    with sqlite3.connect(tmp_path / "backup") as source, sqlite3.connect(database) as target:
        source.backup(target)
    assert status(responder.respond(request)) == ocsp.GOOD


# Who is not known


def test_nobody_has_this_number(authority: Authority, responder: Responder, clock: Clock) -> None:
    certificate = internal(authority)
    identity = ocsp.for_certificate(certificate, issuer_of(authority))
    for serial in (b"\x01", b"\x00", b"\xff", b"\x00\xff", b"\x7f" * 20, b"\x7f" * 40):
        raw = responder.respond(ocsp.request([identity._replace(serial=serial)]))
        [single] = singles(raw)
        assert single.status == ocsp.UNKNOWN
        assert single.next_update is not None
        assert single.next_update <= clock.now + dt.timedelta(minutes=5)
        reply = responder.respond_http("POST", "", ocsp.request([identity._replace(serial=serial)]))
        assert ("Cache-Control", "no-store") in reply.headers


def test_a_number_that_is_only_reserved_is_unknown_until_the_certificate_is_there(
    authority: Authority, responder: Responder
) -> None:
    issuer = authority.issuer(CODE)
    signer = authority.signer(issuer)
    draft = certificates.Draft(
        certificates.new_serial(), issuer.certificate.subject, issuer.certificate.subject, spki(), NOW, NOW + HOUR, ()
    )
    row = authority.register.reserve(issuer, draft.unsigned(signer), "internal", NOW)
    certificate = x509.Certificate(draft.sign(signer))
    request = asking(authority, certificate)
    assert status(responder.respond(request)) == ocsp.UNKNOWN
    before = responder.presign().signed
    authority.register.complete(row, issuer, certificate, NOW)
    assert responder.presign() == (1, before)
    assert status(responder.respond(request)) == ocsp.GOOD


def test_another_issuer_is_refused(authority: Authority, responder: Responder) -> None:
    identity = ocsp.for_certificate(internal(authority), issuer_of(authority))
    for wrong in (
        identity._replace(name_hash=bytes(20)),
        identity._replace(key_hash=bytes(20)),
        identity._replace(key_hash=ocsp.for_certificate(issuer_of(authority), issuer_of(authority, ROOT)).key_hash),
    ):
        assert failure(responder.respond(ocsp.request([wrong]))) == "unauthorized"


def test_a_ca_without_responder_is_not_answered_for(founded: Path, tmp_path: Path, clock: Clock) -> None:
    shutil.copytree(founded, tmp_path / "ca")
    with Authority.open(str(tmp_path / "ca"), clock=clock) as authority, Responder(authority) as responder:
        certificate = internal(authority)
        assert failure(responder.respond(asking(authority, certificate))) == "unauthorized"
        responder.delegates.create(authority.issuer(CODE))
        assert status(responder.respond(asking(authority, certificate))) == ocsp.GOOD


# Several at once


def test_several_certificates_are_answered_about_in_one_response(authority: Authority, responder: Responder) -> None:
    good, gone, never = (internal(authority, label) for label in ("good", "gone", "never"))
    authority.revoke(gone.serial_octets.hex())
    identity = ocsp.for_certificate(never, issuer_of(authority))._replace(serial=b"\x01")
    ids = [*(ocsp.for_certificate(each, issuer_of(authority)) for each in (good, gone)), identity]
    answers = singles(responder.respond(ocsp.request(ids)))
    assert [each.status for each in answers] == [ocsp.GOOD, ocsp.REVOKED, ocsp.UNKNOWN]
    assert [each.cert_id for each in answers] == ids


def test_certificates_of_two_cas_have_no_common_signer(authority: Authority, responder: Responder) -> None:
    ours = ocsp.for_certificate(internal(authority), issuer_of(authority))
    ca = ocsp.for_certificate(issuer_of(authority), issuer_of(authority, ROOT))
    assert failure(responder.respond(ocsp.request([ours, ca]))) == "unauthorized"
    assert status(responder.respond(ocsp.request([ca]))) == ocsp.GOOD


# Requests that are none


def test_a_nonce_comes_back_and_makes_the_answer_nobody_elses(authority: Authority, responder: Responder) -> None:
    certificate = internal(authority)
    for nonce in (b"\x01", os.urandom(32), os.urandom(128)):
        reply = responder.respond_http("POST", "", asking(authority, certificate, nonce=nonce), ocsp.REQUEST_TYPE)
        basic = ocsp.read_response(reply.body).basic
        assert basic is not None
        assert basic.nonce == nonce
        assert oracle_ocsp.load_der_ocsp_response(reply.body).extensions[0].value.nonce == nonce
        assert reply.headers == (("Cache-Control", "no-store"),)


@pytest.mark.parametrize("size", [0, 129])
def test_nonces_of_forbidden_lengths_are_malformed(authority: Authority, responder: Responder, size: int) -> None:
    assert failure(responder.respond(asking(authority, internal(authority), nonce=bytes(size)))) == "malformedRequest"


def test_a_critical_extension_that_is_not_known_is_malformed(authority: Authority, responder: Responder) -> None:
    request = der.parse(asking(authority, internal(authority), nonce=b"x" * 8)).raw
    nonce = der.oid(ocsp.NONCE)
    strange = request.replace(nonce, der.oid("1.3.6.1.5.5.7.48.1.99"[:-1]))
    assert status(responder.respond(strange)) == ocsp.GOOD
    inside = der.sequence(der.oid("1.2.3.4"), der.boolean(True), der.octet_string(b""))  # noqa: FBT003 - DER
    listed = der.sequence(der.sequence(ocsp.for_certificate(internal(authority, "b"), issuer_of(authority)).encoded()))
    critical = der.sequence(der.sequence(listed, der.explicit(2, der.sequence(inside))))
    assert failure(responder.respond(critical)) == "malformedRequest"


def test_a_signed_request_is_answered_as_if_it_were_not(authority: Authority, responder: Responder) -> None:
    certificate = internal(authority)
    theirs = oracle_ocsp.OCSPRequestBuilder().add_certificate(
        oracle.load_der_x509_certificate(certificate.raw),
        oracle.load_der_x509_certificate(issuer_of(authority).raw),
        hashes.SHA256(),
    )
    tbs = der.parse(theirs.build().public_bytes(Encoding.DER)).children()[0].raw
    name = der.explicit(1, der.explicit(4, certificate.subject))
    named = der.sequence(name, der.parse(tbs).children()[0].raw)
    signature = der.explicit(0, der.sequence(der.sequence(der.oid("1.3.101.112")), der.bit_string(bytes(64))))
    assert status(responder.respond(der.sequence(named, signature))) == ocsp.GOOD


@given(st.binary(max_size=200))
def test_bytes_that_are_no_request_are_malformed(served: Path, data: bytes) -> None:
    with Authority.open(str(served), clock=Clock()) as authority, Responder(authority) as responder:
        assert failure(responder.respond(data)) == "malformedRequest"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(position=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_request_gets_some_response(
    authority: Authority, responder: Responder, position: int, value: int
) -> None:
    raw = bytearray(asking(authority, issuer_of(authority), nonce=b"nonce"))
    raw[position % len(raw)] = value
    assert failure(responder.respond(bytes(raw))) in ocsp.STATUSES.values()


def test_requests_have_limits(authority: Authority, responder: Responder) -> None:
    identity = ocsp.for_certificate(issuer_of(authority), issuer_of(authority, ROOT))
    most = [identity] * limits.OCSP_ASKED_MAX
    assert len(singles(responder.respond(ocsp.request(most)))) == limits.OCSP_ASKED_MAX
    assert failure(responder.respond(ocsp.request([*most, identity]))) == "malformedRequest"
    assert failure(responder.respond(ocsp.request([]))) == "malformedRequest"
    long = ocsp.request([identity]) + bytes(limits.OCSP_REQUEST_MAX)
    assert failure(responder.respond(long)) == "malformedRequest"
    assert responder.respond_http("POST", "", long).status == 413
    assert responder.respond_http("GET", "/" + "M" * 3 * limits.OCSP_REQUEST_MAX).status == 414


# HTTP


def paths(request: bytes) -> dict[str, str]:
    text = base64.b64encode(request).decode()
    return {
        "encoded": "/" + ocsp.request_path(request),
        "without a slash": ocsp.request_path(request),
        "plain": "/" + text,
        "two slashes": "//" + text,
        "slashes encoded": "/" + quote("/" + text, safe=""),
        "encoded twice": "/" + quote(quote(text, safe=""), safe=""),
        "a space for a plus": "/" + text.replace("+", " "),
        "without padding": "/" + text.rstrip("="),
        "for URLs": "/" + base64.urlsafe_b64encode(request).decode(),
        "with a query": "/" + quote(text, safe="") + "?x=y",
    }


def test_a_get_is_understood_however_its_path_is_written(authority: Authority, responder: Responder) -> None:
    certificate = internal(authority)
    for nonce in range(40):  # until the base64 has had plus signs, slashes and padding
        request = asking(
            authority, certificate, nonce=bytes([nonce, 0xFB, 0xEF, 0xFF][: 1 + nonce % 4]) * (1 + nonce % 3)
        )
        for how, path in paths(request).items():
            reply = responder.respond_http("GET", path)
            basic = ocsp.read_response(reply.body).basic
            assert basic is not None, how
            assert basic.nonce == ocsp.read_request(request).nonce, how


@pytest.mark.parametrize("path", ["", "/", "//", "/!!!!", "/%", "/%FF%FE", "/a", "/M", "/é"])
def test_a_get_without_a_request_is_refused(responder: Responder, path: str) -> None:
    reply = responder.respond_http("GET", path)
    assert reply.status == 400
    assert ("Cache-Control", "no-store") in reply.headers


def test_other_methods_and_types_are_refused(responder: Responder) -> None:
    assert responder.respond_http("PUT", "").status == 405
    assert responder.respond_http("POST", "", b"", "text/html").status == 415
    assert failure(responder.respond_http("POST", "", b"").body) == "malformedRequest"
    assert failure(responder.respond_http("POST", "", b"", "Application/OCSP-Request; x=y").body) == "malformedRequest"


def test_others_may_keep_an_answer_until_the_next_is_due(
    authority: Authority, responder: Responder, clock: Clock
) -> None:
    request = asking(authority, internal(authority))
    path = "/" + ocsp.request_path(request)
    first = responder.respond_http("GET", path)
    headers = dict(first.headers)
    assert headers["Cache-Control"] == f"max-age={48 * 3600}, public, no-transform, must-revalidate"
    assert headers["Last-Modified"] == "Sun, 22 Nov 2026 12:00:00 GMT"
    assert headers["Expires"] == "Thu, 26 Nov 2026 12:00:00 GMT"
    clock.advance(hours=47)
    later = responder.respond_http("GET", path)
    assert later.body == first.body
    assert dict(later.headers)["ETag"] == headers["ETag"]
    assert dict(later.headers)["Cache-Control"].startswith("max-age=3600,")
    assert dict(responder.respond_http("POST", "", request).headers)["Cache-Control"].startswith(
        "max-age=3600, private"
    )
    clock.advance(hours=1)
    anew = responder.respond_http("GET", path)
    assert anew.body != first.body
    assert dict(anew.headers)["ETag"] != headers["ETag"]


# Signing ahead


def test_answers_signed_ahead_are_given_and_renewed_when_half_their_time_is_over(
    authority: Authority, responder: Responder, clock: Clock
) -> None:
    certificate = internal(authority)
    first = responder.presign()
    assert first == (first.signed, 0)
    clock.advance(hours=1)
    request = asking(authority, certificate)
    [single] = singles(responder.respond(request))
    assert single.this_update == NOW
    assert responder.presign() == (0, first.signed)
    clock.advance(hours=46)
    assert responder.presign().signed == first.signed
    [single] = singles(responder.respond(request))
    assert single.this_update == NOW + 47 * HOUR


def test_an_answer_signed_ahead_that_is_not_so_any_more_is_not_given(
    authority: Authority, responder: Responder
) -> None:
    certificate = internal(authority)
    responder.presign()
    authority.revoke(certificate.serial_octets.hex(), "superseded")
    assert status(responder.respond(asking(authority, certificate))) == ocsp.REVOKED
    assert responder.presign().signed == 1


def test_a_damaged_or_foreign_file_of_answers_is_done_without(authority: Authority) -> None:
    path = Path(authority.folder, delegates.FOLDER, FILE)
    path.write_bytes(b"not a database, but long enough to look at it as one" * 100)
    with Responder(authority) as responder:
        assert status(responder.respond(asking(authority, internal(authority)))) == ocsp.GOOD


def test_pages_of_the_register(authority: Authority, responder: Responder) -> None:
    for number in range(5):
        internal(authority, str(number))
    once = responder.presign(2)
    assert once.signed >= 5
    assert responder.presign(3) == (0, once.signed)


def test_expired_certificates_are_not_signed_ahead_but_answered_with_how_far_back_that_goes(
    authority: Authority, responder: Responder
) -> None:
    old = internal(authority, "old", not_before=NOW - 200 * HOUR, not_after=NOW - 100 * HOUR)
    before = responder.presign().signed
    assert before == len(authority.register.search(NOW, status="valid"))
    [single] = singles(responder.respond(asking(authority, old)))
    assert single.status == ocsp.GOOD
    assert single.archive_cutoff == issuer_of(authority).not_before
    [single] = singles(responder.respond(asking(authority, internal(authority, "new"))))
    assert single.archive_cutoff is None


# Who signs


def test_the_next_responder_is_made_in_time_and_the_old_one_answers_until_it_settles(
    authority: Authority, responder: Responder, clock: Clock
) -> None:
    request = asking(authority, internal(authority))

    def signer() -> str:
        [raw] = ocsp.read_response(responder.respond(request)).basic.certificates  # type: ignore[union-attr]
        return x509.certificate(raw).serial_octets.hex()

    first = signer()
    clock.advance(days=19)
    assert signer() == first
    clock.advance(days=2)
    assert signer() == first
    assert len([each for each in responder.delegates.all() if each.issuer == authority.issuer(CODE).id]) == 2
    clock.advance(days=3)
    second = signer()
    assert second != first
    assert responder.delegates.problem == ""
    clock.advance(days=20)
    assert signer() not in (first, "")


def test_no_answer_outlives_its_signer(
    authority: Authority, responder: Responder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_reach(*_: object) -> None:
        message = "the token is not there"
        raise UsageError(message)

    certificate = internal(authority)
    [delegate] = [each for each in made_delegates(responder, authority) if each.issuer == authority.issuer(CODE).id]
    monkeypatch.setattr(Authority, "signer", out_of_reach)
    clock.advance(days=29)
    [single] = singles(responder.respond(asking(authority, certificate)))
    assert single.next_update == delegate.certificate.not_after
    assert "the token is not there" in responder.delegates.problem
    clock.advance(days=1)
    assert failure(responder.respond(asking(authority, certificate))) == "unauthorized"


def made_delegates(responder: Responder, authority: Authority) -> list[delegates.Delegate]:
    responder.delegates.current(authority.issuer(CODE), authority.clock())
    return responder.delegates.all()


def test_a_revoked_responder_answers_no_more(authority: Authority, responder: Responder) -> None:
    request = asking(authority, internal(authority))
    assert status(responder.respond(request)) == ocsp.GOOD
    [delegate] = [each for each in responder.delegates.all() if each.issuer == authority.issuer(CODE).id]
    authority.revoke(delegate.serial, "keyCompromise")
    assert failure(responder.respond(request)) == "unauthorized"
    responder.delegates.create(authority.issuer(CODE))
    assert status(responder.respond(request)) == ocsp.GOOD


def test_a_protected_key_is_followed_by_a_protected_key(
    authority: Authority, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chopmark.keys.generate.PBKDF2_ROUNDS", 1000)
    folder = Path(authority.folder, delegates.FOLDER)
    shutil.rmtree(folder)
    with Responder(authority, lambda _: b"open") as responder:
        responder.delegates.create(authority.issuer(CODE), secret=b"open")
        request = asking(authority, internal(authority))
        assert status(responder.respond(request)) == ocsp.GOOD
        clock.advance(days=25)
        assert status(responder.respond(request)) == ocsp.GOOD
    files = list(folder.glob("*.pem"))
    assert len(files) == 2
    assert all(b"ENCRYPTED PRIVATE KEY" in path.read_bytes() for path in files)
    assert all(path.stat().st_mode & 0o77 == 0 for path in files)


def test_a_file_that_is_no_responder_does_no_harm(authority: Authority, responder: Responder) -> None:
    Path(authority.folder, delegates.FOLDER, "code-signing.ff.pem").write_bytes(b"nonsense")
    assert status(responder.respond(asking(authority, internal(authority)))) == ocsp.GOOD
    assert "code-signing.ff.pem" in responder.delegates.problem


# Certificates name the responder


def test_certificates_name_the_responder_from_when_there_is_one(authority: Authority) -> None:
    assert internal(authority).access_urls(x509.ACCESS_OCSP) == ()
    authority.register.set_ocsp_url("http://pki.example.com/ocsp", NOW)
    after = internal(authority)
    assert after.access_urls(x509.ACCESS_OCSP) == ("http://pki.example.com/ocsp",)
    assert after.access_urls(x509.ACCESS_CA_ISSUERS) == ("http://pki.example.com/aia/code-signing.cer",)
    authority.register.set_ocsp_url("", NOW)
    assert internal(authority).access_urls(x509.ACCESS_OCSP) == ()


# Faults and neighbours


def test_without_the_database_it_is_try_later(authority: Authority) -> None:
    request = asking(authority, internal(authority))
    authority.close()
    Path(authority.folder, "authority.sqlite3").write_bytes(b"gone" * 1000)
    for name in ("-wal", "-shm"):
        Path(authority.folder, f"authority.sqlite3{name}").unlink(missing_ok=True)
    with Responder(authority) as responder:
        assert failure(responder.respond(request)) == "tryLater"


def test_memory_is_bounded(authority: Authority, responder: Responder) -> None:
    from chopmark.authority.ocsp.cache import Cache

    cache = Cache(authority.statuses(), 100_000, lambda _: None)
    answer = responder.answer(asking(authority, internal(authority)))
    for number in range(1000):
        cache.put(number.to_bytes(4, "big"), answer)
    held = len(cache._young) + len(cache._old)  # noqa: SLF001 - what it holds is not for others to see
    assert 0 < held * len(answer.body) < 100_000
    cache._statuses.close()  # noqa: SLF001 - likewise


def test_threads_ask_while_others_revoke(authority: Authority, responder: Responder) -> None:
    every = [internal(authority, str(number)) for number in range(8)]
    requests = [asking(authority, each) for each in every]
    wrong: list[str] = []
    gone = threading.Event()

    def ask() -> None:
        while not gone.is_set():
            answers = {status(responder.respond(request)) for request in requests}
            wrong.extend(answers - {ocsp.GOOD, ocsp.REVOKED})

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for certificate, request in zip(every, requests, strict=True):
        authority.revoke(certificate.serial_octets.hex())
        if status(responder.respond(request)) != ocsp.REVOKED:
            wrong.append("late")
    gone.set()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("hours", [0, -1, 193])
def test_answers_count_for_a_limited_time(authority: Authority, hours: int) -> None:
    with pytest.raises(UsageError):
        Responder(authority, hours=hours)
