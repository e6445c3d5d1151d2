"""The server's numbers in the text format of Prometheus (version 0.0.4), added up over its processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from chopmark import __version__
from chopmark.server.board import BUCKETS, ROUTES, STATUSES, TALLIES
from chopmark.server.health import problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.server.board import Board

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

COUNTED = {
    "ocsp": ("chopmark_ocsp_answers_total", "status", "OCSP answers by status."),
    "tsa": ("chopmark_time_stamps_total", "result", "Answers to requests for time stamps (RFC 3161)."),
    "countersignature": (
        "chopmark_countersignatures_total",
        "result",
        "Answers to requests for countersignatures (the older Authenticode).",
    ),
}
KEPT = {
    "crl_this_update": ("chopmark_crl_this_update_timestamp_seconds", "When a list was made."),
    "crl_next_update": ("chopmark_crl_next_update_timestamp_seconds", "Until when a list counts."),
    "crl_entries": ("chopmark_crl_entries", "Certificates on a list."),
    "crl_number": ("chopmark_crl_number", "The number of a list."),
    "certificate_not_after": ("chopmark_certificate_not_after_timestamp_seconds", "When a certificate ends."),
    "log_size": ("chopmark_log_size", "Entries that the log's checkpoint covers."),
    "log_waiting": ("chopmark_log_waiting", "Entries that wait to be taken into the log."),
    "clock_offset": ("chopmark_clock_offset_seconds", "How far the clock is from its sources."),
    "clock_inaccuracy": ("chopmark_clock_inaccuracy_seconds", "Within what the clock is known to be right."),
    "database_up": ("chopmark_database_up", "Whether the database answered when it was last asked."),
    "database_errors": ("chopmark_database_errors_total", "Times that it did not."),
    "due_done": ("chopmark_due_done_total", "Things that were due and were done."),
    "due_failed": ("chopmark_due_failed_total", "Things that were due and could not be done."),
}
"""What the keeper knows: `facts["numbers"]` has these names, each with a list of [labels, number]."""


def render(board: Board) -> str:
    """All of it."""
    return "".join(f"{line}\n" for line in _lines(board))


def _lines(board: Board) -> Iterator[str]:
    yield from _family("chopmark_build_info", "gauge", "Which chopmark this is.", [({"version": __version__}, 1)])
    requests = [
        ({"route": route, "status": str(status)}, number)
        for route in ROUTES
        for status in STATUSES
        if (number := board.total("requests", route, str(status)))
    ]
    yield from _family("chopmark_http_requests_total", "counter", "Requests answered.", requests)
    yield from _histogram(board)
    octets = [({"route": route}, board.total("octets", route)) for route in ROUTES]
    yield from _family("chopmark_http_response_bytes_total", "counter", "Content sent.", octets)
    for name, kind, text in (
        ("connections", "gauge", "Connections that are open."),
        ("waiting", "gauge", "Requests that wait for a key or a database."),
        ("errors", "counter", "Requests that went wrong here."),
        ("lines_dropped", "counter", "Lines of the access log that could not be written in time."),
    ):
        family = f"chopmark_http_{name}" + ("_total" if kind == "counter" else "")
        yield from _family(family, kind, text, [({}, board.total(name))])
    for tally, (family, label, text) in COUNTED.items():
        values = [({label: value}, board.total("tally", tally, value)) for value in TALLIES[tally]]
        yield from _family(family, "counter", text, values)
    yield from _kept(board)


def _histogram(board: Board) -> Iterator[str]:
    family = "chopmark_http_request_seconds"
    yield f"# HELP {family} Time from a whole request to its answer."
    yield f"# TYPE {family} histogram"
    for route in ROUTES:
        count = 0.0
        for bucket in (*map(str, BUCKETS), "+Inf"):
            count += board.total("seconds", route, bucket)
            yield f'{family}_bucket{{route="{route}",le="{bucket}"}} {_number(count)}'
        yield f'{family}_sum{{route="{route}"}} {board.total("seconds_sum", route):.9g}'
        yield f'{family}_count{{route="{route}"}} {_number(count)}'


def _kept(board: Board) -> Iterator[str]:
    facts = board.read()
    numbers: dict[str, list[tuple[dict[str, str], float]]] = facts.get("numbers", {})
    for name, (family, text) in KEPT.items():
        kind = "counter" if family.endswith("_total") else "gauge"
        yield from _family(family, kind, text, numbers.get(name, []))
    now = time.time()
    ages = [(labels, now - made) for labels, made in numbers.get("crl_this_update", [])]
    yield from _family("chopmark_crl_age_seconds", "gauge", "How old a list is.", ages)
    yield from _family("chopmark_ready", "gauge", "Whether /health/ready says so.", [({}, not problems(board))])


def _family(name: str, kind: str, text: str, values: list[tuple[dict[str, str], Any]]) -> Iterator[str]:
    if not values:
        return
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values:
        shown = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels.items())
        yield f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.6f}"
