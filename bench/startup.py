"""How fast the command answers: --help, and a verdict on a small program, beside an interpreter that does nothing."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bench import material
from bench.measure import CHOPMARK, PYTHON, Row, process, row, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = "python3 -c pass"
HELP = "chopmark --help"
SMALL = "chopmark verify small.exe"


def run(folder: Path, rounds: int) -> list[Row]:
    """Two rows."""
    keys = material.keys(folder)
    small = folder / "small.exe"
    shutil.copyfile(min(material.launchers(), key=lambda path: path.stat().st_size), small)
    material.signed([str(small)], keys)
    taken = side_by_side(
        {
            NOTHING: lambda: process([PYTHON, "-c", "pass"]),
            HELP: lambda: process([CHOPMARK, "--help"]),
            SMALL: lambda: process([CHOPMARK, "verify", str(small), "--store", str(keys.root), "--offline"]),
        },
        max(rounds, 15),
    )
    return [row(taken, HELP, NOTHING, bound="<= 3"), row(taken, SMALL, NOTHING, bound="<= 8")]
