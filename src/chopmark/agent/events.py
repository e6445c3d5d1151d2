"""The event stream: what was denied, or would have been, to whoever wants to know; never on the answering path."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from chopmark.core import clock, limits
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

JOURNAL = "/run/systemd/journal/socket"
SYSLOG = "/dev/log"
_IDENTIFIER = "chopmark-guard"
_FACILITY_AUTHPRIV = 10
_SEVERITY = {"deny": 4, "audit": 5, "error": 3}
"""RFC 5424, clause 6.2.1: warning, notice, error; all else is informational."""


class Sink(Protocol):
    """Where events go."""

    def write(self, event: dict[str, Any]) -> None:
        """Pass one on. Raises OSError."""

    def close(self) -> None:
        """Pass no more on."""


class Lines:
    """JSON, one event a line, appended to a file or written to a descriptor."""

    def __init__(self, path: str) -> None:
        """Open it; `-` is standard output. Raises UsageError."""
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
            self._descriptor = os.dup(1) if path == "-" else os.open(path, flags, 0o640)
        except OSError as error:
            raise UsageError(f"{path}: {os.strerror(error.errno or 0)}") from None

    def write(self, event: dict[str, Any]) -> None:
        """One line, whole, so that those of two writers do not mix."""
        os.write(self._descriptor, json.dumps(event, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Journal:
    """The native protocol of systemd-journald: fields, each with its length where it has a line break."""

    def __init__(self, address: str = JOURNAL) -> None:
        """Connect. Raises OSError when there is no journal."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)  # noqa: FBT003 - the only way to call it
        self._socket.connect(address)

    def write(self, event: dict[str, Any]) -> None:
        """One datagram."""
        fields = {
            "MESSAGE": summary(event),
            "PRIORITY": str(_SEVERITY.get(event["kind"], 6)),
            "SYSLOG_IDENTIFIER": _IDENTIFIER,
            **{f"CHOPMARK_{name.upper()}": str(value) for name, value in event.items()},
        }
        self._socket.send(b"".join(_field(name, value) for name, value in fields.items()))

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def _field(name: str, value: str) -> bytes:
    raw = value.encode(errors="surrogateescape")
    if b"\n" in raw:
        return name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"
    return f"{name}=".encode() + raw + b"\n"


class Syslog:
    """RFC 5424 lines to the local daemon, with the facts as structured data."""

    def __init__(self, address: str = SYSLOG) -> None:
        """Connect. Raises OSError when nobody listens."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)  # noqa: FBT003 - the only way to call it
        self._socket.connect(address)

    def write(self, event: dict[str, Any]) -> None:
        """One datagram."""
        priority = _FACILITY_AUTHPRIV * 8 + _SEVERITY.get(event["kind"], 6)
        data = " ".join(f'{name}="{_quoted(str(value))}"' for name, value in event.items() if name != "at")
        # 32473 is the enterprise number for examples (RFC 5612): we have none of our own.
        line = f"<{priority}>1 {event['at']} - {_IDENTIFIER} {os.getpid()} - [guard@32473 {data}] {summary(event)}"
        self._socket.send(line.encode(errors="replace"))

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]").replace("\n", " ")


def sink(name: str) -> Sink:
    """`journal`, `syslog`, or a file for JSON lines. Raises UsageError."""
    makers: dict[str, Callable[[], Sink]] = {"journal": Journal, "syslog": Syslog}
    maker = makers.get(name)
    if maker is None:
        return Lines(name)
    try:
        return maker()
    except OSError as error:
        raise UsageError(f"{name}: {os.strerror(error.errno or 0)}") from None


def summary(event: dict[str, Any]) -> str:
    """One sentence for people."""
    if "path" not in event:
        return f"{event['kind']}: {event.get('detail', '')}"
    who = f" by {event['program']} (thread {event['thread']})" if event.get("program") else ""
    rule = event["decision"]["rule"]
    return f"{event['kind']} {event['use']} of {event['path']}{who}: {event['reason']}{' by ' + rule if rule else ''}"


class Notice(NamedTuple):
    """What to say on the terminal of somebody who was denied something."""

    terminal: str
    text: str


class Stream(threading.Thread):
    """Events wait in a queue of GUARD_EVENTS_WAITING_MAX; what comes when it is full is counted and not told.

    The last ones are kept in memory for whoever asks (`recent`).
    """

    def __init__(self, sinks: list[Sink]) -> None:
        super().__init__(name="events", daemon=True)
        self._sinks = sinks
        self._queue: collections.deque[Callable[[], tuple[dict[str, Any], Notice | None]]] = collections.deque()
        self._wake = threading.Event()
        self._ending = False
        self._spoken: dict[str, float] = {}
        self.recent: collections.deque[dict[str, Any]] = collections.deque(maxlen=limits.GUARD_EVENTS_RECENT_MAX)
        self.lost = 0
        self.unwritten = 0

    def add(self, event: Callable[[], tuple[dict[str, Any], Notice | None]]) -> None:
        """Have an event made and passed on later. Does not wait."""
        if len(self._queue) >= limits.GUARD_EVENTS_WAITING_MAX:
            self.lost += 1
            return
        self._queue.append(event)
        self._wake.set()

    def say(self, kind: str, **facts: object) -> None:
        """An event about the guard itself."""
        made = {"at": clock.show(clock.now()), "kind": kind, **facts}
        self.add(lambda: (made, None))

    def end(self) -> None:
        """Pass on what waits, and end."""
        self._ending = True
        self._wake.set()

    def run(self) -> None:
        """Pass on."""
        while not (self._ending and not self._queue):
            self._wake.wait()
            self._wake.clear()
            while self._queue:
                event, notice = self._queue.popleft()()
                self.recent.append(event)
                self._write(event)
                if notice is not None:
                    self._speak(notice)
        for each in self._sinks:
            each.close()

    def _write(self, event: dict[str, Any]) -> None:
        for each in self._sinks:
            try:
                each.write(event)
            except (OSError, ValueError):  # a full disk, a journal that is restarted: the guard goes on
                self.unwritten += 1

    def _speak(self, notice: Notice) -> None:
        now = time.monotonic()
        if not notice.terminal or now - self._spoken.get(notice.terminal, -limits.GUARD_NOTICE_SECONDS) < (
            limits.GUARD_NOTICE_SECONDS
        ):
            return
        if len(self._spoken) > limits.GUARD_TERMINALS_MAX:
            self._spoken.clear()
        self._spoken[notice.terminal] = now
        with contextlib.suppress(OSError):
            descriptor = os.open(notice.terminal, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                os.write(descriptor, f"\r\n{notice.text}\r\n".encode(errors="replace"))
            finally:
                os.close(descriptor)
