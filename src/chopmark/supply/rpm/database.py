"""rpm's records of a host: rpmdb.sqlite, copied first, and then read as what a stranger may have made of it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress

from chopmark.core import limits
from chopmark.core.artifact import UnreadableError
from chopmark.core.errors import InputError, UsageError
from chopmark.core.patch import WriteError
from chopmark.engine.services.rooted import Root

_FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")
"""Where it is: on newer hosts, on all others, and where /usr is delivered whole (rpm-ostree)."""
_NAME, _LOG = "rpmdb.sqlite", "-wal"
_OTHERS = {"Packages.db": "ndb's", "Packages": "Berkeley DB's"}
_STEPS = 10_000
_ALLOWED = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
_TABLES = ("Packages", "sqlite_master")


class Database:
    """A copy of the records below a root, in a folder of ours."""

    def __init__(self, root: str, folder: str) -> None:
        """Raises InputError, and UsageError for records that are not rpm's or change meanwhile."""
        self._path = os.path.join(folder, _NAME)
        with Root(root) as below:
            place = _place(below)
            _copy(below, place, self._path)
            with suppress(UnreadableError):  # nothing was written since all was put into place
                _copy(below, place + _LOG, self._path + _LOG)
        self.numbers = self._numbers(place)
        """The records there are, in the order in which they were installed."""

    def record(self, number: int) -> bytes:
        """The header of an installed package. Raises sqlite3.Error."""
        with closing(self._opened()) as connection:
            row = connection.execute("SELECT blob FROM Packages WHERE hnum = ?", (number,)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise sqlite3.DataError("no such record")
        return row[0]

    def _numbers(self, place: str) -> list[int]:
        try:
            with closing(sqlite3.connect(self._path)) as connection:
                connection.execute(
                    "PRAGMA journal_mode = DELETE"
                )  # the log goes into the copy, which several then read
            with closing(self._opened()) as connection:
                _require_table(connection)
                rows = connection.execute("SELECT hnum FROM Packages").fetchmany(limits.RPM_PACKAGES_MAX + 1)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise UsageError(f"{place}: not a database of rpm's: {error}") from None
        numbers = [row[0] for row in rows if isinstance(row[0], int)]
        if len(numbers) > limits.RPM_PACKAGES_MAX or len(set(numbers)) != len(rows):
            raise UsageError(f"{place}: not a database of rpm's: {len(rows)} packages, or some twice")
        return sorted(numbers)

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


def _place(below: Root) -> str:
    for folder in _FOLDERS:
        found = below.get(f"{folder}/{_NAME}")
        if found is not None:
            return found.path
    for folder in _FOLDERS:
        for name, whose in _OTHERS.items():
            if below.get(f"{folder}/{name}") is not None:
                raise UsageError(
                    f"{below.outside(folder)}/{name}: the database is {whose}; rebuild a copy of it with SQLite: "
                    "rpmdb --rebuilddb --define '_db_backend sqlite'"
                )
    raise InputError(f"{below.outside(_FOLDERS[1])}: no database of rpm's")


def _copy(below: Root, place: str, target: str) -> None:
    """Copy a file of the database. Raises UnreadableError, UsageError, WriteError."""
    with below.artifact(place) as file:
        if file.view.size > limits.RPM_DATABASE_MAX:
            raise UsageError(f"{file.name}: {file.view.size} bytes; at most {limits.RPM_DATABASE_MAX} are read")
        try:
            with open(target, "wb") as copy:
                copy.writelines(file.chunks())
        except OSError as error:
            raise WriteError(f"{target}: not written ({os.strerror(error.errno or 0)})") from error
        if file.view.changed():
            raise UsageError(f"{file.name}: it changed while it was being read; do so when nothing is being installed")
