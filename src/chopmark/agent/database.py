"""The database of verdicts: what is known about contents, for after a restart. It is a cache.

Whatever happens to it (locked, full, corrupt), the guard goes on and looks again. What is written is written by a
thread of its own, some time later and much at once: whoever waits for an answer needs the processor more.
"""

from __future__ import annotations

import collections
import contextlib
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

from chopmark.agent import records
from chopmark.core import limits
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from chopmark.policy.facts import FileFacts

    _Statement = tuple[str, tuple[object, ...]]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS verdict (
    key TEXT PRIMARY KEY, until REAL NOT NULL, facts TEXT NOT NULL, seals BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seals (known_by BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    device INTEGER NOT NULL, inode INTEGER NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL, seen REAL NOT NULL,
    PRIMARY KEY (device, inode)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS input (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_TABLES = ("verdict", "seals", "file", "input")
_VERSION = 2
_KNOWN = "SELECT key, until, facts, text FROM verdict JOIN seals ON seals.known_by = verdict.seals"


class Known(NamedTuple):
    """Facts, and until when (seconds since 1970) they hold without another look at certificates and lists."""

    facts: FileFacts
    until: float


class _Maybe:
    """Which keys may be in the database: nearly nobody else needs to ask it (Bloom 1970, two hashes)."""

    def __init__(self) -> None:
        self._bits = bytearray(limits.GUARD_MAYBE_BYTES)

    def add(self, key: str) -> None:
        for bit in self._places(key):
            self._bits[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, key: str) -> bool:
        first, second = self._places(key)
        bits = self._bits
        return bool(bits[first >> 3] >> (first & 7) & bits[second >> 3] >> (second & 7) & 1)

    def _places(self, key: str) -> tuple[int, int]:
        number, size = hash(key), 8 * len(self._bits)
        return number % size, (number >> 32) % size


class Database:
    """Safe for threads."""

    def __init__(self, path: str, trouble: Callable[[str], None]) -> None:
        """Open it, or make it anew when it is no good (an empty path: in memory); `trouble` is told what is wrong."""
        self._path = path
        self._trouble = trouble
        self._lock = threading.Lock()
        self._waiting: collections.deque[Iterable[_Statement]] = collections.deque()
        self._changed: dict[str, Known | None] = {}
        self._maybe = _Maybe()
        self._wake = threading.Event()
        self._ending = False
        self._troubled = 0.0
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = self._opened()
        except (sqlite3.Error, OSError) as error:
            self._complain(error)
        for rows in self._pieces("SELECT key FROM verdict"):
            for (key,) in rows:
                self._maybe.add(key)
        self._writer = threading.Thread(target=self._write, name="database", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    def close(self) -> None:
        """Write what waits, and close."""
        if self._writer.is_alive():
            self._ending = True
            self._wake.set()
            self._writer.join(limits.GUARD_STOP_SECONDS)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- what is known

    def get(self, key: str) -> Known | None:
        """What is known of a content."""
        with self._lock:
            if key in self._changed:
                return self._changed[key]
            if key not in self._maybe:
                return None
        return next((known for _, known in _decoded(self._asked(f"{_KNOWN} WHERE key = ?", (key,)))), None)

    def everything(self) -> Iterator[tuple[str, Known]]:
        """All of it, a piece at a time; what was changed and is not written yet counts."""
        with self._lock:
            changed = dict(self._changed)
        for key, known in changed.items():
            if known is not None:
                yield key, known
        for rows in self._pieces(_KNOWN):
            for key, known in _decoded(rows):
                if key not in changed:
                    yield key, known

    def put(self, key: str, known: Known) -> None:
        """Have something written; when too much waits, it is looked at again after a restart instead."""
        with self._lock:
            if len(self._changed) < limits.GUARD_WRITES_WAITING_MAX:
                self._changed[key] = known

    def forget(self, keys: Iterable[str]) -> None:
        """Have something taken out; it is not known any more from now on, even if that cannot be written."""
        with self._lock:
            self._changed.update(dict.fromkeys(keys))

    def seen(self, device: int, inode: int, key: str, path: str) -> None:
        """Note which content a file had; for people, never for an answer."""
        if len(self._waiting) < limits.GUARD_WRITES_WAITING_MAX:
            self._waiting.append(_seen(device, inode, key, path, time.time()))

    def inputs(self) -> dict[str, str]:
        """What all of it depended on when it was written."""
        return dict(self._asked("SELECT name, value FROM input"))

    def depend(self, inputs: dict[str, str]) -> None:
        """From now on it depends on this; written after what was forgotten before."""
        self._waiting.append(_depending(inputs))

    # --- reading and writing

    def _pieces(self, question: str) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of verdicts, each with its key first."""
        ordered = f"{question} WHERE key > ? ORDER BY key LIMIT {limits.GUARD_WRITES_MAX}"
        rows = self._asked(ordered, ("",))
        while rows:
            yield rows
            rows = self._asked(ordered, (rows[-1][0],))

    def _asked(self, question: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(question, values).fetchall()
        except sqlite3.Error as error:
            self._complain(error)
            return []

    def _write(self) -> None:
        cleaned, ending = 0.0, False
        while not ending:
            self._wake.wait(limits.GUARD_WRITING_SECONDS)
            ending = self._ending
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            with self._lock:
                changed = dict(self._changed)
            self._write_down(changed, waiting)
            if time.monotonic() - cleaned > limits.GUARD_VERDICT_SECONDS or not cleaned:
                cleaned = time.monotonic()
                self._written(_old(time.time()))

    def _write_down(self, changed: dict[str, Known | None], waiting: list[Iterable[_Statement]]) -> None:
        """Changes first: what is said to depend on something else must not have any of the old in it."""
        keys = list(changed)
        for key in keys:
            self._maybe.add(key)  # before it is only there, and not by who waits for an answer
        for start in range(0, len(keys), limits.GUARD_WRITES_MAX):
            several = keys[start : start + limits.GUARD_WRITES_MAX]
            written = self._written(each for key in several for each in _changing(key, changed[key]))
            with self._lock:
                for key in several:
                    if self._changed.get(key) is changed[key] and (written or changed[key] is not None):
                        del self._changed[key]
            if not written and None in (changed[key] for key in several):
                return  # the database has what nobody may believe, and goes on to say what it depended on
        for start in range(0, len(waiting), limits.GUARD_WRITES_MAX):
            self._written(each for work in waiting[start : start + limits.GUARD_WRITES_MAX] for each in work)

    def _written(self, statements: Iterable[_Statement]) -> bool:
        if self._connection is None:
            return False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for number, (statement, values) in enumerate(statements, 1):
                self._connection.execute(statement, values)
                if number % limits.GUARD_WRITES_AT_ONCE == 0 and not self._ending:
                    time.sleep(limits.GUARD_WRITES_PAUSE_SECONDS)  # whoever waits for an answer has its turn
            self._connection.execute("COMMIT")
        except (sqlite3.Error, ArithmeticError, ValueError) as error:  # it is looked at again after the next start
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            self._complain(error)
            return False
        return True

    # --- the file

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
        connection = sqlite3.connect(path, timeout=limits.GUARD_DATABASE_SECONDS, check_same_thread=False)
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{limits.GUARD_DATABASE_KIB}")
        if connection.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
            connection.executescript(";".join(f"DROP TABLE IF EXISTS {name}" for name in _TABLES))
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        if path != ":memory:":
            os.chmod(path, 0o600)
        return connection

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._troubled > limits.GUARD_NOTICE_SECONDS or not self._troubled:
            self._troubled = now
            self._trouble(f"the database of verdicts: {error}; the guard goes on without it")


def _decoded(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[str, Known]]:
    for key, until, text, seals in rows:
        facts = records.decoded(text, seals)
        if facts is not None:
            yield key, Known(facts, until)


def _changing(key: str, known: Known | None) -> Iterator[_Statement]:
    if known is None:
        yield "DELETE FROM verdict WHERE key = ?", (key,)
        return
    known_by, text = records.sealed(known.facts.seals)
    yield "INSERT OR IGNORE INTO seals VALUES (?, ?)", (known_by, text)
    row = key, known.until, records.encoded(known.facts), known_by
    yield "INSERT OR REPLACE INTO verdict VALUES (?, ?, ?, ?)", row


def _depending(inputs: dict[str, str]) -> Iterator[_Statement]:
    yield "DELETE FROM input", ()
    for row in inputs.items():
        yield "INSERT OR REPLACE INTO input VALUES (?, ?)", row


def _seen(device: int, inode: int, key: str, path: str, at: float) -> Iterator[_Statement]:
    readable = path.encode(errors="surrogateescape").decode(errors="replace")
    number = int.from_bytes(inode.to_bytes(8), signed=True)  # SQLite has no more; overlays use the highest bit
    yield "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)", (device, number, key, readable, at)


def _old(now: float) -> Iterator[_Statement]:
    """Nothing is kept that no longer helps."""
    yield "DELETE FROM verdict WHERE until < ?", (now,)
    yield "DELETE FROM seals WHERE known_by NOT IN (SELECT seals FROM verdict)", ()
    yield "DELETE FROM file WHERE seen < ?", (now - limits.GUARD_SEEN_SECONDS,)
