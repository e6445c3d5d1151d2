"""What is known about contents: facts by digest, in memory and in a database that outlives the process.

The database is a cache: whatever happens to it (locked, full, corrupt), the guard goes on and looks again.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from chopmark.agent import records
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.policy.facts import FileFacts

_SCHEMA = """
CREATE TABLE IF NOT EXISTS verdict (key TEXT PRIMARY KEY, until REAL NOT NULL, facts TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    device INTEGER NOT NULL, inode INTEGER NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL, seen REAL NOT NULL,
    PRIMARY KEY (device, inode)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS input (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_VERSION = 1


class Known(NamedTuple):
    """Facts, and until when (seconds since 1970) they hold without another look at certificates and lists."""

    facts: FileFacts
    until: float


class Memory:
    """Safe for threads. Keys are those of `records.key`; the file's path is no part of what is kept."""

    def __init__(self, path: str, trouble: Callable[[str], None]) -> None:
        """Open the database, or make it anew when it is no good; `trouble` is told of what does not work."""
        self._path = path
        self._trouble = trouble
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._writes: queue.SimpleQueue[tuple[str, tuple[object, ...]] | None] = queue.SimpleQueue()
        self._troubled = 0.0
        try:
            self._database = self._opened()
        except (sqlite3.Error, OSError) as error:
            self._complain(error)
        self._writer = threading.Thread(target=self._write, name="memory", daemon=True)

    def start(self) -> None:
        """Begin to write what is learnt."""
        self._writer.start()

    def __len__(self) -> int:
        return len(self._known)

    def _opened(self) -> sqlite3.Connection:
        if not self._path:
            return self._made(":memory:")
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        try:
            return self._made(self._path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, full: it may be good
                raise
            self._complain(error)
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path + suffix)
            return self._made(self._path)

    def _made(self, path: str) -> sqlite3.Connection:
        database = sqlite3.connect(path, timeout=limits.GUARD_DATABASE_SECONDS, check_same_thread=False)
        database.isolation_level = None
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if database.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
            database.executescript(
                "DROP TABLE IF EXISTS verdict; DROP TABLE IF EXISTS file; DROP TABLE IF EXISTS input"
            )
        database.executescript(_SCHEMA)
        database.execute(f"PRAGMA user_version = {_VERSION}")
        if path != ":memory:":
            os.chmod(path, 0o600)
        return database

    def get(self, key: str) -> FileFacts | None:
        """The facts that are known, while they hold."""
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
        if known is None:
            known = self._stored(key)
            if known is not None:
                self._remember(key, known)
        return known.facts if known is not None and known.until > time.time() else None

    def put(self, key: str, facts: FileFacts, until: float) -> None:
        """Know facts until then."""
        self._remember(key, Known(facts, until))
        self._writes.put(("INSERT OR REPLACE INTO verdict VALUES (?, ?, ?)", (key, until, records.encoded(facts))))

    def seen(self, device: int, inode: int, key: str, path: str) -> None:
        """Note which content a file had; for people and for looking at what runs, never for an answer."""
        row = (device, inode, key, path.encode(errors="surrogateescape").decode(errors="replace"), time.time())
        self._writes.put(("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)", row))

    def forget(self, touched: Callable[[FileFacts], bool]) -> int:
        """Drop the facts that a change touches, and only those; how many there were."""
        with self._lock:
            gone = [key for key, known in self._known.items() if touched(known.facts)]
            for key in gone:
                del self._known[key]
        stored = [key for key, known in self._everything() if touched(known.facts)]
        for key in stored:
            self._writes.put(("DELETE FROM verdict WHERE key = ?", (key,)))
        return len({*gone, *stored})

    def inputs(self) -> dict[str, str]:
        """What the facts in the database depended on when they were written."""
        return dict(self._asked("SELECT name, value FROM input"))

    def depend(self, inputs: dict[str, str]) -> None:
        """From now on they depend on this."""
        self._writes.put(("DELETE FROM input", ()))
        for row in inputs.items():
            self._writes.put(("INSERT OR REPLACE INTO input VALUES (?, ?)", row))

    def close(self) -> None:
        """Write what waits, and close."""
        if self._writer.is_alive():
            self._writes.put(None)
            self._writer.join(limits.GUARD_STOP_SECONDS)
        if self._database is not None:
            self._database.close()
            self._database = None

    def _remember(self, key: str, known: Known) -> None:
        with self._lock:
            self._known[key] = known
            while len(self._known) > limits.GUARD_KNOWN_MAX:
                self._known.popitem(last=False)

    def _stored(self, key: str) -> Known | None:
        for until, text in self._asked("SELECT until, facts FROM verdict WHERE key = ?", (key,)):
            facts = records.decoded(text)
            if facts is not None:
                return Known(facts, until)
        return None

    def _everything(self) -> Iterator[tuple[str, Known]]:
        for key, until, text in self._asked("SELECT key, until, facts FROM verdict"):
            facts = records.decoded(text)
            if facts is not None:
                yield key, Known(facts, until)

    def _asked(self, question: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        if self._database is None:
            return []
        try:
            return self._database.execute(question, values).fetchall()
        except sqlite3.Error as error:
            self._complain(error)
            return []

    def _write(self) -> None:
        while (first := self._writes.get()) is not None:
            waiting = [first]
            while not self._writes.empty() and len(waiting) < limits.GUARD_WRITES_MAX:
                following = self._writes.get()
                if following is None:
                    self._written(waiting)
                    return
                waiting.append(following)
            self._written(waiting)

    def _written(self, waiting: list[tuple[str, tuple[object, ...]]]) -> None:
        if self._database is None:
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            for statement, values in waiting:
                self._database.execute(statement, values)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:  # what is not kept is looked at again after the next start
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._troubled > limits.GUARD_NOTICE_SECONDS or not self._troubled:
            self._troubled = now
            self._trouble(f"the database of verdicts: {error}; the guard goes on without it")
