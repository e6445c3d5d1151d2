"""Looking at files: threads that take a lease, compute the digest, and ask what is known or to be found out."""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from chopmark.agent import leases
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.kept import Key


class Examiner(Protocol):
    """What finds out about the content of an open file."""

    def examine(self, descriptor: int, path: str) -> Any:  # noqa: ANN401 - facts, which the loop does not look into
        """Facts about what is in it; raises nothing that a file can cause."""


class Looked(NamedTuple):
    """What came of looking at a file: facts, or the error; `leased` says that nobody has written to it since.

    `written` says that somebody was writing to it, so that nothing could be known.
    """

    key: Key
    descriptor: int
    facts: Any = None
    leased: bool = False
    written: bool = False
    error: str = ""
    seconds: float = 0.0


class Task(NamedTuple):
    """A file to look at, by a descriptor of its own."""

    key: Key
    descriptor: int
    path: str


class Judges:
    """Threads that look; `done` is told when something is ready in `results`."""

    def __init__(self, examiner: Callable[[], Examiner], done: Callable[[], None], count: int) -> None:
        self._examiner = examiner
        self._done = done
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[Looked] = queue.SimpleQueue()
        self._ready = threading.Barrier(count + 1)
        self._all = [threading.Thread(target=self._work, name="judge", daemon=True) for _ in range(count)]
        for each in self._all:
            each.start()
        self._ready.wait(limits.GUARD_START_SECONDS)

    def submit(self, task: Task) -> None:
        """Look at a file soon."""
        self._tasks.put(task)

    @property
    def waiting(self) -> int:
        """How many files nobody has begun to look at."""
        return self._tasks.qsize()

    def close(self) -> None:
        """End the threads once they are done with what they have begun."""
        for _ in self._all:
            self._tasks.put(None)
        for each in self._all:
            each.join(limits.GUARD_START_SECONDS)

    def _work(self) -> None:
        self._ready.wait(limits.GUARD_START_SECONDS)
        while (task := self._tasks.get()) is not None:
            began = time.monotonic()
            looked = look(task, self._examiner())
            self.results.put(looked._replace(seconds=time.monotonic() - began))
            self._done()


def look(task: Task, examiner: Examiner) -> Looked:
    """Look at one file. The lease comes first: what is read after it is what will run, or the lease is broken."""
    key, descriptor, path = task
    try:
        leased = leases.take(descriptor)
    except leases.BeingWrittenError:
        return Looked(key, descriptor, written=True)
    try:
        facts = examiner.examine(descriptor, path)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, somebody waits for an answer
        return Looked(key, descriptor, leased=leased, error=f"{type(error).__name__}: {error}")
    if leased and not leases.held(descriptor):
        return Looked(key, descriptor, leased=False, written=True)
    return Looked(key, descriptor, facts, leased)


def path_of(descriptor: int) -> str:
    """What the file behind a descriptor is called now; for people and for rules about places, never its identity."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""
