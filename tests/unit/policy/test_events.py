"""Events: written and read again, and nothing else is taken for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import InputError, MalformedError
from chopmark.policy import comparing, events
from chopmark.policy.deciding import Compiled, Mode
from chopmark.policy.events import Event
from tests.support import policies
from tests.support.policies import ANYBODY, FILE, NOW, compiled

SCHEMA = json.loads((Path(events.__file__).parent / "event.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
EVENT = Event(NOW, "exec", FILE, ANYBODY, "deny", "policy.nothing", "p.toml:3", "hosts 3")


@given(policies.files(), policies.PROCESSES, st.sampled_from(policies.KINDS), st.sampled_from(["", "allow", "audit"]))
def test_what_is_written_is_read_again(file: Any, process: Any, kind: str, effect: str) -> None:  # noqa: ANN401
    event = Event(NOW, kind, file, process, effect, "policy.allowed" if effect else "")
    VALIDATOR.validate(json.loads(events.line(event)))
    again = events.parse(events.line(event).encode())
    assert again == event


@settings(max_examples=40)
@given(st.lists(policies.rules(), max_size=4), policies.files(), policies.PROCESSES)
def test_simulating_is_deciding(rules: list[dict[str, Any]], file: Any, process: Any) -> None:  # noqa: ANN401
    policy = compiled(rules)
    decision = policy.decide(file, "exec", process, NOW)
    recorded = events.parse(events.line(events.of(decision, "exec", process, NOW, "hosts 1")).encode())
    [simulated] = comparing.simulate(policy, [recorded])
    assert simulated.decision == decision
    assert not simulated.changed
    other = Compiled((), Mode.AUDIT)
    [simulated] = comparing.simulate(other, [recorded])
    assert simulated.changed is (decision.effect != "audit")


@pytest.mark.parametrize(
    "change",
    [
        {"event": 2},
        {"at": "yesterday"},
        {"use": "run"},
        {"file": {"path": "relative"}},
        {"file": {"path": "/x", "sha256": "12"}},
        {"file": {"path": "/x", "status": "fine"}},
        {"file": {"path": "/x", "seals": 5}},
        {"file": {"path": "/x", "seals": [5]}},
        {"file": {"path": "/x", "seals": [{"authorities": 5}]}},
        {"file": {"path": "/x", "seals": [{"authorities": [5]}]}},
        {"file": {"path": "/x", "seals": [{"claims": {"\u0088": 5}}]}},
        {"file": {"path": "/x", "seals": [{"purposes": [5]}]}},
        {"file": {"path": "/x", "seals": [{"claims": {"a": 5}}]}},
        {"file": {"path": "/x", "seals": [{}] * 1000}},
        {"file": {"path": "/x", "release": {"scheme": "roman"}}},
        {"file": {"path": "/x", "writable": "no"}},
        {"file": 5},
        {"process": {"uid": True}},
        {"decision": {"effect": "perhaps"}},
    ],
)
def test_what_is_no_event_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError) as caught:
        events.parse(json.dumps({**events.as_dict(EVENT), **change}).encode())
    assert str(caught.value).isprintable()


@given(st.binary(max_size=40))
def test_anything_is_read_or_refused(noise: bytes) -> None:
    with pytest.raises(MalformedError):
        events.parse(noise)


def test_files_of_events(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = events.line(EVENT).encode() + b"\n"
    path.write_bytes(line + b"\n" + line + line[:40])
    assert list(events.read(str(path))) == [EVENT, EVENT]
    path.write_bytes(line + b"{}\n")
    with pytest.raises(MalformedError, match=r"events\.jsonl:2"):
        list(events.read(str(path)))
    path.write_bytes(b" " * (limits.EVENT_LINE_MAX + 2) + b"\n")
    with pytest.raises(MalformedError):
        list(events.read(str(path)))
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError):
            list(events.read(str(missing)))


def test_fields_of_later_writers_are_passed_over() -> None:
    values = events.as_dict(EVENT)
    values["more"] = values["file"]["more"] = 5
    assert events.parse(json.dumps(values).encode()) == EVENT
