"""Time-stamp tokens in one process, beside the bare signatures of the same key."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.measure import PYTHON, ROOT, Row, row, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNTS = {"p256": 2000, "rsa-4096": 200}
"""Tokens for each kind of key."""
PROGRAM = ROOT / "bench" / "peers" / "stamp.py"


def run(folder: Path, rounds: int) -> list[Row]:
    """A row for each kind of key; requests are answered from bytes to bytes, certificates included."""
    rows = []
    for kind, count in COUNTS.items():
        place = folder / kind
        subprocess.run([PYTHON, str(PROGRAM), "make", str(place), kind], check=True, capture_output=True)

        def timed(what: str, place: Path = place, count: int = count) -> Callable[[], float]:
            def measure() -> float:
                command = [PYTHON, str(PROGRAM), what, str(place), str(count)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                return float(re.findall(r"[\d.]+", done.stdout)[0])

            return measure

        ours, bare = f"{count} time-stamp tokens, {kind}", f"{count} bare {kind} signatures"
        taken = side_by_side({ours: timed("tokens"), bare: timed("bare")}, rounds)
        made = row(taken, ours, bare)
        rows.append(replace(made, note=f"{count / made.seconds:,.0f} tokens a second in one thread"))
    return rows
