"""OCSP over HTTP: the request in a GET or POST, and the headers that let others keep the answer.

RFC 6960 appendix A, RFC 5019 clauses 5 and 6.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.envelopes import ocsp

if TYPE_CHECKING:
    from chopmark.authority.ocsp.responder import Answer

_PATH_MAX = 2 * limits.OCSP_REQUEST_MAX
_NO_STORE = (("Cache-Control", "no-store"),)
_TEXT = "text/plain; charset=utf-8"


class HttpAnswer(NamedTuple):
    """Status, headers (without those that any server adds by itself: length, date) and body."""

    status: int
    content_type: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def request_in(method: str, path: str, body: bytes, content_type: str) -> bytes | HttpAnswer:
    """The OCSPRequest in an HTTP request; an answer at once where there can be none."""
    if method in ("GET", "HEAD"):
        return in_path(path)
    if method != "POST":
        return _refused(405, "OCSP requests come by GET or POST", (("Allow", "GET, HEAD, POST"),))
    if content_type and content_type.partition(";")[0].strip().lower() != ocsp.REQUEST_TYPE:
        return _refused(415, f"the content type must be {ocsp.REQUEST_TYPE}")
    if len(body) > limits.OCSP_REQUEST_MAX:
        return _refused(413, "the request is too long")
    return body


def in_path(path: str) -> bytes | HttpAnswer:
    """The request in a path, as clients really write it.

    The base64 may be percent-encoded, not at all or twice over; with a plus sign that became a space; with the letters
    for URLs; without padding; with slashes before it. That a request begins with M in base64 tells the slashes of the
    path from those that belong to it.
    """
    if len(path) > _PATH_MAX:
        return _refused(414, "the request is too long")
    text = path.partition("?")[0]
    for _ in range(2):
        text = unquote(text)
    text = text.lstrip("/").replace(" ", "+").translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True) or _EMPTY
    except (binascii.Error, ValueError):
        return _refused(400, "this is not the base64 of an OCSP request")


_URL_SAFE = str.maketrans("-_", "+/")


def reply(answer: Answer, now: int, method: str) -> HttpAnswer:
    """The HTTP answer: others may keep it until the next one is due, and never longer than it counts."""
    if not answer.next_update:
        return HttpAnswer(200, ocsp.RESPONSE_TYPE, _NO_STORE, answer.body)
    age = max(answer.fresh_until - now, 0)
    scope = "public" if method != "POST" else "private"
    kept = ("Cache-Control", f"max-age={age}, {scope}, no-transform, must-revalidate")
    return HttpAnswer(200, ocsp.RESPONSE_TYPE, (kept, *answer.headers), answer.body)


def lasting(tag: str, this_update: int, next_update: int) -> tuple[tuple[str, str], ...]:
    """The headers of an answer that are the same whenever it is given (times in Unix seconds)."""
    return (
        ("ETag", tag),
        ("Last-Modified", _date(this_update)),
        ("Expires", _date(next_update)),
    )


def tag_of(body: bytes) -> str:
    """What tells an answer from others."""
    return tag(hashlib.sha256(body).digest())


def tag(digest: bytes) -> str:
    """The same of its SHA-256."""
    return f'"{digest.hex()}"'


@lru_cache(maxsize=1024)
def _date(seconds: int) -> str:
    """Thousands of answers have the same ones."""
    return formatdate(seconds, usegmt=True)


def _refused(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> HttpAnswer:
    return HttpAnswer(status, _TEXT, (*headers, *_NO_STORE), f"{text}\n".encode())


_EMPTY = _refused(400, "there is no OCSP request in the path")
