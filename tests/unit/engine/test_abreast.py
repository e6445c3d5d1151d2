"""Files that go through the stages of a check side by side: in order, alike, bounded, and closed whatever happens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.engine import abreast, check
from tests.contract import laws

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


def task(name: str, log: list[str], stages: int, size: int = 1) -> Generator[int, None, str]:
    """Says when each of its stages is done, and when it is given up."""
    try:
        for stage in range(stages):
            log.append(f"{name}{stage}")
            yield size
        log.append(f"{name}.")
    except GeneratorExit:
        log.append(f"{name}!")
        raise
    return name


def test_a_stage_is_done_for_all_before_the_next() -> None:
    log: list[str] = []
    assert list(abreast.run(task(name, log, stages) for name, stages in (("a", 2), ("b", 0), ("c", 3)))) == list("abc")
    assert log == ["a0", "b.", "c0", "a1", "c1", "a.", "c2", "c."]


def test_nothing_comes_of_nothing() -> None:
    assert list(abreast.run(())) == []
    assert abreast.alone(task("a", [], 3)) == "a"


@pytest.mark.parametrize(("many", "large", "groups"), [(5, 1, [2, 2, 1]), (3, 100, [1, 1, 1])])
def test_groups_are_bounded(monkeypatch: pytest.MonkeyPatch, many: int, large: int, groups: list[int]) -> None:
    monkeypatch.setattr(limits, "ABREAST_MAX", 2)
    monkeypatch.setattr(limits, "ABREAST_BYTES", 100)
    log: list[str] = []
    done = abreast.run(task(str(number), log, 2, large) for number in range(many))
    seen = []
    for _ in range(many):
        next(done)
        seen.append(sum(each.endswith(".") for each in log))
    assert [count - before for before, count in zip([0, *seen], seen, strict=False) if count != before] == groups


@pytest.mark.parametrize(("allowed", "open_at_once"), [(2, 1), (12, 3), (1 << 20, 32), (-1, 32)])
def test_descriptors_are_left_for_others(monkeypatch: pytest.MonkeyPatch, allowed: int, open_at_once: int) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_OPEN_MAX": allowed}.__getitem__)
    log: list[str] = []
    next(abreast.run(task(str(number), log, 1) for number in range(100)))
    assert sum(each.endswith("0") and not each.endswith(".") for each in log) == open_at_once


def test_the_next_are_begun_only_when_results_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ABREAST_MAX", 2)
    log: list[str] = []
    done = abreast.run(task(name, log, 1) for name in "abcd")
    assert next(done) == "a"
    assert log == ["a0", "b0", "a.", "b."]


def test_who_breaks_off_leaves_nothing_open() -> None:
    log: list[str] = []

    def broken() -> Generator[int, None, str]:
        yield 1
        raise UsageError("so")

    def tasks() -> Iterator[Generator[int, None, str]]:
        yield task("a", log, 5)
        yield broken()

    with pytest.raises(UsageError):
        list(abreast.run(tasks()))
    assert log == ["a0", "a1", "a!"]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_many_files_come_out_as_each_alone(tmp_path: Path) -> None:
    for number, subject in enumerate(subject for subject in laws.subjects() if not subject.unsigned.asked):
        data = subject.sample.read_bytes() if number % 2 else laws.signed_subject(subject).data
        (tmp_path / f"{number}-{subject.sample.name}").write_bytes(data)
    paths = sorted(map(str, tmp_path.iterdir()))
    (tmp_path / "broken.exe").write_bytes(b"MZ" + bytes(400))
    os.mkfifo(tmp_path / "fifo")
    paths = [*paths, "/nonexistent", *(str(tmp_path / name) for name in ("", "broken.exe", "fifo")), *paths]
    context = laws.court(tmp_path)
    before = open_files()
    assert list(check.check_paths(paths, context)) == [check.check_path(path, context) for path in paths]
    assert open_files() == before
    with pytest.raises(UsageError):
        list(check.check_paths(paths, context, "none such"))
    assert open_files() == before
