"""Asking a running guard: a socket that only its own user may use, a line of JSON each way."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

from chopmark.agent import metrics, processes
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, UnavailableError, UsageError
from chopmark.net import local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.agent.guard import Guard

_CREDENTIALS = struct.Struct("=iII")


class Server:
    """Answers one question per connection, in a thread."""

    def __init__(self, guard: Guard, path: str) -> None:
        """Raises UsageError where the socket cannot be made, or another guard answers on it."""
        self._guard = guard
        self._path = path
        self._closed = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            if os.path.lexists(path):
                if _is_taken(path):
                    raise UsageError(f"{path}: another guard runs here")
                os.unlink(path)
            before = os.umask(0o177)
            try:
                self._socket.bind(path)
            finally:
                os.umask(before)
            self._socket.listen(limits.GUARD_ASKING_MAX)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(limits.GUARD_LOOK_SECONDS)  # there is no descriptor for it at this moment
                continue
            with connection:
                connection.settimeout(limits.GUARD_ASKING_SECONDS)
                with contextlib.suppress(OSError, ValueError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        _, user, _ = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        if user not in (0, os.geteuid()):
            return
        try:
            answer = self._said(json.loads(_line(connection)), user)
        except ChopmarkError as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - whoever asks for what there is not must not end who answers
            answer = {"error": f"{type(error).__name__}: {error}"}
        connection.sendall(json.dumps(answer).encode() + b"\n")

    def _said(self, asked: dict[str, Any], user: int) -> dict[str, Any]:
        guard, what = self._guard, asked.get("ask")
        actions: dict[str, Callable[[], dict[str, Any] | None]] = {
            "status": guard.facts,
            "metrics": lambda: {"text": metrics.text(guard.facts())},
            "events": lambda: {"events": list(guard.stream.recent)},
            "reload": guard.watch.reload,
            "release": lambda: guard.let_go(str(asked["folder"])),
            "warm": lambda: guard.warm(str(asked["folder"])),
            "break-glass": lambda: guard.break_glass(float(asked["seconds"]), str(asked["why"]), user),
        }
        if what not in actions:
            raise UsageError(f"the guard does not know what {what!r} is")
        return actions[what]() or {"done": True}


def _is_taken(path: str) -> bool:
    """Whether another guard answers there; a worker of our own holder that was killed, and cannot die, is none."""
    with contextlib.suppress(OSError), local.connected(path, limits.GUARD_ASKING_SECONDS) as to:
        process, _, _ = _CREDENTIALS.unpack(to.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        status = processes.status(process)
        return process == os.getpid() or status is None or status.parent != os.getppid()
    return False


def serve(guard: Guard) -> Server:
    """Begin to answer. Raises UsageError."""
    return Server(guard, guard.settings.control)


def ask(path: str, what: str, **more: object) -> dict[str, Any]:
    """Ask a running guard. Raises UnavailableError when none answers, UsageError when it cannot do what it is asked."""
    answer: dict[str, Any] = {}
    try:
        # Whoever may not ask is hung up on.
        with local.connected(path, limits.GUARD_ASKING_SECONDS) as to, contextlib.suppress(ConnectionError):
            to.sendall(json.dumps({"ask": what, **more}).encode() + b"\n")
            answer = json.loads(_line(to) or b"null") or {}
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = "guard run starts one; --control names its socket"
        raise UnavailableError(f"no guard answers on {path}: {said} ({hint})") from None
    if not answer:
        raise UsageError(f"the guard on {path} answers only its own user and root")
    if "error" in answer:
        raise UsageError(str(answer["error"]))
    return answer


def follow(path: str) -> Iterator[dict[str, Any]]:
    """The events of a running guard as they come; polls, so that a reader who stops holds nothing up."""
    last: dict[str, Any] | None = None
    while True:
        events = ask(path, "events")["events"]
        start = events.index(last) + 1 if last in events else 0
        yield from events[start:]
        last = events[-1] if events else last
        time.sleep(limits.GUARD_LOOK_SECONDS)


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < limits.GUARD_ANSWER_MAX:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data
