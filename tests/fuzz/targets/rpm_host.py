"""rpm's database of a host, as far as it is not SQLite's to read: the file itself, its records, and capabilities."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.core.errors import ChopmarkError, MalformedError
from chopmark.supply.rpm import capabilities
from chopmark.supply.rpm.database import Database
from tests.support import rpms

if TYPE_CHECKING:
    from collections.abc import Iterable


def seeds() -> Iterable[bytes]:
    """A small database, and capabilities."""
    with tempfile.TemporaryDirectory() as folder:
        host = rpms.Host(Path(folder))
        host.record(b"record")
        yield (host.root / "var/lib/rpm/rpmdb.sqlite").read_bytes()
    yield bytes.fromhex("0100000200200000000000000000000000000000")
    yield b"= cap_chown,cap_net_raw+eip cap_setuid=p-i"


def run(data: bytes) -> None:
    """Ask everything; nothing but clear errors may come out, and those of SQLite for single records."""
    with suppress(MalformedError):
        capabilities.stored(data)
    with suppress(MalformedError, UnicodeDecodeError):
        capabilities.said(data.decode("ascii"))
    capabilities.within(data, data)
    with tempfile.TemporaryDirectory() as folder, suppress(ChopmarkError):
        rpms.Host(Path(folder, "host")).write("/var/lib/rpm/rpmdb.sqlite", data)
        database = Database(str(Path(folder, "host")), folder)
        for number in database.numbers:
            with suppress(sqlite3.Error):
                database.record(number)
