"""rpm's database of a host in each of its forms (SQLite reads its own), its records, and capabilities."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.core.artifact import BytesView
from chopmark.core.errors import ChopmarkError, MalformedError
from chopmark.supply.rpm import capabilities
from chopmark.supply.rpm.berkeley import Berkeley
from chopmark.supply.rpm.database import Database
from chopmark.supply.rpm.ndb import Ndb
from chopmark.supply.rpm.records import DatabaseError
from tests.support import rpm_databases, rpms

if TYPE_CHECKING:
    from collections.abc import Iterable


def seeds() -> Iterable[bytes]:
    """A small database, and capabilities."""
    with tempfile.TemporaryDirectory() as folder:
        host = rpms.Host(Path(folder))
        host.record(b"record")
        yield (host.root / "var/lib/rpm/rpmdb.sqlite").read_bytes()
    records = {1: b"record", 2: bytes(3000)}
    yield rpm_databases.ndb(records)
    yield from (rpm_databases.berkeley(records, order=order, size=512) for order in "<>")
    yield bytes.fromhex("0100000200200000000000000000000000000000")
    yield b"= cap_chown,cap_net_raw+eip cap_setuid=p-i"


def run(data: bytes) -> None:
    """Ask everything; nothing but clear errors may come out."""
    with suppress(MalformedError):
        capabilities.stored(data)
    with suppress(MalformedError, UnicodeDecodeError):
        capabilities.said(data.decode("ascii"))
    capabilities.within(data, data)
    for reader in (Ndb, Berkeley):
        with suppress(DatabaseError):
            _ask(reader(BytesView(data)))
    if data.startswith(b"SQLite format 3"):
        with tempfile.TemporaryDirectory() as folder, suppress(ChopmarkError):
            rpms.Host(Path(folder, "host")).write("/var/lib/rpm/rpmdb.sqlite", data)
            _ask(Database(str(Path(folder, "host")), folder))


def _ask(database: Database | Ndb | Berkeley) -> None:
    for number in database.numbers:
        with suppress(DatabaseError):
            database.record(number)
