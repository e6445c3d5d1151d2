"""rpm's records in SQLite (rpmdb.sqlite): one table of a file that a stranger may have made."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from chopmark.core import limits
from chopmark.supply.rpm.records import DatabaseError

LOG = "-wal"
"""What the name of the log ends in, which has what was not put into place yet."""
_STEPS = 10_000
_ALLOWED = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
_TABLES = ("Packages", "sqlite_master")


class Sqlite:
    """The table of packages in a copy, which is written to: the log goes into it, so that several can read."""

    def __init__(self, path: str) -> None:
        """Raises DatabaseError."""
        self._path = path
        try:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA journal_mode = DELETE")
            with closing(self._opened()) as connection:
                _require_table(connection)
                rows = connection.execute("SELECT hnum FROM Packages").fetchmany(limits.RPM_PACKAGES_MAX + 1)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise DatabaseError(str(error)) from None
        self.numbers = [row[0] for row in rows]

    def record(self, number: int) -> bytes:
        """The header with this number. Raises DatabaseError."""
        try:
            with closing(self._opened()) as connection:
                row = connection.execute("SELECT blob FROM Packages WHERE hnum = ?", (number,)).fetchone()
        except sqlite3.Error as error:
            raise DatabaseError(str(error)) from None
        if row is None or not isinstance(row[0], bytes):
            raise DatabaseError("no such record")
        return row[0]

    def _opened(self) -> sqlite3.Connection:
        """A connection that can read one table, and call nothing that a schema may define."""
        connection = sqlite3.connect(self._path)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA mmap_size = 0")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.RPM_HEADER_MAX)
        connection.set_authorizer(_allowed)
        left = iter(range(limits.RPM_DATABASE_STEPS_MAX // _STEPS))
        connection.set_progress_handler(lambda: next(left, None) is None, _STEPS)
        return connection


def _allowed(action: int, first: str | None, second: str | None, database: str | None, inner: str | None) -> int:  # noqa: ARG001 - as SQLite calls it
    fitting = action in _ALLOWED and inner is None and (action != sqlite3.SQLITE_READ or first in _TABLES)
    return sqlite3.SQLITE_OK if fitting else sqlite3.SQLITE_DENY


def _require_table(connection: sqlite3.Connection) -> None:
    """Packages must be a plain table: neither a view nor one that a module makes up (which has no root page)."""
    rows = connection.execute("SELECT type, rootpage FROM sqlite_master WHERE name = 'Packages'").fetchmany(2)
    if len(rows) != 1 or rows[0][0] != "table" or not rows[0][1]:
        raise sqlite3.DataError("no table of packages")
