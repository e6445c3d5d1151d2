"""Verifying 500 real PE files in one call, beside signify, osslsigncode run once per file, and LIEF."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import material
from bench.measure import BIN, CHOPMARK, PYTHON, Row, at_once, process, row, side_by_side
from tests.interop.corpus import corpus

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 500
ONE = "chopmark verify 500 -j 1"
TWO = "chopmark verify 500 -j 2"
HALVES = "two chopmarks at once, half of them each"
SIGNIFY = "signify"
OSSLSIGNCODE = "osslsigncode per file"
LIEF = "LIEF"


def run(folder: Path, rounds: int) -> list[Row]:
    """Five rows. Real files keep their real signatures; the unsigned ones are signed first.

    What two processes that share nothing take is how far `-j 2` could come (docs/adr/0229).
    """
    keys = material.keys(folder)
    files = material.copies(folder / "files", corpus("bench-500"), COUNT)
    unsigned = [file for file in files if not is_signed(file)]
    material.signed(unsigned, keys)
    options = ["--store", "microsoft", "--store", str(keys.root), "--offline", "--json", "-j"]
    halves = [[CHOPMARK, "verify", *half, *options, "1"] for half in (files[: COUNT // 2], files[COUNT // 2 :])]
    mine = [CHOPMARK, "verify", *files, *options]
    peers = BIN.parent.parent / "bench" / "peers"

    def one_by_one() -> float:
        began = time.perf_counter()
        for file in files:
            process(["osslsigncode", "verify", "-CAfile", str(keys.root), "-in", file], expect=(0, 1, 255))
        return time.perf_counter() - began

    any_verdict = (0, 1, 3)
    fast = side_by_side(
        {
            ONE: lambda: process([*mine, "1"], expect=any_verdict),
            TWO: lambda: process([*mine, "2"], expect=any_verdict),
            HALVES: lambda: at_once(*halves, expect=any_verdict),
            LIEF: lambda: process([PYTHON, str(peers / "lief_verify.py"), *files]),
            OSSLSIGNCODE: one_by_one,
        },
        rounds,
    )
    slow = side_by_side(
        {
            ONE: lambda: process([*mine, "1"], expect=any_verdict),
            SIGNIFY: lambda: process([PYTHON, str(peers / "signify_verify.py"), *files]),
        },
        1,
    )
    note = f"{COUNT - len(unsigned)} with their publishers' signatures, {len(unsigned)} signed for the test"
    return [
        row(slow, SIGNIFY, ONE, bound=">= 10", note=note),
        row(fast, ONE, OSSLSIGNCODE, bound="<= 1"),
        row(fast, ONE, LIEF),
        row(fast, ONE, TWO, bound=">= 1.7"),
        row(fast, ONE, HALVES),
    ]


def is_signed(file: str) -> bool:
    """Whether the PE has a certificate table."""
    from chopmark.core.artifact import Artifact
    from chopmark.core.errors import MalformedError
    from chopmark.engine import identify

    with Artifact.open(file) as artifact:
        try:
            return any(True for _ in identify.identify(artifact).extract(artifact))
        except MalformedError:
            return True
