"""The same work on many files: in order, in one process or in several."""

from __future__ import annotations

import gc
import marshal
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from chopmark.core.errors import ChopmarkError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from chopmark.engine.shares import Plan, Queues

Result = TypeVar("Result")

_NUMBER = 4
"""Bytes of a group's number, and of the length of an answer."""
_PICKLED = b"\x80"
"""Begins what was pickled (PROTO, pickletools), and no list that was marshalled (`[`, with that bit or without)."""
_ANSWERS = 1 << 20
"""Bytes of answers that a pipe takes while nobody reads (pipe(7): as much as anybody may have)."""
_ROOM = 1 << 16
"""Bytes of answers that are taken out of a pipe at once."""
_COLLECT_AFTER = 50_000
"""Objects made and not yet gone before the collector looks for those that nobody needs: twice what files that are under
way have (limits.ABREAST_MAX), through which it would look in vain."""


class WorkerError(ChopmarkError):
    """A worker process died; what it was doing has no answer."""


def jobs_for(count: int, wanted: int | None, spare: int = 0) -> int:
    """How many processes to use for so many files: what was asked for, else one for each processor that may be used.

    Work that waits for the medium (writing) wants one to `spare`, which does something meanwhile.
    """
    return max(1, min(count, wanted or len(os.sched_getaffinity(0)) + spare))


def run(paths: Sequence[str], work: Callable[[str], Result], jobs: int) -> Iterator[Result]:
    """Yield `work(path)` for each path; everything else as in `run_groups`."""
    return run_groups(paths, partial(_each, work), jobs)


def _each(work: Callable[[str], Result], paths: Sequence[str]) -> Iterator[Result]:
    return map(work, paths)


def run_groups(paths: Sequence[str], work: Callable[[Sequence[str]], Iterable[Result]], jobs: int) -> Iterator[Result]:
    """Yield what `work` makes of groups of paths, in their order; the iterator must be used up or closed.

    `work` gives one result for each path of its group, in their order, when it has it.

    With more than one job the work is done by processes that are forked at once and inherit everything that `work`
    refers to (open stores, loaded keys); only group numbers and results cross over, plain ones (text, bytes, numbers,
    tuples of these) at half the price of others. `work` must not raise for a bad file.

    Raises WorkerError when a process dies.
    """
    if len(paths) > 1:
        # What is loaded by now stays, and must not be copied by the collector in every fork. Hardly anything that is
        # made for a file is left when it is done, so looking for it can wait for many of them.
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER)
        gc.enable()
    if jobs <= 1 or len(paths) <= 1:
        return iter(work(paths))
    from chopmark.engine import shares  # one process shares with nobody

    plan = shares.plan(paths, min(jobs, len(paths)))
    queues = shares.Queues(plan.rounds)
    # Forked here and not when the first result is asked for: whoever shows progress has a thread by then.
    return _results(_workers(plan, queues, work), queues, len(plan.groups))


class _Worker(NamedTuple):
    """A child and the pipe it answers through."""

    pid: int
    answers: int


def _workers(plan: Plan, queues: Queues, work: Callable[[Sequence[str]], Iterable[Result]]) -> list[_Worker]:
    """Fork them.

    ProcessPoolExecutor would do, but takes longer to import than many a call has to work.
    """
    import fcntl
    import signal

    _flush()
    ignored = signal.SIGINT, signal.SIG_IGN  # the parent decides what an interrupt means
    workers: list[_Worker] = []
    for whose in range(len(plan.rounds[0])):
        answers, telling = os.pipe()
        with suppress(OSError):  # a worker that goes on while nobody has time for its answer
            fcntl.fcntl(telling, fcntl.F_SETPIPE_SZ, _ANSWERS)
        pid = os.fork()
        if not pid:
            for descriptor in (answers, *(worker.answers for worker in workers)):
                os.close(descriptor)
            queues.close_filling()
            signal.signal(*ignored)
            _serve(plan.groups, work, queues.take(whose), telling)
        os.close(telling)
        workers.append(_Worker(pid, answers))
    queues.close_taking()
    return workers


def _results(workers: Sequence[_Worker], queues: Queues, count: int) -> Iterator[Any]:
    try:
        yield from _collected(workers, queues, count)
    finally:
        queues.close_filling()
        _stop(workers)


def _serve(
    groups: Sequence[Sequence[str]],
    work: Callable[[Sequence[str]], Iterable[Result]],
    numbers: Iterable[int],
    telling: int,
) -> NoReturn:
    """The life of a worker. It leaves without cleaning up what belongs to the parent."""
    status = 1
    try:
        for number in numbers:
            done = _packed(list(work(groups[number])))
            _write(telling, number.to_bytes(_NUMBER, "big") + len(done).to_bytes(_NUMBER, "big"), done)
        status = 0
    finally:
        _flush()
        os._exit(status)


def _collected(workers: Sequence[_Worker], queues: Queues, count: int) -> Iterator[Any]:
    """The results of all groups, each as soon as those before it are there."""
    import select

    poll = select.poll()
    room = bytearray(_ROOM)
    pending = {worker.answers: bytearray() for worker in workers}
    for descriptor in pending:
        poll.register(descriptor, select.POLLIN)
    found: dict[int, list[Any]] = {}
    following = 0
    while following < count:
        for descriptor, _ in poll.poll():
            size = os.readv(descriptor, (room,))
            if not size:
                poll.unregister(descriptor)
                del pending[descriptor]
                if queues.filling or not pending:  # before the end of the queues no worker leaves by itself
                    raise WorkerError("a worker process died (out of memory?); the files it had are not done")
            else:
                buffer = pending[descriptor]
                buffer += memoryview(room)[:size]
                found.update(_answers(buffer))
        while following in found:
            yield from found.pop(following)
            following += 1
            queues.done(following)


def _answers(buffer: bytearray) -> Iterator[tuple[int, list[Any]]]:
    """Take the whole answers out of what has come so far."""
    header = 2 * _NUMBER
    while len(buffer) >= header:
        end = header + int.from_bytes(buffer[_NUMBER:header], "big")
        if len(buffer) < end:
            return
        yield int.from_bytes(buffer[:_NUMBER], "big"), _unpacked(memoryview(buffer)[header:end])
        del buffer[:end]


def _packed(results: list[Any]) -> bytes:
    """Results as they cross over: importing pickle takes as long as five small files, and is seldom needed."""
    try:
        return marshal.dumps(results)
    except ValueError:  # not plain
        import pickle

        return pickle.dumps(results)


def _unpacked(raw: memoryview) -> list[Any]:
    if raw[:1] != _PICKLED:
        return cast("list[Any]", marshal.loads(raw))  # noqa: S302 - from our own child, through our own pipe
    import pickle

    return cast("list[Any]", pickle.loads(raw))  # noqa: S301 - likewise


def _stop(workers: Sequence[_Worker]) -> None:
    """Nobody reads any more: what is still working ends when it has an answer to tell, or at once if it waits."""
    for worker in workers:
        os.close(worker.answers)
    for worker in workers:
        os.waitpid(worker.pid, 0)


def _write(descriptor: int, *parts: bytes) -> None:
    for part in parts:
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _flush() -> None:
    """What is buffered must be written once, not by every process."""
    import sys

    sys.stdout.flush()
    sys.stderr.flush()
