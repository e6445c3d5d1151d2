"""An authority as a site: OCSP from memory, from threads and without a register; files; what is due; how it stands."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import shutil
import time
from base64 import b64encode
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from chopmark.authority.ca import Authority, Issued, Order
from chopmark.authority.hierarchy import founding
from chopmark.authority.ocsp.delegates import Delegates
from chopmark.authority.ocsp.responder import Answer, Responder
from chopmark.authority.tsa import tsa
from chopmark.authority.tsa.time_sources import Measurement
from chopmark.core import clock, limits
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.envelopes import ocsp, timestamp, x509
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner
from chopmark.server import due, replies, routes, site
from chopmark.server.board import Board
from chopmark.server.message import Reply, Request, Route, find
from chopmark.server.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.server.message import Routes

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "ca"
    setup = founding.Setup("Example Ltd", "http://pki.example.com/pki", "p256", "GB")
    with founding.found(str(folder), setup) as authority:
        key = generate.new("p256")
        tsa.create(authority, tsa.usual_order(authority, key), key, None)
        for issuer in authority.issuers():
            Delegates(authority).create(issuer)
    return folder


@pytest.fixture
def folder(founded: Path, tmp_path: Path) -> str:
    shutil.copytree(founded, tmp_path / "ca", symlinks=True)
    return str(tmp_path / "ca")


@pytest.fixture(autouse=True)
def _looking_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OCSP_LOOK_SECONDS", -1.0)
    monkeypatch.setattr(limits, "OCSP_NEAR_SECONDS", 60.0)


@pytest.fixture
def opened(folder: str) -> Iterator[due.Open]:
    with Authority.open(folder) as authority, Responder(authority) as responder:
        yield due.Open(site.Served(folder), authority, responder)


def issued(authority: Authority) -> Issued:
    spki = SoftwareSigner(generate.new("p256")).public_key
    return authority.issue(Order("internal", [("CN", "Example")], spki))


def asking(opened: due.Open, certificate: bytes) -> bytes:
    issuer = opened.authority.issuer("code-signing")
    return ocsp.request([ocsp.for_certificate(x509.certificate(certificate), issuer.certificate)])


def route(served: Routes, path: str) -> Route:
    found = find(served, path)
    assert isinstance(found, Route)
    return found


def post(body: bytes) -> Request:
    return Request("POST", "/ocsp", ocsp.REQUEST_TYPE, body)


def test_ocsp_follows_the_register_at_once(opened: due.Open) -> None:
    served = routes.Ocsp(lambda: opened.responder, is_near=True).routes()
    certificate = issued(opened.authority)
    request = post(asking(opened, certificate.certificate))
    at = route(served, "/ocsp")
    assert at.at_once is not None
    first = at.at_once(request)
    assert first is not None
    assert (first.status, first.content_type, first.tally) == (200, ocsp.RESPONSE_TYPE, ("ocsp", "good"))
    assert at.at_once(request) is first  # not even rendered again
    assert at.handle(request) is first
    opened.authority.revoke(certificate.serial, "certificateHold")
    assert at.handle(request).tally == ("ocsp", "revoked")
    opened.authority.release(certificate.serial)
    assert at.handle(request).tally == ("ocsp", "good")


def test_a_reply_is_not_given_again_for_long(opened: due.Open, monkeypatch: pytest.MonkeyPatch) -> None:
    served = routes.Ocsp(lambda: opened.responder, is_near=True).routes()
    request = post(asking(opened, issued(opened.authority).certificate))
    at = route(served, "/ocsp")
    first = at.handle(request)
    limit = limits.OCSP_REPLY_SECONDS
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + limit + 1)
    again = at.handle(request)
    assert again is not first
    assert again.body == first.body


def test_what_is_kept_of_replies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OCSP_REPLIES_MAX", 4)
    kept = replies.Replies()
    for number in range(10):
        kept.put(bytes([number]), 1, 0.0, Reply(b""))
    assert sum(kept.get(bytes([number]), 1, 1.0) is not None for number in range(10)) == 4
    assert kept.get(b"\x09", 2, 1.0) is None
    assert kept.get(b"\x09", 1, limits.OCSP_REPLY_SECONDS + 1.0) is None


def test_a_nonce_is_answered_each_time_anew(opened: due.Open) -> None:
    served = routes.Ocsp(lambda: opened.responder, is_near=True).routes()
    issuer = opened.authority.issuer("code-signing")
    cert_id = ocsp.for_certificate(x509.certificate(issued(opened.authority).certificate), issuer.certificate)
    request = post(ocsp.request([cert_id], nonce=bytes(16)))
    at = route(served, "/ocsp")
    first, second = at.handle(request), at.handle(request)
    assert first is not second
    assert first.tally == ("ocsp", "good")


def test_ocsp_by_get(opened: due.Open) -> None:
    served = routes.Ocsp(lambda: opened.responder, is_near=True).routes()
    request = asking(opened, issued(opened.authority).certificate)
    path = "/ocsp/" + quote(b64encode(request).decode(), safe="")
    reply = route(served, path).handle(Request("GET", path))
    assert reply.tally == ("ocsp", "good")
    assert reply.etag
    assert b"ETag" in reply.fields
    assert reply.fields.count(b"ETag") == 1
    assert any(name == "Cache-Control" and "max-age=" in value for name, value in reply.headers)


@pytest.mark.parametrize(
    ("request_", "status", "tally"),
    [
        (post(b"nonsense"), 200, ("ocsp", "malformed")),
        (Request("POST", "/ocsp", "text/plain", b"x"), 415, None),
        (Request("GET", "/ocsp/!!!!"), 400, None),
    ],
)
def test_what_is_no_question(request_: Request, status: int, tally: object, opened: due.Open) -> None:
    served = routes.Ocsp(lambda: opened.responder, is_near=True).routes()
    reply = route(served, request_.path).handle(request_)
    assert (reply.status, reply.tally) == (status, tally)


def test_without_a_register_the_answer_is_try_later(opened: due.Open) -> None:
    served = routes.Ocsp(lambda: None, is_near=True).routes()
    reply = route(served, "/ocsp").handle(post(asking(opened, issued(opened.authority).certificate)))
    assert reply.tally == ("ocsp", "try_later")
    assert ocsp.read_response(reply.body).status == ocsp.TRY_LATER


def test_one_who_waited_in_vain_is_enough(opened: due.Open, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def vain(request: bytes, *, looked: bool) -> Answer:
        del looked
        asked.append(request)
        return Answer(b"", kind="try_later")

    monkeypatch.setattr(opened.responder, "answer", vain)
    at = route(routes.Ocsp(lambda: opened.responder, is_near=True).routes(), "/ocsp")
    for _ in range(2):
        assert at.handle(post(b"x")).tally == ("ocsp", "try_later")
    assert len(asked) == 2  # that was quick
    monkeypatch.setattr(limits, "OCSP_PATIENCE_SECONDS", -1.0)
    for _ in range(3):
        assert at.handle(post(b"x")).tally == ("ocsp", "try_later")
    assert len(asked) == 3


def test_answers_that_take_long_are_left_to_threads(opened: due.Open, monkeypatch: pytest.MonkeyPatch) -> None:
    served = routes.Ocsp(lambda: opened.responder, is_near=True).routes()
    request = post(asking(opened, issued(opened.authority).certificate))
    at = route(served, "/ocsp")
    at.handle(request)
    assert at.at_once is not None
    assert at.at_once(request) is not None
    monkeypatch.setattr(limits, "OCSP_NEAR_SECONDS", -1.0)
    assert at.at_once(request) is not None
    assert at.at_once(request) is None
    assert at.handle(request).tally == ("ocsp", "good")


def ready(opened: due.Open, count: int = 1) -> list[bytes]:
    """Questions about certificates whose answers are signed ahead."""
    asked = [asking(opened, issued(opened.authority).certificate) for _ in range(count)]
    assert opened.responder.presign().signed > count
    return asked


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_answer_signed_ahead_has_the_header_of_any_other(
    method: str, opened: due.Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    [asked] = ready(opened)
    path = "/ocsp/" + quote(b64encode(asked).decode(), safe="")
    request = post(asked) if method == "POST" else Request("GET", path)
    short = route(routes.Ocsp(lambda: opened.responder, is_near=True).routes(), request.path).handle(request)
    monkeypatch.setattr(opened.responder, "prepared", lambda *_: None)
    long = route(routes.Ocsp(lambda: opened.responder, is_near=True).routes(), request.path).handle(request)
    for one, other in ((short.unchanged(), long.unchanged()), (short, long)):
        assert (one.status, one.body, one.tally) == (other.status, other.body, other.tally)
        left, right = (sorted(re.sub(rb"max-age=\d+", b"", each.fields).split(b"\r\n")) for each in (one, other))
        assert left == right
    ages = [int(re.findall(rb"max-age=(\d+)", each.fields)[0]) for each in (short, long)]
    assert abs(ages[0] - ages[1]) <= 2


def test_answers_signed_ahead_are_kept_when_they_are_asked_for_again(opened: due.Open) -> None:
    asked = ready(opened, 8)
    at = route(routes.Ocsp(lambda: opened.responder, is_near=True).routes(), "/ocsp")
    first = [at.handle(post(each)) for each in asked]
    second = [at.handle(post(each)) for each in asked]
    third = [at.handle(post(each)) for each in asked]
    assert [each.body for each in first] == [each.body for each in third]
    assert sum(one is other for one, other in zip(first, second, strict=True)) < 8
    assert all(one is other for one, other in zip(second, third, strict=True))


def test_what_was_done_reaches_answers_signed_ahead_and_kept(opened: due.Open) -> None:
    certificate = issued(opened.authority)
    opened.responder.presign()
    at = route(routes.Ocsp(lambda: opened.responder, is_near=True).routes(), "/ocsp")
    request = post(asking(opened, certificate.certificate))
    assert {at.handle(request).tally for _ in range(3)} == {("ocsp", "good")}
    opened.authority.revoke(certificate.serial, "keyCompromise")
    assert {at.handle(request).tally for _ in range(3)} == {("ocsp", "revoked")}


def test_nobody_is_told_to_keep_an_answer_for_too_long(opened: due.Open) -> None:
    [asked] = ready(opened)
    made = replies.PreparedReplies()
    opened.responder.version()
    prepared = opened.responder.prepared(asked, opened.responder.seconds())
    assert prepared is not None
    fresh = (prepared.this_update + prepared.next_update) // 2
    for early in (1000, 61, 60, 59, 2, 1):
        now = fresh - early
        reply, seconds = made.reply(prepared, now, "POST")
        age = int(re.findall(rb"max-age=(\d+)", reply.fields)[0])
        # Whoever gets it at the end of the time for which it is kept keeps it no longer than it is fresh.
        assert now + seconds - 1 + age <= fresh
        again, left = made.reply(prepared, now + seconds - 1, "POST")
        assert (again.fields, left) == (reply.fields, 1)


def test_header_lines_are_bounded(opened: due.Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OCSP_LINES_MAX", 3)
    [asked] = ready(opened)
    made = replies.PreparedReplies()
    opened.responder.version()
    prepared = opened.responder.prepared(asked, opened.responder.seconds())
    assert prepared is not None
    for number in range(10):
        reply, _ = made.reply(prepared._replace(body=prepared.body + bytes(number)), prepared.this_update, "POST")
        assert f"Content-Length: {len(prepared.body) + number}\r\n".encode() in reply.fields
        assert len(made) <= 3


def test_a_slow_key_does_not_hold_up_answers_that_were_signed(
    opened: due.Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who waited for a key or the register goes to the threads, not who was interrupted."""
    [asked] = ready(opened)
    at = route(routes.Ocsp(lambda: opened.responder, is_near=True).routes(), "/ocsp")
    assert at.at_once is not None
    moments = itertools.count(time.monotonic(), 0.03)
    # Of its own: other threads of this process also ask what time it is.
    watch = SimpleNamespace(monotonic=lambda: next(moments), time=time.time)
    monkeypatch.setattr(routes, "time", watch)
    monkeypatch.setattr(limits, "OCSP_NEAR_SECONDS", 0.05)
    monkeypatch.setattr(limits, "OCSP_LOOK_SECONDS", 60.0)
    at.at_once(post(asked))
    monkeypatch.setattr(limits, "OCSP_NEAR_SECONDS", -1.0)
    assert at.at_once(post(asked)) is not None
    assert at.at_once(post(asked)) is not None
    strange = ocsp.request([ocsp.read_request(asked).asked[0].cert_id], nonce=bytes(16))
    assert at.at_once(post(strange)) is not None
    assert at.at_once(post(asked)) is None
    assert at.handle(post(asked)).tally == ("ocsp", "good")


def test_a_register_elsewhere_is_never_asked_in_the_loop(opened: due.Open) -> None:
    served = routes.Ocsp(lambda: opened.responder, is_near=False).routes()
    assert route(served, "/ocsp").at_once is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/crl/code-signing.crl", "application/pkix-crl"),
        ("/pki/crl/root.crl", "application/pkix-crl"),
        ("/pki/aia/root.cer", "application/pkix-cert"),
        ("/log/checkpoint", "text/plain; charset=utf-8"),
        ("/pki/log/tile/entries/000.p/", ""),
        ("/crl/../aia/root.cer", ""),
        ("/crl/.hidden", ""),
        ("/crl//etc/passwd", ""),
        ("/crl/" + "a" * 300, ""),
        ("/crl/nothing.crl", ""),
        ("/crl/", ""),
        ("/keys/root.pem", ""),
        ("/tsa.pem", ""),
    ],
)
def test_what_is_served_from_the_folder(path: str, kind: str, folder: str) -> None:
    served = site.opened(site.Served(folder), Board(1)).public
    found = find(served, path)
    reply = found(Request("GET", path)) if found else Reply(b"", status=404)
    assert (reply.status, reply.content_type if kind else "") == (200 if kind else 404, kind)


def test_time_stamps_are_counted(folder: str) -> None:
    served = site.opened(site.Served(folder), Board(1)).public
    request = timestamp.request(bytes(32), "sha256", nonce=1)
    for path in ("/", "/tsa", "/pki/tsa"):
        assert route(served, path).handle(Request("POST", path, timestamp.QUERY_TYPE, request)).tally == (
            "tsa",
            "granted",
        )
    assert find(served, "/authenticode") is None
    old = site.opened(site.Served(folder, legacy=True), Board(1)).public
    asked = Request("POST", "/authenticode", timestamp.LEGACY_TYPE, timestamp.legacy_request(b"signature"))
    assert route(old, "/authenticode").handle(asked).tally == ("countersignature", "granted")
    assert route(old, "/authenticode").handle(asked._replace(body=b"x")).tally == ("countersignature", "rejected")
    weak = timestamp.request(bytes(20), "sha1", nonce=1)
    assert route(served, "/").handle(Request("POST", "/", timestamp.QUERY_TYPE, weak)).tally == ("tsa", "rejected")


def test_a_folder_without_an_authority(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        site.opened(site.Served(str(tmp_path)), Board(1))


def test_a_register_that_is_not_there_yet(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OCSP_PAUSE_SECONDS", 0.0)
    away = shutil.move(f"{folder}/authority.sqlite3", f"{folder}/elsewhere")
    with open(f"{folder}/authority.toml", "w") as settings:  # noqa: PTH123 - a folder as text
        settings.write('database = "postgresql://nobody@127.0.0.1:1/nothing"\n')
    late = site.LateResponder(site.Served(folder))
    assert late() is None
    shutil.move(away, f"{folder}/authority.sqlite3")
    with open(f"{folder}/authority.toml", "w") as settings:  # noqa: PTH123
        settings.write("")
    assert late() is not None


def test_lists_are_published_when_they_are_due(opened: due.Open) -> None:
    assert list(due.publish(opened, clock.now())) == []
    done = list(due.publish(opened, clock.now() + 5 * DAY))
    assert len(done) == 2
    assert opened.authority.register.latest_crl(opened.authority.issuer("code-signing")).number == 2  # type: ignore[union-attr]


def test_one_key_that_is_missing_holds_up_no_other_list(opened: due.Open, folder: str) -> None:
    shutil.move(f"{folder}/keys/code-signing.pem", f"{folder}/keys/away")
    with pytest.raises(due.OverdueError, match="code-signing"):
        list(due.publish(opened, clock.now() + 5 * DAY))
    assert opened.authority.register.latest_crl(opened.authority.issuer("time-stamping")).number == 2  # type: ignore[union-attr]


def test_responders_are_replaced_before_they_end(opened: due.Open) -> None:
    assert list(due.replace_responders(opened, clock.now())) == []
    done = list(due.replace_responders(opened, clock.now() + 25 * DAY))
    assert len(done) == 2  # the root's lives longer


def test_answers_are_signed_ahead_where_that_is_wanted(opened: due.Open) -> None:
    issued(opened.authority)
    assert list(due.sign_ahead(opened, clock.now())) == []
    wanted = opened._replace(served=site.Served(opened.served.folder, presign=True))
    assert len(list(due.sign_ahead(wanted, clock.now()))) == 1
    assert list(due.sign_ahead(wanted, clock.now())) == []


def test_the_time_stamp_key_is_replaced_in_time(opened: due.Open) -> None:
    assert list(due.renew_stamps(opened, clock.now())) == []
    before = tsa.in_folder(opened.served.folder).certificate
    assert len(list(due.renew_stamps(opened, clock.now() + 380 * DAY))) == 1
    after = tsa.in_folder(opened.served.folder).certificate
    assert (after.subject, before.spki != after.spki) == (before.subject, True)


def test_a_watchthat_is_not_known_is_a_problem() -> None:
    class Lost:
        name, is_measured, is_cheap = "lost", True, True

        def measure(self) -> Measurement:
            message = "nobody answers"
            raise UnavailableError(message)

    class Wrong(Lost):
        def measure(self) -> Measurement:
            return Measurement(limits.TSA_INACCURACY_MAX, 0.5)

    for source in (Lost(), Wrong()):
        standing = Standing()
        standing.look_at_clock(source)
        assert len(standing.problems) == 1


def test_how_it_stands(opened: due.Open) -> None:
    standing = Standing()
    standing.look(opened, clock.now())
    assert standing.problems == []
    assert {labels["kind"] for labels, _ in standing.numbers["certificate_not_after"]} == {"ca", "ocsp", "tsa"}
    assert len(standing.numbers["crl_next_update"]) == 3


def test_lists_and_certificates_that_ended_are_problems(opened: due.Open) -> None:
    standing = Standing()
    standing.look(opened, clock.now() + 3000 * DAY)
    assert any("list of the code-signing CA ended" in problem for problem in standing.problems)
    assert any("Time Stamping" in problem for problem in standing.problems)
