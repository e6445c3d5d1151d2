"""Files whose leases are held: what is dropped when, what the kernel is told, and how many there are."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from chopmark.agent import fanotify, kept, leases

if TYPE_CHECKING:
    from pathlib import Path

FAR = 1e12


class Marks(fanotify.Group):
    """What would be marked."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.said: list[tuple[str, int]] = []

    def ignore(self, descriptor: int, mask: int) -> None:
        assert mask == kept.MASK
        self.said.append(("ignore", descriptor))

    def heed(self, descriptor: int, mask: int) -> None:
        assert mask == kept.MASK
        self.said.append(("heed", descriptor))


class Files:
    """Kept files, and what was given back."""

    def __init__(self, folder: Path, maximum: int = 8) -> None:
        leases.block()
        self.folder = folder
        self.marks = Marks()
        self.released: list[kept.Key] = []
        self.all = kept.Kept(self.marks, maximum, self._release)

    def _release(self, key: kept.Key, descriptor: int) -> None:
        self.released.append(key)
        os.close(descriptor)

    def keep(self, number: int, until: float = FAR) -> kept.File:
        path = self.folder / str(number)
        if not path.exists():
            path.write_bytes(b"x")
        descriptor = os.open(path, os.O_RDONLY)
        assert leases.take(descriptor)
        fcntl.fcntl(
            descriptor, fcntl.F_SETSIG, signal.SIGURG
        )  # which ends nobody: threads of who runs tests block nothing
        return self.all.keep((1, number), descriptor, number, until)

    def write(self, number: int) -> None:
        """Begin to write to a file, which wants its lease back."""
        with pytest.raises(BlockingIOError):
            os.open(self.folder / str(number), os.O_WRONLY | os.O_NONBLOCK)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_what_is_kept_is_known_until_its_time_is_over(files: Files) -> None:
    files.keep(1)
    files.keep(2, time.monotonic() - 1)
    found = files.all.get((1, 1))
    assert found is not None
    assert found.facts == 1
    assert files.all.get((1, 3)) is None
    assert files.released == []
    assert files.all.get((1, 2)) is None
    assert (files.released, len(files.all)) == ([(1, 2)], 1)


def test_what_somebody_wants_to_write_to_is_not_known_even_before_we_hear_of_it(files: Files) -> None:
    files.all.ignore(files.keep(1))
    files.write(1)
    assert files.all.get((1, 1)) is None
    assert files.released == [(1, 1)]
    assert files.marks.said[-1][0] == "heed"


def test_when_nobody_knows_which_leases_are_wanted_back_those_are_dropped(files: Files) -> None:
    for number in range(4):
        files.all.ignore(files.keep(number))
    files.write(1)
    files.write(3)
    files.all.all_broken()
    assert (files.released, len(files.all)) == ([(1, 1), (1, 3)], 2)
    assert [files.all.get((1, number)) is not None for number in range(4)] == [True, False, True, False]


def test_a_lease_that_is_wanted_back_drops_its_file_once(files: Files) -> None:
    file = files.keep(1)
    assert files.all.broken(file.descriptor)
    assert not files.all.broken(file.descriptor)
    assert (files.released, len(files.all)) == ([(1, 1)], 0)


def test_a_file_that_is_kept_again_takes_the_place_of_itself(files: Files) -> None:
    first = files.keep(1)
    files.all.ignore(first)
    second = files.keep(1)
    assert files.released == [(1, 1)]
    assert not second.ignored
    assert files.all.get((1, 1)) is second
    assert files.marks.said == [("ignore", first.descriptor), ("heed", first.descriptor)]


def test_the_kernel_is_told_once_and_only_of_what_it_ignored(files: Files) -> None:
    one, other = files.keep(1), files.keep(2)
    files.all.ignore(one)
    files.all.ignore(one)
    assert files.all.ignored == 1
    files.all.heed(other)
    files.all.heed(one)
    files.all.heed(one)
    assert files.all.ignored == 0
    files.all.drop((1, 1))
    files.all.drop((1, 2))
    files.all.drop((1, 2))
    assert files.marks.said == [("ignore", one.descriptor), ("heed", one.descriptor)]
    assert files.released == [(1, 1), (1, 2)]


def test_a_mark_that_cannot_be_made_is_none(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "none here")

    file = files.keep(1)
    monkeypatch.setattr(Marks, "ignore", fails)
    files.all.ignore(file)
    assert not file.ignored
    assert files.all.get((1, 1)) is file


def test_what_no_longer_holds_is_swept_and_what_was_kept_for_long_enough_expires(files: Files) -> None:
    for number in range(5):
        files.keep(number, FAR if number != 3 else time.monotonic() - 1)
    assert files.all.sweep(lambda facts: facts % 2 == 1) == 3
    assert files.released == [(1, 0), (1, 2), (1, 4)]
    files.all.expire()
    assert files.released[3:] == [(1, 3)]
    assert [key for key, _ in files.all.each()] == [(1, 1)]


def test_there_are_never_more_than_the_most(files: Files) -> None:
    for number in range(30):
        files.keep(number)
        assert len(files.all) <= 8
    assert files.released[0] == (1, 0)
