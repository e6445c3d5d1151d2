"""rpm's database in each of its forms, written from their descriptions and not with chopmark's readers."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SQLITE, NDB, BERKELEY = "rpmdb.sqlite", "Packages.db", "Packages"
FORMS = (SQLITE, NDB, BERKELEY)
TABLE = "CREATE TABLE IF NOT EXISTS Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)"
BUCKETS = 4
_HEAD = 26


def write(folder: Path, records: Mapping[int, bytes], form: str = SQLITE) -> Path:
    """A database with these records, by number."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / form
    if form == SQLITE:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DROP TABLE IF EXISTS Packages")
            connection.execute(TABLE)
            connection.executemany("INSERT INTO Packages VALUES (?, ?)", records.items())
    else:
        path.write_bytes(ndb(records) if form == NDB else berkeley(records))
    return path


def ndb(records: Mapping[int, bytes], *, pages: int = 1) -> bytes:
    """Packages.db: the slots, then the records in blocks of 16 bytes."""
    slots, blocks = b"", b""
    for number, record in records.items():
        blob = ndb_blob(number, record)
        slots += struct.pack("<4sIII", b"Slot", number, pages * 256 + len(blocks) // 16, len(blob) // 16)
        blocks += blob
    slots += struct.pack("<4sIII", b"Slot", 0, 0, 0) * (pages * 256 - 2 - len(slots) // 16)
    return struct.pack("<4sIIII12x", b"RpmP", 0, 7, pages, max(records, default=0) + 1) + slots + blocks


def ndb_blob(number: int, record: bytes) -> bytes:
    """Head, record, padding and tail."""
    body = struct.pack("<4sIII", b"BlbS", number, 1_700_000_000, len(record)) + record
    body += bytes(-(len(body) + 12) % 16)
    return body + struct.pack("<II4s", zlib.adler32(body), len(record), b"BlbE")


def berkeley(records: Mapping[int, bytes], *, order: str = "<", size: int = 4096, counter: bool = True) -> bytes:
    """Packages: a hash table of four buckets; what does not fit beside its key has pages of its own."""
    pages: list[bytes] = [b""] * (1 + BUCKETS)
    buckets: list[list[tuple[bytes, bytes]]] = [[] for _ in range(BUCKETS)]
    numbered = ({0: struct.pack(f"{order}I", max(records, default=0))} if counter else {}) | dict(records)
    for number, record in numbered.items():
        key = struct.pack(f"{order}I", number)
        value = b"\1" + record
        if len(value) > size // 4:
            value = struct.pack(f"{order}BxxxII", 3, len(pages), len(record))
            pieces = [record[at : at + size - _HEAD] for at in range(0, len(record), size - _HEAD)]
            for piece in pieces:
                following = len(pages) + 1 if piece is not pieces[-1] else 0
                pages.append(_page(order, len(pages), following, 1, len(piece), 7) + piece)
        buckets[hashed(key) & (BUCKETS - 1)].append((b"\1" + key, value))
    for bucket, entries in enumerate(buckets):
        _fill(pages, bucket + 1, entries, order, size)
    whole = [page.ljust(size, b"\0") for page in pages[1:]]
    meta = struct.pack(
        f"{order}8xIIIIBBBxIIIII20xIIIIII32I",
        *(0, 0x61561, 9, size, 0, 8, 0),
        *(0, len(pages) - 1, 0, 0, 0),
        *(BUCKETS - 1, BUCKETS - 1, BUCKETS // 2 - 1, 0, len(numbered), 0),
        *[1] * 32,
    )
    return meta.ljust(size, b"\0") + b"".join(whole)


def _page(order: str, number: int, following: int, entries: int, free: int, kind: int) -> bytes:
    return struct.pack(f"{order}8xIIIHHBB", number, 0, following, entries, free, 0, kind)


def _fill(pages: list[bytes], number: int, entries: list[tuple[bytes, bytes]], order: str, size: int) -> None:
    """A bucket's page, and those that it leads to when it is full."""
    room, fitting = size - _HEAD, 0
    for key, value in entries:
        room -= len(key) + len(value) + 4
        if room < 0:
            break
        fitting += 1
    following = 0
    if entries[fitting:]:
        pages.append(b"")
        following = len(pages) - 1
        _fill(pages, following, entries[fitting:], order, size)
    starts, data = [], b""
    for key, value in entries[:fitting]:
        for part in (key, value):
            data = part + data
            starts.append(size - len(data))
    index = struct.pack(f"{order}{len(starts)}H", *starts)
    head = _page(order, number, following, len(starts), size - len(data), 13)
    pages[number] = (head + index).ljust(size - len(data), b"\0") + data


def hashed(key: bytes) -> int:
    """Berkeley DB's default function, which rpm looks records up with."""
    value = 0
    for octet in key:
        value = (value * 16777619 & 0xFFFFFFFF) ^ octet
    return value
