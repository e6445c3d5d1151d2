"""Whether the log of a restored authority may go on: a log that says two things is worth nothing.

The backup does not know what was published after it was made; whoever restores it has to say. A log that published
more than the backup has would sign another tree of the same size. It ends, and another one begins with its entries.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from chopmark.authority.log import integration, keeping
from chopmark.authority.log.integration import RegisterLog
from chopmark.authority.log.storage import LogForkError
from chopmark.authority.register.schema import log_checkpoints, log_entries, settings
from chopmark.core.named import NamedTuple
from chopmark.envelopes.tlog.edge import Edge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection

    from chopmark.authority.register.database import Database
    from chopmark.envelopes.tlog.checkpoint import Checkpoint

ENDED = "log-ended-{}"
"""What the files of a log that ended are called, with its number of entries."""


class Later(NamedTuple):
    """What is known of a log since a backup of it: the newest checkpoint that was published, or that it ends."""

    newest: bytes = b""
    ends: bool = False


NOTHING = Later()
"""No checkpoint was published after the backup was made."""


def settle(later: Later, folder: str, register: Database, entries: int) -> str:
    """Let the log of what is being restored go on, or end it; the name of a log that ended, else nothing.

    `entries` is how many the backup has. Raises LogForkError when the log must not go on.
    """
    log = RegisterLog.open(folder, register)
    if log is None:
        return ""
    if later.ends:
        _end(log, folder, register, entries)
        return log.origin
    if later.newest:
        _require_known(log.read(later.newest).checkpoint, register, entries)
    return ""


def _require_known(newest: Checkpoint, register: Database, entries: int) -> None:
    """A published checkpoint must be over entries that are here."""
    if newest.size > entries:
        message = (
            f"the log was published with {newest.size} entries, and the backup has {entries}: it must not go on from "
            "here (restore a newer backup, or end the log)"
        )
        raise LogForkError(message)
    edge = Edge()
    with register.reading() as connection:
        for _ in edge.extend(_entries(connection, newest.size)):
            continue
    if edge.root() != newest.root:
        message = f"the log was published with other entries than the first {newest.size} of the backup"
        raise LogForkError(message)


def _entries(connection: Connection, end: int) -> Iterator[bytes]:
    columns = log_entries.c
    query = select(columns.entry).where(columns.number < end).order_by(columns.number)
    for row in connection.execute(query, execution_options={"yield_per": 1000}):
        yield bytes(row.entry)


def _end(log: RegisterLog, folder: str, register: Database, entries: int) -> None:
    """Take its key and its checkpoints from the log; its files stay, out of the way of those of the next one."""
    with register.writing() as connection:
        connection.execute(delete(log_checkpoints))
        connection.execute(delete(settings).where(settings.c.name.in_(integration.SETTINGS)))
        connection.execute(insert(settings).values(name=f"{integration.ENDED}{entries}", value=log.origin))
    moved = ENDED.format(entries)
    names = [(integration.PUBLIC, moved)]
    if log.uri.startswith(keeping.FOLDER_KEY):
        name = os.path.join("keys", log.uri.removeprefix(keeping.FOLDER_KEY))
        names.append((name, os.path.join("keys", f"{moved}.pem")))
    for before, after in names:
        if os.path.lexists(os.path.join(folder, before)):
            os.rename(os.path.join(folder, before), os.path.join(folder, after))
