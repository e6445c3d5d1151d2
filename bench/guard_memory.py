"""A guard's memory once it has looked at 100,000 files that a catalog lists: holder and worker, shared pages twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench import material
from bench.measure import CHOPMARK, Row
from tests.support.guarding import Guarded, Mounted, place, policy, program, why_not

COUNT = 100_000
FOLDER = 500
MEGABYTES = 100


def run(folder: Path, rounds: int) -> list[Row]:  # noqa: ARG001 - once is enough
    """One row, in megabytes."""
    if why_not():
        return []
    keys = material.keys(folder)
    with Mounted(folder) as where:
        paths = _made(where)
        catalog = folder / "files.catalog"
        command = [CHOPMARK, "catalog", "create", where, "-o", catalog, "--key", keys.key, "--cert", keys.certificates]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        text = policy(more=f'stores = ["{keys.root}"]\n[[rule]]\naction = "allow"\nstatus = "trusted"\n')
        state = folder / "state"
        options = ("--state", str(state), "--catalogs", str(catalog), "--revocation", "off")
        with Guarded(where, folder / "home", text, *options).as_delivered() as guard:
            for path in paths:
                os.waitpid(os.posix_spawn(path, [path], {}), 0)
            status = guard.status()
            if status["looked"] < COUNT or status["denied"]:
                print(f"guard-memory: {status['looked']} files looked at", file=sys.stderr)
            resident, proportional = (
                [_memory(each, what) for each in (guard.running.pid, *guard.workers())] for what in ("Rss", "Pss")
            )
        size = sum(each.stat().st_size for each in state.iterdir()) / 1e6
    note = (
        f"resident: holder {resident[0]:.0f}, worker {resident[1]:.0f}; proportional: {sum(proportional):.0f}; "
        f"{status['kept']} files leased, {status['contents']} contents in memory, database {size:.0f} MB on disk"
    )
    total = sum(resident)
    return [
        Row(f"a guard's memory after {COUNT} files", total, "megabytes", MEGABYTES, total / MEGABYTES, "<= 1", note)
    ]


def _made(where: Path) -> list[str]:
    base, paths = program(0), []
    for number in range(COUNT):
        below = where / f"folder-{number // FOLDER:04}"
        below.mkdir(exist_ok=True)
        paths.append(place(below / f"program-{number}", base + number.to_bytes(4, "big")))
    return paths


def _memory(process: int, what: str) -> float:
    """Megabytes, of /proc/N/smaps_rollup."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) * 1024 / 1e6
