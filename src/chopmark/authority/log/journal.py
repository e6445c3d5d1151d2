"""The journal: events as they are entered into the register, each with its entry of the log in the same transaction.

The entries are numbered without a gap, because one transaction writes at a time. From here they get into the log's
tree (authority.log.integration); what is in the journal cannot get lost any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from chopmark.authority.log import entry
from chopmark.authority.register.schema import events, issuers, log_entries

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy.engine import Connection


def record(
    connection: Connection,
    at: dt.datetime,
    action: str,
    issuer: int | None = None,
    serial: str = "",
    detail: str = "",
    **facts: str | int,
) -> int:
    """Enter an event, within a transaction that writes; the number of its entry in the log.

    `issuer` is a CA's number in the register; `facts` are further members of the entry, digests above all. Raises
    RefusedError when the entry is too long.
    """
    number = total(connection)
    name = connection.scalar(select(issuers.c.name).where(issuers.c.id == issuer)) if issuer is not None else ""
    told = {"issuer": name or "", "serial": serial, "detail": detail, **facts}
    values = {"at": at, "action": action, "issuer": issuer, "serial": serial, "detail": detail}
    result = connection.execute(insert(events).values(values))
    event = result.inserted_primary_key[0] if result.inserted_primary_key else None
    raw = entry.encode(action, at, told)
    connection.execute(insert(log_entries).values(number=number, event=event, entry=raw))
    return number


def total(connection: Connection) -> int:
    """How many entries there are."""
    last = connection.scalar(select(func.max(log_entries.c.number)))
    return 0 if last is None else int(last) + 1
