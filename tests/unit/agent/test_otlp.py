"""Events for an OpenTelemetry collector: what it gets, and what happens when it does not want it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from chopmark.agent import events, otlp, sinks, telling
from chopmark.core import clock, limits
from chopmark.core.errors import UsageError
from tests.simulators.otlp_collector import Answer, Collector
from tests.support import pki
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from pathlib import Path

DENIED = {"at": "2026-01-01T00:00:00Z", "kind": "deny", "use": "exec", "path": "/a\udcff", "program": "/bin/sh",
          "thread": 12, "reason": "policy.nothing", "decision": {"rule": "p.toml:3"}, "detail": None,
          "file": {"seals": [{"trusted": True}], "size": 1.5}}  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_OTLP_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "GUARD_OTLP_GATHER_SECONDS", 0.01)
    monkeypatch.setattr(limits, "GUARD_OTLP_END_SECONDS", PATIENCE)
    monkeypatch.setattr(limits, "HTTP_TIMEOUT", PATIENCE)


def sent(collector: Collector, requests: int = 1, told: int = 0) -> tuple[int, list[str]]:
    """Send an event to a collector in so many requests; how many it did not get, and what went wrong, once `told`."""
    troubles: list[str] = []
    sink = sinks.sink(collector.address)
    sink.start(troubles.append)
    sink.write(DENIED)
    eventually(lambda: len(collector.requests) == requests and len(troubles) >= told)
    sink.close()
    return sink.unwritten, troubles


def about(number: int) -> dict[str, Any]:
    return {"at": "2026-01-01T00:00:00Z", "kind": "trouble", "detail": str(number)}


def test_a_record_has_what_the_specification_asks_for() -> None:
    with Collector() as collector:
        assert sent(collector) == (0, [])
    [record] = collector.records()
    assert record["timeUnixNano"] == "1767225600000000000"
    assert (record["severityNumber"], record["severityText"]) == (13, "WARN")
    assert record["eventName"] == "chopmark.guard.deny"
    attributes = {each["key"]: each["value"] for each in record["attributes"]}
    assert attributes["file.path"] == {"stringValue": "/a\\udcff"}  # a name that is no text
    assert attributes["chopmark.thread"] == {"intValue": "12"}
    assert attributes["chopmark.decision.rule"] == {"stringValue": "p.toml:3"}
    assert attributes["chopmark.file.seals.0.trusted"] == {"boolValue": True}
    assert attributes["chopmark.file.size"] == {"doubleValue": 1.5}
    assert "chopmark.detail" not in attributes
    [request] = collector.requests
    [logs] = json.loads(request.body)["resourceLogs"]
    assert {"key": "service.name", "value": {"stringValue": "chopmark-guard"}} in logs["resource"]["attributes"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_a_collector_cannot_take_now_is_sent_again(status: int) -> None:
    with Collector([Answer(status), Answer(status)]) as collector:
        unwritten, troubles = sent(collector, 3)
    assert unwritten == 0
    assert len(troubles) == 1  # once, however often
    assert len({request.body for request in collector.requests}) == 1


@pytest.mark.parametrize("status", [301, 400, 401, 413, 500])
def test_what_it_does_not_want_is_not_sent_again(status: int) -> None:
    with Collector([Answer(status)]) as collector:
        assert sent(collector)[0] == 1
    assert len(collector.requests) == 1


def test_it_waits_as_long_as_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_OTLP_PAUSE_SECONDS", 1000.0)
    with Collector([Answer(503, retry_after="1")]) as collector:
        sink = sinks.sink(collector.address)
        sink.start(lambda _: None)
        sink.write(DENIED)
        eventually(lambda: len(collector.requests) == 2)
        sink.close()


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"\xff", b"{}", b'{"partialSuccess":{}}',
                                  b'{"partialSuccess":{"rejectedLogRecords":"x"}}'])  # fmt: skip
def test_whatever_it_says_with_success_is_success(body: bytes) -> None:
    with Collector([Answer(body=body)]) as collector:
        assert sent(collector) == (0, [])


def test_what_it_rejects_is_counted_and_not_sent_again() -> None:
    body = b'{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"no"}}'
    with Collector([Answer(body=body)]) as collector:
        unwritten, troubles = sent(collector, told=1)
    assert (unwritten, len(troubles), len(collector.requests)) == (1, 1, 1)


def test_many_events_are_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_OTLP_BATCH_MAX", 40)
    with Collector() as collector:
        sink = sinks.sink(collector.address)
        for number in range(100):
            sink.write(about(number))
        sink.start(lambda _: None)
        eventually(lambda: len(collector.records()) == 100)
        sink.close()
    assert len(collector.requests) == 3
    told = [each["body"]["stringValue"] for each in collector.records()]
    assert told == [f"trouble: {number}" for number in range(100)]  # in their order


def test_while_nobody_answers_events_wait_and_then_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_OTLP_WAITING_MAX", 5)
    with Collector() as collector:
        pass  # and nobody listens there any more
    troubles: list[str] = []
    sink = otlp.Otlp(collector.address)
    stream = events.Stream([sink])
    for number in range(5):
        sink.write(about(number))
    with pytest.raises(OSError, match="buffer"):
        sink.write(about(5))
    sink.start(troubles.append)
    eventually(lambda: bool(troubles))
    sink.close()
    assert stream.unwritten == sink.unwritten == 5


def test_an_event_that_cannot_be_told_does_not_end_the_others() -> None:
    with Collector() as collector:
        troubles: list[str] = []
        sink = sinks.sink(collector.address)
        sink.start(troubles.append)
        sink.write({"at": "never", "kind": "deny"})
        eventually(lambda: sink.unwritten == 1)
        sink.write(DENIED)
        eventually(lambda: len(collector.records()) == 1)
        sink.close()
    assert len(troubles) == 1


def test_a_collector_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_OTLP_END_SECONDS", 0.2)
    release = threading.Event()

    class Hanging(Collector):
        def answer(self, request: Any) -> Answer:  # noqa: ANN401
            self.requests.append(request)
            release.wait(2 * PATIENCE)
            return Answer()

    with Hanging() as collector:
        stream = events.Stream([sinks.sink(collector.address)])
        stream.start()
        stream.say("test")
        eventually(lambda: bool(collector.requests))
        for number in range(100):
            stream.say("test", detail=str(number))
        eventually(lambda: len(stream.recent) == 101)
        stream.end()
        stream.join(PATIENCE)
        assert not stream.is_alive()  # while it still hangs
        release.set()


def test_tokens_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20abc,x-a = b")
    with Collector() as collector:
        assert sent(collector) == (0, [])
    [request] = collector.requests
    assert (request.headers["authorization"], request.headers["x-a"]) == ("Bearer abc", "b")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Of a server on this machine, its key, and the root."""
    since, until = clock.now() - dt.timedelta(days=1), clock.now() + dt.timedelta(days=1)
    root = pki.authority("Collector Root", since=since, until=until)
    name = pki.Extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]))
    purposes = (ExtendedKeyUsageOID.SERVER_AUTH,)
    server = pki.leaf(root, "Collector", purposes=purposes, more=[name], since=since, until=until)
    files = tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "root.pem"
    for file, content in zip(files, (server.pem, server.private_pem(), root.pem), strict=True):
        file.write_bytes(content)
    return files


@pytest.mark.parametrize("known", [True, False])
def test_the_collector_must_be_who_it_says_it_is(
    certificate: tuple[Path, Path, Path],
    known: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    public, private, root = certificate
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(root))
    with Collector(certificate=(public, private)) as collector:
        troubles: list[str] = []
        sink = sinks.sink(collector.address)
        sink.start(troubles.append)
        sink.write(DENIED)
        eventually(lambda: bool(collector.requests if known else troubles))
        sink.close()
    assert (sink.unwritten, len(collector.requests)) == ((0, 1) if known else (1, 0))


def test_roots_that_cannot_be_read_are_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with pytest.raises(UsageError):
        sinks.sink("otlp+https://127.0.0.1:1").start(lambda _: None)


@pytest.mark.parametrize("name", ["otlp+http://", "otlp+http://a b:c/", "otlp+http://me:secret@host", "otlp+http://h?x",
                                  "otlp+http://h:99999"])  # fmt: skip
def test_addresses_that_are_none(name: str) -> None:
    with pytest.raises(UsageError) as error:
        sinks.sink(name)
    assert "secret@" not in str(error.value)


def test_headers_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "nonsense")
    with pytest.raises(UsageError):
        sinks.sink("otlp+http://127.0.0.1:1")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1), json_values, max_size=5))
def test_any_event_is_plain_values_and_text(facts: dict[str, Any]) -> None:
    event = {**facts, "at": "2026-01-01T00:00:00Z", "kind": "test"}
    event.pop("path", None)
    assert all(isinstance(value, (str, int, float)) for value in telling.flat(event).values())
    otlp.encoded([{**event, "detail": str(facts)}]).decode()
