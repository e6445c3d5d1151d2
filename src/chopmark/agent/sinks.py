"""Where events go: files, journald, syslog, OpenTelemetry collectors."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Protocol

from chopmark.agent import otlp
from chopmark.agent.telling import flat, severity, summary
from chopmark.core.errors import UsageError
from chopmark.net.local import Datagrams

if TYPE_CHECKING:
    from collections.abc import Callable

JOURNAL = "/run/systemd/journal/socket"
SYSLOG = "/dev/log"
_IDENTIFIER = "chopmark-guard"
_FACILITY_AUTHPRIV = 10


_encoded = json.JSONEncoder(separators=(",", ":")).encode


class Sink(Protocol):
    """Where events go. Made by the process that reads the options, and started by the one that writes."""

    @property
    def unwritten(self) -> int:
        """How many were taken and could not be passed on."""

    def start(self, trouble: Callable[[str], None]) -> None:
        """Begin; `trouble` is for what goes wrong later. Everything that is loaded is loaded now."""

    def write(self, event: dict[str, Any]) -> None:
        """Pass one on. Raises OSError."""

    def close(self) -> None:
        """Pass no more on."""


class _Direct:
    """A sink that has nothing to start, and passes on what it takes."""

    unwritten = 0

    def start(self, trouble: Callable[[str], None]) -> None:
        """Nothing to do."""


class Lines(_Direct):
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
        os.write(self._descriptor, _encoded(event).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Journal(_Direct):
    """The native protocol of systemd-journald: fields, each with its length where it has a line break."""

    def __init__(self, address: str = JOURNAL) -> None:
        """Connect. Raises OSError when there is no journal."""
        self._to = Datagrams(address)
        self.close = self._to.close

    def write(self, event: dict[str, Any]) -> None:
        """One datagram."""
        fields = {
            "MESSAGE": summary(event),
            "PRIORITY": str(severity(event)),
            "SYSLOG_IDENTIFIER": _IDENTIFIER,
            **{f"CHOPMARK_{name.upper().replace('.', '_')}": str(value) for name, value in flat(event).items()},
        }
        self._to.send(b"".join(_field(name, value) for name, value in fields.items()))


def _field(name: str, value: str) -> bytes:
    raw = value.encode(errors="surrogateescape")
    if b"\n" in raw:
        return name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"
    return f"{name}=".encode() + raw + b"\n"


class Syslog(_Direct):
    """RFC 5424 lines to the local daemon, with the facts as structured data."""

    def __init__(self, address: str = SYSLOG) -> None:
        """Connect. Raises OSError when nobody listens."""
        self._to = Datagrams(address)
        self.close = self._to.close

    def write(self, event: dict[str, Any]) -> None:
        """One datagram."""
        priority = _FACILITY_AUTHPRIV * 8 + severity(event)
        data = " ".join(f'{name}="{_quoted(str(value))}"' for name, value in flat(event).items() if name != "at")
        # 32473 is the enterprise number for examples (RFC 5612): we have none of our own.
        line = f"<{priority}>1 {event['at']} - {_IDENTIFIER} {os.getpid()} - [guard@32473 {data}] {summary(event)}"
        self._to.send(line.encode(errors="replace"))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]").replace("\n", " ")


def sink(name: str) -> Sink:
    """`journal`, `syslog`, `otlp+http://...`, or a file for JSON lines. Raises UsageError."""
    if name.startswith(otlp.SCHEMES):
        return otlp.Otlp(name)
    makers: dict[str, Callable[[], Sink]] = {"journal": Journal, "syslog": Syslog}
    maker = makers.get(name)
    if maker is None:
        return Lines(name)
    try:
        return maker()
    except OSError as error:
        raise UsageError(f"{name}: {os.strerror(error.errno or 0)}") from None
