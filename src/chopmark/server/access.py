"""The access log: a line for each request, in the common format or as JSON, at a cost that is bounded.

Lines are written by a thread of their own. When the disk, or whoever reads the pipe, is slower than the requests,
lines are dropped and counted instead of holding up answers.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.server.message import Reply
    from chopmark.server.parsing import Head

FORMATS = ("common", "json")
_TURN = 0.2
"""Seconds that a line may wait in memory."""
_PIECE = 4096
"""Octets that processes can write into one pipe without cutting each other's lines (POSIX PIPE_BUF)."""
_QUOTED = str.maketrans({'"': '\\"', "\\": "\\\\"})


def brief(peer: str, head: Head, reply: Reply) -> str:
    """A line for people: who, what, status."""
    return f'{peer} "{head.line[:200]}" {reply.status}'


def line_maker(name: str) -> Callable[[str, Head, str, Reply, float], str]:
    """What makes the lines of a format. Raises UsageError."""
    if name not in FORMATS:
        message = f"no such format for the access log: {name!r} ({', '.join(FORMATS)})"
        raise UsageError(message)
    return _json if name == "json" else _common


class _Now:
    """The time in both formats, computed once in a second."""

    def __init__(self) -> None:
        self._second = 0
        self.common = self.iso = ""

    def look(self) -> _Now:
        second = int(time.time())
        if second != self._second:
            self._second = second
            at = time.gmtime(second)
            month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[at.tm_mon - 1]
            self.common = time.strftime(f"%d/{month}/%Y:%H:%M:%S +0000", at)
            self.iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", at)
        return self


_now = _Now()


def _common(peer: str, head: Head, route: str, reply: Reply, seconds: float) -> str:
    del route, seconds
    size = 0 if head.method == "HEAD" else reply.size
    return f'{peer} - - [{_now.look().common}] "{head.line.translate(_QUOTED)}" {reply.status} {size or "-"}'


def _json(peer: str, head: Head, route: str, reply: Reply, seconds: float) -> str:
    return json.dumps(
        {
            "time": _now.look().iso,
            "peer": peer,
            "request": head.line,
            "route": route,
            "status": reply.status,
            "size": 0 if head.method == "HEAD" else reply.size,
            "seconds": round(seconds, 6),
        }
    )


class AccessLog:
    """Appends lines to a file, or to standard output when the path is `-`. Raises UsageError when that cannot be."""

    def __init__(self, path: str) -> None:
        self._lines: deque[str] = deque()
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
            self._descriptor = 1 if path == "-" else os.open(path, flags, 0o640)
        except OSError as error:
            message = f"{path}: the access log cannot be written: {os.strerror(error.errno or 0)}"
            raise UsageError(message) from None
        self._file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, name="chopmark access log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> bool:
        """Write a line soon; False when too many are waiting, and it was dropped."""
        if len(self._lines) >= limits.SERVER_LOG_LINES_MAX:
            return False
        self._lines.append(line)
        return True

    def close(self) -> None:
        """Write what is waiting, within a moment, and close."""
        self._ended.set()
        self._thread.join(1)
        if self._descriptor != 1 and not self._thread.is_alive():
            os.close(self._descriptor)

    def _write(self) -> None:
        while True:
            ended = self._ended.wait(_TURN)
            while self._lines:
                self._send(self._piece())
            if ended:
                return

    def _piece(self) -> bytes:
        lines: list[str] = []
        size = 0
        most = limits.MIB if self._file else _PIECE
        while self._lines and (not lines or size + len(self._lines[0]) < most):
            lines.append(self._lines.popleft())
            size += len(lines[-1]) + 1
        return "".join(f"{line}\n" for line in lines).encode()

    def _send(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:  # the disk is full, or the reader has gone: what it would have read is lost
            return
