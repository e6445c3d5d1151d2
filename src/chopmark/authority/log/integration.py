"""An authority's log: the entries are in the register, and from there they get into tiles and checkpoints.

The register is what counts. A checkpoint is signed over entries that are committed, entered into the register if
the last one there is still the one that it continues, and published after that: so there is one checkpoint for each
size, whoever signs, and whenever a process is killed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from chopmark.authority.log import journal, logs
from chopmark.authority.log.storage import LogForkError, Storage
from chopmark.authority.register.schema import log_checkpoints, log_entries, settings
from chopmark.core.errors import UsageError
from chopmark.envelopes.note import VerifierKey
from chopmark.envelopes.tlog import merkle
from chopmark.envelopes.tlog.checkpoint import Checkpoint

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from typing import Self

    from sqlalchemy.engine import Connection

    from chopmark.authority.register.database import Database
    from chopmark.core.contracts import Signer

PUBLIC = os.path.join("public", "log")
LOCK = "log.lock"
_VKEY = "log_vkey"
_KEY = "log_key"
SETTINGS = (_VKEY, _KEY)
ENDED = "log_ended_"
"""How settings begin that name logs of this authority that ended, after which their names are never used again."""
_AT_ONCE = 1024
"""Entries that the database hands over at a time."""


class RegisterLog(logs.Log):
    """The log of an authority in a folder. Raises DatabaseError, WriteError, and LogForkError (see there)."""

    def __init__(self, folder: str, database: Database, key: VerifierKey, uri: str) -> None:
        super().__init__(Storage(os.path.join(folder, PUBLIC)), key)
        self.uri = uri
        self._folder = folder
        self._database = database

    @classmethod
    def make(cls, folder: str, database: Database, origin: str, uri: str, signer: Signer) -> Self:
        """Give an authority's log its key, whose URI is kept. Raises UsageError when it has one."""
        key = VerifierKey.of(origin, signer.public_key)
        with database.writing() as connection:
            if connection.scalar(select(settings.c.value).where(settings.c.name == _VKEY)):
                message = f"{folder}: the authority's log has a key already"
                raise UsageError(message)
            ended = select(settings.c.value).where(settings.c.name.startswith(ENDED, autoescape=True))
            if origin in connection.scalars(ended).all():
                message = f"{folder}: the log {origin} ended; another one needs another name (--origin)"
                raise UsageError(message)
            for name, value in ((_VKEY, str(key)), (_KEY, uri)):
                connection.execute(insert(settings).values(name=name, value=value))
        return cls(folder, database, key, uri)

    @classmethod
    def open(cls, folder: str, database: Database) -> Self | None:
        """The log of an authority; None when it has no key yet."""
        with database.reading() as connection:
            query = select(settings.c.name, settings.c.value).where(settings.c.name.in_(SETTINGS))
            found = {row.name: row.value for row in connection.execute(query)}
        return cls(folder, database, VerifierKey.parse(found[_VKEY]), found[_KEY]) if _VKEY in found else None

    def waiting(self) -> int:
        """How many entries are not under a checkpoint yet."""
        with self._database.reading() as connection:
            return journal.total(connection) - self._last(connection).size

    def number_of(self, event: int) -> int | None:
        """The number of an event's entry."""
        with self._database.reading() as connection:
            return connection.scalar(select(log_entries.c.number).where(log_entries.c.event == event))

    def integrate(self, signer: Signer, at: dt.datetime) -> logs.Signed:
        """Bring every entry of the register under a checkpoint, and publish it; the checkpoint that there is then.

        Does again what a process that was killed had begun, and makes the tiles anew where the folder is behind.
        """
        with logs.locked(os.path.join(self._folder, LOCK)):
            while True:
                if signed := self._integrated(signer, at):
                    return signed

    def _integrated(self, signer: Signer, at: dt.datetime) -> logs.Signed | None:
        """None when somebody elsewhere has signed a checkpoint meanwhile."""
        published = self.published()
        with self._database.reading() as connection:
            last, raw = self._last(connection), self._note(connection)
            total = journal.total(connection)
            self._require_continued(published, last, total)
            if published and raw == published.note.encode() and total == last.size:
                return published
            base = published.checkpoint if published else Checkpoint(self.origin, 0, merkle.EMPTY)
            edge = logs.edge_of(self.storage, base)
            full = self.storage.put(edge.extend(self._entries(connection, base.size, last.size)))
            if edge.root() != last.root:
                message = (
                    f"{self._database.place}: the log's entries are not those that were signed; nothing was signed"
                )
                raise LogForkError(message)
            full += self.storage.put(edge.extend(self._entries(connection, last.size, total)))
        signed = self.read(raw) if raw and total == last.size else self.sign(total, edge.root(), signer)
        if signed.checkpoint != last or not raw:
            with self._database.writing() as connection:
                if self._last(connection) != last:
                    return None
                values = {"size": total, "root": edge.root(), "note": signed.note.encode(), "at": at}
                connection.execute(insert(log_checkpoints).values(values))
        self.storage.write_checkpoint(signed.note.encode())
        self.storage.drop_partial(full)
        return signed

    def _require_continued(self, published: logs.Signed | None, last: Checkpoint, total: int) -> None:
        """The register must go on from what was published and signed; one restored from an old copy does not."""
        if total < last.size or (published and published.checkpoint.size > last.size):
            size = max(last.size, published.checkpoint.size if published else 0)
            message = (
                f"{self._database.place}: the log was signed with {size} entries, and the register knows of fewer: "
                "it was restored from an older copy; nothing was signed"
            )
            raise LogForkError(message)

    def _last(self, connection: Connection) -> Checkpoint:
        """The last checkpoint that was signed; the empty tree before the first."""
        columns = log_checkpoints.c
        query = select(columns.size, columns.root).order_by(columns.size.desc()).limit(1)
        row = connection.execute(query).one_or_none()
        return Checkpoint(self.origin, row.size, bytes(row.root)) if row else Checkpoint(self.origin, 0, merkle.EMPTY)

    @staticmethod
    def _note(connection: Connection) -> bytes:
        columns = log_checkpoints.c
        return bytes(connection.scalar(select(columns.note).order_by(columns.size.desc()).limit(1)) or b"")

    @staticmethod
    def _entries(connection: Connection, begin: int, end: int) -> Iterator[bytes]:
        columns = log_entries.c
        query = select(columns.entry).where(columns.number >= begin, columns.number < end).order_by(columns.number)
        for row in connection.execute(query, execution_options={"yield_per": _AT_ONCE}):
            yield bytes(row.entry)
