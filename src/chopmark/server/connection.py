"""One HTTP connection: octets in, requests out, answers back in their order, and a deadline at every moment."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import termios
import time
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.server import conditions, parsing
from chopmark.server.message import Reply, Request, Route, Routes, find, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.server.loop import Loop
    from chopmark.server.message import Handler
    from chopmark.server.parsing import Head

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_READ = 64 * limits.KIB
_SEND_FILE = limits.MIB
"""At most so much of a file before the other connections have their turn."""
_NO_HEAD = parsing.Head(
    "GET", "", "-", keep=False, old=False, length=0, content_type="", continues=False, etags="", since=""
)
_NOTHING_HERE = refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
_BUSY = refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many are waiting", ("Retry-After", "1"))
_LATE = refusal(HTTPStatus.SERVICE_UNAVAILABLE, "this took too long", ("Retry-After", "10"))
_SLOW = refusal(HTTPStatus.REQUEST_TIMEOUT, "this request came in too slowly")
_TOO_LONG = refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too long")


class Answered(NamedTuple):
    """What a thread made of a request."""

    connection: Connection
    head: Head
    route: str
    reply: Reply
    came: float


class _Part:
    """What is left of a file that is being sent."""

    __slots__ = ("left", "offset", "reply")

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.offset = 0
        self.left = reply.size


class Connection:
    """A client. All methods run in the event loop's thread; none waits, and none raises for what a client does."""

    __slots__ = (
        "_began",
        "_buffer",
        "_head",
        "_interest",
        "_loop",
        "_needed",
        "_out",
        "_raw",
        "_routes",
        "_sent",
        "_socket",
        "_taken",
        "closed",
        "closing",
        "deadline",
        "fileno",
        "lingering",
        "peer",
        "waiting",
    )

    def __init__(self, loop: Loop, connected: socket.socket, peer: str, routes: Routes) -> None:
        self._loop = loop
        self._socket = connected
        self._routes = routes
        self._buffer = bytearray()
        self._raw = b""  # the octets of the last head, and what they say
        self._head = _NO_HEAD
        self._needed = 0  # octets in the buffer before it is worth looking at them again
        self._out: deque[bytes | _Part] = deque()
        self._sent = 0  # octets handed to the kernel; while lingering, octets thrown away
        self._taken = 0  # octets that the other side had taken when the deadline was set
        self._interest = -1  # what epoll was asked for; -1 while it does not know us
        self._began = 0.0  # when the first octet of the request came; 0 between requests
        self.fileno = connected.fileno()
        self.peer = peer
        self.deadline = loop.now + limits.SERVER_IDLE_SECONDS
        self.waiting = False  # for a thread to answer
        self.closing = False  # once everything is sent
        self.lingering = False
        self.closed = False

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not (self.waiting or self._out or self._buffer or self.lingering)

    def event(self, events: int) -> None:
        """Something happened to the socket."""
        if self._out:
            self._flush()
        elif events & select.EPOLLIN and not self.waiting:
            self.read()
        elif events & (select.EPOLLHUP | select.EPOLLERR):
            self.close()

    def read(self) -> None:
        """Take what has come, and answer what is whole."""
        try:
            data = self._socket.recv(_READ, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._watch()
            return
        except OSError:
            self.close()
            return
        if self.lingering:
            self._discard(data)
        elif not data:  # the other side has ended; half a request is nobody's
            self.close()
        else:
            self._feed(data)

    def _discard(self, data: bytes) -> None:
        self._sent += len(data)
        if not data or self._sent > limits.SERVER_BODY_MAX * 16:
            self.close()

    def _feed(self, data: bytes) -> None:
        now = self._loop.now
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                self.deadline = min(now + limits.SERVER_IDLE_SECONDS, self._began + limits.SERVER_REQUEST_SECONDS)
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        else:
            self._began = now
            # Who keeps a connection sends the same head again, and it means the same.
            raw, head = self._raw, self._head
            if raw and len(data) == len(raw) + head.length and data.startswith(raw):
                self._dispatch(head, data[len(raw) :])
                self._flush()
                return
        self._consume(data)

    def _consume(self, data: bytes) -> None:
        """Answer the requests in `data`, one after the other; keep what is not whole yet."""
        position = 0
        self._needed = 0
        try:
            while position < len(data) and not (self.waiting or self.closing):
                if len(self._out) >= limits.SERVER_PIPELINE_MAX:
                    break
                taken = self._one(data, position)
                if not taken:
                    break
                position += taken
        except parsing.RefusedRequestError as error:
            self._refuse(refusal(error.status, str(error)))
            return
        self._buffer += data[position:]
        if not self._out:
            self._settle()
            return
        self._flush()

    def _one(self, data: bytes, start: int) -> int:
        """Answer the request at `start`, or have it answered; its length, 0 when it is not whole."""
        if data.startswith(b"\r\n", start):
            return self._blank(data, start)
        end = parsing.end_of_head(data, start)
        if end < 0:
            return 0
        head = parsing.parse(data[start:end])
        body = end + len(parsing.END)
        whole = body + head.length - start
        if len(data) - start < whole:
            if head.continues and len(data) == body:
                self._out.append(_CONTINUE)
            self._needed = whole
            return 0
        if head.keep:
            self._raw, self._head = data[start:body], head
        self._dispatch(head, data[body : body + head.length])
        return whole

    def _blank(self, data: bytes, start: int) -> int:
        """Skip an empty line before a request, once (RFC 9112 clause 2.2)."""
        if data.startswith(b"\r\n", start + 2):
            raise parsing.RefusedRequestError(HTTPStatus.BAD_REQUEST, "this is no request line")
        return 2

    def _dispatch(self, head: Head, body: bytes) -> None:
        came = time.monotonic()
        found = find(self._routes, head.path)
        if found is None:
            self.answer(head, "other", _NOTHING_HERE, came)
            return
        route = found if isinstance(found, Route) else Route(found)
        if head.length > route.body_max:
            self.answer(head, route.name, _TOO_LONG, came)
            return
        request = Request("GET" if head.method == "HEAD" else head.method, head.path, head.content_type, body)
        if route.at_once is not None:
            reply = _safely(self._loop, route.at_once, request)
            if reply is not None:
                self.answer(head, route.name, reply, came)
                return
        self.waiting = True
        if not self._loop.pool.submit(partial(self._elsewhere, route.handle, route.name, request, head, came)):
            self.waiting = False
            self.answer(head, route.name, _BUSY, came)

    def _elsewhere(self, handle: Handler, route: str, request: Request, head: Head, came: float) -> Answered:
        """On a thread of the pool: nothing of this connection is touched."""
        reply = _safely(self._loop, handle, request)
        return Answered(self, head, route, reply or _NOTHING_HERE, came)

    def answered(self, done: Answered) -> None:
        """A thread has answered."""
        if self.closed or not self.waiting:  # gone, or too late
            return
        self.waiting = False
        self.answer(done.head, done.route, done.reply, done.came)
        if self._buffer and not self.closing:
            self._began = self._loop.now
            data = bytes(self._buffer)
            self._buffer.clear()
            self._consume(data)
        else:
            self._flush()

    def answer(self, head: Head, route: str, reply: Reply, came: float) -> None:
        """Queue the answer to a request."""
        loop = self._loop
        if (head.etags or head.since) and conditions.unchanged(reply, head):
            reply = reply.unchanged()
        if not head.keep or loop.draining:
            self.closing = True
            connection = b"Connection: close\r\n\r\n"
        else:
            connection = b"Connection: keep-alive\r\n\r\n" if head.old else b"\r\n"
        content = head.method != "HEAD"
        self._out.append(loop.preface(reply.status) + reply.fields + connection + (reply.body if content else b""))
        if reply.file and content:
            self._socket.settimeout(0)  # there is no flag for sendfile that says so
            self._out.append(_Part(reply))
        loop.observer.request(self.peer, head, route, reply, time.monotonic() - came)

    def _refuse(self, reply: Reply) -> None:
        """Say no to what is no request, and listen no more; the client may still be sending."""
        self._buffer.clear()
        self.lingering = True
        self.answer(_NO_HEAD, "other", reply, time.monotonic())
        self._flush()

    def overdue(self) -> None:
        """The deadline has passed."""
        if self._out and (taken := self._acknowledged()) >= self._taken + limits.SERVER_PROGRESS:
            self._taken = taken  # slow, but steady
            self.deadline = self._loop.now + limits.SERVER_IDLE_SECONDS
        elif self.waiting:
            self.waiting = False  # what the thread comes to is of no interest any more
            self._refuse(_LATE)
        elif self._buffer and not self._out and not self.lingering:
            self._refuse(_SLOW)
        else:
            self.close()

    # Sending

    def _acknowledged(self) -> int:
        """Octets that the other side has taken; the rest waits in buffers here, which may be large."""
        return self._sent - int.from_bytes(fcntl.ioctl(self.fileno, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def _flush(self) -> None:
        """Send as much as the other side takes."""
        out = self._out
        try:
            while out:
                item = out[0]
                if isinstance(item, _Part):
                    if not self._send_part(item):
                        break
                    continue
                if len(out) > 1 and not isinstance(out[1], _Part):
                    item = self._joined()
                sent = self._socket.send(item, socket.MSG_DONTWAIT)
                self._sent += sent
                if sent < len(item):
                    out[0] = item[sent:]
                    break
                out.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._settle()

    def _joined(self) -> bytes:
        """What is queued before the next file, in one piece."""
        pieces: list[bytes] = []
        while self._out and isinstance(piece := self._out[0], bytes):
            pieces.append(piece)
            self._out.popleft()
        whole = b"".join(pieces)
        self._out.appendleft(whole)
        return whole

    def _send_part(self, part: _Part) -> bool:
        """Send some of a file; False when it is somebody else's turn, or when the file became shorter."""
        if part.reply.file is None:
            return False
        sent = os.sendfile(self.fileno, part.reply.file.descriptor, part.offset, min(part.left, _SEND_FILE))
        if not sent:
            message = "the file was cut short while it was sent"
            raise OSError(message)
        self._sent += sent
        part.offset += sent
        part.left -= sent
        if part.left:
            return False
        self._out.popleft()
        return True

    def _settle(self) -> None:
        """Decide what to wait for, and until when."""
        now = self._loop.now
        if self._out:
            if self._interest != select.EPOLLOUT:
                self._taken = self._acknowledged()
                self.deadline = now + limits.SERVER_IDLE_SECONDS
                self._watch(select.EPOLLOUT)
            return
        if self.lingering:
            self._linger()
        elif self.closing:
            self.close()
        elif self.waiting:
            self.deadline = self._began + limits.SERVER_REQUEST_SECONDS
            self._watch(0)
        elif self._buffer:
            self.deadline = min(now + limits.SERVER_IDLE_SECONDS, self._began + limits.SERVER_REQUEST_SECONDS)
            if self._needed == 0 and parsing.END in self._buffer:  # more than was to be answered at once
                self._loop.soon(self)
                self._watch(0)
            else:
                self._watch()
        else:
            self._loop.rest(self)
            self._watch()

    def again(self) -> None:
        """Go on with pipelined requests."""
        if not (self.closed or self.waiting or self._out or self.lingering):
            data = bytes(self._buffer)
            self._buffer.clear()
            self._consume(data)

    def _linger(self) -> None:
        """Everything is sent; wait for the other side to end, or the answer could be lost with the connection."""
        self.deadline = self._loop.now + limits.SERVER_LINGER_SECONDS
        self._sent = 0
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._watch()

    def _watch(self, interest: int = select.EPOLLIN) -> None:
        if interest != self._interest:
            self._loop.watch(self, interest, known=self._interest >= 0)
            self._interest = interest

    def close(self) -> None:
        """End the connection."""
        if not self.closed:
            self.closed = True
            self._out.clear()
            self._loop.forget(self)
            try:
                self._socket.close()
            except OSError:  # it was broken off
                return


def _safely(loop: Loop, handle: Callable[[Request], Reply | None], request: Request) -> Reply | None:
    """What a handler answers; a request that breaks it must not take the server down."""
    try:
        return handle(request)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and answered
        loop.observer.error(f"{request.method} {request.path[:200]}: {type(error).__name__}: {error}")
        return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "this went wrong here")
