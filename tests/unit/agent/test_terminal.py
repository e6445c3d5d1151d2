"""Who is blocked is told so on their terminal, in a line that does what a line does and nothing else."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.guarding import Guarded, Mounted, place, policy, program, why_not
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested")

_TRIES = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
try:
    os.execv(sys.argv[1], ["x"])
except PermissionError:
    pass
"""


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Path]:
    with Mounted(tmp_path) as folder:
        yield folder


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of one."""
    ours, theirs = os.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def tried_on(theirs: int, path: str) -> None:
    """Somebody whose terminal it is executes a file."""
    subprocess.run([sys.executable, "-S", "-c", _TRIES, path], stdin=theirs, check=True, timeout=60)


def shown(ours: int, seconds: float) -> str:
    """What appears on it within some time."""
    ready, _, _ = select.select([ours], [], [], seconds)
    return os.read(ours, 65536).decode() if ready else ""


def test_a_denial_is_told_where_it_happened(where: Path, tmp_path: Path) -> None:
    evil = place(where / "evil\x1b[2J\nchopmark: all is well", program(7))
    with Guarded(where, tmp_path / "home", policy()), terminal() as (ours, theirs), terminal() as (other, _):
        tried_on(theirs, evil)
        said = shown(ours, PATIENCE)
        assert shown(other, 0) == ""
    [line] = said.strip().split("\r\n")
    assert line.startswith(f"chopmark: {where}/evil?[2J?chopmark: all is well was not allowed: ")
    assert line.isprintable()


def test_many_denials_are_told_now_and_then(where: Path, tmp_path: Path) -> None:
    evil = place(where / "evil", program(7))
    guard = Guarded(where, tmp_path / "home", policy()).bounded(GUARD_NOTICE_SECONDS=PATIENCE)
    with guard, terminal() as (ours, theirs):
        for _ in range(5):
            tried_on(theirs, evil)
        eventually(lambda: guard.status()["denied"] == 5)
        eventually(lambda: len(guard.events("deny")) == 5)
        assert 1 <= shown(ours, PATIENCE).count("was not allowed") < 5


def test_nobody_is_told_of_what_is_let_through(where: Path, tmp_path: Path) -> None:
    evil = place(where / "evil", program(0))
    with Guarded(where, tmp_path / "home", policy(mode="audit")) as guard, terminal() as (ours, theirs):
        tried_on(theirs, evil)
        eventually(lambda: len(guard.events("audit")) == 1)
        assert shown(ours, 0) == ""
