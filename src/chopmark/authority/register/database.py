"""The connection to an authority's database: durable, one writer at a time, errors in one line.

SQLite in a file, or PostgreSQL by URL; what is above does not notice which.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from chopmark.authority.register import migrations, schema
from chopmark.core.errors import ChopmarkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import URL, Connection, Engine

_BUSY_SECONDS = 30
"""How long to wait for another process that is writing."""
_STALLED_SECONDS = 600
"""A transaction that does nothing for so long is ended by PostgreSQL, so that a stopped process stops nobody else."""
_CONNECT_SECONDS = 10
_WRITER_LOCK = 0x63686F70
"""The first half of the advisory lock of PostgreSQL that writers hold ("chop"); the second is the schema's name."""

_SCHEMES = ("postgresql", "postgres")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class DatabaseError(ChopmarkError):
    """The database could not be read or written.

    Nothing was changed by the step that failed; only where the connection was lost at its very end nobody knows.
    """


def is_url(place: str) -> bool:
    """Whether a database is named by URL; a path otherwise."""
    return _SCHEME.match(place) is not None


def postgresql_url(place: str) -> URL:
    """The URL of a PostgreSQL database. Raises UsageError for another one, and for one that gives a password away."""
    found = _SCHEME.match(place)
    if not found or found[1] not in _SCHEMES:
        message = f"not a database for an authority: {place!r} (postgresql://USER@HOST/NAME)"
        raise UsageError(message)
    try:
        url = make_url(f"postgresql+psycopg://{place[found.end() :]}")
    except (ArgumentError, ValueError):
        message = "not a database for an authority: the URL cannot be read (postgresql://USER@HOST/NAME)"
        raise UsageError(message) from None
    if url.password is not None or "password" in url.query:
        message = "a password does not stand in the database's URL: use ~/.pgpass, PGPASSFILE or PGPASSWORD"
        raise UsageError(message)
    return url


class Database:
    """An authority's database. Every method raises DatabaseError when the database fails."""

    def __init__(self, place: str) -> None:
        """Open the SQLite file at a path (made when it is not there), or the PostgreSQL database of a URL.

        Nothing is connected yet. Raises UsageError for a URL that cannot be used.
        """
        self.place = place
        self._engine: Engine = _postgresql(postgresql_url(place)) if is_url(place) else _sqlite(place)

    @property
    def path(self) -> str:
        """The file that it is in; empty when it is on a server."""
        return "" if is_url(self.place) else self.place

    def create(self) -> None:
        """Make the tables of a new database. Raises UsageError when there are some already."""
        with self._reported(), self.writing() as connection:
            if inspect(connection).get_table_names():
                message = f"{self.place}: this database is not empty; a new authority needs one of its own"
                raise UsageError(message)
            schema.metadata.create_all(connection)
            connection.execute(insert(schema.revision).values(version_num=migrations.head()))

    def drop(self) -> None:
        """Take the tables away again."""
        with self.writing() as connection:
            schema.metadata.drop_all(connection)

    def revision(self, connection: Connection) -> str:
        """The revision of its schema; empty when no authority is in it."""
        tables = inspect(connection).get_table_names()
        if schema.revision.name in tables:
            return connection.scalar(select(schema.revision.c.version_num)) or ""
        if schema.settings.name in tables:  # migrations.EARLIER
            return connection.scalar(select(schema.settings.c.value).where(schema.settings.c.name == "schema")) or ""
        return ""

    def require_current(self) -> None:
        """Refuse a database whose schema is not the one that this version of chopmark writes."""
        with self.reading() as connection:
            found = self.revision(connection)
        if found == migrations.head():
            return
        if not found:
            message = f"{self.place}: there is no authority in this database"
        elif migrations.known(found):
            message = f"{self.place}: made by an earlier chopmark; `chopmark ca upgrade` brings it up to date"
        else:
            message = f"{self.place}: made by a later chopmark (its schema is {found[:32]!r}), which alone can use it"
        raise DatabaseError(message)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view."""
        with self._reported(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self, *, references_checked: bool = True) -> Iterator[Connection]:
        """A transaction with the right to write from its first moment; on disk when the block has ended well.

        With `references_checked` False SQLite does not look whether references between tables hold.
        """
        with self._reported(), self._engine.connect() as plain:
            options = {"chopmark_writes": True, "chopmark_unchecked": not references_checked}
            connection = plain.execution_options(**options)
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            message = f"{self.place}: the authority's database: {' '.join(str(cause).split())[:200]}"
            raise DatabaseError(message) from error


def _sqlite(path: str) -> Engine:
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - whatever driver is behind the engine
    """Transactions begin where we say; what is committed survives a crash and a power cut."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: one that began by reading could find it cannot write any more."""
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA foreign_keys = {'OFF' if options.get('chopmark_unchecked') else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("chopmark_writes") else "BEGIN")


def _postgresql(url: URL) -> Engine:
    arguments = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_SECONDS}
    try:
        # A connection that was lost since it was last used is noticed, and replaced, before a transaction begins.
        engine = create_engine(url, connect_args=arguments, pool_pre_ping=True)
    except ImportError:
        message = "PostgreSQL needs psycopg, which is not installed: pip install 'chopmark[postgresql]'"
        raise UsageError(message) from None
    schema.for_postgresql()
    event.listen(engine, "connect", _configure_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _configure_postgresql(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
    """Durable whatever the server's settings say; nobody waits for ever."""
    with connection.cursor() as cursor:
        for assignment in (
            "synchronous_commit = on",
            f"lock_timeout = '{_BUSY_SECONDS}s'",
            f"idle_in_transaction_session_timeout = '{_STALLED_SECONDS}s'",
        ):
            cursor.execute(f"SET {assignment}")
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    """One writer at a time, as with SQLite; readers see one moment."""
    if connection.get_execution_options().get("chopmark_writes"):
        # Each statement after this one sees what was committed before the lock was had (READ COMMITTED).
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK}, hashtext(current_schema()))")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def remove_copies(path: str) -> None:
    """Take away a SQLite file and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)
