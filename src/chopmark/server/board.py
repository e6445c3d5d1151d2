"""Numbers that all processes of a server share: each counts in a row of its own, whoever reads adds the rows up.

The memory is made before the first fork. A row has one writer at a time; when its process ends, the next one counts on.
"""

from __future__ import annotations

import json
import mmap
import struct
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUTES = ("crl", "aia", "ocsp", "tsa", "countersignature", "log", "health", "metrics", "other")
STATUSES = (200, 304, 400, 404, 405, 408, 411, 413, 414, 415, 417, 431, 500, 501, 503, 505)
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
TALLIES = {
    "ocsp": ("good", "revoked", "unknown", "several", "malformed", "try_later", "unauthorized"),
    "tsa": ("granted", "rejected"),
    "countersignature": ("granted", "rejected"),
}
"""What answers are counted by, besides status."""
SINGLE = ("errors", "lines_dropped", "connections", "waiting", "beat", "pid")
"""One number of each process: two counters, two that go up and down, when it last showed a sign of life, and who."""

_FACTS = struct.Struct("=QI")
"""A number that is odd while somebody writes, and the length of what is written."""


def _cells() -> Iterator[tuple[str, ...]]:
    for name in SINGLE:
        yield (name,)
    for route in ROUTES:
        for status in STATUSES:
            yield ("requests", route, str(status))
        for bucket in (*map(str, BUCKETS), "+Inf"):
            yield ("seconds", route, bucket)
        yield ("seconds_sum", route)
        yield ("octets", route)
    for tally, labels in TALLIES.items():
        for label in labels:
            yield ("tally", tally, label)


CELLS = {cell: index for index, cell in enumerate(_cells())}
_REQUESTS = {(route, status): CELLS["requests", route, str(status)] for route in ROUTES for status in STATUSES}
_SECONDS = {route: CELLS["seconds", route, str(BUCKETS[0])] for route in ROUTES}
_PID = CELLS["pid",]
_SUMS = {route: CELLS["seconds_sum", route] for route in ROUTES}
_OCTETS = {route: CELLS["octets", route] for route in ROUTES}
_TALLY = {(tally, label): CELLS["tally", tally, label] for tally, labels in TALLIES.items() for label in labels}


class Row:
    """The numbers of one process; for one of its threads alone."""

    def __init__(self, cells: memoryview[float]) -> None:
        self._cells = cells

    def request(self, route: str, status: int, seconds: float, octets: int) -> None:
        """Count an answer: which, after how many seconds, how long."""
        cells = self._cells
        index = _REQUESTS.get((route, status))
        if index is not None:
            cells[index] += 1
            cells[_SECONDS[route] + bisect_left(BUCKETS, seconds)] += 1
            cells[_SUMS[route]] += seconds
            cells[_OCTETS[route]] += octets

    def tally(self, tally: tuple[str, str]) -> None:
        """Count what kind of answer it was."""
        index = _TALLY.get(tally)
        if index is not None:
            self._cells[index] += 1

    def add(self, name: str, number: float = 1) -> None:
        """Add to one of SINGLE."""
        self._cells[CELLS[name,]] += number

    def put(self, name: str, number: float) -> None:
        """Set one of SINGLE."""
        self._cells[CELLS[name,]] = number

    def get(self, name: str) -> float:
        """One of SINGLE."""
        return float(self._cells[CELLS[name,]])


class Board:
    """The rows of all processes, and facts that one of them writes and the others read."""

    def __init__(self, rows: int) -> None:
        size = rows * len(CELLS) * 8
        self._memory = mmap.mmap(-1, size + limits.SERVER_FACTS_MAX + _FACTS.size)
        self._view = memoryview(self._memory)
        self._rows = [
            self._view[number * len(CELLS) * 8 : (number + 1) * len(CELLS) * 8].cast("d") for number in range(rows)
        ]
        self._facts = size

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def row(self, number: int) -> Row:
        """A row to count in."""
        return Row(self._rows[number])

    def total(self, *cell: str) -> float:
        """A number, added up over all processes."""
        index = CELLS[cell]
        return float(sum(row[index] for row in self._rows if row[_PID]))

    def write(self, facts: dict[str, Any]) -> None:
        """Let the others know; one process writes. What is too long is not written, and seen to be old."""
        raw = json.dumps(facts).encode()
        if len(raw) > limits.SERVER_FACTS_MAX:
            return
        turn = _FACTS.unpack_from(self._memory, self._facts)[0] | 1
        _FACTS.pack_into(self._memory, self._facts, turn, 0)
        start = self._facts + _FACTS.size
        self._memory[start : start + len(raw)] = raw
        _FACTS.pack_into(self._memory, self._facts, turn + 1, len(raw))

    def read(self) -> dict[str, Any]:
        """What was written last; empty before the first time, and while somebody writes all the time."""
        for _ in range(100):
            turn, length = _FACTS.unpack_from(self._memory, self._facts)
            start = self._facts + _FACTS.size
            raw = self._memory[start : start + length]
            if turn % 2 == 0 and _FACTS.unpack_from(self._memory, self._facts)[0] == turn:
                found: dict[str, Any] = json.loads(raw) if raw else {}
                return found
        return {}
