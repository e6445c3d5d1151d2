"""An authority whose machine fails it: processes that are killed, no room, a database that is locked or damaged."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.ca import Authority
from chopmark.authority.register import database
from chopmark.authority.register.configuration import DATABASE
from chopmark.authority.register.database import DatabaseError
from chopmark.core.errors import ChopmarkError
from tests.support import killing
from tests.unit.authority.conftest import order

if TYPE_CHECKING:
    from tests.unit.authority.conftest import Clock


def test_killed_at_any_moment(authority: Authority) -> None:
    """`make interop` kills some hundreds of times, also with PostgreSQL."""
    folder = authority.folder
    authority.close()
    handed_out = killing.kill(folder, 10, random.Random(1045), longest=0.06)  # noqa: S311 - moments, not secrets
    assert len(handed_out) >= 7
    killing.check(folder, handed_out)


def _issue_until_full(folder: str, pipe: int, more: int) -> None:
    """Issue until a file would be longer than is allowed; tell the serial numbers, and then the error."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = max(path.stat().st_size for path in Path(folder).iterdir() if path.is_file()) + more
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with Authority.open(folder) as authority:
        try:
            for _ in range(1000):
                os.write(pipe, f"{authority.issue(order('internal')).serial}\n".encode())
        except ChopmarkError as error:
            os.write(pipe, f"{type(error).__name__} {error}\n".encode())


@pytest.mark.parametrize("more", [0, 1, 5000, 30_000])
def test_no_room_for_the_database(authority: Authority, more: int) -> None:
    folder = authority.folder
    authority.close()
    reading, writing = os.pipe()
    worker = multiprocessing.get_context("fork").Process(target=_issue_until_full, args=(folder, writing, more))
    worker.start()
    os.close(writing)
    with os.fdopen(reading) as told:
        lines = told.read().splitlines()
    worker.join()
    assert worker.exitcode == 0
    assert lines[-1].startswith(("DatabaseError ", "WriteError "))
    killing.check(folder, lines[:-1])


def test_a_database_that_somebody_else_holds(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = authority.folder
    authority.close()
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0)
    with closing(sqlite3.connect(Path(folder) / DATABASE)) as other, Authority.open(folder) as waiting:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="locked"):
            waiting.issue(order("internal"))
        other.rollback()
        assert waiting.issue(order("internal")).serial


def test_a_damaged_database_is_one_line(authority: Authority, clock: Clock) -> None:
    for _ in range(5):
        authority.issue(order("internal"))
    authority.close()
    path = Path(authority.folder) / DATABASE
    raw = path.read_bytes()
    luck = random.Random(3)  # noqa: S311 - places to damage
    seen: list[ChopmarkError] = []
    for _ in range(12):
        damaged = bytearray(raw)
        for _ in range(3):
            page = luck.randrange(len(raw) // 4096) * 4096
            damaged[page : page + 4096] = luck.randbytes(4096)
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        path.write_bytes(damaged)
        try:
            with Authority.open(authority.folder, clock=clock) as opened:
                opened.issue(order("internal"))
                opened.register.search(clock())
        except ChopmarkError as error:
            seen.append(error)
    assert any(isinstance(error, DatabaseError) for error in seen)
    assert [str(error) for error in seen if "\n" in str(error)] == []
