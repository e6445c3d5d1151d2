"""One program of 500 MB: beside one SHA-256 pass by hashlib over the same file."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from bench import material
from bench.measure import CHOPMARK, PYTHON, Row, process, row, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 500_000_000
HASHLIB = "hashlib over 500 MB"
VERIFY = "chopmark verify 500 MB"
HASH = "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"


def run(folder: Path, rounds: int) -> list[Row]:
    """One row."""
    keys = material.keys(folder)
    big = folder / "big.exe"
    shutil.copyfile(material.launchers()[0], big)
    with big.open("ab") as file:
        block = os.urandom(1_000_000)
        while file.tell() < SIZE:
            file.write(block)
    material.signed([str(big)], keys)
    taken = side_by_side(
        {
            HASHLIB: lambda: process([PYTHON, "-c", HASH, str(big)]),
            VERIFY: lambda: process([CHOPMARK, "verify", str(big), "--store", str(keys.root), "--offline"]),
        },
        rounds,
    )
    big.unlink()
    return [row(taken, VERIFY, HASHLIB, bound="<= 1.3")]
