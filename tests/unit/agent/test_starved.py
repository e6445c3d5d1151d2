"""A guard without memory: its worker is killed for it by the kernel, or gets none, while others wait for answers."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.support.guarding import Guarded, Mounted, place, policy, program, ran, why_not
from tests.support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested")

GOOD = program(0)
LARGE = bytes(24 << 20)
"""Behind a program, so that looking at it takes memory."""


class Bounded:
    """A control group of our own, whose processes may have little memory (cgroups(7), version 1 or 2)."""

    def __init__(self) -> None:
        old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        self._is_old = (old / "memory.limit_in_bytes").exists()
        self.folder = (old if self._is_old else new) / f"chopmark-test-{os.getpid()}"

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir()
            (self.folder / ("memory.limit_in_bytes" if self._is_old else "memory.max")).write_text(str(1 << 20))
        except OSError as error:
            self.__exit__()
            pytest.skip(f"no control group with a bound on memory can be made here: {error.strerror}")
        return self

    def take(self, process: int) -> None:
        """Move a process in; what it has is not counted, what it gets is."""
        (self.folder / "cgroup.procs").write_text(str(process))

    @property
    def kills(self) -> int:
        """How many the kernel has killed in it."""
        text = (self.folder / ("memory.oom_control" if self._is_old else "memory.events")).read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.folder.rmdir()


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Path]:
    with Mounted(tmp_path) as folder:
        yield folder


def large(number: int) -> bytes:
    """A program that takes memory to look at; those with even numbers are not to run."""
    return program(0 if number % 2 else 7) + LARGE + bytes([number])


CODE = """
import os, sys
try:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(sys.argv[1], ["x"], {}), 0)[1]))
except PermissionError:
    sys.exit(9)
"""


def waiting(paths: list[str]) -> list[subprocess.Popen[bytes]]:
    """Processes that execute programs, and end as those do, or with 9 when they may not."""
    return [subprocess.Popen([sys.executable, "-S", "-c", CODE, path]) for path in paths]


def test_a_worker_that_is_killed_for_want_of_memory_is_replaced(where: Path, tmp_path: Path) -> None:
    paths = [place(where / f"large{each}", large(each)) for each in range(8)]
    allowed = [GOOD, *map(large, range(1, 8, 2))]
    place(where / "good", GOOD)
    with Guarded(where, tmp_path / "home", policy(allowed)).as_program() as guard, Bounded() as bounded:
        [worker] = guard.workers()
        os.kill(worker, signal.SIGSTOP)
        asking = waiting(paths)
        bounded.take(worker)
        os.kill(worker, signal.SIGCONT)
        eventually(lambda: bounded.kills > 0)
        ends = [each.wait(60) for each in asking]
        assert all(end == 9 for end in ends[::2])  # whatever was not allowed
        assert all(end in (0, 9) for end in ends[1::2])
        eventually(lambda: guard.said().count("guard ready") == 2)
        assert guard.workers() not in ([], [worker])
        assert ran(str(where / "good")) == "0"
        assert list(map(ran, paths)) == ["denied", "0"] * 4


def test_a_worker_that_gets_no_memory_lets_nobody_pass_whom_it_does_not_know(where: Path, tmp_path: Path) -> None:
    paths = [place(where / f"large{each}", large(each)) for each in range(4)]
    allowed = [GOOD, *map(large, range(1, 4, 2))]
    place(where / "good", GOOD)
    with Guarded(where, tmp_path / "home", policy(allowed)).as_program() as guard:
        [worker] = guard.workers()
        pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
        resource.prlimit(worker, resource.RLIMIT_AS, (pages * resource.getpagesize(), -1))
        ends = [each.wait(60) for each in waiting(paths)]
        assert all(end == 9 for end in ends[::2])
        assert all(end in (0, 9) for end in ends[1::2])
        with contextlib.suppress(ProcessLookupError):  # it may have ended itself
            resource.prlimit(worker, resource.RLIMIT_AS, (-1, -1))
        eventually(lambda: list(map(ran, paths)) == ["denied", "0"] * 2)
        assert ran(str(where / "good")) == "0"
