"""What an authority serves, by path: files that it has published, OCSP, and time stamps."""

from __future__ import annotations

import os
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from chopmark.authority import ocsp_http
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, MalformedError
from chopmark.envelopes import ocsp, timestamp
from chopmark.server.files import Folder
from chopmark.server.message import Reply, Request, Route, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.authority.ocsp import Answer, Responder
    from chopmark.authority.ocsp_http import HttpAnswer
    from chopmark.authority.tsa import Rolling, TimeStampAuthority
    from chopmark.server.message import Handler

PUBLIC = "public"
OCSP = "/ocsp"
_TYPES = {".crl": "application/pkix-crl", ".cer": "application/pkix-cert", ".p7c": "application/pkcs7-mime"}
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
        if request.method != "POST":
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "time-stamp requests come by POST", ("Allow", "POST"))
        if request.content_type != timestamp.QUERY_TYPE:
            return refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be {timestamp.QUERY_TYPE}")
        body = authority.respond(request.body)
        tally = ("tsa", "granted" if timestamp.granted(body) else "rejected")
        return Reply(body, timestamp.REPLY_TYPE, headers=_NO_STORE, tally=tally)

    route = Route(handle, name="tsa")
    return {"/": route, "/tsa": route}


def countersignatures(authority: TimeStampAuthority | Rolling) -> dict[str, Handler]:
    """Authenticode's time stamps from before RFC 3161, at /authenticode, for those who still ask for them."""

    def handle(request: Request) -> Reply:
        if request.method != "POST":
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "time-stamp requests come by POST", ("Allow", "POST"))
        if request.content_type != timestamp.LEGACY_TYPE:
            return refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be {timestamp.LEGACY_TYPE}")
        try:
            body = authority.respond_legacy(request.body)
        except MalformedError as error:
            return _declined(HTTPStatus.BAD_REQUEST, str(error))
        except ChopmarkError as error:
            return _declined(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return Reply(body, timestamp.LEGACY_TYPE, headers=_NO_STORE, tally=("countersignature", "granted"))

    return {"/authenticode": Route(handle, name="countersignature")}


def _declined(status: HTTPStatus, text: str) -> Reply:
    return Reply(f"{text}\n".encode(), status=status, tally=("countersignature", "rejected"))


class Ocsp:
    """OCSP over HTTP. `responder` gives the responder, None while there is none, and may wait.

    What lies in memory is answered in the event loop, if looking there costs nothing; everything else on a thread.
    When the register does not answer, nobody waits for it again within some seconds: the answer is tryLater.
    """

    def __init__(self, responder: Callable[[], Responder | None], *, memory_is_near: bool) -> None:
        self._responder = responder
        self._ready: Responder | None = None
        self._near = memory_is_near
        self._again = 0.0
        self._aside = 0.0

    def routes(self, path: str = OCSP) -> dict[str, Handler]:
        """GET with the request in the path, and POST."""

        def at_once(request: Request) -> Reply | None:
            return self._remembered(request, request.path[len(path) :])

        def handle(request: Request) -> Reply:
            return self._answered(request, request.path[len(path) :])

        route = Route(handle, at_once if self._near else None, "ocsp", limits.OCSP_REQUEST_MAX)
        return {path: route, f"{path}/*": route}

    def _remembered(self, request: Request, path: str) -> Reply | None:
        if self._ready is None or self._aside > time.monotonic():
            return None
        asked = ocsp_http.request_in(request.method, path, request.body, request.content_type)
        if not isinstance(asked, bytes):
            return _reply(asked)
        began = time.monotonic()
        found = self._ready.remembered(asked)
        if time.monotonic() - began > limits.OCSP_NEAR_SECONDS:  # somebody holds the register: let threads wait for it
            self._aside = time.monotonic() + limits.OCSP_PAUSE_SECONDS
        return None if found is None else _dated(found, request.method)

    def _answered(self, request: Request, path: str) -> Reply:
        asked = ocsp_http.request_in(request.method, path, request.body, request.content_type)
        if not isinstance(asked, bytes):
            return _reply(asked)
        if self._again > time.monotonic():
            return _TRY_LATER
        began = time.monotonic()
        self._ready = responder = self._responder()
        if responder is None:
            return _TRY_LATER
        answer = responder.answer(asked)
        now = time.monotonic()
        if answer.kind == "try_later" and now - began > limits.OCSP_PATIENCE_SECONDS:
            self._again = now + limits.OCSP_PAUSE_SECONDS
        return _dated(answer, request.method)


def _dated(answer: Answer, method: str) -> Reply:
    return _reply(ocsp_http.reply(answer, int(time.time()), method), answer.kind)


def _reply(answer: HttpAnswer, kind: str = "") -> Reply:
    tag = next((value for name, value in answer.headers if name == "ETag"), "")
    return Reply(
        answer.body,
        answer.content_type,
        answer.status,
        tuple(header for header in answer.headers if header[0] != "ETag") if tag else answer.headers,
        etag=tag,
        tally=("ocsp", kind) if kind else None,
    )


_TRY_LATER = Reply(ocsp.failure(ocsp.TRY_LATER), ocsp.RESPONSE_TYPE, headers=_NO_STORE, tally=("ocsp", "try_later"))
