import os
import signal

import pytest

from chopmark.engine.batch import WorkerError
from chopmark.engine.crew import Crew


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
