"""A guard's cost: executions and opens on a protected file system beside the same without a guard.

All in this process, by posix_spawn(3) and open(2), in turns on two tmpfs that differ in nothing else; on a third one is
what no guard in Python can do without (bench/peers/bare_guard.py), and on a fourth, where there is a compiler, what
none at all can (bench/peers/yes_guard.c), for the lines that they are the floors of. Where no guard can run (no root,
no permission events) there are no rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from bench import material
from bench.measure import CHOPMARK, ROOT, Row, process
from tests.support.guarding import Guarded, Mounted, place, policy, program, why_not
from tests.support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.material import Keys

COUNT = 2_000
FIRST = 100


def run(folder: Path, rounds: int) -> list[Row]:
    """Rows for executions of a known and of a new file, for opens, and for memory."""
    if why_not():
        return []
    rows = []
    good = program(0)
    for name in ("free", "held", "bare", "in-c"):
        (folder / name).mkdir()
    with (
        Mounted(folder / "free") as free,
        Mounted(folder / "held") as held,
        Mounted(folder / "bare") as bare,
        Mounted(folder / "in-c") as in_c,
    ):
        paths = {where: place(where / "good", good) for where in (free, held)}
        data = {where: place(where / "data.txt", b"x" * 4000, 0o644) for where in (free, held)}
        with Guarded(held, folder / "home", policy([good])).as_delivered():
            for what, of in (("p50", 0.5), ("p99", 0.99)):
                turns = _turns(lambda where: _execute(paths[where]), free, held, COUNT, rounds)
                rows.append(_row(f"exec of a known file, {what}", turns, of, "<= 1.05" if of == 0.5 else ""))
            turns = _turns(lambda where: _open(data[where]), free, held, COUNT, rounds)
            rows.append(_row("open() of data by an interpreter, p50", turns, 0.5))
            turns = _elsewhere(folder, data, free, held, rounds)
            rows.append(_row("open() by an ordinary program, p50", turns, 0.5, "<= 4"))
        rows += _firsts(folder, free, held, bare)
        with Guarded(held, folder / "strict", policy([good, b"x" * 4000]), "--strict").as_delivered():
            turns = _turns(lambda where: _open(data[where]), free, held, COUNT, rounds)
            rows.append(_row("open() of an ordinary file, strict, kept by the kernel, p50", turns, 0.5, "<= 1.5"))
            turns = _elsewhere(folder, data, free, held, rounds)
            rows.append(_row("open() of it by an ordinary program, likewise, p50", turns, 0.5, "<= 1.5"))
            plain = {where: place(where / "plain.txt", b"y" * 4000, 0o644) for where in (free, held, bare, in_c)}
            turns = _elsewhere(folder, plain, free, held, rounds)
            rows.append(_row("open() of an ordinary file by an ordinary program, strict, p50", turns, 0.5, "<= 4"))
        rows += _floors(folder, plain, free, bare, in_c, rounds)
    return rows


def _floors(folder: Path, plain: dict[Path, str], free: Path, bare: Path, in_c: Path, rounds: int) -> Iterator[Row]:
    """What no guard in Python can be faster than, and none at all."""
    with _bare(bare):
        turns = _elsewhere(folder, plain, free, bare, rounds)
    yield _row("the same, by a guard in Python that only allows (a floor), p50", turns, 0.5)
    if shutil.which("cc"):
        program = str(folder / "yes_guard")
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", program, str(ROOT / "bench/peers/yes_guard.c")], check=True)
        with _running([program, str(in_c)]):
            turns = _elsewhere(folder, plain, free, in_c, rounds)
        yield _row("the same, by a guard in C that only allows (the kernel's floor), p50", turns, 0.5)


@contextlib.contextmanager
def _bare(folder: Path, *key: str) -> Iterator[None]:
    """A guard that only allows; with a key it looks at what is executed."""
    with _running([sys.executable, "-m", "bench.peers.bare_guard", str(folder), *key]):
        yield


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as guard:
        assert guard.stdout is not None
        assert guard.stdout.readline() == b"guard ready\n"
        try:
            yield
        finally:
            guard.kill()


def _firsts(folder: Path, free: Path, held: Path, bare: Path) -> list[Row]:
    """First executions of signed and listed files: what they take above those without a guard, a digest and a check."""
    keys = material.keys(folder)
    true = Path("/bin/true").read_bytes()
    sources = folder / "sources"
    sources.mkdir()
    made = {
        "a signed script": [place(sources / f"s{n}", b"#!/bin/sh\n: %d\n" % n) for n in range(FIRST)],
        "a signed program": [place(sources / f"p{n}", true + n.to_bytes(4, "big")) for n in range(FIRST)],
    }
    for paths in made.values():
        material.signed(paths, keys)
    listed = folder / "listed"
    listed.mkdir()
    made["a listed program"] = [place(listed / f"l{n}", program(0) + n.to_bytes(4, "big")) for n in range(FIRST)]
    catalog = str(folder / "listed.catalog")
    signing = ["--key", str(keys.key), "--cert", str(keys.certificates)]
    process([CHOPMARK, "catalog", "create", str(listed), "-o", catalog, *signing])
    text = policy(more=f'stores = ["{keys.root}"]\n[[rule]]\naction = "allow"\nstatus = "trusted"\n')
    rows = []
    for number, (what, when) in enumerate(product(made, ("written and run at once", "written before", "lay there"))):
        options = ["--revocation", "off"]
        if "listed" in what:  # on hosts with catalogs, others are never left to the kernel (ADR 0186)
            options += ["--catalogs", catalog]
        options += {"lay there": ["--warm", str(held / str(number))], "written before": []}.get(when, ["--no-ahead"])
        copies = {where: where / str(number) for where in (free, held, bare)}
        for each in copies.values():
            each.mkdir()
        copied = _copied(made[what], copies) if when == "lay there" else []
        with (
            Guarded(held, folder / f"first{number}", text, *options).as_delivered() as guard,
            _bare(bare, str(keys.key)),
        ):
            copied = copied or _copied(made[what], copies)
            if when != "written and run at once":
                eventually(lambda guard=guard: guard.status()["ahead"] >= FIRST, 60)  # type: ignore[misc]
            times = [[_execute(each) for each in several] for several in zip(*copied, strict=True)]
        without, guarded, floor = map(list, zip(*times, strict=True))
        rows.append(_first_row(f"first exec of {what}, {when}", without, guarded, made[what], keys))
        if when == "written and run at once":
            name = f"first exec of {what}, by a guard that reads, hashes, checks (the floor)"
            rows.append(replace(_first_row(name, without, floor, made[what], keys), bound=""))
    return rows


def _copied(files: list[str], folders: dict[Path, Path]) -> list[list[str]]:
    return [[place(each / Path(file).name, Path(file).read_bytes()) for file in files] for each in folders.values()]


def _first_row(what: str, without: list[float], guarded: list[float], paths: list[str], keys: Keys) -> Row:
    free, held = statistics.median(without), statistics.median(guarded)
    digest = statistics.median(_timed(lambda path=path: hashlib.sha256(Path(path).read_bytes())) for path in paths)  # type: ignore[misc]
    checking = keys.check()
    check = statistics.median(_timed(checking) for _ in range(FIRST))
    over = held - free - digest - check
    note = (
        f"{held * 1e6:.0f} us beside {free * 1e6:.0f} without a guard, reading and SHA-256 {digest * 1e6:.0f}, "
        f"checking RSA-3072 {check * 1e6:.0f}"
    )
    return Row(f"{what}: what comes on top", over, "150 us", 150e-6, over / 150e-6, "<= 1", note)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _execute(path: str) -> float:
    began = time.perf_counter()
    os.waitpid(os.posix_spawn(path, [path], {}), 0)
    return time.perf_counter() - began


def _open(path: str) -> float:
    began = time.perf_counter()
    descriptor = os.open(path, os.O_RDONLY)
    taken = time.perf_counter() - began
    os.close(descriptor)
    return taken


_OPENS = """
import json, os, sys, time
times = [], []
for _ in range(1000):
    for path, found in zip(sys.argv[1:], times):
        began = time.perf_counter()
        descriptor = os.open(path, os.O_RDONLY)
        found.append(time.perf_counter() - began)
        os.close(descriptor)
print(json.dumps(times))
"""


def _elsewhere(folder: Path, files: dict[Path, str], free: Path, held: Path, rounds: int) -> Turns:
    """Opens by this interpreter, a byte longer, under a name that is none of an interpreter's."""
    other = folder / "ordinary"
    if not other.exists():
        other.write_bytes(Path(sys.executable).resolve().read_bytes() + b"\0")  # a copy is an interpreter (ADR 0284)
        other.chmod(0o755)
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    command = [str(other), "-S", "-c", _OPENS, files[free], files[held]]
    found: Turns = []
    for _ in range(max(rounds, 3)):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        without, guarded = json.loads(done.stdout)
        found.append((without, guarded))
    return found


Turns = list[tuple[list[float], list[float]]]


def _turns(work: Callable[[Path], float], free: Path, held: Path, count: int, rounds: int) -> Turns:
    """Times without and with a guard, for each round."""
    work(free), work(held)
    found: Turns = []
    for _ in range(max(rounds, 3)):
        without: list[float] = []
        guarded: list[float] = []
        for _ in range(count // max(rounds, 3)):
            without.append(work(free))
            guarded.append(work(held))
        found.append((without, guarded))
    return found


def _row(what: str, turns: Turns, of: float, bound: str = "") -> Row:
    def at(times: list[float]) -> float:
        return sorted(times)[int(len(times) * of)]

    ratio = statistics.median(at(guarded) / at(without) for without, guarded in turns)
    seconds = statistics.median(at(guarded) for _, guarded in turns)
    beside = statistics.median(at(without) for without, _ in turns)
    return Row(
        what,
        seconds,
        "the same without a guard",
        beside,
        ratio,
        bound,
        f"{seconds * 1e6:.0f} us beside {beside * 1e6:.0f}",
    )
