"""Leases are given back when nobody uses the file any more, or is on the way to it; and not for ever later."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chopmark.agent import leases, processes
from chopmark.agent.releasing import Releasing
from chopmark.core import limits
from tests.support.guarding import started
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

LOOKS = 4
"""At who uses a file, after which its lease would have been given back several times over."""


class Leased(NamedTuple):
    """A file whose lease we have, and what happened to it."""

    path: Path
    descriptor: int
    releasing: Releasing
    changed: list[tuple[tuple[int, int], list[int]]]
    looks: list[float]

    @property
    def key(self) -> tuple[int, int]:
        state = self.path.stat()
        return state.st_dev, state.st_ino

    def release(self) -> None:
        self.releasing.release(self.key, self.descriptor)

    def looked_at(self) -> None:
        """Wait until it was looked at several times, or given back."""
        before = len(self.looks)
        eventually(lambda: self.given_back() or len(self.looks) >= before + LOOKS)

    def given_back(self) -> bool:
        """The descriptor is closed when it is; another file may have its number by now."""
        try:
            state = os.fstat(self.descriptor)
        except OSError:
            return True
        return (state.st_dev, state.st_ino) != self.key


@pytest.fixture
def leased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Leased]:
    path = tmp_path / "program"
    shutil.copy("/bin/sleep", path)
    descriptor = os.open(path, os.O_RDONLY)
    if not leases.take(descriptor):
        os.close(descriptor)
        pytest.skip("no leases on this file system")
    changed: list[tuple[tuple[int, int], list[int]]] = []
    releasing = Releasing(lambda key, using: changed.append((key, using)))
    looks: list[float] = []
    users = processes.users

    def looked(files: Collection[tuple[int, int]], apart: frozenset[int]) -> dict[tuple[int, int], list[int]]:
        looks.append(time.monotonic())
        return users(files, apart)

    monkeypatch.setattr(processes, "users", looked)
    releasing.start()
    yield Leased(path, descriptor, releasing, changed, looks)
    releasing.end()
    releasing.join(PATIENCE)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is on the way into a file; on a machine that is busy somebody always seems to be."""
    monkeypatch.setattr(processes, "unsettled", dict)


@pytest.mark.usefixtures("settled")
def test_what_nobody_uses_is_given_back_at_once(leased: Leased) -> None:
    leased.release()
    eventually(leased.given_back)
    assert leased.changed == []
    eventually(lambda: len(leased.releasing) == 0)


@pytest.mark.usefixtures("settled")
def test_a_file_that_somebody_has_open_is_kept(leased: Leased) -> None:
    code = "import sys\nfile = open(sys.argv[1])\nprint(flush=True)\nsys.stdin.read()"
    command: list[str | Path] = [sys.executable, "-c", code, leased.path]
    with started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        reading.stdout.readline()
        leased.release()
        leased.looked_at()
        kept = not leased.given_back()
        assert len(leased.releasing) == 1
        reading.communicate()
    assert kept
    eventually(leased.given_back)


@pytest.mark.usefixtures("settled")
def test_a_file_that_somebody_runs_is_kept(leased: Leased) -> None:
    with started([leased.path, "60"]) as running:
        eventually(lambda: leased.key in processes.code(running.pid))
        leased.release()
        leased.looked_at()
        kept = not leased.given_back()
        running.kill()
    assert kept
    eventually(leased.given_back)


def test_who_is_on_the_way_into_a_file_is_waited_for(leased: Leased, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was let in, and does not hold the file yet: nobody can see which file it is that it opens."""
    entering = {1: 0}
    monkeypatch.setattr(processes, "unsettled", entering.copy)
    monkeypatch.setattr(processes, "settled", lambda thread, had, enough: thread not in entering)  # noqa: ARG005
    leased.release()
    leased.looked_at()
    assert not leased.given_back()
    entering.clear()
    eventually(leased.given_back)


@pytest.mark.usefixtures("settled")
def test_a_writer_does_not_wait_for_ever_and_who_is_overtaken_is_told_of(
    leased: Leased, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUARD_HOLD_SECONDS", 0.3)
    with started(["tail", "-f", leased.path], stdout=subprocess.DEVNULL) as reading:
        eventually(lambda: reading.pid in processes.users({leased.key}, frozenset()).get(leased.key, []))
        writing = threading.Thread(target=lambda: leased.path.open("ab").close())
        writing.start()
        eventually(lambda: not leases.held(leased.descriptor))
        leased.release()
        writing.join(PATIENCE)
        assert not writing.is_alive()
        eventually(lambda: bool(leased.changed))
        assert leased.changed == [(leased.key, [reading.pid])]
        reading.kill()


@pytest.mark.usefixtures("settled")
def test_a_writer_waits_while_the_file_is_used(leased: Leased) -> None:
    """Not until it is their turn to be overtaken: for as long as that may last."""
    with started(["tail", "-f", leased.path], stdout=subprocess.DEVNULL) as reading:
        eventually(lambda: reading.pid in processes.users({leased.key}, frozenset()).get(leased.key, []))
        writing = threading.Thread(target=lambda: leased.path.open("ab").close())
        writing.start()
        eventually(lambda: not leases.held(leased.descriptor))
        leased.release()
        leased.looked_at()
        kept = not leased.given_back() and writing.is_alive()
        reading.kill()
        writing.join(PATIENCE)
    assert kept
    eventually(leased.given_back)
    assert leased.changed == []


@pytest.mark.usefixtures("settled")
def test_without_a_writer_it_is_kept_as_long_as_it_is_used(leased: Leased, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_HOLD_SECONDS", 0.0)
    with started([leased.path, "60"]) as running:
        eventually(lambda: leased.key in processes.code(running.pid))
        leased.release()
        leased.looked_at()
        kept = not leased.given_back()
        running.kill()
    assert kept
    eventually(leased.given_back)
    assert leased.changed == []


@pytest.mark.usefixtures("settled")
def test_at_the_end_everything_is_given_back(leased: Leased) -> None:
    with started([leased.path, "60"]) as running:
        eventually(lambda: leased.key in processes.code(running.pid))
        leased.release()
        leased.looked_at()
        leased.releasing.end()
        eventually(leased.given_back)
        running.kill()


@pytest.mark.usefixtures("settled")
def test_what_is_on_a_file_system_that_is_let_go_is_given_back_though_it_is_used(
    leased: Leased, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUARD_STOP_SECONDS", PATIENCE)  # for which it waits
    with started([leased.path, "60"]) as running:
        eventually(lambda: leased.key in processes.code(running.pid))
        leased.release()
        leased.looked_at()
        leased.releasing.abandon(leased.key[0] + 1)
        assert not leased.given_back()
        leased.releasing.abandon(leased.key[0])
        assert leased.given_back()


def test_who_waits_for_a_process_for_ever_is_stuck_when_there_is_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker begins then, for files could not be looked at any more."""
    goes_on = threading.Event()
    monkeypatch.setattr(limits, "GUARD_HOLD_SECONDS", 0.0)
    monkeypatch.setattr(processes, "unsettled", dict)
    monkeypatch.setattr(processes, "users", lambda *_: goes_on.wait(60) and {})
    releasing = Releasing(lambda *_: None, 2)
    releasing.start()
    assert (releasing.has_room, releasing.is_stuck) == (True, False)
    for number in range(2):
        assert not releasing.is_stuck
        releasing.release((1, number), os.open(os.devnull, os.O_RDONLY))
    eventually(lambda: releasing.is_stuck)
    assert not releasing.has_room
    goes_on.set()
    eventually(lambda: len(releasing) == 0)
    assert (releasing.has_room, releasing.is_stuck) == (True, False)
    releasing.end()
    releasing.join(10)
