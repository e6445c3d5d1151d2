"""A log of 1,000,000 entries: appends, checkpoints, proofs and the audit, beside bare hashes and signatures."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.measure import PYTHON, ROOT, Row, row, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENTRIES = 1_000_000
APPENDS = 200
PROOFS = 5_000
PROGRAM = str(ROOT / "bench" / "peers" / "log.py")


def run(folder: Path, rounds: int) -> list[Row]:
    """A row for each part; the log is made anew in each round."""
    place = folder / "log"
    memory: dict[str, int] = {}

    def part(name: str, count: int) -> Callable[[], float]:
        def measure() -> float:
            command = [PYTHON, PROGRAM, name, str(place), str(count)]
            seconds, size = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            memory[name] = max(memory.get(name, 0), int(size))
            return float(seconds)

        return measure

    parts = (
        ("make", f"{ENTRIES:,} entries appended", ENTRIES, "hashes", "their hashes alone", ENTRIES),
        ("audit", f"{ENTRIES:,} entries audited", ENTRIES, "hashes", "their hashes alone", ENTRIES),
        ("proofs", f"{PROOFS:,} proofs at {ENTRIES:,}", PROOFS, "paths", "the hashes of their checks", PROOFS),
        (
            "appends",
            f"{APPENDS} appends, a checkpoint each",
            APPENDS,
            "signatures",
            "as many signed and flushed",
            APPENDS,
        ),
    )
    rows = []
    for name, what, count, other, beside, times in parts:
        taken = side_by_side({what: part(name, count), beside: part(other, times)}, min(rounds, 3))
        made = row(taken, what, beside)
        rate = count / made.seconds
        rows.append(replace(made, note=f"{rate:,.0f} a second, {memory[name]} MiB"))
    return rows
