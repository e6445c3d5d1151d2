"""Threads that do what whoever answers has no time for, and others in their places where they wait for somebody.

Anybody can bring that about: by a signature beside a file that is a link to a file system which answers nobody, or a
process whose command line cannot be read. It must cost themselves only.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

_Task = TypeVar("_Task")


class Crew(Generic[_Task]):
    """Tasks that nobody has begun, and who does them. Safe for threads."""

    def __init__(self, work: Callable[[_Task], None], joins: Callable[[int], None]) -> None:
        """`work` does a task; `joins` is told of a thread that comes later, by its number, before it does anything."""
        self._work = work
        self._joins = joins
        self._all: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._count = self._free = 0
        self._moved = 0.0
        self._ending = False
        self.is_stuck = False
        """Whether somebody waits, and no more threads may come."""

    def threads(self, count: int) -> list[Callable[[], None]]:
        """What so many threads are to do until `end`."""
        self._count = count
        return [self._attend] * count

    def put(self, task: _Task) -> None:
        """Have something done soon."""
        if self._all.empty():
            self._moved = time.monotonic()
        self._all.put(task)

    def take(self) -> _Task | None:
        """What has waited longest; waits until there is something, or the end."""
        task = self._all.get()
        self._moved = time.monotonic()
        if task is None:
            self._all.put(None)  # for the next who waits
        return task

    def end(self) -> None:
        """There will be nothing any more."""
        self._ending = True
        self._all.put(None)

    def relieve(self) -> None:
        """Have another thread where something waits and nobody has begun anything for long. Asked again and again."""
        late = self._moved < time.monotonic() - limits.GUARD_RELIEF_SECONDS
        is_late = late and not self._ending and not self._all.empty()
        self.is_stuck = is_late and self._count >= limits.GUARD_JUDGES_MAX
        if is_late and not self.is_stuck:
            with self._lock:
                self._count += 1
            threading.Thread(target=self._help, name="answering", daemon=True).start()

    def _help(self) -> None:
        self._joins(threading.get_native_id())
        self._attend()

    def _attend(self) -> None:
        """Until the end, or until others do this one's work while it waited."""
        while True:
            with self._lock:
                if self._free >= limits.GUARD_JUDGES:
                    self._count -= 1
                    return
                self._free += 1
            task = self.take()
            with self._lock:
                self._free -= 1
            if task is None:
                return
            self._work(task)
