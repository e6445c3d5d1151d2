"""Tiles and entry bundles: the tree and the entries of a log as files that never change (C2SP tlog-tiles)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes.tlog import merkle

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 256
"""Hashes of a full tile, entries of a full bundle."""
HEIGHT = 8
ENTRIES = -1
"""The level of entry bundles, which are as wide as the tiles of level 0."""


class Tile(NamedTuple):
    """A tile of hashes, or a bundle of entries where `level` is ENTRIES: its place, and how full it is."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Below the log's prefix (clauses "Merkle Tree" and "Log entries")."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        thousands, rest = divmod(self.number, 1000)
        parts = [f"{rest:03}"]
        while thousands:
            thousands, rest = divmod(thousands, 1000)
            parts.insert(0, f"x{rest:03}")
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(parts)}{partial}"

    @property
    def size_max(self) -> int:
        """How many bytes it can have."""
        return self.width * (limits.LOG_ENTRY_MAX + 2 if self.level == ENTRIES else merkle.HASH_SIZE)


def count(level: int, size: int) -> int:
    """How many hashes a tree of `size` entries has at a level of tiles; entries themselves for ENTRIES."""
    return size >> HEIGHT * max(level, 0)


def tile(level: int, index: int, size: int) -> Tile:
    """The tile in a tree of `size` entries, as full as it is there. It must have a hash at least."""
    return Tile(level, index, min(WIDTH, count(level, size) - index * WIDTH))


def cut(tile: Tile, full: bytes) -> bytes:
    """A partial tile or bundle out of the full one that has taken its place. Raises MalformedError."""
    if tile.level == ENTRIES:
        return bundle(entries(full)[: tile.width])
    return full[: tile.width * merkle.HASH_SIZE]


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries as a bundle has them: each behind its length (clause "Log entries")."""
    return b"".join(part for entry in entries for part in (struct.pack(">H", len(entry)), entry))


def entries(raw: bytes, *, most: int = WIDTH) -> list[bytes]:
    """The entries of a bundle, `most` of them at most. Raises MalformedError."""
    found: list[bytes] = []
    at = 0
    while at < len(raw):
        end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        if at + 2 > len(raw) or end > len(raw) or len(found) == most:
            raise MalformedError("a bundle of entries that is cut off, or too long")
        found.append(raw[at + 2 : end])
        at = end
    return found
