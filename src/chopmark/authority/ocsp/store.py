"""Answers that were signed ahead, in a file beside the responders' keys: a cache, which can be thrown away.

An answer is kept without the responder's certificate, which is the same for all. It counts while it is young enough,
while the register still says what it says, and while the certificate of who signed it is there.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from typing import TYPE_CHECKING

from chopmark.core.errors import ChopmarkError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chopmark.authority.register.status import State

FILE = "answers.sqlite3"
_VERSION = 1
_BUSY_SECONDS = 30
_CHECKPOINT_PAGES = 16_384
"""Pages of 4 KiB that are written ahead before they get into the file, which waits for the disk: 64 MiB."""
_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    issuer INTEGER NOT NULL,
    serial TEXT NOT NULL,
    state TEXT NOT NULL,
    delegate TEXT NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    data BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (issuer, serial)
) WITHOUT ROWID
"""


class StoreError(ChopmarkError):
    """The file of answers could not be read or written."""


class Kept(NamedTuple):
    """An answer: about which certificate, in which state, by which responder, its times (Unix), what was signed."""

    serial: str
    state: str
    delegate: str
    this_update: int
    next_update: int
    data: bytes
    signature: bytes


def state_text(state: State) -> str:
    """What an answer says about a certificate, to be compared."""
    return " ".join(str(part or "") for part in state)


class AnswerStore:
    """Answers by CA and serial number. Several threads and processes may use one file. Raises StoreError."""

    def __init__(self, folder: str) -> None:
        """The file is made with the first answer that is put into it."""
        self._path = os.path.join(folder, FILE)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def get(self, issuer: int, serial: str) -> Kept | None:
        """The answer about a certificate."""
        with self._using(create=False) as connection:
            if connection is None:
                return None
            query = (
                "SELECT serial, state, delegate, this_update, next_update, data, signature "
                "FROM answers WHERE issuer = ? AND serial = ?"
            )
            row = connection.execute(query, (issuer, serial)).fetchone()
        return Kept(*row) if row else None

    def known(self, issuer: int, serials: Sequence[str]) -> dict[str, tuple[str, str, int, int]]:
        """State, responder and times of the answers about these certificates."""
        with self._using(create=False) as connection:
            if connection is None:
                return {}
            query = (
                "SELECT serial, state, delegate, this_update, next_update FROM answers "
                "WHERE issuer = ? AND serial IN (SELECT value FROM json_each(?))"
            )
            rows = connection.execute(query, (issuer, json.dumps(serials))).fetchall()
        return {row[0]: row[1:] for row in rows}

    def several(self, issuer: int, serials: Sequence[str]) -> list[Kept]:
        """The answers about these certificates, as far as there are some."""
        with self._using(create=False) as connection:
            if connection is None:
                return []
            query = (
                "SELECT serial, state, delegate, this_update, next_update, data, signature FROM answers "
                "WHERE issuer = ? AND serial IN (SELECT value FROM json_each(?))"
            )
            rows = connection.execute(query, (issuer, json.dumps(serials))).fetchall()
        return [Kept(*row) for row in rows]

    def newer(self, since: int) -> int:
        """How many answers were signed after this time (Unix)."""
        with self._using(create=False) as connection:
            if connection is None:
                return 0
            return int(connection.execute("SELECT count(*) FROM answers WHERE this_update > ?", (since,)).fetchone()[0])

    def put(self, issuer: int, answers: Iterable[Kept]) -> None:
        """Keep answers, in place of earlier ones about the same certificates."""
        with self._using(create=True) as connection:
            if connection is not None:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    ((issuer, *answer) for answer in answers),
                )
                connection.execute("COMMIT")

    def forget(self, before: int) -> int:
        """Drop the answers that ended before a time (Unix); how many."""
        with self._using(create=False) as connection:
            if connection is None:
                return 0
            return connection.execute("DELETE FROM answers WHERE next_update < ?", (before,)).rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _using(self, *, create: bool) -> Iterator[sqlite3.Connection | None]:
        with self._lock:
            try:
                if self._connection is None:
                    if not create and not os.path.isfile(self._path):
                        yield None
                        return
                    self._connection = self._open()
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                if self._connection is not None:
                    with contextlib.suppress(sqlite3.Error):
                        self._connection.close()
                self._connection = None
                message = f"{self._path}: {error}"
                raise StoreError(message) from None

    def _open(self) -> sqlite3.Connection:
        os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute("PRAGMA synchronous = NORMAL")  # what is lost with the power is signed again
        if connection.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
            connection.execute("DROP TABLE IF EXISTS answers")
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        return connection
