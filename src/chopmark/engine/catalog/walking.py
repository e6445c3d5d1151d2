"""A tree in the order of its paths, looked at by several processes."""

from __future__ import annotations

import os
from collections import deque
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from chopmark.core import folders, limits
from chopmark.core.errors import UsageError
from chopmark.engine.catalog import seeing
from chopmark.engine.catalog.seeing import Child, Seen, Task, Walk
from chopmark.engine.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from chopmark.core.finding import Finding

_TOGETHER = 16
"""Folders handed to a worker at once: most hold a few files only."""
_PSEUDO = frozenset(
    (
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "proc",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "smackfs",
        "sysfs",
        "tracefs",
    )
)
"""File systems whose files are questions to the kernel, or to other programs."""


class Walked:
    """A walk under way: `blocks` yields lines in the order of paths, a piece at a time; `findings` grow meanwhile."""

    def __init__(self, walk: Walk, jobs: int, keep: Callable[[bytes], None] | None = None) -> None:
        self._walk = walk
        self._jobs = jobs
        self._keep = keep
        self.findings: list[Finding] = []
        self.count = 0
        self.size = 0

    def blocks(self) -> Generator[bytes, None, None]:
        """Raises OSError when not even the root can be looked at."""
        line, root = seeing.first(self._walk)
        self.count = 1
        yield line
        crew = Crew(partial(_answered, self._walk), self._jobs)
        with closing(crew):
            yield from _Assembly(crew, self._took).blocks(root)

    def _took(self, seen: Seen) -> None:
        self.findings += seen.findings
        self.count += seen.files
        self.size += seen.size
        if self._keep and seen.kept:
            self._keep(seen.kept)


def _answered(walk: Walk, tasks: list[tuple[int, Task]]) -> list[tuple[int, Seen]]:
    numbers = [number for number, _ in tasks]
    return list(zip(numbers, seeing.look(walk, [task for _, task in tasks]), strict=True))


class _Assembly:
    """Puts what workers saw into order.

    Tasks wait on a stack whose top comes first in the order of paths, so that what is seen ahead of its turn stays
    little; beyond CATALOG_AHEAD_MAX files nothing but the next task is handed out.
    """

    def __init__(self, crew: Crew, took: Callable[[Seen], None]) -> None:
        self._crew = crew
        self._took = took
        self._stack: list[tuple[int, Task]] = []
        self._tasks: dict[int, Task] = {}
        self._seen: dict[int, tuple[int, deque[bytes | int]]] = {}
        self._number = 0
        self._ahead = 0

    def blocks(self, root: Child) -> Iterator[bytes]:
        """Lines in the order of paths."""
        task = Task(root.path, root.identity)
        self._tasks[0] = task
        self._stack.append((0, task))
        under_way: list[deque[bytes | int]] = [deque((0,))]
        while under_way:
            if not under_way[-1]:
                under_way.pop()
                continue
            part = under_way[-1].popleft()
            if isinstance(part, int):
                while part not in self._seen:
                    self._work()
                count, parts = self._seen.pop(part)
                self._ahead -= count
                under_way.append(parts)
            elif part:
                yield part

    def _work(self) -> None:
        """Hand out what there is room for, then take in what is done."""
        while self._stack and self._crew.idle and (self._ahead < limits.CATALOG_AHEAD_MAX or not self._crew.busy):
            size = max(1, min(_TOGETHER, len(self._stack) // 4))
            if not self._crew.submit(self._stack[: -size - 1 : -1]):
                break
            del self._stack[-size:]
        for answer in self._crew.answers():
            for number, seen in answer:
                self._take(number, seen)

    def _take(self, number: int, seen: Seen) -> None:
        self._took(seen)
        self._ahead += seen.files
        task = self._tasks.pop(number)
        further: list[Task] = []
        parts: deque[bytes | int] = deque()
        for part in seen.parts:
            if isinstance(part, Child):
                further.append(Task(part.path, part.identity))
                parts.append(self._number + len(further))
            else:
                parts.append(part)
        step = limits.CATALOG_UNIT_MAX
        for start in range(0, len(seen.rest), step):
            further.append(task._replace(names=seen.rest[start : start + step]))
            parts.append(self._number + len(further))
        self._seen[number] = (seen.files, parts)
        numbered = list(enumerate(further, self._number + 1))
        self._number += len(further)
        self._tasks.update(numbered)
        self._stack += reversed(numbered)


@contextmanager
def walk_of(
    root: str,
    *,
    one_file_system: bool,
    excluded: frozenset[bytes] = frozenset(),
    known: Mapping[bytes, bytes] | None = None,
    keeping: bool = False,
) -> Iterator[Walk]:
    """Open the root of a tree, which may be a link itself. Raises InputError and UsageError."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise folders.unreadable(root, error) from None
    try:
        device = os.fstat(descriptor).st_dev
        pseudo = _pseudo_devices()
        if device in pseudo:
            raise UsageError(f"{root}: no files stand there, but what the kernel answers")
        yield Walk(descriptor, device, one_file_system, excluded, pseudo, known or {}, keeping)
    finally:
        os.close(descriptor)


def _pseudo_devices() -> frozenset[int]:
    """The devices of mounted file systems that hold no files (proc(5), mountinfo)."""
    found = set()
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            for line in mounts:
                fields = line.split(b" ")  # other blanks stand in names as they are
                kind = fields[fields.index(b"-", 6) + 1].decode("ascii", "replace")
                if kind in _PSEUDO:
                    major, _, minor = fields[2].partition(b":")
                    found.add(os.makedev(int(major), int(minor)))
    except (OSError, ValueError, IndexError):
        return frozenset(found)
    return frozenset(found)
