"""What is asked and answered: requests, replies, and the routes that lead from one to the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from chopmark.server.files import OpenFile

PLAIN = "text/plain; charset=utf-8"
_DEPTH_MAX = 4
"""Slashes up to which a prefix may reach."""


class Request(NamedTuple):
    """What was asked: method (GET or POST), path without query, content type in lower case without parameters, body.

    The path is as it came, percent signs included.
    """

    method: str
    path: str
    content_type: str = ""
    body: bytes = b""


class Reply:
    """What is answered: bytes, or a file from its beginning to `size`; may be given again and again.

    `etag` (with its quotes) and `modified` (seconds since 1970) let it be answered with 304. `tally` names a counter of
    `metrics.TALLIES` and the label that is counted when the answer leaves.
    """

    __slots__ = ("body", "content_type", "etag", "file", "headers", "modified", "rendered", "status", "tally")

    def __init__(
        self,
        body: bytes,
        content_type: str = PLAIN,
        status: int = 200,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        etag: str = "",
        modified: int | None = None,
        file: OpenFile | None = None,
        tally: tuple[str, str] | None = None,
    ) -> None:
        self.body = body
        self.content_type = content_type
        self.status = int(status)
        self.headers = headers
        self.etag = etag
        self.modified = modified
        self.file = file
        self.tally = tally
        self.rendered: bytes | None = None

    @property
    def size(self) -> int:
        """Octets of the content."""
        return self.file.size if self.file else len(self.body)

    @property
    def fields(self) -> bytes:
        """The header lines that do not change from one time to the next, without the empty line at their end."""
        if self.rendered is None:
            lines = (f"Content-Type: {self.content_type}\r\nContent-Length: {self.size}", *self._validators(), "")
            self.rendered = "\r\n".join(lines).encode("latin-1")
        return self.rendered

    def _validators(self) -> list[str]:
        lines = ["X-Content-Type-Options: nosniff", *(f"{name}: {value}" for name, value in self.headers)]
        if self.etag:
            lines.append(f"ETag: {self.etag}")
        if self.modified is not None:
            lines.append(f"Last-Modified: {date(self.modified)}")
        return lines

    def unchanged(self) -> Reply:
        """The same without content: the asker has it (RFC 9110 clause 15.4.5)."""
        reply = Reply(b"", self.content_type, HTTPStatus.NOT_MODIFIED, self.headers, tally=self.tally)
        reply.rendered = "".join(f"{line}\r\n" for line in self._validators()).encode("latin-1")
        return reply


def refusal(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Reply:
    """An answer that says no, in a line of text."""
    return Reply(f"{text}\n".encode(), status=status, headers=headers)


Handler = Callable[[Request], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers at a path.

    `handle` may wait, for a key or a database: it runs on a thread. `at_once` never waits and is asked first, in the
    event loop; where it answers None, `handle` has to. `name` stands in metrics and logs; `body_max` bounds a body.
    """

    handle: Handler
    at_once: Callable[[Request], Reply | None] | None = None
    name: str = "other"
    body_max: int = limits.TIMESTAMP_REQUEST_MAX

    def __call__(self, request: Request) -> Reply:
        """Answer, and wait for that if need be."""
        return (self.at_once(request) if self.at_once else None) or self.handle(request)


Routes = Mapping[str, Handler]
"""Paths and what answers there; a path that ends with `/*` stands for everything below it."""


def find(routes: Routes, path: str) -> Handler | None:
    """What answers at a path: an exact one, else the longest prefix."""
    found = routes.get(path)
    if found is not None or path.endswith("/*"):
        return None if path.endswith("/*") else found
    position = -1
    for _ in range(_DEPTH_MAX):
        position = path.find("/", position + 1)
        if position < 0:
            break
        found = routes.get(path[: position + 1] + "*") or found
    return found


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date(seconds: float) -> str:
    """A time as HTTP writes it (RFC 9110 clause 5.6.7), whatever the language of this machine."""
    at = time.gmtime(seconds)
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"
    )
