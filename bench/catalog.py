"""A catalog of 200,000 files made, and compared with its tree, beside `find | xargs -P2 sha256sum`."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING

from bench import material
from bench.measure import CHOPMARK, Row, process, row, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 200_000
FOLDER = 40
"""Files in a folder, as on a Debian host."""
SIZES = (0, 120, 700, 1_500, 3_000, 4_096, 6_000, 9_000, 14_000, 40_000)
"""A median of 3 KB, 8 KB on average: 1.6 GB in all. Debian's /usr has larger files, where hashing counts for more."""
SHA256SUM = "find | xargs -P2 sha256sum"
CREATE = "chopmark catalog create"
VERIFY = "chopmark catalog verify"
_PEER = 'find "$1" -type f -print0 | xargs -0 -P2 sha256sum'
MEMORY = 300 * 1024
"""KiB that a process may have."""


def run(folder: Path, rounds: int) -> list[Row]:
    """Two rows. The tree is read once before, so that all take it from memory."""
    tree, keys = folder / "tree", material.keys(folder)
    make(tree)
    catalog = str(folder / "tree.catalog")
    signing = ["--key", str(keys.key), "--cert", str(keys.certificates)]
    trust = ["--store", str(keys.root), "--offline", "--revocation", "off"]
    times = side_by_side(
        {
            CREATE: lambda: process([CHOPMARK, "catalog", "create", str(tree), "-o", catalog, "-j", "2", *signing]),
            VERIFY: lambda: process([CHOPMARK, "catalog", "verify", catalog, "-j", "2", *trust]),
            SHA256SUM: lambda: process(["sh", "-c", _PEER, "sh", str(tree)]),
        },
        min(rounds, 3),
    )
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if most > MEMORY:
        print(f"catalog: {most // 1024} MiB in a process, more than {MEMORY // 1024}", file=sys.stderr)
    note = f"{COUNT} files, at most {most // 1024} MiB in a process"
    return [
        row(times, CREATE, SHA256SUM, bound="<= 1.2", note=note),
        row(times, VERIFY, SHA256SUM, bound="<= 1.2", note=note),
    ]


def make(tree: Path) -> None:
    """Files of many sizes, no two the same."""
    pattern = bytes(range(256)) * (max(SIZES) // 256 + 1)
    for number in range(0, COUNT, FOLDER):
        below = tree / f"{number // 4000:02d}" / f"folder-{number}"
        below.mkdir(parents=True, exist_ok=True)
        for index in range(number, number + FOLDER):
            size = SIZES[index * 7 % len(SIZES)]
            (below / f"file-{index}.dat").write_bytes((b"%012d" % index + pattern)[:size])
