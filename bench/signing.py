"""Signing 500 real programs with RSA-3072, beside the 500 bare signature operations."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from bench import material
from bench.measure import BIN, CHOPMARK, PYTHON, Row, process, row, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 500
BARE = "500 bare RSA-3072 signatures, one core"
ONE = "chopmark sign 500 files -j 1"
ALL = "chopmark sign 500 files"


def run(folder: Path, rounds: int) -> list[Row]:
    """Two rows: in one process, and as it comes."""
    keys = material.keys(folder)
    files = material.copies(folder / "files", material.launchers(), COUNT)
    sign = [CHOPMARK, "sign", *files, "--key", str(keys.key), "--cert", str(keys.certificates)]
    script = BIN.parent.parent / "bench" / "peers" / "bare_signatures.py"

    def bare() -> float:
        done = subprocess.run([PYTHON, script, keys.key, str(COUNT)], capture_output=True, text=True, check=True)
        return float(done.stdout)

    taken = side_by_side(
        {BARE: bare, ONE: lambda: process([*sign, "-j", "1"]), ALL: lambda: process(sign)},
        rounds,
    )
    note = "start-up, hashing, embedding and a flush of every file to the medium included"
    return [row(taken, ONE, BARE, note=note), row(taken, ALL, BARE, bound="<= 1.5")]
