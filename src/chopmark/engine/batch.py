"""The same work on many files: in order, in one process or in several."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, TypeVar

from chopmark.core.errors import ChopmarkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Result = TypeVar("Result")

_GROUP_MAX = 16
"""Files handed to a worker at once: enough to make handing over cheap, few enough to keep all workers busy."""

_work: Callable[[str], object] | None = None


class WorkerError(ChopmarkError):
    """A worker process died; what it was doing has no answer."""


def jobs_for(count: int, wanted: int | None) -> int:
    """How many processes to use for so many files: what was asked for, else one per processor this process may use."""
    return max(1, min(count, wanted or len(os.sched_getaffinity(0))))


def run(paths: Sequence[str], work: Callable[[str], Result], jobs: int) -> Iterator[Result]:
    """Yield `work(path)` for each path, in their order.

    With more than one job the work is done by forked processes, which inherit everything that `work` refers to (open
    stores, loaded keys); only paths and results cross over. `work` must not raise for a bad file.

    Raises WorkerError when a process dies.
    """
    if len(paths) > 1:
        gc.freeze()  # what is loaded by now stays, and must not be copied by the collector in every fork
        gc.enable()
    if jobs <= 1 or len(paths) <= 1:
        for path in paths:
            yield work(path)
        return
    yield from _forked(paths, work, jobs)


def _forked(paths: Sequence[str], work: Callable[[str], Result], jobs: int) -> Iterator[Result]:
    from concurrent.futures import ProcessPoolExecutor  # takes longer to import than a file to check
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    global _work  # noqa: PLW0603 - how the work reaches processes that are forked, without pickling it
    size = max(1, min(_GROUP_MAX, len(paths) // (jobs * 4) or 1))
    groups = [paths[start : start + size] for start in range(0, len(paths), size)]
    _work = work
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("fork"), initializer=_start)
    try:
        for future in [pool.submit(_group, group) for group in groups]:
            yield from future.result()  # type: ignore[misc] # what _work returned, back from the other process
    except BrokenProcessPool:
        message = "a worker process died (out of memory?); the files it had are not checked"
        raise WorkerError(message) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        _work = None


def _start() -> None:
    import signal  # only workers need it

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means


def _group(paths: Sequence[str]) -> list[object]:
    if _work is None:
        message = "no work"
        raise WorkerError(message)
    return [_work(path) for path in paths]
