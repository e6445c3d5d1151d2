"""Writers hammer a program and a script while others run them under a guard; nothing unverified may ever run.

`make race` runs 100,000 executions on tmpfs and as many on ext4; ARGS="--count N --kind tmpfs" something else. What was
allowed ends with 0; what the writers put in between ends with 7; everything else is a denial.
"""

from __future__ import annotations

import argparse
import errno
import json
import mmap
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.guarding import STATUS_AT, Guarded, Mounted, place, policy, program, why_not

WRONG = 7
SCRIPT = b"#!/bin/sh\nexit %d\n"


def child(work: object) -> int:
    """A process that does some work, and nothing of ours afterwards."""
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            work()  # type: ignore[operator]
        finally:
            os._exit(0)
    return pid


def write(path: str, offset: int, values: tuple[bytes, ...]) -> None:
    """Change a file for the worse and back, through a descriptor or a mapping that outlives its descriptor."""
    while True:
        mapped = random.random() < 0.5  # noqa: S311 - no secret
        for value in values:
            try:
                descriptor = os.open(path, os.O_RDWR)
            except OSError:
                continue  # somebody runs it
            if mapped:
                with mmap.mmap(descriptor, 0) as mapping:
                    os.close(descriptor)
                    mapping[offset : offset + len(value)] = value
                    time.sleep(0.0005)
            else:
                os.pwrite(descriptor, value, offset)
                os.close(descriptor)
            time.sleep(random.random() * random.choice((0, 0.001, 0.02)))  # noqa: S311 - no secret


def run_often(command: list[str], count: int, telling: int) -> None:
    """Run a command; tell how often it ended in which way."""
    ended: Counter[str] = Counter()
    for _ in range(count):
        try:
            pid = os.posix_spawn(command[0], command, {})
        except OSError as error:
            ended[errno.errorcode.get(error.errno or 0, "?")] += 1
        else:
            ended[str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))] += 1
    os.write(telling, json.dumps(ended).encode())


def race(kind: str, count: int, folder: Path) -> Counter[str]:
    """One race on a file system of its own; how the executions ended."""
    good, script = program(0), SCRIPT % 0
    with Mounted(folder, kind) as where, Guarded(where, folder / "home", policy([good, script])).as_program():
        target, text = place(where / "program", good), place(where / "script", script)
        values = {target: (bytes([WRONG]), b"\0"), text: (b"%d" % WRONG, b"0")}
        offsets = {target: STATUS_AT, text: len(script) - 2}
        writers = [child(lambda path=path: write(path, offsets[path], values[path])) for path in values]
        runners = []
        try:
            for command in ([target], [text], ["/bin/sh", text], [target]):
                hearing, telling = os.pipe()
                pid = child(lambda command=command, telling=telling: run_often(command, count // 4, telling))
                os.close(telling)
                runners.append((pid, hearing))
            total: Counter[str] = Counter()
            for pid, hearing in runners:
                with os.fdopen(hearing, "rb") as file:
                    total.update(json.loads(file.read() or b"{}"))
                os.waitpid(pid, 0)
        finally:
            for pid in writers:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
    return total


def main() -> int:
    """Race; 1 when something unverified ran, or nothing that was allowed did."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="executions for each kind of file system")
    parser.add_argument("--kind", action="append", choices=("tmpfs", "ext4"), help="file system (default: both)")
    args = parser.parse_args()
    if why_not():
        print(f"cannot race: {why_not()}", file=sys.stderr)
        return 3
    wrong = 0
    for kind in args.kind or ("tmpfs", "ext4"):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            ended = race(kind, args.count, Path(folder))
        ran, unverified = ended["0"], ended[str(WRONG)]
        denied = sum(ended.values()) - ran - unverified
        seconds = time.monotonic() - began
        total = sum(ended.values())
        print(f"{kind}: {total} executions in {seconds:.0f} s: {ran} ran, {denied} denied, {unverified} unverified")
        wrong += unverified or not ran or total != args.count // 4 * 4
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
