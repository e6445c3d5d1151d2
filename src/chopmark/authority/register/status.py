"""What the register says about serial numbers, for those who answer about them often: by index, in batches, by change.

A cached answer holds as long as nothing was done with its certificate. What was done is in the table of events, whose
numbers only grow, because there is one writer at a time.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select, tuple_

from chopmark.authority.register.schema import certificates, events
from chopmark.core import limits
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chopmark.authority.register.database import Database


class State(NamedTuple):
    """What became of a certificate: when it expires, when and why it was revoked, since when its key is doubtful."""

    not_after: dt.datetime
    revoked: dt.datetime | None = None
    reason: int = 0
    invalidity: dt.datetime | None = None


class Changes(NamedTuple):
    """The number of the last event, and with which certificates (issuer, serial) something was done; None: too many."""

    last: int
    touched: frozenset[tuple[int, str]] | None


_columns = certificates.c
_STATE = (_columns.serial, _columns.not_after, _columns.revoked, _columns.reason, _columns.invalidity)
_LOOK_UP = select(*_STATE).where(
    _columns.issuer == bindparam("issuer"),
    _columns.serial.in_(bindparam("serials", expanding=True)),
    _columns.certificate.is_not(None),  # a number that is only reserved is nobody's
)
# In the order of an index, and by nothing else: with more to choose by, a planner may sort a million rows each time.
_PAGE = (
    select(_columns.issuer, _columns.certificate.is_not(None).label("exists"), *_STATE)
    .where(tuple_(_columns.issuer, _columns.serial) > tuple_(bindparam("issuer"), bindparam("serial")))
    .order_by(_columns.issuer, _columns.serial)
    .limit(bindparam("count"))
)
_LOOK_UP_SQLITE = """
SELECT serial, not_after, revoked, reason, invalidity FROM certificates
WHERE issuer = ? AND serial IN (SELECT value FROM json_each(?)) AND certificate IS NOT NULL
"""
"""The same as _LOOK_UP, for a connection without a layer above it: a look-up then costs a tenth."""
_CHANGES = (
    select(events.c.id, events.c.issuer, events.c.serial)
    .where(events.c.id > bindparam("since"))
    .order_by(events.c.id)
    .limit(limits.OCSP_CHANGES_MAX + 1)
)


_EVENT = select(events.c.at, events.c.action, events.c.issuer, events.c.serial).where(
    events.c.id == bindparam("number")
)


class Statuses:
    """Looks serial numbers up. Several threads may use it at once. Raises DatabaseError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watch = _SqliteWatch(database.path) if database.path else _TimedWatch()
        self._lock = threading.Lock()
        self._seen: object = None
        self._last = 0

    def close(self) -> None:
        """Give the connection back that watches the database."""
        self._watch.close()

    def look_up(self, issuer: int, serials: Sequence[str]) -> dict[str, State]:
        """What became of certificates, by serial number; those that were never issued are left out."""
        if isinstance(self._watch, _SqliteWatch):
            found = self._watch.look_up(issuer, serials)
            if found is not None:
                return found
        with self._database.reading() as connection:
            rows = connection.execute(_LOOK_UP, {"issuer": issuer, "serials": list(serials)}).all()
        return {row.serial: State(row.not_after, row.revoked, row.reason or 0, row.invalidity) for row in rows}

    def pages(self, at: Callable[[], dt.datetime], count: int) -> Iterator[list[tuple[int, str, State]]]:
        """All certificates (issuer, serial, state) that have not expired when their page is read, in this order.

        Those that are issued meanwhile may be missing.
        """
        after = -1, ""
        while True:
            last, page = self._page(at(), after, count)
            if last is None:
                return
            after = last
            if page:
                yield page

    def _page(
        self, at: dt.datetime, after: tuple[int, str], count: int
    ) -> tuple[tuple[int, str] | None, list[tuple[int, str, State]]]:
        """The next certificates, and after whom to go on; None when it was all."""
        with self._database.reading() as connection:
            rows = connection.execute(_PAGE, {"issuer": after[0], "serial": after[1], "count": count}).all()
        found = [
            (row.issuer, row.serial, State(row.not_after, row.revoked, row.reason or 0, row.invalidity))
            for row in rows
            if row.exists and row.not_after >= at
        ]
        return ((rows[-1].issuer, rows[-1].serial) if rows else None), found

    def changes(self, apply: Callable[[Changes], None]) -> None:
        """Have what was done since the last call applied, before this or any other call returns.

        Costs microseconds when nothing was. With SQLite every change is noticed at once; in another database within
        OCSP_RECHECK_SECONDS.
        """
        stamp = self._watch.stamp()
        if stamp == self._seen:
            return
        with self._lock:
            if stamp == self._seen:
                return
            found = self.since(self._last)
            if found.last != self._last or found.touched is None:
                apply(found)
            self._seen, self._last = stamp, found.last

    def mark(self, event: int | None = None) -> tuple[int, str]:
        """The number of an event, the last one if none is named, and what it was: tells registers with another past.

        A number that no event has comes with an empty text.
        """
        with self._database.reading() as connection:
            number = (connection.scalar(select(func.max(events.c.id))) or 0) if event is None else event
            row = connection.execute(_EVENT, {"number": number}).first()
        return number, " ".join(map(str, row)) if row else ""

    def since(self, last: int) -> Changes:
        """What was done after an event."""
        with self._database.reading() as connection:
            newest = connection.scalar(select(func.max(events.c.id))) or 0
            if last == 0 or newest < last:  # the beginning; or a register that was restored from a backup
                return Changes(newest, None)
            rows = connection.execute(_CHANGES, {"since": last}).all()
        if len(rows) > limits.OCSP_CHANGES_MAX:
            return Changes(newest, None)
        return Changes(newest, frozenset((row.issuer, row.serial) for row in rows))


class _SqliteWatch:
    """A connection of its own: notices for the price of a look at shared memory that any other changed the file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def stamp(self) -> object:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                return self._connection.execute("PRAGMA data_version").fetchone()[0]
            except sqlite3.Error:
                self._connection = None
                return object()  # equal to nothing: look, and let the database itself say what is wrong

    def look_up(self, issuer: int, serials: Sequence[str]) -> dict[str, State] | None:
        """What became of certificates; None when the file cannot be read in this way."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                rows = self._connection.execute(_LOOK_UP_SQLITE, (issuer, json.dumps(serials))).fetchall()
            except sqlite3.Error:
                self._connection = None
                return None
        return {row[0]: State(_moment(row[1]), _maybe(row[2]), row[3] or 0, _maybe(row[4])) for row in rows}

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.close()
            self._connection = None


def _moment(text: str) -> dt.datetime:
    """As schema.Moment keeps it."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def _maybe(text: str | None) -> dt.datetime | None:
    return _moment(text) if text else None


class _TimedWatch:
    """Has no means to notice, so it lets look every now and then."""

    def stamp(self) -> object:
        return int(time.monotonic() / limits.OCSP_RECHECK_SECONDS)

    def close(self) -> None:
        """There is nothing to close."""
