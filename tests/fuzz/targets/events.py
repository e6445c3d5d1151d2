"""Events of a guard: one line, read, and written again."""

import json
from collections.abc import Iterable

from chopmark.policy import events
from tests.support import probing

_FILE = {"path": "/usr/bin/tool", "sha256": "a" * 64, "status": "trusted", "release": {"product": "a", "version": "1"}}
_SEAL = {"status": "trusted", "kind": "x509", "claims": {"issuer": "x"}, "authorities": [{"subject": "CN=R"}]}


def seeds() -> Iterable[bytes]:
    head = {"event": 1, "at": "2026-11-26T12:00:00Z", "use": "exec"}
    yield json.dumps({**head, "file": {**_FILE, "seals": [_SEAL]}}).encode()
    yield json.dumps({**head, "file": {**_FILE, "seals": [{**_SEAL, "claims": {"is\x88uer": 1}}]}}).encode()
    yield json.dumps({**head, "file": {"path": "/x"}, "process": {"uid": 0}, "decision": {"effect": "deny"}}).encode()


def run(data: bytes) -> None:
    probing.clearly(lambda: again(data))


def again(data: bytes) -> None:
    event = events.parse(data)
    assert events.parse(events.line(event).encode()) == event
