"""The right edge of a log's tree, and the tiles that new entries make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.envelopes.tlog import merkle, tiles, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from chopmark.envelopes.tlog.tiles import Tile


class Edge:
    """What of a tree is not in full tiles yet: hashes for each level, and the entries of the last bundle."""

    def __init__(self) -> None:
        """Of an empty tree."""
        self.size = 0
        self._rows: list[bytearray] = [bytearray()]
        self._bundle: list[bytes] = []

    @classmethod
    def of(cls, size: int, read: Callable[[Tile], bytes]) -> Self:
        """Read the edge of a tree of `size` entries; the entries are held against the hashes, these against nothing.

        What `read` raises passes through; MalformedError for what is no edge.
        """
        edge = cls()
        edge.size = size
        edge._rows = [bytearray(_partial(read, level, size)) for level in range(_height(size))]
        edge._bundle = tiles.entries(_partial(read, tiles.ENTRIES, size))
        if b"".join(map(merkle.leaf, edge._bundle)) != edge._rows[0]:
            raise MalformedError("the last entries are not those of the last tile")
        return edge

    def root(self) -> bytes:
        """The root of the tree."""
        found = []
        for row in reversed(self._rows):
            at = 0
            for level, _ in tree.subtrees(0, len(row) // merkle.HASH_SIZE):
                end = at + (merkle.HASH_SIZE << level)
                found.append(merkle.perfect(bytes(row[at:end])))
                at = end
        return merkle.joined(found)

    def extend(self, entries: Iterable[bytes]) -> Iterator[tuple[Tile, bytes]]:
        """Take in entries; the bundles and tiles that are new then, the partial ones last."""
        before = self.size
        row = self._rows[0]
        for entry in entries:
            self._bundle.append(entry)
            row += merkle.leaf(entry)
            self.size += 1
            if not self.size % tiles.WIDTH:
                yield from self._filled()
                row = self._rows[0]
        if self._bundle and self.size > before:
            yield tiles.tile(tiles.ENTRIES, self.size // tiles.WIDTH, self.size), tiles.bundle(self._bundle)
        for level, hashes in enumerate(self._rows):
            if hashes and tiles.count(level, self.size) > tiles.count(level, before):
                number = tiles.count(level, self.size) // tiles.WIDTH
                yield tiles.tile(level, number, self.size), bytes(hashes)

    def _filled(self) -> Iterator[tuple[Tile, bytes]]:
        """The bundle and the tiles that have become full with the last entry."""
        yield tiles.Tile(tiles.ENTRIES, self.size // tiles.WIDTH - 1), tiles.bundle(self._bundle)
        self._bundle = []
        level = 0
        while len(self._rows[level]) == tiles.WIDTH * merkle.HASH_SIZE:
            hashes = bytes(self._rows[level])
            yield tiles.Tile(level, tiles.count(level, self.size) // tiles.WIDTH - 1), hashes
            if level + 1 == len(self._rows):
                self._rows.append(bytearray())
            self._rows[level + 1] += merkle.perfect(hashes)
            self._rows[level] = bytearray()
            level += 1


def _height(size: int) -> int:
    """How many levels of tiles a tree has; one for an empty tree."""
    level = 1
    while tiles.count(level, size):
        level += 1
    return level


def _partial(read: Callable[[Tile], bytes], level: int, size: int) -> bytes:
    """The partial tile at the end of a level; empty when the last one is full."""
    number, width = divmod(tiles.count(level, size), tiles.WIDTH)
    if not width:
        return b""
    tile = tiles.Tile(level, number, width)
    raw = read(tile)
    if level != tiles.ENTRIES and len(raw) != width * merkle.HASH_SIZE:
        raise MalformedError(f"{tile.path}: {len(raw)} bytes, not {width * merkle.HASH_SIZE}")
    return raw
