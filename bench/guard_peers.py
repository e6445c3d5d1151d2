"""What guards cost: chopmark's beside Debian's fapolicyd, and both beside none.

Three tmpfs that differ in nothing else, entered by chdir(2), in turns, from this one process; fapolicyd's is in a
mount namespace of its own (tests/support/fapolicyd.py). Both know the same contents by their digests.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Row
from tests.support import fapolicyd
from tests.support.fapolicyd import Fapolicyd
from tests.support.guarding import Guarded, Mounted, place, policy, program

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 400
FIRST = 300
LARGE = 4 << 20
FLOOD = 4
"""Processes that are denied something as fast as they can."""
TURNS = 3

Times = dict[str, list[float]]


def run(folder: Path, rounds: int) -> list[Row]:
    """Rows for executions of a known, a new and a large new program, and for opens."""
    if fapolicyd.why_not():
        return []
    contents = {"good": program(0), "data.txt": b"x" * 4000}
    contents |= {f"new{number}": program(0) + number.to_bytes(4, "big") for number in range(FIRST)}
    contents |= {f"large{number}": program(0) + bytes([number]) * LARGE for number in range(20)}
    (folder / "free").mkdir()
    (folder / "held").mkdir()
    (folder / "peer").mkdir()
    with (
        Mounted(folder / "free") as free,
        Mounted(folder / "held") as held,
        Fapolicyd(folder / "peer", contents) as peer,
    ):
        for where in (free, held):
            for name, content in contents.items():
                place(where / name, content)
        peer.place("evil", program(7))
        places = {"none": free, "chopmark": held, "fapolicyd": peer.folder}
        with Guarded(held, folder / "home", policy(list(contents.values()))).as_delivered() as guard:
            rows = [
                _row("guard: exec of a known file", _turns(_execute, places, ["good"] * (COUNT * rounds))),
                _row("guard: first exec of a program of 136 bytes",
                     _turns(_execute, places, [name for name in contents if name.startswith("new")])),
                _row("guard: first exec of a program of 4 MiB",
                     _turns(_execute, places, [name for name in contents if name.startswith("large")])),
                _row("guard: open() of data by an interpreter", _turns(_open, places, ["data.txt"] * (COUNT * rounds))),
            ]  # fmt: skip
            evil = place(held / "evil", program(7)), str(peer.folder / "evil")
            rows.append(_flood("for four processes at once", _AGAIN, *evil, COUNT * rounds))
            rows.append(_flood("each for a new process, four at once", _ANEW, *evil, COUNT * rounds))
            assert peer.process is not None
            ours, theirs = _resident(guard.workers()[0]), _resident(peer.process.pid)
            rows[0] = replace(rows[0], note=f"{rows[0].note}; resident {ours:.0f} MB beside {theirs:.0f} MB")
        with Guarded(held, folder / "strict", policy(list(contents.values())), "--strict").as_delivered():
            rows.append(
                _row("guard: open() of a known file, strict", _turns(_open, places, ["data.txt"] * (COUNT * rounds)))
            )
    return rows


_DENIED = """
import os, sys
for _ in range(int(sys.argv[2])):
    try:
        {}
    except PermissionError:
        pass
"""
_AGAIN = _DENIED.format('os.execv(sys.argv[1], ["x"])')
_ANEW = _DENIED.format('os.posix_spawn(sys.argv[1], ["x"], {})')


def _flood(what: str, code: str, ours: str, theirs: str, count: int) -> Row:
    """Denials for several processes at once: seconds for each, the median of turns."""
    taken: dict[str, list[float]] = {ours: [], theirs: []}
    for _ in range(TURNS):
        for path, times in taken.items():
            began = time.perf_counter()
            several = [subprocess.Popen([sys.executable, "-S", "-c", code, path, str(count)]) for _ in range(FLOOD)]
            assert [each.wait() for each in several] == [0] * FLOOD
            times.append((time.perf_counter() - began) / (count * FLOOD))
    mine, other = map(statistics.median, taken.values())
    note = f"{1 / mine:.0f} a second beside {1 / other:.0f}"
    return Row(f"guard: a denial, {what}", mine, "fapolicyd", other, mine / other, note=note)


def _execute(name: str) -> float:
    began = time.perf_counter()
    os.waitpid(os.posix_spawn(f"./{name}", [name], {}), 0)
    return time.perf_counter() - began


def _open(name: str) -> float:
    began = time.perf_counter()
    descriptor = os.open(name, os.O_RDONLY)
    taken = time.perf_counter() - began
    os.close(descriptor)
    return taken


def _turns(work: Callable[[str], float], places: dict[str, Path], names: list[str]) -> Times:
    back = os.open(".", os.O_RDONLY)
    taken: Times = {each: [] for each in places}
    folders = {each: os.open(path, os.O_RDONLY | os.O_DIRECTORY) for each, path in places.items()}
    try:
        for name in names:
            for each, folder in folders.items():
                os.fchdir(folder)
                taken[each].append(work(name))
    finally:
        os.fchdir(back)
        for descriptor in (back, *folders.values()):
            os.close(descriptor)
    return taken


def _row(what: str, taken: Times) -> Row:
    middle = {name: statistics.median(times) for name, times in taken.items()}
    late = {name: sorted(times)[len(times) * 99 // 100] for name, times in taken.items()}
    note = "; ".join(f"{name} p50 {middle[name] * 1e6:.0f} us, p99 {late[name] * 1e6:.0f} us" for name in taken)
    ratio = middle["chopmark"] / middle["fapolicyd"]
    return Row(what, middle["chopmark"], "fapolicyd", middle["fapolicyd"], ratio, note=note)


def _resident(process: int) -> float:
    """Resident memory in megabytes."""
    status = Path(f"/proc/{process}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024
