"""The connection to an authority's database: durable, one writer at a time, errors in one line."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, insert, select
from sqlalchemy.exc import SQLAlchemyError

from chopmark.authority import schema
from chopmark.core.errors import ChopmarkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, Engine

_BUSY_SECONDS = 30
"""How long to wait for another process that is writing."""


class DatabaseError(ChopmarkError):
    """The database could not be read or written; nothing was changed by the step that failed."""


class Database:
    """An authority's database. Every method raises DatabaseError when the database fails."""

    def __init__(self, path: str) -> None:
        """Open the SQLite file at `path` (made when it is not there)."""
        self._path = path
        self._engine: Engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)

    def create(self) -> None:
        """Make the tables of a new database."""
        with self._reported():
            schema.metadata.create_all(self._engine)
        with self.writing() as connection:
            connection.execute(insert(schema.settings).values(name="schema", value=schema.VERSION))

    def require_version(self) -> None:
        """Refuse a database that another version of chopmark made."""
        with self.reading() as connection:
            found = connection.scalar(select(schema.settings.c.value).where(schema.settings.c.name == "schema"))
        if found != schema.VERSION:
            message = f"{self._path}: made by another version of chopmark (schema {found}, not {schema.VERSION})"
            raise DatabaseError(message)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view."""
        with self._reported(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction with the right to write from its first moment; on disk when the block has ended well."""
        with self._reported(), self._engine.connect() as plain:
            connection = plain.execution_options(chopmark_writes=True)
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
            message = f"{self._path}: the authority's database: {' '.join(str(cause).split())[:200]}"
            raise DatabaseError(message) from error


def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - whatever driver is behind the engine
    """SQLite: transactions begin where we say; what is committed survives a crash and a power cut."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """A writer takes its lock at once: one that began by reading could find it cannot write any more."""
    writes = connection.get_execution_options().get("chopmark_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
