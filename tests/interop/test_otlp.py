"""What a guard sends to a collector, read by OpenTelemetry's own definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

json_format = pytest.importorskip("google.protobuf.json_format", reason="installed by `make interop`")
logs_service = pytest.importorskip("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
logs = pytest.importorskip("opentelemetry.proto.logs.v1.logs_pb2")

from tests.simulators.otlp_collector import Answer, Collector, Request  # noqa: E402
from tests.support.guarding import Guarded, Mounted, eventually, place, policy, program, ran, why_not  # noqa: E402

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
        with Guarded(where, tmp_path / "home", policy(), "--events", collector.address) as guard:
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
