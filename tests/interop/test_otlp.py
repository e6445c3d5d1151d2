"""What a guard sends to a collector, read by OpenTelemetry's own definitions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

json_format = pytest.importorskip("google.protobuf.json_format", reason="installed by `make interop`")
logs_service = pytest.importorskip("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
logs = pytest.importorskip("opentelemetry.proto.logs.v1.logs_pb2")
pytest.importorskip("opentelemetry.sdk", reason="installed by `make interop`")

from opentelemetry._logs import LogRecord, SeverityNumber  # noqa: E402
from opentelemetry.sdk._logs import LoggerProvider  # noqa: E402
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402

from chopmark.agent import otlp  # noqa: E402
from tests.simulators.otlp_collector import Answer, Collector, Request  # noqa: E402
from tests.support.guarding import Guarded, Mounted, place, policy, program, ran, why_not  # noqa: E402
from tests.support.patience import PATIENCE, eventually  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested"),
]


class Strict(Collector):
    """One that parses what it gets, and takes no field that its definitions do not have."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(answers)
        self.parsed: list[Any] = []

    def answer(self, request: Request) -> Answer:
        try:
            message = json_format.Parse(request.body, logs_service.ExportLogsServiceRequest())
        except json_format.ParseError as error:
            self.requests.append(request)
            return Answer(400, body=str(error).encode())
        answer = super().answer(request)
        if answer.status == 200:
            assert logs_service.ExportLogsServiceRequest.FromString(message.SerializeToString()) == message
            self.parsed += [
                record for each in message.resource_logs for scope in each.scope_logs for record in scope.log_records
            ]
        return answer


def test_a_denial_arrives_at_a_collector(tmp_path: Path) -> None:
    with Mounted(tmp_path) as where, Strict([Answer(503)]) as collector:
        evil = place(where / "evil \udcff", program(7))
        guard = Guarded(where, tmp_path / "home", policy(), "--events", collector.address).as_program()
        with guard.bounded(GUARD_OTLP_END_SECONDS=PATIENCE, HTTP_TIMEOUT=PATIENCE):
            assert ran(evil) == "denied"
            eventually(lambda: len(collector.parsed) >= 2)
            assert guard.stop() == 0
            assert guard.said().count("guard ready") == 1
    by_name = {record.event_name: record for record in collector.parsed}
    assert {f"chopmark.guard.{kind}" for kind in ("started", "trouble", "deny", "stopped")} == set(by_name)
    denied = by_name["chopmark.guard.deny"]
    attributes = {each.key: each.value for each in denied.attributes}
    assert denied.severity_number == logs.SEVERITY_NUMBER_WARN
    assert attributes["file.path"].string_value == evil.replace("\udcff", "\\udcff")
    assert attributes["chopmark.reason"].string_value == "policy.nothing"
    assert attributes["chopmark.process.uid"].int_value == 0
    assert all(request.path == "/v1/logs" for request in collector.requests)


EVENTS = [
    {"at": "2026-01-01T00:00:00Z", "kind": "deny", "use": "exec", "path": "/a", "program": "/bin/sh", "thread": 1,
     "reason": "policy.nothing", "decision": {"rule": "p.toml:3"}, "process": {"uid": 0}, "file": {"writable": False}},
    {"at": "2026-01-01T00:00:01Z", "kind": "glass-broken", "seconds": 1.5, "uid": 0, "detail": "fire"},
    {"at": "2026-01-01T00:00:02Z", "kind": "repeated", "effect": "deny", "use": "exec", "path": "/a",
     "program": "/bin/sh", "owner": 0, "reason": "policy.nothing", "times": 7},
]  # fmt: skip


def test_what_is_sent_is_what_opentelemetrys_own_exporter_would_send() -> None:
    """Field by field, from the same records given to its SDK; its JSON classes read ours and write the same."""
    service = pytest.importorskip("opentelemetry.proto_json.collector.logs.v1.logs_service", reason="make interop")
    encoder = pytest.importorskip("opentelemetry.exporter.otlp.json.common._log_encoder", reason="make interop")
    ours = json.loads(otlp.encoded(EVENTS))
    assert service.ExportLogsServiceRequest.from_dict(ours).to_dict() == ours

    kept = InMemoryLogRecordExporter()
    [group] = ours["resourceLogs"]
    [scope] = group["scopeLogs"]
    provider = LoggerProvider(resource=Resource(plain(group["resource"])))
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    for record in scope["logRecords"]:
        provider.get_logger(scope["scope"]["name"], scope["scope"]["version"]).emit(
            LogRecord(
                timestamp=int(record["timeUnixNano"]),
                observed_timestamp=int(record["observedTimeUnixNano"]),
                severity_number=SeverityNumber(record["severityNumber"]),
                severity_text=record["severityText"],
                body=record["body"]["stringValue"],
                attributes=plain(record),
                event_name=record["eventName"],
            )
        )
    [theirs] = encoder.encode_logs(kept.get_finished_logs()).to_dict()["resourceLogs"]
    assert theirs == group


def plain(holder: dict[str, Any]) -> dict[str, Any]:
    """Attributes as the SDK takes them."""
    values = {each["key"]: dict(each["value"]) for each in holder["attributes"]}
    return {name: int(found["intValue"]) if "intValue" in found else next(iter(found.values()))
            for name, found in values.items()}  # fmt: skip
