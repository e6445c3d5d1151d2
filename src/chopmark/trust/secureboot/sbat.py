"""SBAT: generations of components instead of lists of digests (shim, SBAT.md)."""

from __future__ import annotations

import re

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.trust.secureboot import reasons

_SECTION_FIELDS = 6
"""Component, generation, vendor, package, version, address."""
_LEVEL_FIELDS = (2, 3)
"""Component, generation, and a date in the first row."""
_GENERATION_MAX = 0xFFFF
_NUMBER = re.compile(r"[0-9]{1,5}").fullmatch
_BOM = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """One component: its name, its generation, and what else stands in the row."""

    component: str
    generation: int
    rest: tuple[str, ...]


class Level(NamedTuple):
    """The generation that each component must have at least, and the date of the list (digits; empty: none)."""

    generations: dict[str, int]
    date: str


def section(data: bytes) -> list[Row]:
    """The rows of an .sbat section. Raises BrokenError."""
    rows = _rows(data)
    for row in rows:
        if len(row.rest) + 2 < _SECTION_FIELDS:
            raise BrokenError(reasons.SBAT_BROKEN, f"{row.component[:64]}: fewer than {_SECTION_FIELDS} fields")
    if not rows:
        raise BrokenError(reasons.SBAT_BROKEN, "there is nothing in it")
    return rows


def level(data: bytes) -> Level:
    """A level of revocations: SbatLevel, or one of those that shim carries. Raises BrokenError."""
    rows = _rows(data)
    for number, row in enumerate(rows):
        if len(row.rest) + 2 not in _LEVEL_FIELDS or (row.rest and number):
            raise BrokenError(reasons.SBAT_BROKEN, f"{row.component[:64]}: {len(row.rest) + 2} fields in a level")
    if not rows or rows[0].component != "sbat":
        raise BrokenError(reasons.SBAT_BROKEN, "a level does not begin with sbat")
    date = rows[0].rest[0] if rows[0].rest else ""
    return Level({row.component: row.generation for row in rows}, date)


def revoked(rows: list[Row], wanted: Level) -> list[str]:
    """The components that are older than the level demands, for people."""
    return [
        f"{row.component} {row.generation}, at least {wanted.generations[row.component]} (level {wanted.date})"
        for row in rows
        if row.generation < wanted.generations.get(row.component, 0)
    ]


def _rows(data: bytes) -> list[Row]:
    if len(data) > limits.SBAT_MAX:
        raise BrokenError(reasons.SBAT_BROKEN, f"{len(data)} bytes")
    text = data.removeprefix(_BOM).rstrip(b"\0")
    if b"\0" in text:
        raise BrokenError(reasons.SBAT_BROKEN, "a NUL in the middle")
    lines = [line for line in text.decode("utf-8", "replace").replace("\r", "\n").split("\n") if line]
    if len(lines) > limits.SBAT_ROWS_MAX:
        raise BrokenError(reasons.SBAT_BROKEN, f"{len(lines)} rows")
    return [_row(line) for line in lines]


def _row(line: str) -> Row:
    component, _, behind = line.partition(",")
    generation, *rest = behind.split(",")
    number = int(generation) if _NUMBER(generation) else 0
    if not component or not 0 < number <= _GENERATION_MAX:
        raise BrokenError(reasons.SBAT_BROKEN, f"no component with a generation: {line[:64]!r}")
    return Row(component, number, tuple(rest))
