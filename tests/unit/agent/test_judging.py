"""Looking at a file: the lease first, and an answer whatever happens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from chopmark.agent import judging, leases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Examiner:
    """Says whether the file was leased when it was asked about it, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def examine(self, descriptor: int, path: str) -> tuple[str, bool]:
        if self._error is not None:
            raise self._error
        return path, leases.held(descriptor)


@pytest.fixture
def task(tmp_path: Path) -> Iterator[judging.Task]:
    leases.block()
    (tmp_path / "x").write_bytes(b"x")
    descriptor = os.open(tmp_path / "x", os.O_RDONLY)
    yield judging.Task((1, 2), descriptor, str(tmp_path / "x"))
    os.close(descriptor)


def test_a_file_is_leased_before_it_is_looked_at(task: judging.Task) -> None:
    looked = judging.look(task, Examiner())
    assert looked == judging.Looked(task.key, task.descriptor, (task.path, True), leased=True)


@pytest.mark.parametrize("error", [OSError("no"), MemoryError("no"), ZeroDivisionError("no")])
def test_whatever_goes_wrong_is_said(task: judging.Task, error: Exception) -> None:
    looked = judging.look(task, Examiner(error))
    assert looked == judging.Looked(task.key, task.descriptor, leased=True, error=f"{type(error).__name__}: no")


def test_what_somebody_writes_to_is_not_looked_at(task: judging.Task) -> None:
    writing = os.open(task.path, os.O_WRONLY)
    try:
        looked = judging.look(task, Examiner(AssertionError("it was")))
    finally:
        os.close(writing)
    assert looked == judging.Looked(task.key, task.descriptor, written=True)


def test_where_there_are_no_leases_files_are_looked_at_all_the_same(
    task: judging.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "take", lambda _: False)
    assert judging.look(task, Examiner()) == judging.Looked(task.key, task.descriptor, (task.path, False))


def test_what_a_file_is_called(task: judging.Task) -> None:
    assert judging.path_of(task.descriptor) == task.path
    assert judging.path_of(-1) == ""
