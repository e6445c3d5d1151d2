"""Leases are given back when nobody uses the file any more, or is on the way to it; and not for ever later."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chopmark.agent import leases, processes
from chopmark.agent.releasing import Releasing
from chopmark.core import limits
from tests.support.guarding import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = 0.15
"""In which a lease would have been given back several times over."""


class Leased(NamedTuple):
    """A file whose lease we have, and what happened to it."""

    path: Path
    descriptor: int
    releasing: Releasing
    changed: list[tuple[tuple[int, int], list[int]]]

    @property
    def key(self) -> tuple[int, int]:
        state = self.path.stat()
        return state.st_dev, state.st_ino

    def release(self) -> None:
        self.releasing.release(self.key, self.descriptor)

    def given_back(self) -> bool:
        """The descriptor is closed when it is."""
        return not Path(f"/proc/self/fd/{self.descriptor}").exists()


@pytest.fixture
def leased(tmp_path: Path) -> Iterator[Leased]:
    before = signal.signal(leases.BREAK, lambda *_: None)
    path = tmp_path / "program"
    shutil.copy("/bin/sleep", path)
    descriptor = os.open(path, os.O_RDONLY)
    if not leases.take(descriptor):
        os.close(descriptor)
        signal.signal(leases.BREAK, before)
        pytest.skip("no leases on this file system")
    changed: list[tuple[tuple[int, int], list[int]]] = []
    releasing = Releasing(lambda key, using: changed.append((key, using)))
    releasing.start()
    yield Leased(path, descriptor, releasing, changed)
    releasing.end()
    releasing.join(10)
    signal.signal(leases.BREAK, before)


def test_what_nobody_uses_is_given_back_at_once(leased: Leased) -> None:
    leased.release()
    eventually(leased.given_back)
    assert leased.changed == []


def test_a_file_that_somebody_has_open_is_kept(leased: Leased) -> None:
    code = "import sys\nfile = open(sys.argv[1])\nprint(flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-c", code, str(leased.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        reading.stdout.readline()
        leased.release()
        time.sleep(SHORT)
        assert not leased.given_back()
        reading.communicate()
    eventually(leased.given_back)


def test_a_file_that_somebody_runs_is_kept(leased: Leased) -> None:
    with subprocess.Popen([leased.path, "60"]) as running:
        eventually(lambda: leased.key in processes.code(running.pid))
        leased.release()
        time.sleep(SHORT)
        assert not leased.given_back()
        running.kill()
    eventually(leased.given_back)


def test_who_is_on_the_way_into_a_file_is_waited_for(leased: Leased, tmp_path: Path) -> None:
    """It was let in, and does not hold the file yet: nobody can see which file it is that it opens."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.DEVNULL) as entering:
        eventually(lambda: entering.pid in processes.unsettled())
        time.sleep(SHORT)
        leased.release()
        time.sleep(SHORT)
        assert not leased.given_back()
        fifo.open("wb").close()
    eventually(leased.given_back)


def test_a_writer_does_not_wait_for_ever_and_who_is_overtaken_is_told_of(
    leased: Leased, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUARD_HOLD_SECONDS", 0.3)
    with subprocess.Popen(["tail", "-f", leased.path], stdout=subprocess.DEVNULL) as reading:
        eventually(lambda: reading.pid in processes.users({leased.key}, frozenset()).get(leased.key, []))
        writing = threading.Thread(target=lambda: leased.path.open("ab").close())
        writing.start()
        eventually(lambda: not leases.held(leased.descriptor))
        leased.release()
        writing.join(20)
        assert not writing.is_alive()
        eventually(lambda: bool(leased.changed))
        assert leased.changed == [(leased.key, [reading.pid])]
        reading.kill()


def test_without_a_writer_it_is_kept_as_long_as_it_is_used(leased: Leased, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_HOLD_SECONDS", 0.0)
    with subprocess.Popen([leased.path, "60"]) as running:
        eventually(lambda: leased.key in processes.code(running.pid))
        leased.release()
        time.sleep(SHORT)
        assert not leased.given_back()
        running.kill()
    eventually(leased.given_back)
    assert leased.changed == []


def test_at_the_end_everything_is_given_back(leased: Leased) -> None:
    with subprocess.Popen([leased.path, "60"]) as running:
        eventually(lambda: leased.key in processes.code(running.pid))
        leased.release()
        time.sleep(SHORT)
        leased.releasing.end()
        eventually(leased.given_back)
        running.kill()
