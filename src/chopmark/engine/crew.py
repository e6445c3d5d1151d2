"""Work that is found while it is done: processes that take tasks as they come up, and answer in any order."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any, NoReturn

from chopmark.engine.batch import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LENGTH = 4
"""Bytes that say how long a message is."""
_WAITING_MAX = 2
"""Lists of tasks that a worker has: one under way, and the next, so that it never waits for us."""
_SMALL = 16 * 1024
"""Two messages of this size fit into a pipe: writing them never blocks, whatever the worker is doing."""


class Crew:
    """Forked workers, each with a pipe to it and one back. Close it, whatever happens.

    `work` gets a list of tasks and gives the list of their results; both cross over pickled. It must not raise. With
    one job the work is done here, when the answer is asked for.
    """

    def __init__(self, work: Callable[[Any], Any], jobs: int) -> None:
        self._work = work
        self._here: list[Any] = []
        self._workers: list[_Worker] = []
        for _ in range(jobs if jobs > 1 else 0):
            self._workers.append(self._forked())

    def _forked(self) -> _Worker:
        import sys

        sys.stdout.flush()
        sys.stderr.flush()
        reading, telling = os.pipe()
        hearing, writing = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            _close(telling, hearing, *(each for worker in self._workers for each in worker.pipes))
            _serve(self._work, reading, writing, parent)
        _close(reading, writing)
        return _Worker(pid, telling, hearing)

    @property
    def idle(self) -> bool:
        """Whether another list of tasks would be begun soon."""
        return any(worker.waiting < _WAITING_MAX for worker in self._workers) if self._workers else not self._here

    @property
    def busy(self) -> bool:
        """Whether an answer is to come."""
        return bool(self._here) or any(worker.waiting for worker in self._workers)

    def submit(self, tasks: Sequence[Any]) -> bool:
        """Hand a list of tasks over; False when nobody can take it now (a long message waits for an idle worker)."""
        if not self._workers:
            self._here.append(tasks)
            return True
        message = pickle.dumps(tasks)
        room = _WAITING_MAX if len(message) <= _SMALL else 1
        worker = min(self._workers, key=lambda each: each.waiting)
        if worker.waiting >= room:
            return False
        _write(worker.telling, len(message).to_bytes(_LENGTH, "big") + message)
        worker.waiting += 1
        return True

    def answers(self) -> list[Any]:
        """Wait, and give the results of whole lists of tasks that are there. Raises WorkerError when a process died."""
        if not self._workers:
            return [self._work(self._here.pop(0))]
        import select

        found = []
        waiting = {worker.hearing: worker for worker in self._workers if worker.waiting}
        ready, _, _ = select.select(list(waiting), [], [])
        for descriptor in ready:
            header = _read(descriptor, _LENGTH)
            raw = _read(descriptor, int.from_bytes(header, "big"))
            found.append(pickle.loads(raw))  # noqa: S301 - from our own child, through our own pipe
            waiting[descriptor].waiting -= 1
        return found

    def close(self) -> None:
        """End the workers; what they are doing comes to nothing."""
        import signal

        workers, self._workers = self._workers, []
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)  # one may have hours of reading before it
        for worker in workers:
            _close(*worker.pipes)
        for worker in workers:
            os.waitpid(worker.pid, 0)


class _Worker:
    """A child: the pipe it is told through, the one it is heard through, and how many answers are to come."""

    def __init__(self, pid: int, telling: int, hearing: int) -> None:
        self.pid = pid
        self.telling = telling
        self.hearing = hearing
        self.waiting = 0

    @property
    def pipes(self) -> tuple[int, int]:
        return self.telling, self.hearing


def _serve(work: Callable[[Any], Any], reading: int, writing: int, parent: int) -> NoReturn:
    """The life of a worker. It leaves without cleaning up what belongs to the parent."""
    import gc
    import signal

    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
        _end_with_parent(parent)
        gc.freeze()
        while header := os.read(reading, _LENGTH):
            header += _read(reading, _LENGTH - len(header))
            tasks = pickle.loads(_read(reading, int.from_bytes(header, "big")))  # noqa: S301 - from our parent
            answer = pickle.dumps(work(tasks))
            _write(writing, len(answer).to_bytes(_LENGTH, "big") + answer)
        status = 0
    except BrokenPipeError:  # nobody wants to know any more
        status = 0
    finally:
        os._exit(status)


def _end_with_parent(parent: int) -> None:
    """A parent that is killed says nothing, and what is under way may take hours: look now and then.

    `parent` is its process, as it was before the fork: after it, the parent may have been killed already.
    """
    import signal

    def look(*_: object) -> None:
        if os.getppid() != parent:
            os._exit(1)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
    look()


def _read(descriptor: int, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = os.read(descriptor, length - len(data))
        if not piece:
            raise WorkerError("a worker process died (out of memory?); what it was doing is not done")
        data += piece
    return data


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BrokenPipeError:
            raise WorkerError("a worker process died (out of memory?); what it was doing is not done") from None


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
