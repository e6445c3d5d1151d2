"""Events as OpenTelemetry logs: OTLP over HTTP in its JSON encoding, to a collector.

The protocol is https://opentelemetry.io/docs/specs/otlp/ (1.x), the shape that of opentelemetry/proto/logs/v1/:
64-bit numbers are text, enumerations numbers, names in lowerCamelCase. OpenTelemetry's own library would bring
ten packages, protobuf among them, and threads that the guard does not know.
"""

from __future__ import annotations

import collections
import errno
import json
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any

from chopmark import __version__
from chopmark.agent.telling import ERROR, INFORMATIONAL, NOTICE, WARNING, flat, severity, summary
from chopmark.core import clock, limits
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.net.http import HttpFetcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.core.contracts import HttpAnswer

SCHEMES = ("otlp+http://", "otlp+https://")
_PATH = "/v1/logs"
_AGAIN = frozenset({429, 502, 503, 504})
"""Answers after which the same is sent again (OTLP/HTTP Response, Retryable Response Codes)."""
_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS")
"""Where collectors' tokens come from, never from the command line (OpenTelemetry Protocol Exporter)."""
_SEVERITY = {ERROR: (17, "ERROR"), WARNING: (13, "WARN"), NOTICE: (10, "INFO2"), INFORMATIONAL: (9, "INFO")}
"""SeverityNumber and its short name, as the data model of logs maps them from syslog's (Appendix B)."""


class _Refused(NamedTuple):
    """The collector does not take it, or not now: then it wants to be left alone for `pause` (0: as we like)."""

    why: str
    again: bool
    pause: float = 0.0


class Otlp:
    """A sink. What waits for a collector waits in a queue; what comes when that is full is refused."""

    def __init__(self, name: str) -> None:
        """`otlp+http://HOST:PORT[/PATH]`, or `otlp+https`. Raises UsageError."""
        self._url, self._direct = _address(name)
        self._headers = {"Content-Type": "application/json", **_own_headers()}
        self._web = HttpFetcher()
        self._queue: collections.deque[dict[str, Any]] = collections.deque()
        self._condition = threading.Condition()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._trouble: Callable[[str], None] = lambda _: None
        self._failing = False
        self.unwritten = 0

    def start(self, trouble: Callable[[str], None]) -> None:
        """Load what speaks HTTP, and begin. Raises UsageError where the roots for TLS cannot be read."""
        self._trouble = trouble
        try:
            self._web.prepare(self._url, direct=self._direct)
        except OSError as error:
            raise UsageError(f"{self._url}: {error}") from None
        self._thread.start()

    def write(self, event: dict[str, Any]) -> None:
        """Have it sent soon. Raises OSError when too much waits."""
        with self._condition:
            if len(self._queue) >= limits.GUARD_OTLP_WAITING_MAX:
                raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
            self._queue.append(event)
            self._condition.notify()

    def close(self) -> None:
        """Send what waits, once and not again, and end."""
        self._ended.set()
        with self._condition:
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join(limits.GUARD_OTLP_END_SECONDS)
        self._web.close()

    def _run(self) -> None:
        while batch := self._batch():
            try:
                self._deliver(batch)
            except Exception as error:  # noqa: BLE001 - no event may end the thread that sends the others
                self._lose(batch, f"{type(error).__name__}: {error}")

    def _batch(self) -> list[dict[str, Any]]:
        """What waits, once there is something; empty at the end."""
        with self._condition:
            while not self._queue:
                if self._ended.is_set():
                    return []
                self._condition.wait()
        self._ended.wait(limits.GUARD_OTLP_GATHER_SECONDS)  # a flood makes few requests
        with self._condition:
            return [self._queue.popleft() for _ in range(min(len(self._queue), limits.GUARD_OTLP_BATCH_MAX))]

    def _deliver(self, batch: list[dict[str, Any]]) -> None:
        body = encoded(batch)
        pause = limits.GUARD_OTLP_PAUSE_SECONDS
        while (refused := self._send(body)) is not None:
            if not refused.again or self._ended.is_set():
                self._lose(batch, refused.why)
                return
            self._say(refused.why)
            wanted = refused.pause or pause * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            self._ended.wait(min(wanted, limits.GUARD_OTLP_PAUSE_MAX_SECONDS))
            pause = min(pause * 2, limits.GUARD_OTLP_PAUSE_MAX_SECONDS)
        self._failing = False

    def _send(self, body: bytes) -> _Refused | None:
        """One request; None when the collector has it."""
        try:
            answer = self._web.exchange(
                "POST",
                self._url,
                headers=self._headers,
                body=body,
                limit=limits.GUARD_OTLP_ANSWER_MAX,
                timeout=limits.HTTP_TIMEOUT,
                direct=self._direct,
            )
        except UnavailableError as error:
            return _Refused(str(error), again=True)
        if answer.status // 100 == 2:  # noqa: PLR2004 - the class of success
            self._partly(answer)
            return None
        why = f"{self._url}: the collector answered {answer.status}"
        return _Refused(why, answer.status in _AGAIN, _pause(answer.headers.get("retry-after", "")))

    def _partly(self, answer: HttpAnswer) -> None:
        """Count what the collector took and did not keep (Partial Success); it must not be sent again."""
        try:
            partial = json.loads(answer.body or b"{}").get("partialSuccess") or {}
            rejected = int(partial.get("rejectedLogRecords") or 0)
        except (ValueError, TypeError, AttributeError):
            return  # it may answer what it likes: the status says that it has them
        if rejected > 0:
            self.unwritten += rejected
            self._say(f"{self._url}: the collector rejected {rejected} events")

    def _lose(self, batch: Sequence[dict[str, Any]], why: str) -> None:
        self.unwritten += len(batch)
        self._say(why)

    def _say(self, why: str) -> None:
        """Once, until something gets through again."""
        if not self._failing and not self._ended.is_set():
            self._failing = True
            self._trouble(why)


def _address(name: str) -> tuple[str, bool]:
    """The address of the logs, and whether it is this very machine, which no proxy leads to. Raises UsageError.

    With TLS the environment is asked all the same: it says which roots count (SSL_CERT_FILE).
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(name.removeprefix("otlp+"))
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    if not host or parts.query or parts.fragment:
        raise UsageError(f"{name}: expected otlp+http://HOST:PORT")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{parts.scheme}://{host}: secrets go into {_HEADERS[0]}, not into the address")
    path = parts.path if parts.path not in ("", "/") else _PATH
    here = host in ("localhost", "::1") or host.startswith("127.")
    return f"{parts.scheme}://{parts.netloc}{path}", here and parts.scheme == "http"


def _own_headers() -> dict[str, str]:
    """`name=value,...`, values percent-encoded. Raises UsageError."""
    from urllib.parse import unquote

    found = {}
    for variable in _HEADERS:
        for each in filter(None, os.environ.get(variable, "").split(",")):
            name, equals, value = each.partition("=")
            if not equals or not name.strip().isascii() or not name.strip():
                raise UsageError(f"{variable}: expected NAME=VALUE,...")
            found[name.strip()] = unquote(value.strip())
    return found


def _pause(text: str) -> float:
    """Seconds of a Retry-After (RFC 9110, clause 10.2.3); 0 for a date or nothing."""
    return float(text) if text.isascii() and text.isdigit() else 0.0


def encoded(batch: Sequence[dict[str, Any]]) -> bytes:
    """An ExportLogsServiceRequest in JSON."""
    resource = {"service.name": "chopmark-guard", "service.version": __version__, "host.name": os.uname().nodename,
                "process.pid": os.getpid()}  # fmt: skip
    scope = {"name": "chopmark.guard", "version": __version__}
    records = [_record(event) for event in batch]
    logs = {"resource": {"attributes": _attributes(resource)}, "scopeLogs": [{"scope": scope, "logRecords": records}]}
    return json.dumps({"resourceLogs": [logs]}, separators=(",", ":")).encode()


def _record(event: dict[str, Any]) -> dict[str, Any]:
    number, name = _SEVERITY[severity(event)]
    at = int(clock.parse(event["at"]).timestamp())
    facts = {f"chopmark.{key}": value for key, value in flat(event).items() if key != "at"}
    known = {"file.path": event.get("path"), "process.executable.path": event.get("program")}
    return {
        "timeUnixNano": f"{at}000000000",
        "observedTimeUnixNano": str(time.time_ns()),
        "severityNumber": number,
        "severityText": name,
        "eventName": f"chopmark.guard.{event['kind']}",
        "body": {"stringValue": _text(summary(event))},
        "attributes": _attributes({**{key: value for key, value in known.items() if value}, **facts}),
    }


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": _text(name), "value": _value(value)} for name, value in values.items()]


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": _text(str(value))}


def _text(text: str) -> str:
    """Names of files are bytes; those that are no text would make the collector refuse all events of a request."""
    return text.encode(errors="backslashreplace").decode()
