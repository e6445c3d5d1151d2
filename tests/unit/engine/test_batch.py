import os
import signal
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import pytest

from chopmark.engine import batch


def shout(path: str) -> tuple[str, int]:
    return path.upper(), os.getpid()


@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 47])
def test_answers_come_in_order(jobs: int, count: int) -> None:
    paths = [f"file-{number}" for number in range(count)]
    assert [answer for answer, _ in batch.run(paths, shout, jobs)] == [path.upper() for path in paths]


def test_several_jobs_are_other_processes() -> None:
    workers = {pid for _, pid in batch.run([str(number) for number in range(40)], shout, 2)}
    assert os.getpid() not in workers
    assert len(workers) <= 2


def test_one_job_is_this_process() -> None:
    assert {pid for _, pid in batch.run(["a", "b"], shout, 1)} == {os.getpid()}


def test_work_sees_what_the_parent_has_loaded() -> None:
    loaded = {"key": "in memory only"}
    assert list(batch.run(["a", "b", "c"], lambda path: path + loaded["key"], 2)) == [
        each + "in memory only" for each in "abc"
    ]


class Word(StrEnum):
    GOOD = "good"


class Pair(NamedTuple):
    first: str
    second: object


@pytest.mark.parametrize(
    "result",
    [
        ("plain", 1, None, b"octets", 1.5, "lone \udcff"),
        Word.GOOD,
        Pair("a", Word.GOOD),
        ("a", Pair("b", ("c", None))),
        {"facts": [Word.GOOD, "text"]},
        {"facts": [1, "text"]},
    ],
    ids=repr,
)
def test_results_cross_over_as_what_they_are(result: object) -> None:
    for answer in batch.run(["a", "b", "c"], lambda _: result, 2):
        assert answer == result
        assert repr(answer) == repr(result)  # a named tuple equals a plain one, and a word its text
        assert type(answer) is type(result)


def test_a_dead_worker_is_an_error_not_a_gap() -> None:
    def work(path: str) -> str:
        if path == "3":
            os.kill(os.getpid(), signal.SIGKILL)
        return path

    with pytest.raises(batch.WorkerError):
        list(batch.run([str(number) for number in range(8)], work, 2))


def test_a_worker_that_dies_in_the_first_of_many_rounds_is_noticed_at_once() -> None:
    def work(path: str) -> str:
        if path == "7":
            os.kill(os.getpid(), signal.SIGKILL)
        return path

    with pytest.raises(batch.WorkerError):
        list(batch.run([str(number) for number in range(10_000)], work, 2))


def test_stopping_early_leaves_no_process(tmp_path: Path) -> None:
    def work(path: str) -> str:
        (tmp_path / str(os.getpid())).touch()
        return path

    answers = batch.run([str(number) for number in range(64)], work, 2)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    for worker in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(worker.name), 0)


@pytest.mark.parametrize(("count", "wanted", "jobs"), [(1, 8, 1), (0, None, 1), (10, 2, 2), (3, 9, 3)])
def test_jobs_never_exceed_the_files(count: int, wanted: int | None, jobs: int) -> None:
    assert batch.jobs_for(count, wanted) == jobs


def test_a_group_is_worked_on_as_its_results_are_wanted_in_one_process() -> None:
    begun = []

    def work(paths: Sequence[str]) -> Iterator[str]:
        for path in paths:
            begun.append(path)
            yield path

    results = batch.run_groups(["a", "b", "c"], work, 1)
    assert next(results) == "a"
    assert begun == ["a"]
    assert list(results) == ["b", "c"]
