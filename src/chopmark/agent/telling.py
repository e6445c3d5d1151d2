"""What an event says: to people in one sentence, to machines as names and values, and how much it matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR, WARNING, NOTICE, INFORMATIONAL = 3, 4, 5, 6
"""Severities of RFC 5424, clause 6.2.1."""
_SEVERITY = {
    "trouble": ERROR,
    "reload-failed": ERROR,
    "deny": WARNING,
    "running-denied": WARNING,
    "repeated": WARNING,
    "events-lost": WARNING,
    "changed-in-use": WARNING,
    "glass-broken": WARNING,
    "glass-mended": NOTICE,
    "audit": NOTICE,
    "released": NOTICE,
    "stopped": NOTICE,
}


def severity(event: dict[str, Any]) -> int:
    """How much an event matters."""
    return _SEVERITY.get(event["kind"], INFORMATIONAL)


def summary(event: dict[str, Any]) -> str:
    """One sentence for people."""
    if event["kind"] == "repeated":
        use = f"{event['effect']} {event['use']} of {event['path']} by {event['program']}"
        return f"{use}, {event['times']} times more: {event['reason']}"
    if "path" not in event:
        return _about_the_guard(event)
    who = f" by {event['program']} (thread {event['thread']})" if event.get("program") else ""
    rule = event["decision"]["rule"]
    return f"{event['kind']} {event['use']} of {event['path']}{who}: {event['reason']}{' by ' + rule if rule else ''}"


def _about_the_guard(event: dict[str, Any]) -> str:
    said = f"{event['kind']}: {event.get('detail', '')}"
    if event["kind"] == "glass-broken":
        return f"{said} (nothing is denied for {event['seconds']:.0f} s, user {event['uid']})"
    if event["kind"] == "events-lost":
        return f"{event['kind']}: {event['times']}, {event['detail']}"
    if event["kind"] == "running-denied":
        return f"{said} in process {event['process']}, {event['action']}: {event['reason']}"
    process = event.get("process")
    return said if process is None else f"{said} (process {process})"


def flat(event: dict[str, Any]) -> dict[str, str | int | float | bool]:
    """Names and plain values; what is inside of something has a dot in its name, and what is unknown is left out."""
    return dict(_flat("", event))


def _flat(name: str, value: object) -> Iterator[tuple[str, str | int | float | bool]]:
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from _flat(f"{name}.{inner}" if name else str(inner), each)
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            yield from _flat(f"{name}.{number}", each)
    elif isinstance(value, (str, int, float)):
        yield name, value
