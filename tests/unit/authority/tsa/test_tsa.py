"""The time-stamp authority: what it stamps, what it refuses and why, and that nothing makes it fall over."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from chopmark.authority.ca import Order
from chopmark.authority.issuing import profiles
from chopmark.authority.tsa import timekeeping, tsa
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UnavailableError, UsageError
from chopmark.envelopes import cms, der, timestamp, x509
from chopmark.keys import generate
from chopmark.keys.errors import PassphraseError
from tests.support import pki
from tests.unit.authority.conftest import NOW, Clock

if TYPE_CHECKING:
    from chopmark.authority.ca import Authority
    from chopmark.core.contracts import Stamper

DIGEST = hashlib.sha256(b"a signature value").digest()
WORLD = pki.world()


def stamper(clock: Clock | None = None) -> tsa.TimeStampAuthority:
    return tsa.TimeStampAuthority(WORLD.tsa, WORLD.tsa.certificates, clock=clock or Clock())


def failure(response: bytes) -> str:
    """The name of the failure in a refusal, which has no token."""
    status = der.parse(response).fields()
    info = status.take().fields()
    status.done()
    assert info.take().integer() == timestamp.REJECTION
    words, bits = info.take(), info.take()
    assert words.children()[0].text()
    [bit] = bits.bits()
    return next(name for name, number in timestamp.FAILURES.items() if number == bit)


def test_a_token_says_what_was_asked() -> None:
    request = timestamp.request(DIGEST, "sha256", nonce=2**63 + 5)
    token = timestamp.token(stamper().respond(request), request)
    signed = cms.read(token)
    assert signed.content is not None
    info = timestamp.read_info(signed.content)
    assert (info.algorithm, info.digest, info.nonce) == ("sha256", DIGEST, 2**63 + 5)
    assert (info.time, info.policy, info.accuracy) == (NOW, profiles.POLICY_TIME_STAMPING, 1.0)
    assert set(signed.certificates) == set(WORLD.tsa.certificates)
    stamp = timestamp.check(token, b"a signature value")
    assert stamp.proof.intact
    assert stamp.time == NOW


@pytest.mark.parametrize("algorithm", ["sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_512"])
def test_digests_that_are_stamped(algorithm: str) -> None:
    request = timestamp.request(hashlib.new(algorithm, b"x").digest(), algorithm, nonce=1)
    assert timestamp.check(timestamp.token(stamper().respond(request), request), b"x").proof.intact


def test_without_nonce_and_certificates() -> None:
    request = timestamp.request(DIGEST, "sha256", nonce=None, certificates=False)
    token = timestamp.token(stamper().respond(request), request)
    assert cms.read(token).certificates == ()


def test_serial_numbers_are_unique_and_of_one_length() -> None:
    authority = stamper()
    request = timestamp.request(DIGEST, "sha256", nonce=1)
    serials = set()
    for _ in range(50):
        content = cms.read(timestamp.token(authority.respond(request), request)).content
        assert content is not None
        serials.add(timestamp.read_info(content).serial)
    assert len(serials) == 50
    assert {serial.bit_length() for serial in serials} == {159}


def request_with(*parts: bytes) -> bytes:
    return der.sequence(der.integer(1), imprint("2.16.840.1.101.3.4.2.1", DIGEST), *parts)


def imprint(oid: str, digest: bytes) -> bytes:
    return der.sequence(der.sequence(der.oid(oid), der.null()), der.octet_string(digest))


EXTENSION = der.encode(der.context(0), der.sequence(der.oid("1.2.3.4"), der.octet_string(b"")))


@pytest.mark.parametrize(
    ("request_der", "why"),
    [
        (timestamp.request(bytes(20), "sha1", nonce=1), "badAlg"),
        (timestamp.request(bytes(16), "md5", nonce=1), "badAlg"),
        (der.sequence(der.integer(1), imprint("1.2.3.4", DIGEST)), "badAlg"),
        (b"", "badDataFormat"),
        (b"nonsense", "badDataFormat"),
        (bytes(70_000), "badDataFormat"),
        (der.sequence(der.integer(2), imprint("2.16.840.1.101.3.4.2.1", DIGEST)), "badDataFormat"),
        (der.sequence(der.integer(1), imprint("2.16.840.1.101.3.4.2.1", DIGEST[1:])), "badDataFormat"),
        (request_with() + b"\0", "badDataFormat"),
        (request_with(der.octet_string(b"")), "badDataFormat"),
        (request_with(der.oid("1.2.3.4")), "unacceptedPolicy"),
        (request_with(EXTENSION), "unacceptedExtension"),
    ],
)
def test_what_is_refused(request_der: bytes, why: str) -> None:
    assert failure(stamper().respond(request_der)) == why


def test_its_own_policy_may_be_named() -> None:
    authority = tsa.TimeStampAuthority(WORLD.tsa, WORLD.tsa.certificates, policy="1.2.3.4", clock=Clock())
    request = timestamp.request(DIGEST, "sha256", nonce=1, policy="1.2.3.4")
    assert timestamp.token(authority.respond(request), request)


def told(token: bytes) -> timestamp.TstInfo:
    content = cms.read(token).content
    assert content is not None
    return timestamp.read_info(content)


def test_several_policies() -> None:
    terms = tsa.Terms(("1.2.3.4", "1.2.3.5"), timekeeping.unmeasured(Clock(), 1.0))
    authority = tsa.TimeStampAuthority(WORLD.tsa, WORLD.tsa.certificates, terms=terms)
    for asked, used in ((None, "1.2.3.4"), ("1.2.3.4", "1.2.3.4"), ("1.2.3.5", "1.2.3.5")):
        request = timestamp.request(DIGEST, "sha256", nonce=1, policy=asked)
        assert told(timestamp.token(authority.respond(request), request)).policy == used
    assert failure(authority.respond(request_with(der.oid("1.2.3.6")))) == "unacceptedPolicy"


def test_names_of_policies() -> None:
    assert tsa.policies_named([]) == (profiles.POLICY_TIME_STAMPING,)
    assert tsa.policies_named(["1.2.3", "2.5.4"]) == ("1.2.3", "2.5.4")
    for wrong in (["1"], ["x"], ["1.2.3"] * 65):
        with pytest.raises(UsageError):
            tsa.policies_named(wrong)


def test_what_is_not_known_is_not_stamped() -> None:
    """The time, and how accurate it is, are those of the time source."""
    readings = [timekeeping.Reading(NOW.replace(microsecond=120_000), 0.0315)]

    def read() -> timekeeping.Reading:
        if not readings:
            message = "the clock may be wrong by 2 s"
            raise UnavailableError(message)
        return readings.pop()

    authority = tsa.TimeStampAuthority(WORLD.tsa, WORLD.tsa.certificates, terms=tsa.Terms(time=read))
    request = timestamp.request(DIGEST, "sha256", nonce=1)
    token = timestamp.token(authority.respond(request), request)
    info = told(token)
    assert (info.time, info.accuracy, info.ordering) == (NOW.replace(microsecond=120_000), 0.0315, False)
    assert b"20261122120000.12Z" in token  # no trailing zero (RFC 3161 clause 2.4.2)
    assert failure(authority.respond(request)) == "timeNotAvailable"
    with pytest.raises(UnavailableError):
        authority.stamp(b"x", "sha256")
    with pytest.raises(UnavailableError):
        authority.respond_legacy(timestamp.legacy_request(b"x"))


def test_tokens_in_order(tmp_path: Path) -> None:
    terms = tsa.Terms(time=timekeeping.unmeasured(Clock(), 1.0), sequence=timekeeping.Sequence(str(tmp_path / "order")))
    authority = tsa.TimeStampAuthority(WORLD.tsa, WORLD.tsa.certificates, terms=terms)
    infos = [told(authority.stamp(b"x", "sha256")) for _ in range(3)]
    assert [info.time - NOW for info in infos] == [dt.timedelta(microseconds=number) for number in range(3)]
    assert all(info.ordering for info in infos)


class TestLegacy:
    def test_a_countersignature(self) -> None:
        response = stamper().respond_legacy(timestamp.legacy_request(b"a signature value"))
        found = timestamp.countersignature(response, b"a signature value")
        stamp = timestamp.check_countersignature(der.parse(found.value), b"a signature value", found.certificates)
        assert stamp.proof.intact, stamp.proof.findings
        assert stamp.time == NOW
        assert set(found.certificates) == set(WORLD.tsa.certificates)
        other = timestamp.check_countersignature(der.parse(found.value), b"another", found.certificates)
        assert not other.proof.intact

    def test_outside_of_its_certificates_validity_it_is_silent(self) -> None:
        clock = Clock()
        clock.now = pki.UNTIL + dt.timedelta(seconds=1)
        with pytest.raises(UnavailableError, match="not valid"):
            stamper(clock).respond_legacy(timestamp.legacy_request(b"x"))

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        with pytest.raises(MalformedError):
            stamper().respond_legacy(data)


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    assert failure(stamper().respond(data))


@given(st.data())
def test_changed_requests_get_an_answer(data: st.DataObject) -> None:
    request = bytearray(timestamp.request(DIGEST, "sha256", nonce=12345, policy=profiles.POLICY_TIME_STAMPING))
    for _ in range(data.draw(st.integers(1, 3))):
        request[data.draw(st.integers(0, len(request) - 1))] = data.draw(st.integers(0, 255))
    assert der.parse(stamper().respond(bytes(request))).tag == der.SEQUENCE


def test_in_the_same_process() -> None:
    authority: Stamper = stamper()
    stamp = timestamp.check(authority.stamp(b"a signature value", "sha384"), b"a signature value")
    assert stamp.proof.intact
    assert not timestamp.check(authority.stamp(b"another", "sha384"), b"a signature value").proof.intact


def test_any_time_can_be_stamped_with_a_clock_of_that_time() -> None:
    clock = Clock()
    clock.now = pki.SINCE + dt.timedelta(days=3)
    assert timestamp.check(stamper(clock).stamp(b"x", "sha256"), b"x").time == clock.now


@pytest.mark.parametrize("moment", [pki.SINCE - dt.timedelta(seconds=1), pki.UNTIL + dt.timedelta(seconds=1)])
def test_outside_of_its_certificates_validity_it_is_silent(moment: dt.datetime) -> None:
    clock = Clock()
    clock.now = moment
    assert failure(stamper(clock).respond(timestamp.request(DIGEST, "sha256", nonce=1))) == "timeNotAvailable"
    with pytest.raises(UnavailableError, match="not valid"):
        stamper(clock).stamp(b"x", "sha256")


def test_a_key_that_fails_is_reported_as_such() -> None:
    class Broken:
        algorithm = "ec"
        public_key = WORLD.tsa.public_key
        certificates = ()

        def sign(self, data: bytes, digest_algorithm: str) -> bytes:
            del data, digest_algorithm
            message = "the token was pulled out"
            raise ChopmarkError(message)

    authority = tsa.TimeStampAuthority(Broken(), WORLD.tsa.certificates, clock=Clock())
    assert failure(authority.respond(timestamp.request(DIGEST, "sha256", nonce=1))) == "systemFailure"


def test_certificates_that_are_not_for_this() -> None:
    issuing = WORLD.issuing
    both = (ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)
    lax = (ExtendedKeyUsageOID.TIME_STAMPING,)
    for entity in (
        WORLD.signer,
        pki.leaf(issuing, purposes=()),
        pki.leaf(issuing, purposes=both, purposes_critical=True),
        pki.leaf(issuing, purposes=lax, purposes_critical=False),
    ):
        with pytest.raises(RefusedError):
            tsa.TimeStampAuthority(entity, entity.certificates)
    with pytest.raises(RefusedError, match="another key"):
        tsa.TimeStampAuthority(WORLD.signer, WORLD.tsa.certificates)
    with pytest.raises(RefusedError, match="needs its certificate"):
        tsa.TimeStampAuthority(WORLD.tsa, ())


class TestInAFolder:
    def test_made_and_opened(self, authority: Authority, clock: Clock) -> None:
        key = generate.new("p256")
        issued = tsa.create(authority, tsa.usual_order(authority, key), key, None)
        opened = tsa.in_folder(authority.folder, clock=clock)
        assert opened.certificate.raw == issued.certificate
        assert opened.certificate.subject_text == "CN=Example Ltd Time Stamping, O=Example Ltd"
        stamp = timestamp.check(opened.stamp(b"x", "sha256"), b"x")
        assert stamp.proof.intact
        assert set(stamp.proof.certificates) == {issued.certificate, authority.issuer("time-stamping").certificate.raw}
        path = os.path.join(authority.folder, tsa.FILE)  # noqa: PTH118
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600  # noqa: PTH116

    def test_one_is_enough(self, authority: Authority, clock: Clock) -> None:
        key = generate.new("p256")
        first = tsa.create(authority, tsa.usual_order(authority, key), key, None)
        with pytest.raises(UsageError, match="already"):
            tsa.create(authority, tsa.usual_order(authority, key), key, None)
        assert len(authority.register.search(NOW, profile="time-stamping")) == 1
        another = generate.new("p256")
        tsa.create(authority, tsa.usual_order(authority, another), another, None, replace=True)
        assert tsa.in_folder(authority.folder, clock=clock).certificate.raw != first.certificate

    def test_its_key_may_be_encrypted(self, authority: Authority, clock: Clock) -> None:
        key = generate.new("p256")
        tsa.create(authority, tsa.usual_order(authority, key), key, b"open")
        with pytest.raises(PassphraseError):
            tsa.in_folder(authority.folder, clock=clock)
        assert tsa.in_folder(authority.folder, lambda _: b"open", clock=clock).stamp(b"x", "sha256")

    def test_a_new_key_counts_while_it_runs(
        self, authority: Authority, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tsa, "_LOOKED_AFTER", -1.0)
        key = generate.new("p256")
        first = tsa.create(authority, tsa.usual_order(authority, key), key, None)
        rolling = tsa.Rolling(authority.folder, terms=tsa.Terms(time=timekeeping.unmeasured(clock, 1.0)))
        request = timestamp.request(DIGEST, "sha256", nonce=1)
        assert rolling.certificate.raw == first.certificate
        assert not tsa.is_due(authority, clock.now)
        clock.now = profiles.months_after(clock.now, 12)
        assert tsa.is_due(authority, clock.now)
        assert rolling.stamp(b"x", "sha256")
        second = tsa.create(authority, tsa.usual_order(authority, key), key, None, replace=True)
        assert rolling.certificate.raw == second.certificate
        assert second.certificate in cms.read(timestamp.token(rolling.respond(request), request)).certificates
        assert timestamp.countersignature(rolling.respond_legacy(timestamp.legacy_request(b"x")), b"x")
        assert not tsa.is_due(authority, clock.now)
        assert rolling.problem == ""

    def test_a_new_key_that_cannot_be_opened(
        self, authority: Authority, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The former one goes on."""
        monkeypatch.setattr(tsa, "_LOOKED_AFTER", -1.0)
        key = generate.new("p256")
        first = tsa.create(authority, tsa.usual_order(authority, key), key, None)
        rolling = tsa.Rolling(authority.folder, terms=tsa.Terms(time=timekeeping.unmeasured(clock, 1.0)))
        path = Path(authority.folder, tsa.FILE)
        path.rename(path.with_suffix(".old"))
        path.touch(0o600)
        path.write_bytes(b"half a file")
        assert rolling.certificate.raw == first.certificate
        assert tsa.FILE in rolling.problem

    def test_code_signing_profiles_do_not_stamp(self, authority: Authority) -> None:
        key = generate.new("p256")
        order = tsa.usual_order(authority, key)
        with pytest.raises(UsageError, match="not for time stamping"):
            tsa.create(authority, Order("code-signing", order.subject, order.spki), key, None)

    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="chopmark tsa init"):
            tsa.in_folder(str(tmp_path))

    def test_after_fifteen_months_a_public_key_rests(self, authority: Authority, clock: Clock) -> None:
        key, inner = generate.new("p256"), generate.new("p256")
        tsa.create(authority, tsa.usual_order(authority, key), key, None)
        public = tsa.in_folder(authority.folder, clock=clock)
        tsa.create(authority, tsa.usual_order(authority, inner, "internal-time-stamping"), inner, None, replace=True)
        internal = tsa.in_folder(authority.folder, clock=clock)
        clock.now = profiles.months_after(NOW, 15) - dt.timedelta(seconds=1)
        assert public.stamp(b"x", "sha256")
        clock.advance(seconds=1)
        with pytest.raises(UnavailableError, match="15 months"):
            public.stamp(b"x", "sha256")
        assert internal.stamp(b"x", "sha256")

    def test_tokens_are_signed_with_the_digest_of_the_certificate(self, tmp_path: Path) -> None:
        from chopmark.authority.hierarchy import founding

        setup = founding.Setup("Example Ltd", "http://pki.example.com", "p384")
        with founding.found(str(tmp_path / "strong"), setup) as authority:
            key = generate.new("p256")
            tsa.create(authority, tsa.usual_order(authority, key), key, None)
            token = tsa.in_folder(authority.folder).stamp(b"x", "sha256")
        [signer] = cms.read(token).signers
        assert signer.digest_algorithm == "sha384"
        assert {x509.certificate(raw).signature_algorithm.digest for raw in cms.read(token).certificates} == {"sha384"}
