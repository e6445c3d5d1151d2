"""Revocation lists: read by another implementation; numbers that only grow; who stays on them, and how long."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as other
from cryptography.hazmat.primitives.asymmetric import ec

from chopmark.authority.ca import Authority
from chopmark.authority.crl import encoding, placing
from chopmark.authority.register import database
from chopmark.authority.register.configuration import DATABASE
from chopmark.core import patch
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.envelopes import x509
from tests.support import pki
from tests.unit.authority.conftest import NOW, Clock, order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

    from chopmark.authority.register.records import Issuer

DAY = dt.timedelta(days=1)


def read(raw: bytes, authority: Authority, name: str = "code-signing") -> other.CertificateRevocationList:
    """A CRL as cryptography reads it, its signature and issuer checked."""
    found = other.load_der_x509_crl(raw)
    issuer = other.load_der_x509_certificate(authority.issuer(name).certificate.raw)
    key = issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert found.is_signature_valid(key)
    assert found.issuer == issuer.subject
    identifier = found.extensions.get_extension_for_class(other.AuthorityKeyIdentifier).value
    assert identifier.key_identifier == authority.issuer(name).certificate.subject_key_id
    return found


def number_of(found: other.CertificateRevocationList) -> int:
    return found.extensions.get_extension_for_class(other.CRLNumber).value.crl_number


def test_what_a_list_says(authority: Authority, clock: Clock) -> None:
    plain, compromised, invalid = (authority.issue(order("internal")).serial for _ in range(3))
    authority.issue(order("internal"))
    clock.advance(days=3)
    authority.revoke(plain)
    authority.revoke(compromised, "keyCompromise", at=NOW + DAY)
    authority.revoke(invalid, "privilegeWithdrawn", invalidity=NOW + 2 * DAY)
    published = authority.publish("code-signing")
    found = read(published.raw, authority)
    assert number_of(found) == published.number == 2
    assert found.last_update_utc == clock.now
    assert found.next_update_utc == clock.now + 7 * DAY
    assert {extension.oid.dotted_string for extension in found.extensions} == {x509.AUTHORITY_KEY_ID, x509.CRL_NUMBER}
    entries = {f"{entry.serial_number:x}": entry for entry in found}
    assert set(entries) == {plain, compromised, invalid}
    assert len(entries[plain].extensions) == 0
    assert entries[plain].revocation_date_utc == clock.now
    assert entries[compromised].revocation_date_utc == NOW + DAY
    reason = entries[compromised].extensions.get_extension_for_class(other.CRLReason).value
    assert reason.reason is other.ReasonFlags.key_compromise
    suspect = entries[invalid].extensions.get_extension_for_class(other.InvalidityDate).value
    assert suspect.invalidity_date_utc == NOW + 2 * DAY


def test_it_is_where_it_should_be(authority: Authority) -> None:
    published = authority.publish("time-stamping")
    assert published.path == authority.crl_path("time-stamping")
    with open(published.path, "rb") as file:  # noqa: PTH123
        assert file.read() == published.raw
    latest = authority.register.latest_crl(authority.issuer("time-stamping"))
    assert latest is not None
    assert (latest.number, latest.next_update) == (2, NOW + 7 * DAY)


def test_a_suspension_comes_and_goes(authority: Authority) -> None:
    serial = authority.issue(order("internal")).serial
    authority.revoke(serial, "certificateHold")
    [entry] = read(authority.publish("code-signing").raw, authority)
    reason = entry.extensions.get_extension_for_class(other.CRLReason).value
    assert reason.reason is other.ReasonFlags.certificate_hold
    authority.release(serial)
    assert len(read(authority.publish("code-signing").raw, authority)) == 0


def test_an_expired_certificate_stays_for_ten_years(authority: Authority, clock: Clock) -> None:
    serial = authority.issue(order("internal", not_before=NOW - 10 * DAY, not_after=NOW)).serial
    authority.revoke(serial, at=NOW - DAY)
    clock.advance(days=3652)
    assert authority.publish("code-signing").entries == 1
    clock.advance(days=2)
    assert authority.publish("code-signing").entries == 0


@pytest.mark.parametrize(
    ("name", "days"), [("code-signing", 0), ("code-signing", 11), ("time-stamping", 366), ("root", 366), ("root", -1)]
)
def test_periods_that_are_not_allowed(name: str, days: int, authority: Authority) -> None:
    with pytest.raises(UsageError, match=r"4\.9\.7"):
        authority.publish(name, days=days)


@pytest.mark.parametrize(("name", "days"), [("code-signing", 10), ("time-stamping", 365), ("root", 365), ("root", 1)])
def test_periods_that_are(name: str, days: int, authority: Authority) -> None:
    published = authority.publish(name, days=days)
    assert published.next_update - published.this_update == days * DAY


def test_an_unknown_issuer(authority: Authority) -> None:
    with pytest.raises(UsageError, match="time-stamping"):
        authority.publish("servers")


def test_a_number_is_never_used_twice(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lists are out, and then the machine dies before the register knows."""
    published: list[bytes] = []
    put = placing.Draft.put_in_place

    def put_and_die(draft: placing.Draft, publication: placing.Publication) -> None:
        put(draft, publication)
        published.append(Path(authority.crl_path("code-signing")).read_bytes())
        message = "power cut"
        raise ChopmarkError(message)

    with monkeypatch.context() as patched:
        patched.setattr(placing.Draft, "put_in_place", put_and_die)
        with pytest.raises(ChopmarkError, match="power cut"):
            authority.publish("code-signing")
    assert number_of(read(published[0], authority)) == 2
    assert authority.publish("code-signing").number == 3


def test_a_register_from_yesterday_goes_on_after_what_is_out(authority: Authority) -> None:
    path = os.path.join(authority.folder, DATABASE)  # noqa: PTH118
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(f"{path}.yesterday")) as copy:
        source.backup(copy)
    for _ in range(3):
        authority.publish("code-signing")
    with closing(sqlite3.connect(f"{path}.yesterday")) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
    latest = authority.register.latest_crl(authority.issuer("code-signing"))
    assert latest is not None
    assert latest.number == 1
    assert authority.publish("code-signing").number == 5


def test_who_is_late_takes_a_new_number(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine takes a number between ours and its use: what it reads may be newer than what we did."""
    reserve = authority.register.reserve_crl_number
    taken: list[int] = []

    def slow(issuer: Issuer, *, above: int = 0) -> int:
        number = reserve(issuer, above=above)
        if not taken:
            taken.append(reserve(issuer))
        return number

    monkeypatch.setattr(authority.register, "reserve_crl_number", slow)
    assert authority.publish("code-signing").number == 4
    assert taken == [3]


def publish_some(folder: str, count: int) -> None:
    with Authority.open(folder) as authority:
        for _ in range(count):
            authority.publish("code-signing")


def test_several_processes_publish(authority: Authority) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=publish_some, args=(authority.folder, 10)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    latest = authority.register.latest_crl(authority.issuer("code-signing"))
    with open(authority.crl_path("code-signing"), "rb") as file:  # noqa: PTH123
        found = read(file.read(), authority)
    assert latest is not None
    assert number_of(found) == latest.number >= 31


def test_an_entry() -> None:
    """Every form that an entry can have, as another implementation reads it."""
    root = pki.authority()
    later = NOW.replace(year=2050)
    zone = dt.timezone(dt.timedelta(hours=5))
    made = [
        encoding.entry("01", NOW, 0),
        encoding.entry("80", NOW.replace(tzinfo=None), 4),
        encoding.entry("ff", later, 1, NOW.astimezone(zone)),
        encoding.entry("7f" + "00" * 19, NOW.replace(year=1949), 0, later),
        encoding.entry("05", NOW, encoding.REMOVE),
    ]
    frame = encoding.Frame(1, NOW, NOW + DAY, 0)
    raw = b"".join(encoding.write(x509.Certificate(root.der), root, [*made[:2], b"".join(made[2:])], frame))
    one, two, three, four, five = other.load_der_x509_crl(raw)
    assert [each.serial_number for each in (one, two, three, four)] == [1, 0x80, 0xFF, 0x7F << 152]
    assert [each.revocation_date_utc for each in (one, two, three)] == [NOW, NOW, later]
    assert len(one.extensions) == 0
    assert four.extensions.get_extension_for_class(other.InvalidityDate).value.invalidity_date_utc == later
    assert three.extensions.get_extension_for_class(other.InvalidityDate).value.invalidity_date_utc == NOW
    assert five.extensions.get_extension_for_class(other.CRLReason).value.reason is other.ReasonFlags.remove_from_crl


def test_time_is_linear_in_the_number_of_entries() -> None:
    root = pki.authority()
    issuer = x509.Certificate(root.der)

    def seconds(count: int) -> float:
        start = time.process_time()
        entries = [encoding.entry(f"{serial + 2**40:012x}", NOW, 1, NOW) for serial in range(1, count + 1)]
        raw = b"".join(encoding.write(issuer, root, entries, encoding.Frame(1, NOW, NOW + DAY)))
        spent = time.process_time() - start
        assert len(other.load_der_x509_crl(raw)) == count
        return spent

    small, large = min(seconds(2_000) for _ in range(3)), min(seconds(20_000) for _ in range(2))
    assert large < 30 * small


def test_a_full_disk(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    before = authority.publish("code-signing").raw

    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(patch.WriteError):
            authority.publish("code-signing")
    with open(authority.crl_path("code-signing"), "rb") as file:  # noqa: PTH123
        assert file.read() == before


def test_a_database_that_fails_says_so(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import OperationalError

    def fail(*_: object) -> Iterator[Connection]:
        statement = "UPDATE"
        raise OperationalError(statement, None, Exception("disk I/O error"))

    monkeypatch.setattr("sqlalchemy.engine.Engine.connect", fail)
    with pytest.raises(database.DatabaseError, match="disk I/O error"):
        authority.publish("code-signing")
