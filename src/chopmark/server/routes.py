"""What an authority serves, by path: files that it has published, OCSP, and time stamps."""

from __future__ import annotations

import os
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from chopmark.authority.ocsp import http
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, MalformedError
from chopmark.envelopes import ocsp, timestamp
from chopmark.server import replies
from chopmark.server.files import Folder
from chopmark.server.message import Reply, Request, Route, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.authority.ocsp.responder import Responder
    from chopmark.authority.tsa.tsa import Rolling, TimeStampAuthority
    from chopmark.server.message import Handler

PUBLIC = "public"
OCSP = "/ocsp"
_TYPES = {".crl": "application/pkix-crl", ".cer": "application/pkix-cert", ".p7c": "application/pkcs7-mime"}
_REQUEST_TYPES = ("", ocsp.REQUEST_TYPE)
_NO_STORE = (("Cache-Control", "no-store"),)
_TILES_AGE = 7 * 24 * 3600
_CHECKPOINT_AGE = 5


def published(folder: str) -> dict[str, Handler]:
    """Lists and CA certificates, at the paths that certificates name (RFC 5280 clauses 4.2.1.13 and 4.2.2.1).

    They are files: they are served whatever becomes of keys and database.
    """
    return {
        f"/{kind}/*": Folder(os.path.join(folder, PUBLIC, kind), _TYPES).route(f"/{kind}/", kind)
        for kind in ("crl", "aia")
    }


def log(folder: str) -> dict[str, Handler]:
    """The transparency log (C2SP tlog-tiles): tiles never change, the checkpoint does."""
    files = Folder(os.path.join(folder, PUBLIC, "log"), {})
    checkpoint = Folder(os.path.join(folder, PUBLIC, "log"), {}, "text/plain; charset=utf-8")
    return {
        "/log/tile/*": files.route("/log/", "log", max_age=_TILES_AGE),
        "/log/checkpoint": checkpoint.route("/log/", "log", max_age=_CHECKPOINT_AGE),
    }


def time_stamps(authority: TimeStampAuthority | Rolling) -> dict[str, Handler]:
    """The time-stamp authority at / and /tsa (RFC 3161 clause 3.4)."""

    def handle(request: Request) -> Reply:
        if refused := _not_posted(request, timestamp.QUERY_TYPE):
            return refused
        body = authority.respond(request.body)
        tally = ("tsa", "granted" if timestamp.granted(body) else "rejected")
        return Reply(body, timestamp.REPLY_TYPE, headers=_NO_STORE, tally=tally)

    route = Route(handle, name="tsa")
    return {"/": route, "/tsa": route}


def countersignatures(authority: TimeStampAuthority | Rolling) -> dict[str, Handler]:
    """Authenticode's time stamps from before RFC 3161, at /authenticode, for those who still ask for them."""

    def handle(request: Request) -> Reply:
        if refused := _not_posted(request, timestamp.LEGACY_TYPE):
            return refused
        try:
            body = authority.respond_legacy(request.body)
        except MalformedError as error:
            return _declined(HTTPStatus.BAD_REQUEST, str(error))
        except ChopmarkError as error:
            return _declined(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return Reply(body, timestamp.LEGACY_TYPE, headers=_NO_STORE, tally=("countersignature", "granted"))

    return {"/authenticode": Route(handle, name="countersignature")}


def _not_posted(request: Request, content_type: str) -> Reply | None:
    """What a request for a time stamp is refused with that does not come as such requests do."""
    if request.method != "POST":
        return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "time-stamp requests come by POST", ("Allow", "POST"))
    if request.content_type != content_type:
        return refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be {content_type}")
    return None


def _declined(status: HTTPStatus, text: str) -> Reply:
    return Reply(f"{text}\n".encode(), status=status, tally=("countersignature", "rejected"))


class Ocsp:
    """OCSP over HTTP. `responder` gives the responder, None while there is none, and may wait.

    With a register that is near (a file) everything is answered in the event loop, as long as that is quick; otherwise
    on threads. When the register failed slowly, nobody waits for it again within some seconds: the answer is tryLater.
    """

    def __init__(self, responder: Callable[[], Responder | None], *, is_near: bool) -> None:
        self._responder = responder
        self._replies = replies.Replies()
        self._ready = replies.PreparedReplies()
        self._is_near = is_near
        self._version = -1
        self._seconds = 0
        self._looked = 0.0
        self._again = 0.0
        self._aside = 0.0

    def routes(self, path: str = OCSP) -> dict[str, Handler]:
        """GET with the request in the path, and POST."""

        def at_once(request: Request) -> Reply | None:
            now = time.monotonic()
            return None if now < self._aside else self._answered(request, request.path[len(path) :], now)

        def handle(request: Request) -> Reply:
            return self._answered(request, request.path[len(path) :], time.monotonic())

        route = Route(handle, at_once if self._is_near else None, "ocsp", limits.OCSP_REQUEST_MAX)
        return {path: route, f"{path}/*": route}

    def _answered(self, request: Request, path: str, now: float) -> Reply:
        if self._again > now:
            return _TRY_LATER
        responder = self._responder()
        if responder is None:
            return _TRY_LATER
        if now - self._looked > limits.OCSP_LOOK_SECONDS:
            self._look(responder, now)
        version = self._version
        is_posted = request.method == "POST"
        key = request.body if is_posted else path
        known = self._replies.get(key, version, now)
        if known is not None and request.content_type in _REQUEST_TYPES:
            return known
        if is_posted and request.content_type == ocsp.REQUEST_TYPE:
            asked = request.body  # its length was looked at before it was taken
        else:
            read = http.request_in(request.method, path, request.body, request.content_type)
            if not isinstance(read, bytes):
                return replies.of(read)
            asked = read
        if version >= 0:
            reply = self._prepared(responder, asked, request.method, key, now)
            if reply is not None:
                return reply
        return self._made(responder, asked, request.method, key, version)

    def _look(self, responder: Responder, now: float) -> None:
        """Notice what was done with certificates, before the next answer."""
        try:
            self._version = responder.version()
        except ChopmarkError:
            self._version = -1
        self._seconds = responder.seconds()
        self._looked = now
        self._took(now)

    def _took(self, began: float) -> float:
        """Leave the next answers to threads if something took long: a slow key, or somebody holds the register."""
        now = time.monotonic()
        if now - began > limits.OCSP_NEAR_SECONDS:
            self._aside = now + limits.OCSP_PAUSE_SECONDS
        return now

    def _prepared(self, responder: Responder, asked: bytes, method: str, key: bytes | str, now: float) -> Reply | None:
        """With an answer that was signed ahead. It is kept if it is asked for again: most are not."""
        try:
            prepared = responder.prepared(asked, self._seconds)
        except (ChopmarkError, OSError):  # `answer` will find the same, and say what it comes to
            return None
        if prepared is None:
            return None
        reply, left = self._ready.reply(prepared, self._seconds, method)
        if self._replies.again(key) and left > 1:
            self._replies.put(key, self._version, now, reply, left)
        return reply

    def _made(self, responder: Responder, asked: bytes, method: str, key: bytes | str, version: int) -> Reply:
        began = time.monotonic()
        answer = responder.answer(asked, looked=version >= 0)
        ended = self._took(began)
        if answer.kind == "try_later" and ended - began > limits.OCSP_PATIENCE_SECONDS:
            self._again = ended + limits.OCSP_PAUSE_SECONDS
        now = int(time.time())
        left = answer.fresh_until - now - limits.OCSP_REPLY_SECONDS
        if version < 0 or left <= 0:
            return replies.dated(answer, now, method)
        # It is given for some seconds as if these had passed already: nobody keeps it for too long.
        reply = replies.dated(answer, now + limits.OCSP_REPLY_SECONDS, method)
        self._replies.put(key, version, ended, reply)
        return reply


_TRY_LATER = Reply(ocsp.failure(ocsp.TRY_LATER), ocsp.RESPONSE_TYPE, headers=_NO_STORE, tally=("ocsp", "try_later"))
