"""Asking about many boot images in one call, beside sbverify, which takes one at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.measure import CHOPMARK, Row, process, row, side_by_side
from tests.support import firmware

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 100
SIZE = 4_000_000
"""As large as GRUB."""
OURS, THEIRS = f"chopmark secureboot check {COUNT}", "sbverify per file"


def run(folder: Path, rounds: int) -> list[Row]:
    """One row: RSA of 2048 bits and SHA-256, as all firmware takes."""
    certificate = folder / "db.pem"
    certificate.write_bytes(firmware.DB.pem)
    files = [folder / f"{number}.efi" for number in range(COUNT)]
    for number, file in enumerate(files):
        file.write_bytes(firmware.sealed(firmware.image(mods=number.to_bytes(4, "big") * (SIZE // 4)), firmware.DB))

    def one_by_one() -> float:
        began = time.perf_counter()
        for file in files:
            process(["sbverify", "--cert", str(certificate), str(file)])
        return time.perf_counter() - began

    mine = [CHOPMARK, "secureboot", "check", *map(str, files), "--db", str(certificate)]
    return [row(side_by_side({OURS: lambda: process(mine), THEIRS: one_by_one}, rounds), OURS, THEIRS, bound="<= 1")]
