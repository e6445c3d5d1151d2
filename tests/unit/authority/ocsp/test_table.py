"""Answers from the table: no database is asked for them, and none is given that is not so any more."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chopmark.authority.ca import Authority
from chopmark.authority.issuing import profiles
from chopmark.authority.ocsp import table
from chopmark.authority.ocsp.framing import Frame
from chopmark.authority.ocsp.presigning import Presigner
from chopmark.authority.ocsp.responder import Responder
from chopmark.authority.ocsp.store import AnswerStore
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import der, ocsp, x509
from tests.unit.authority.conftest import Clock, order, spki

if TYPE_CHECKING:
    from chopmark.authority.ocsp.store import Kept

CODE = profiles.CODE_SIGNING


@pytest.fixture(scope="module")
def served(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table") / "ca"
    shutil.copytree(founded, folder)
    with Authority.open(str(folder), clock=Clock()) as authority, Responder(authority) as responder:
        responder.delegates.create(authority.issuer(CODE))
    return folder


def issued(authority: Authority, label: str = "signer") -> x509.Certificate:
    return x509.certificate(authority.issue(order("internal", key=spki("p256", label))).certificate)


def asking(authority: Authority, each: x509.Certificate, algorithm: str = "sha1", nonce: bytes | None = None) -> bytes:
    return ocsp.request([ocsp.for_certificate(each, authority.issuer(CODE).certificate, algorithm)], nonce)


def status(raw: bytes) -> str:
    basic = ocsp.read_response(raw).basic
    assert basic is not None
    return basic.singles[0].status


def path(authority: Authority) -> str:
    return str(Path(authority.folder, "ocsp", table.FILE))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every way to an answer fail but the table."""

    def fail(*_: object) -> None:
        message = "asked"
        raise ChopmarkError(message)

    monkeypatch.setattr(Responder, "_answered", fail)


@pytest.mark.usefixtures("alone")
def test_the_table_answers_alone_and_others_read_what_it_says(authority: Authority, responder: Responder) -> None:
    certificate = issued(authority)
    other = issued(authority, "other")
    authority.revoke(other.serial_octets.hex(), "keyCompromise")
    responder.presign()
    raw = responder.respond(asking(authority, certificate))
    answer = ocsp.read_response(raw).basic
    assert answer is not None
    assert answer.singles[0].cert_id == ocsp.for_certificate(certificate, authority.issuer(CODE).certificate)
    assert answer.singles[0].status == ocsp.GOOD
    assert responder.answer(asking(authority, other)).kind == "revoked"
    assert status(responder.respond(asking(authority, other))) == ocsp.REVOKED


def test_the_answer_is_that_of_the_store_with_the_same_headers(authority: Authority, clock: Clock) -> None:
    certificate = issued(authority)
    with Responder(authority) as first:
        first.presign()
        clock.advance(hours=1)
        from_table = first.answer(asking(authority, certificate))
    Path(path(authority)).unlink()
    with Responder(authority) as second:
        from_store = second.answer(asking(authority, certificate))
    assert from_table == from_store._replace(about=(), version=0)
    assert dict(from_table.headers).keys() == {"ETag", "Last-Modified", "Expires"}


@pytest.mark.parametrize("action", ["revoked", "held", "responder"])
def test_what_was_done_reaches_the_answers_at_once(authority: Authority, responder: Responder, action: str) -> None:
    certificate, untouched = issued(authority), issued(authority, "untouched")
    responder.presign()
    request = asking(authority, certificate)
    assert status(responder.respond(request)) == ocsp.GOOD
    serial = certificate.serial_octets.hex()
    if action == "responder":
        [delegate] = responder.delegates.all()
        authority.revoke(delegate.serial, "superseded")
        assert ocsp.read_response(responder.respond(request)).status_text == "unauthorized"
        return
    authority.revoke(serial, "certificateHold" if action == "held" else "keyCompromise")
    assert status(responder.respond(request)) == ocsp.REVOKED
    assert status(responder.respond(asking(authority, untouched))) == ocsp.GOOD
    if action == "held":
        authority.release(serial)
        assert status(responder.respond(request)) == ocsp.GOOD


def test_a_table_whose_answers_were_framed_otherwise_is_not_used(
    authority: Authority, responder: Responder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade: the digests in it would be those of other responses."""
    request = asking(authority, issued(authority))
    with monkeypatch.context() as patched:
        patched.setattr(Frame, "whole", lambda self, data, signature: self.head + data + signature)
        responder.presign()
    assert responder.prepared(request, responder.seconds()) is None
    assert status(responder.respond(request)) == ocsp.GOOD


def test_a_process_that_starts_later_knows_what_was_done_since(authority: Authority, responder: Responder) -> None:
    certificate = issued(authority)
    responder.presign()
    authority.revoke(certificate.serial_octets.hex(), "keyCompromise")
    with Responder(authority) as later:
        assert status(later.respond(asking(authority, certificate))) == ocsp.REVOKED


def test_a_table_of_a_register_with_another_past_is_not_used(authority: Authority, responder: Responder) -> None:
    certificate = issued(authority)
    request = asking(authority, certificate)
    responder.presign()
    authority.revoke(certificate.serial_octets.hex(), "keyCompromise")
    facts = table.Table(path(authority)).facts
    with sqlite3.connect(Path(authority.folder, "authority.sqlite3")) as connection:
        # As after a restore: what the table knows last was something else, and what came since was forgotten.
        connection.execute("UPDATE events SET action = 'another' WHERE id = ?", (facts.event,))
        connection.execute("DELETE FROM events WHERE id > ?", (facts.event,))
    connection.close()
    with Responder(authority) as later:
        assert status(later.respond(request)) == ocsp.REVOKED


def test_after_too_many_changes_the_register_is_asked_until_the_table_is_new(
    authority: Authority, responder: Responder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OCSP_CHANGES_MAX", 2)
    every = [issued(authority, str(number)) for number in range(4)]
    responder.presign()
    first = table.identity(path(authority))
    for each in every:
        authority.revoke(each.serial_octets.hex(), "keyCompromise")
        assert status(responder.respond(asking(authority, each))) == ocsp.REVOKED
    assert [status(responder.respond(asking(authority, each))) for each in every] == [ocsp.REVOKED] * 4
    responder.presign()
    assert table.identity(path(authority)) != first
    with Responder(authority) as later:
        assert [status(later.respond(asking(authority, each))) for each in every] == [ocsp.REVOKED] * 4


@pytest.mark.usefixtures("alone")
def test_answers_that_are_due_are_not_given_from_it(authority: Authority, responder: Responder, clock: Clock) -> None:
    request = asking(authority, issued(authority))
    responder.presign()
    clock.advance(hours=47, minutes=59)
    assert status(responder.respond(request)) == ocsp.GOOD
    clock.advance(minutes=1)
    assert ocsp.read_response(responder.respond(request)).status_text == "tryLater"


def test_it_is_written_anew_when_that_pays(authority: Authority, responder: Responder, clock: Clock) -> None:
    issued(authority)
    responder.presign()
    first = table.identity(path(authority))
    responder.presign()
    assert table.identity(path(authority)) == first
    issued(authority, "another")
    clock.advance(seconds=1)
    responder.presign()
    second = table.identity(path(authority))
    assert second != first
    clock.advance(hours=48)
    responder.presign()
    assert table.identity(path(authority)) != second


def test_other_questions_are_answered_as_ever(authority: Authority, responder: Responder) -> None:
    certificate = issued(authority)
    responder.presign()
    issuer = authority.issuer(CODE).certificate
    identity = ocsp.for_certificate(certificate, issuer)
    usual = ocsp.request([identity])
    with_zero = ocsp.request([identity._replace(serial=b"\0" + identity.serial)])
    assert table.Table(path(authority)).find(usual) is not None
    for request in (
        with_zero,
        ocsp.request([identity, identity]),
        asking(authority, certificate, "sha256"),
        asking(authority, certificate, nonce=b"n" * 16),
        usual[:-1],
        usual + b"\0",
        b"",
    ):
        assert table.Table(path(authority)).find(request) is None
    nonced = ocsp.read_response(responder.respond(asking(authority, certificate, nonce=b"n" * 16))).basic
    assert nonced is not None
    assert nonced.nonce == b"n" * 16
    assert status(responder.respond(with_zero)) == ocsp.GOOD
    assert status(responder.respond(ocsp.request([identity._replace(serial=b"\x11" * 16)]))) == ocsp.UNKNOWN
    assert ocsp.read_response(responder.respond(ocsp.request([identity._replace(key_hash=bytes(20))]))).status_text == (
        "unauthorized"
    )


def test_a_responder_that_was_revoked_is_left_out_of_the_next_table(authority: Authority, responder: Responder) -> None:
    request = asking(authority, issued(authority))
    responder.presign()
    [delegate] = responder.delegates.all()
    authority.revoke(delegate.serial, "superseded")
    Path(path(authority)).unlink()
    with Responder(authority) as later:
        later.presign()
    assert table.Table(path(authority)).find(request) is None


def entries(count: int) -> list[table.Entry]:
    return [
        table.Entry(
            1 + number % 2, b"%d" % number, f"by{number % 3}", "good", 10, 20, bytes(32), b"d%d" % number, b"s" * number
        )
        for number in range(count)
    ]


def asked(entry: table.Entry) -> bytes:
    return ocsp.request([ocsp.CertId("sha1", bytes((entry.issuer,)) * 20, b"k" * 20, entry.serial)])


def facts() -> table.Facts:
    return table.Facts(7, "mark", 5, {table.hashes_of(bytes((number,)) * 20, b"k" * 20): number for number in (1, 2)})


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_everything_that_was_written_is_found_and_nothing_else(tmp_path: Path, count: int) -> None:
    where = str(tmp_path / "table")
    assert table.write(where, entries(count), facts()) == count
    assert Path(where).stat().st_mode & 0o777 == 0o600
    opened = table.Table(where)
    assert len(opened) == count
    assert opened.facts == facts()
    assert [opened.find(asked(each)) for each in entries(count)] == entries(count)
    assert opened.find(asked(entries(1)[0]._replace(issuer=2))) is None
    assert opened.find(asked(entries(1)[0]._replace(serial=b"strange"))) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(position=st.integers(0, 3000), mask=st.integers(1, 255), size=st.one_of(st.none(), st.integers(0, 3000)))
def test_a_damaged_table_gives_the_right_answers_or_none(
    tmp_path: Path, position: int, mask: int, size: int | None
) -> None:
    where = tmp_path / "table"
    table.write(str(where), entries(20), facts())
    raw = bytearray(where.read_bytes())
    raw[position % len(raw)] ^= mask
    where.write_bytes(bytes(raw[:size]))
    try:
        opened = table.Table(str(where))
    except (OSError, ValueError):
        return
    for each in entries(20):
        found = opened.find(asked(each))
        assert found is None or found._replace(delegate="", issuer=0) == each._replace(delegate="", issuer=0)


def test_a_table_that_cannot_be_read_is_as_if_it_were_not_there(authority: Authority) -> None:
    certificate = issued(authority)
    with Responder(authority) as first:
        first.presign()
    for content in (b"", b"no table", Path(path(authority)).read_bytes()[:-1]):
        Path(path(authority)).write_bytes(content)
        with Responder(authority) as responder:
            assert status(responder.respond(asking(authority, certificate))) == ocsp.GOOD
            responder.presign()
        assert table.Table(path(authority)).find(asking(authority, certificate)) is not None


def test_several_answers_are_read_from_the_store_at_once(authority: Authority, responder: Responder) -> None:
    serials = [issued(authority, str(number)).serial_octets.hex() for number in range(3)]
    responder.presign()
    store = AnswerStore(str(Path(authority.folder, "ocsp")))
    number = authority.issuer(CODE).id
    assert {each.serial for each in store.several(number, [*serials, "00"])} == set(serials)
    assert store.newer(0) >= len(serials)
    assert not store.newer(2**40)
    assert der.parse(store.several(number, serials)[0].data).tag == der.SEQUENCE
    store.close()


def test_a_second_run_looks_at_what_was_done_and_at_nothing_else(
    authority: Authority, responder: Responder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = issued(authority), issued(authority, "second")
    total = sum(responder.presign())
    clock.advance(minutes=30)

    def fail(*_: object) -> None:
        message = "looked at all"
        raise AssertionError(message)

    with monkeypatch.context() as patched:
        patched.setattr(Presigner, "_presign_all", fail)
        assert responder.presign() == (0, total)
        third = issued(authority, "third")
        authority.revoke(second.serial_octets.hex(), "keyCompromise")
        assert responder.presign() == (2, total - 1)
        assert responder.presign() == (0, total + 1)
    assert [responder.answer(asking(authority, each)).kind for each in (first, second, third)] == [
        "good",
        "revoked",
        "good",
    ]
    clock.advance(hours=1)
    assert responder.presign() == (0, total + 1)
    clock.advance(hours=45, minutes=45)
    assert responder.presign().signed == total + 1 - 2  # the two are younger by half an hour
    assert responder.presign().kept == total + 1


@pytest.mark.parametrize("when", ["signing", "making the table"])
def test_what_was_signed_before_it_was_killed_is_not_signed_again(
    when: str, authority: Authority, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = [issued(authority, f"signer {number}") for number in range(6)]
    child = os.fork()
    if not child:
        _be_killed(authority.folder, clock, when)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert not Path(path(authority)).exists()
    with Responder(authority) as again:
        signed, kept = again.presign(2)
        assert (signed, kept) == ((3, 4) if when == "signing" else (0, 7))  # the responder's own is one of them
        monkeypatch.setattr(Responder, "_answered", lambda *_: pytest.fail("not in the table"))
        assert {status(again.respond(asking(authority, each))) for each in certificates} == {ocsp.GOOD}
    assert min(os.listdir(Path(authority.folder, "ocsp"))) == "answers.sqlite3"  # noqa: PTH208 - names alone
    assert not [name for name in os.listdir(Path(authority.folder, "ocsp")) if ".chopmark" in name]  # noqa: PTH208


def _be_killed(folder: str, clock: Clock, when: str) -> NoReturn:
    """Sign ahead two at a time, and be killed after four answers, or with the table half made."""
    put, turns = AnswerStore.put, itertools.count(1)

    def some(store: AnswerStore, issuer: int, answers: list[Kept]) -> None:
        put(store, issuer, answers)
        if when == "signing" and answers and next(turns) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    patched = pytest.MonkeyPatch()  # in a process that ends here
    patched.setattr(AnswerStore, "put", some)
    patched.setattr(AnswerStore, "several", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    try:
        with Authority.open(folder, clock=clock) as authority, Responder(authority) as responder:
            responder.presign(2)
    finally:
        os._exit(0)


def test_after_a_responder_was_revoked_all_is_looked_at_again(authority: Authority, responder: Responder) -> None:
    issued(authority)
    responder.presign()
    [delegate] = responder.delegates.all()
    authority.revoke(delegate.serial, "superseded")
    newer = responder.delegates.create(authority.issuer(CODE))
    assert responder.presign().signed
    entry = table.Table(path(authority)).find(asking(authority, issued(authority, "unrelated")))
    assert entry is None or entry.delegate == newer.serial
