"""Tables as lines of JSON, gzipped: the first line names the columns and their kinds, each other one is a row."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import Boolean, Integer, LargeBinary, MetaData, Table, insert, inspect, select, text

from chopmark.authority.register import schema
from chopmark.authority.register.schema import Moment
from chopmark.core import limits
from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import Connection

_AT_ONCE = 500
_LEVEL = 1
"""Of compression: a backup is wanted soon, and most of it are certificates."""


def dump(connection: Connection, table: Table, stream: IO[bytes]) -> int:
    """Write every row of a table; how many there were."""
    kinds = [_kind(column.type) for column in table.columns]
    encoders = [_ENCODE[kind] for kind in kinds]
    header = {
        "table": table.name,
        "columns": [[column.name, kind] for column, kind in zip(table.columns, kinds, strict=True)],
    }
    count = 0
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=_LEVEL, mtime=0) as packed:
        packed.write(json.dumps(header).encode() + b"\n")
        rows = select(table).order_by(*table.primary_key.columns)
        for row in connection.execution_options(yield_per=_AT_ONCE).execute(rows):
            values = [None if value is None else encode(value) for encode, value in zip(encoders, row, strict=True)]
            packed.write(json.dumps(values, separators=(",", ":")).encode() + b"\n")
            count += 1
    return count


def load(connection: Connection, stream: IO[bytes]) -> int:
    """Put the rows into the table of the same name; how many there were. Raises MalformedError."""
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as packed:
            return _load(connection, _lines(packed))
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        message = f"a table in the backup cannot be read ({error})"
        raise MalformedError(message) from None


def _load(connection: Connection, lines: Iterator[bytes]) -> int:
    header = json.loads(next(lines, b""))
    name, columns = header["table"], [(str(column), str(kind)) for column, kind in header["columns"]]
    # As the table is at the revision that was just made, which need not be the one that the code declares.
    table = Table(name, MetaData(), autoload_with=connection)
    decoders = [_decoder(kind, connection) for _, kind in columns]
    waiting: list[dict[str, Any]] = []
    count = 0
    for line in lines:
        values = json.loads(line)
        row = {
            column: None if value is None else decode(value)
            for (column, _), decode, value in zip(columns, decoders, values, strict=True)
        }
        waiting.append(row)
        count += 1
        if len(waiting) == _AT_ONCE:
            connection.execute(insert(table), waiting)
            waiting = []
    if waiting:
        connection.execute(insert(table), waiting)
    if connection.dialect.name == "postgresql":
        _advance(connection, table)
    return count


def _advance(connection: Connection, table: Table) -> None:
    """PostgreSQL numbers new rows by a sequence, which knows nothing of rows that came with their numbers."""
    for column in table.primary_key.columns:
        owned = connection.scalar(
            text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column.name}
        )
        if owned:
            last = connection.scalar(select(column).order_by(column.desc()).limit(1))
            connection.execute(
                text("SELECT setval(:sequence, :last, :used)"),
                {"sequence": owned, "last": last or 1, "used": last is not None},
            )


def _lines(packed: gzip.GzipFile) -> Iterator[bytes]:
    while line := packed.readline(limits.BACKUP_LINE_MAX):
        if not line.endswith(b"\n"):
            raise ValueError("a line that does not end")
        yield line


def _kind(kind: object) -> str:
    if isinstance(kind, Moment):
        return "moment"
    if isinstance(kind, LargeBinary):
        return "bytes"
    return "plain" if isinstance(kind, (Boolean, Integer)) else "text"


_ENCODE: dict[str, Callable[[Any], object]] = {
    "moment": lambda value: value.astimezone(dt.UTC).isoformat(),
    "bytes": lambda value: base64.b64encode(value).decode(),
    "plain": lambda value: value,
    "text": lambda value: value,
}


def _decoder(kind: str, connection: Connection) -> Callable[[Any], object]:
    if kind == "moment":
        naive = connection.dialect.name == "sqlite"

        def moment(value: str) -> dt.datetime:
            read = dt.datetime.fromisoformat(value).astimezone(dt.UTC)
            return read.replace(tzinfo=None) if naive else read

        return moment
    if kind == "bytes":
        return lambda value: base64.b64decode(value, validate=True)
    if kind in ("plain", "text"):
        return lambda value: value
    message = f"an unknown kind of column {kind!r}"
    raise ValueError(message)


def all_tables() -> list[Table]:
    """Every table with rows of its own, those that others refer to first."""
    return [table for table in schema.metadata.sorted_tables if table is not schema.revision]


def existing(connection: Connection) -> set[str]:
    """The tables that there are."""
    return set(inspect(connection).get_table_names())
