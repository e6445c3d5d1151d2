"""Replies to questions about certificates: those that are given again, and those with answers signed ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.authority.ocsp import http
from chopmark.authority.ocsp.responder import KINDS
from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.envelopes import ocsp
from chopmark.server.message import Reply

if TYPE_CHECKING:
    from chopmark.authority.ocsp.http import HttpAnswer
    from chopmark.authority.ocsp.responder import Answer, Prepared

_TALLIES = {kind: ("ocsp", kind) for kind in KINDS}
_SEEN = 1 << 16


class Replies:
    """Replies that can be given again within seconds, by what was asked; those that are not asked for again go first.

    A reply goes with the version of the register that it rests on. Not for several threads that care about each other:
    what one has put, another may miss.
    """

    def __init__(self) -> None:
        self._young: dict[bytes | str, tuple[int, float, Reply]] = {}
        self._old: dict[bytes | str, tuple[int, float, Reply]] = {}
        self._seen = bytearray(_SEEN)

    def get(self, key: bytes | str, version: int, now: float) -> Reply | None:
        """The reply of this version, if it is young enough."""
        found = self._young.get(key) or self._old.get(key)
        if found is None or found[0] != version or now >= found[1]:
            return None
        return found[2]

    def put(
        self, key: bytes | str, version: int, now: float, reply: Reply, seconds: float = limits.OCSP_REPLY_SECONDS
    ) -> None:
        """Keep a reply for so long."""
        if len(self._young) >= limits.OCSP_REPLIES_MAX // 2:
            self._old, self._young = self._young, {}
        self._young[key] = version, now + seconds, reply

    def again(self, key: bytes | str) -> bool:
        """Whether this was asked before, lately; true for one in 256 that were not."""
        number = hash(key)
        slot, mark = number % _SEEN, number >> 16 & 0xFF
        if self._seen[slot] == mark:
            return True
        self._seen[slot] = mark
        return False


class _Lines(NamedTuple):
    """Header lines: until when they count (Unix), each, and how they look without the tag."""

    until: int
    headers: tuple[tuple[str, str], ...]
    fields: bytes


class PreparedReplies:
    """Puts replies together from answers that were signed ahead.

    The lines of the header are the same for all that were signed in one second and are as long, but for the tag. They
    are made for OCSP_REPLY_SECONDS ahead, so that nobody keeps an answer for too long who gets it at their end.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[int, int, int, str], _Lines] = {}

    def __len__(self) -> int:
        """How many different headers are kept."""
        return len(self._lines)

    def reply(self, prepared: Prepared, now: int, method: str) -> tuple[Reply, int]:
        """The reply with an answer, and for how many seconds from now (Unix) it may be given again."""
        body, tag, this_update, next_update, kind = prepared
        key = len(body), this_update, next_update, method
        lines = self._lines.get(key)
        if lines is None or now >= lines.until:
            lines = _lines(prepared, now, method)
            if len(self._lines) >= limits.OCSP_LINES_MAX:
                self._lines.clear()
            self._lines[key] = lines
        until, headers, fields = lines
        reply = Reply(body, ocsp.RESPONSE_TYPE, 200, headers, etag=tag, tally=_TALLIES[kind])
        reply.rendered = b"%bETag: %b\r\n" % (fields, tag.encode())
        return reply, until - now


def _lines(prepared: Prepared, now: int, method: str) -> _Lines:
    answer = prepared.answer
    ahead = limits.OCSP_REPLY_SECONDS if answer.fresh_until > now + limits.OCSP_REPLY_SECONDS else 1
    reply = dated(answer, now + ahead, method)
    reply.etag = ""
    return _Lines(now + ahead, reply.headers, reply.fields)


def dated(answer: Answer, now: int, method: str) -> Reply:
    """The reply with an answer, as it is at this time (Unix)."""
    return of(http.reply(answer, now, method), answer.kind)


def of(answer: HttpAnswer, kind: str = "") -> Reply:
    """The reply of what OCSP says about HTTP; `kind` is what is counted."""
    headers = dict(answer.headers)
    tag = headers.pop("ETag", "")
    tally = _TALLIES.get(kind)
    return Reply(answer.body, answer.content_type, answer.status, tuple(headers.items()), etag=tag, tally=tally)
