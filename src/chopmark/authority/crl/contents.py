"""What stands on revocation lists: read from the register row by row, and encoded at once."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from sqlalchemy import DateTime, exists, select, type_coerce

from chopmark.authority.crl import encoding
from chopmark.authority.issuing import profiles
from chopmark.authority.register.records import RETENTION_MONTHS
from chopmark.authority.register.schema import certificates

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection

    from chopmark.authority.register.records import Issuer

_ROWS = 5_000
"""Rows fetched at a time."""


class Part:
    """The entries of one list, one after another in DER, and how many they are."""

    __slots__ = ("count", "encoded")

    def __init__(self) -> None:
        self.count = 0
        self.encoded = bytearray()


def revoked(connection: Connection, issuer: Issuer, at: dt.datetime) -> dict[int, Part]:
    """Everything revoked until ten years after it expired, by the number of the shard that it belongs to (0: none)."""
    columns = certificates.c
    wanted = columns.revoked.is_not(None) & (columns.not_after >= _retained_since(at))
    found: dict[int, Part] = {}
    shard, part = -1, Part()
    for serial, of_shard, since, reason, invalidity in _rows(connection, issuer, wanted):
        if of_shard != shard:
            shard, part = of_shard, found.setdefault(of_shard, Part())
        part.encoded += encoding.entry(serial, since or at, reason or 0, invalidity)
        part.count += 1
    return found


def changes(connection: Connection, issuer: Issuer, base: int, at: dt.datetime) -> dict[int, Part]:
    """What may differ from the complete list with the number `base`, by shard.

    Who is not revoked any more was suspended: that is removed (RFC 5280 clause 5.2.4), whether or not the complete list
    has it, because a delta in between may have had it.
    """
    columns = certificates.c
    wanted = (columns.changed >= base) & (columns.not_after >= _retained_since(at))
    found: dict[int, Part] = {}
    for serial, shard, since, reason, invalidity in _rows(connection, issuer, wanted):
        part = found.setdefault(shard, Part())
        part.encoded += encoding.entry(
            serial, since or at, encoding.REMOVE if since is None else reason or 0, invalidity
        )
        part.count += 1
    return found


def pending(connection: Connection, issuer: Issuer, number: int) -> bool:
    """Whether something may have changed since the list with this number."""
    columns = certificates.c
    return bool(connection.scalar(select(exists().where(columns.issuer == issuer.id, columns.changed >= number))))


def _rows(
    connection: Connection, issuer: Issuer, wanted: ColumnElement[bool]
) -> Iterator[tuple[str, int, dt.datetime | None, int | None, dt.datetime | None]]:
    columns = certificates.c
    query = (
        select(columns.serial, columns.shard, _plain(columns.revoked), columns.reason, _plain(columns.invalidity))
        .where(columns.issuer == issuer.id, wanted)
        .order_by(columns.shard, columns.revoked, columns.serial)
    )
    collects = gc.isenabled()
    gc.disable()  # a million rows, and not one circle among them: looking for some takes a quarter of the time
    try:
        for rows in connection.execute(query, execution_options={"yield_per": _ROWS}).partitions():
            yield from rows
    finally:
        if collects:
            gc.enable()


def _plain(column: ColumnElement[dt.datetime]) -> ColumnElement[dt.datetime]:
    """A time as the database's driver reads it, in UTC where it has no zone: for a million, any more takes seconds."""
    return type_coerce(column, DateTime())


def _retained_since(at: dt.datetime) -> dt.datetime:
    return profiles.months_after(at, -RETENTION_MONTHS)
