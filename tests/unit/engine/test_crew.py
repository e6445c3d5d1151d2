import os
import select
import signal
import time

import pytest

from chopmark.engine import crew as module
from chopmark.engine.batch import WorkerError
from chopmark.engine.crew import Crew
from tests.support.patience import PATIENCE


def squares(numbers: list[int]) -> list[int]:
    return [number * number for number in numbers]


def ends(numbers: list[int]) -> list[int]:
    if 7 in numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    return numbers


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_all_that_is_handed_over_is_answered(jobs: int) -> None:
    crew = Crew(squares, jobs)
    found: list[int] = []
    left = [list(range(start, start + 5)) for start in range(0, 100, 5)] + [list(range(100, 60_000))]
    while left or crew.busy:
        while left and crew.idle and crew.submit(left[0]):
            left.pop(0)
        for answer in crew.answers():
            found += answer
    crew.close()
    assert sorted(found) == [number * number for number in range(60_000)]


def test_a_worker_that_dies_is_an_error() -> None:
    crew = Crew(ends, 2)
    crew.submit([7])
    with pytest.raises(WorkerError):
        crew.answers()
    crew.close()


def test_closing_ends_workers_that_still_have_work() -> None:
    crew = Crew(squares, 2)
    for _ in range(4):
        crew.submit(list(range(1000)))
    pids = [worker.pid for worker in crew._workers]  # noqa: SLF001 - nobody else knows them
    crew.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_ends_whose_parent_was_killed_before_it_could_look() -> None:
    reading, writing = os.pipe()
    parent = os.fork()
    if not parent:
        _killed_at_once()
    os.close(writing)
    os.waitpid(parent, 0)
    try:
        assert select.select([reading], [], [], PATIENCE)[0], "somebody still has the other end"
    finally:
        os.close(reading)


def _killed_at_once() -> None:
    """Fork workers that have much to do, and be killed before they get to look who their parent is."""
    try:
        mine, look = os.getpid(), module._end_with_parent  # noqa: SLF001 - what it does at the right moment

        def late(parent: int) -> None:
            while os.getppid() == mine:
                time.sleep(0.01)
            look(parent)

        module._end_with_parent = late  # noqa: SLF001 - likewise
        crew = Crew(lambda _: time.sleep(2 * PATIENCE), 2)
        crew.submit([1])
        crew.submit([2])
        os.kill(mine, signal.SIGKILL)
    finally:
        os._exit(1)
