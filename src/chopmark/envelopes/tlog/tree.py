"""A log's tree, read from its tiles: roots and proofs (RFC 6962 clauses 2.1.1 and 2.1.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes.tlog import merkle, tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Tree:
    """The tree over the first `size` entries of a log.

    `read` gives the bytes of a tile; what it raises passes through. Nothing that it gives is believed by itself: who
    asks for a root compares it, who asks for a proof checks it. Raises MalformedError for a tile of the wrong length.
    """

    def __init__(self, size: int, read: Callable[[tiles.Tile], bytes]) -> None:
        self.size = size
        self._read = read
        self._levels = lru_cache(maxsize=limits.LOG_TILES_KEPT_MAX)(self._loaded)

    def root(self) -> bytes:
        """The root over all entries."""
        return self.range(0, self.size)

    def leaf(self, index: int) -> bytes:
        """The hash of an entry."""
        return self._node(0, index)

    def inclusion(self, index: int) -> list[bytes]:
        """The proof that entry `index` is in it, from the leaf's sibling up."""
        proof: list[bytes] = []
        begin, end = 0, self.size
        while end - begin > 1:
            split = begin + _split(end - begin)
            if index < split:
                proof.append(self.range(split, end))
                end = split
            else:
                proof.append(self.range(begin, split))
                begin = split
        return proof[::-1]

    def consistency(self, old: int) -> list[bytes]:
        """The proof that the tree of the first `old` entries is its beginning; empty where nothing needs one."""
        if old in (0, self.size):
            return []
        proof: list[bytes] = []
        begin, end, whole = 0, self.size, True
        while old < end:
            split = begin + _split(end - begin)
            if old <= split:
                proof.append(self.range(split, end))
                end = split
            else:
                proof.append(self.range(begin, split))
                begin, whole = split, False
        if not whole:
            proof.append(self.range(begin, end))
        return proof[::-1]

    def range(self, begin: int, end: int) -> bytes:
        """The hash over entries `begin` to `end`, as a subtree of the tree."""
        return merkle.joined([self._node(level, index) for level, index in subtrees(begin, end)])

    def _node(self, level: int, index: int) -> bytes:
        """The root of the perfect subtree of height `level` that is number `index` in its row."""
        row, above = divmod(level, tiles.HEIGHT)
        column, inside = divmod(index << above, tiles.WIDTH)
        hashes = self._levels(tiles.tile(row, column, self.size))[above]
        at = (inside >> above) * merkle.HASH_SIZE
        return hashes[at : at + merkle.HASH_SIZE]

    def _loaded(self, tile: tiles.Tile) -> list[bytes]:
        """A tile's own hashes and the rows above them within it, as far as they are whole."""
        raw = self._read(tile)
        if len(raw) != tile.width * merkle.HASH_SIZE:
            raise MalformedError(f"{tile.path}: {len(raw)} bytes, not {tile.width * merkle.HASH_SIZE}")
        rows = [raw]
        while len(rows) < tiles.HEIGHT and len(raw) >= 2 * merkle.HASH_SIZE:
            raw = merkle.pairs(raw[: len(raw) // 64 * 64])
            rows.append(raw)
        return rows


def subtrees(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The perfect subtrees that a range is made of, largest first: the height of each, and its number in its row."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
