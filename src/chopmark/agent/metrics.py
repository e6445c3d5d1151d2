"""The guard's counters for Prometheus (text format 0.0.4)."""

from __future__ import annotations

from typing import Any

_COUNTERS = {
    "passed": "Opens that no policy is about.",
    "allowed": "Questions that were answered with yes.",
    "denied": "Questions that were answered with no.",
    "audited": "Uses that were told of and let through, although the policy does not allow them.",
    "known": "Questions that were answered from a file that is kept.",
    "looked": "Files that were looked at.",
    "ahead": "Files that were looked at before anybody asked, and left to the kernel.",
    "written": "Files that somebody was writing to.",
    "failed": "Files about which nothing could be found out.",
    "late": "Questions that were answered because they had waited too long.",
    "broken": "Leases that a writer wanted back.",
    "events_alike": "Uses that are only counted in an event, because others like them were told of.",
    "events_lost": "Events that were dropped because too many waited.",
    "events_unwritten": "Events that could not be written.",
}
_GAUGES = {
    "kept": "Files that are leased.",
    "ignored": "Files that the kernel allows by itself.",
    "known_contents": "Contents with facts in memory.",
}


def text(facts: dict[str, Any]) -> str:
    """One page of metrics."""
    lines = []
    values = {**facts, "known_contents": facts["contents"]}
    for kind, names in (("counter", _COUNTERS), ("gauge", _GAUGES)):
        for name, help_ in names.items():
            full = f"chopmark_guard_{name}{'_total' if kind == 'counter' else ''}"
            lines += [f"# HELP {full} {help_}", f"# TYPE {full} {kind}", f"{full} {values[name]}"]
    enforcing = int(facts["mode"] == "enforce")
    name = "chopmark_guard_enforcing"
    lines += [f"# HELP {name} Whether denials hold.", f"# TYPE {name} gauge", f"{name} {enforcing}"]
    return "\n".join(lines) + "\n"
