"""Bringing an older database up to date: all or nothing, after a copy of it was made where that is a file."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, text

from chopmark.authority.register import migrations, schema
from chopmark.authority.register.database import Database, DatabaseError, remove_copies
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class Upgraded(NamedTuple):
    """From which revision to which, and where the copy of the old database is (empty on a server, or if unchanged)."""

    before: str
    after: str
    backup: str


def upgrade(database: Database) -> Upgraded:
    """Bring the schema up to date; nothing is done when it is. Raises DatabaseError, also for a later schema."""
    head = migrations.head()
    # SQLite's way of changing a table is to make another one; references to it are checked at the end instead.
    with database.writing(references_checked=False) as connection:
        before = database.revision(connection)
        if before == head:
            return Upgraded(before, head, "")
        if not migrations.known(before):
            what = f"made by a later chopmark (its schema is {before[:32]!r})" if before else "no authority is in it"
            message = f"{database.place}: {what}; nothing was changed"
            raise DatabaseError(message)
        backup = _copied(database.path, before) if database.path else ""
        if before == migrations.EARLIER:
            adopt(connection)
        migrate(connection)
        if database.path and connection.execute(text("PRAGMA foreign_key_check")).first():
            message = f"{database.place}: a reference in it leads nowhere; nothing was changed"
            raise DatabaseError(message)
    return Upgraded(before, head, backup)


def adopt(connection: Connection) -> None:
    """Give a database from before the revisions the first of them; an older chopmark refuses it from then on."""
    schema.revision.create(connection)
    connection.execute(insert(schema.revision).values(version_num=migrations.BASELINE))
    connection.execute(delete(schema.settings).where(schema.settings.c.name == "schema"))


def migrate(connection: Connection, to: str = "head") -> None:
    """Run the revisions up to one, within the connection's transaction."""
    from alembic import command  # takes long to load, and is seldom needed
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", migrations.FOLDER.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _copied(path: str, revision: str) -> str:
    """A copy of the file as it was committed last, complete and on disk when it has its name."""
    target = f"{path}.{revision}.backup"
    number = 1
    while os.path.lexists(target):
        number += 1
        target = f"{path}.{revision}.backup-{number}"
    temporary = f"{target}.{secrets.token_hex(6)}.chopmark"
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(temporary)) as copy:
            os.chmod(temporary, 0o600)
            copy.execute("PRAGMA synchronous = EXTRA")
            source.backup(copy)
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.rename(temporary, target)
    except (sqlite3.Error, OSError) as error:
        message = f"{target}: the copy could not be made ({error}); nothing was changed"
        raise DatabaseError(message) from error
    finally:
        remove_copies(temporary)
    return target
