"""A Merkle tree whose nodes are blocks: made in one pass, with one unfinished block per level in memory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Sink = Callable[[int, bytes], None]


class MerkleTree:
    """Feed it the data in order; `root` is the digest at the top.

    `prefix` is hashed in front of every block (the salt); `slot` is the room that a digest has in a block; blocks of
    data have `leaf_size`, if that is not the same; `sink` is given every block of digests, with its level, counted from
    the data. (Linux, Documentation/filesystems/fsverity.rst,
    "Merkle tree", and Documentation/admin-guide/device-mapper/verity.rst, "Hash Tree".)
    """

    def __init__(
        self,
        algorithm: str,
        block_size: int,
        prefix: bytes = b"",
        *,
        slot: int = 0,
        leaf_size: int = 0,
        sink: Sink | None = None,
    ) -> None:
        self._algorithm = algorithm
        self._start = hashlib.new(algorithm, prefix, usedforsecurity=False)
        self._plain: Callable[..., hashlib._Hash] | None = getattr(hashlib, algorithm) if not prefix else None
        self._block_size = block_size
        self._leaf_size = leaf_size or block_size
        self._padding = bytes(max(slot - self._start.digest_size, 0))
        self._slot = self._start.digest_size + len(self._padding)
        self._sink = sink
        self._rest = bytearray()
        self._levels: list[bytearray] = [bytearray()]
        self._counts = [0]

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes, as many as there are."""
        size, view = self._leaf_size, memoryview(data)
        if self._rest:
            wanted = size - len(self._rest)
            self._rest += view[:wanted]
            view = view[wanted:]
            if len(self._rest) < size:
                return
            self._push(0, [self._digest(self._rest)])
            self._rest.clear()
        whole = len(view) - len(view) % size
        self._push(0, [self._digest(view[offset : offset + size]) for offset in range(0, whole, size)])
        self._rest += view[whole:]

    def root(self) -> bytes:
        """The digest at the top, after which nothing more may be added; zeros when there was no data at all."""
        if self._rest:
            self._push(0, [self._digest(bytes(self._rest).ljust(self._leaf_size, b"\0"))])
            self._rest.clear()
        level = 0
        while self._counts[level] > 1:
            if self._levels[level]:
                self._node(level, self._filled(self._levels[level]))
                self._levels[level].clear()
            level += 1
        top = bytes(self._levels[level][: self._start.digest_size])
        return top or bytes(self._start.digest_size)

    def _filled(self, block: bytearray) -> bytes:
        return bytes(block).ljust(self._block_size, b"\0")

    def _digest(self, block: bytes | bytearray | memoryview) -> bytes:
        if self._plain is not None:
            return self._plain(block, usedforsecurity=False).digest()
        hasher = self._start.copy()
        hasher.update(block)
        return hasher.digest()

    def _push(self, level: int, digests: list[bytes]) -> None:
        """Put digests into the block of a level, and what fills up into the level above."""
        if level == len(self._levels):
            self._levels.append(bytearray())
            self._counts.append(0)
        self._counts[level] += len(digests)
        waiting = self._levels[level]
        waiting += b"".join(digests) if not self._padding else b"".join(each + self._padding for each in digests)
        size = self._block_size - self._block_size % self._slot
        while len(waiting) >= size:
            block = bytes(waiting[:size]).ljust(self._block_size, b"\0")
            del waiting[:size]
            self._node(level, block)

    def _node(self, level: int, block: bytes) -> None:
        if self._sink is not None:
            self._sink(level, block)
        self._push(level + 1, [self._digest(block)])
