"""The superblock of a dm-verity tree and where the levels of the tree lie (cryptsetup, lib/verity)."""

from __future__ import annotations

import struct

from chopmark.core.digest import ALGORITHMS
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.named import NamedTuple

SIGNATURE = b"verity\0\0"
_FIELDS = struct.Struct("<8sII16s32sIIQH6s256s168s")
"""struct verity_sb."""
SIZE = _FIELDS.size
_VERSION, _NORMAL = 1, 1
BLOCK_MIN, BLOCK_MAX = 512, 512 * 1024
SALT_MAX = 256
_BLOCKS_MAX = 1 << 48


class UnsupportedTreeError(MalformedError):
    """A tree of a kind that is not read: another version, hash type or algorithm."""


class Volume(NamedTuple):
    """How a tree is made: `data_blocks` of `data_block_size`, digests in blocks of `hash_block_size`."""

    algorithm: str
    data_block_size: int
    hash_block_size: int
    data_blocks: int
    salt: bytes
    uuid: bytes = bytes(16)

    @property
    def digest_size(self) -> int:
        """Of one digest."""
        return ALGORITHMS[self.algorithm].size

    @property
    def slot(self) -> int:
        """What one digest takes in a block: the next power of two."""
        return 1 << (self.digest_size - 1).bit_length()

    @property
    def per_block(self) -> int:
        """Digests in a block."""
        return self.hash_block_size // self.slot

    @property
    def levels(self) -> list[int]:
        """How many blocks each level has, the one over the data first; none for a single block of data."""
        counts, blocks = [], self.data_blocks
        while blocks > 1:
            blocks = -(-blocks // self.per_block)
            counts.append(blocks)
        return counts

    def starts(self, offset: int) -> list[int]:
        """Where each level begins in a file with the superblock at `offset`: the topmost stands first."""
        place = -(-(offset + SIZE) // self.hash_block_size) * self.hash_block_size
        found = []
        for count in reversed(self.levels):
            found.append(place)
            place += count * self.hash_block_size
        return [*reversed(found)]

    def end(self, offset: int) -> int:
        """Where the tree ends."""
        first = -(-(offset + SIZE) // self.hash_block_size) * self.hash_block_size
        return first + sum(self.levels) * self.hash_block_size

    def checked(self) -> Volume:
        """Itself, if veritysetup takes it. Raises UsageError."""
        problem = self._problem()
        if problem:
            raise UsageError(problem)
        return self

    def _problem(self) -> str:
        for size in (self.data_block_size, self.hash_block_size):
            if size & (size - 1) or not BLOCK_MIN <= size <= BLOCK_MAX:
                return f"a block of {size} bytes: it is a power of two from {BLOCK_MIN} to {BLOCK_MAX}"
        if not 0 < self.data_blocks <= _BLOCKS_MAX:
            return f"{self.data_blocks} blocks of data"
        if len(self.salt) > SALT_MAX:
            return f"a salt of {len(self.salt)} bytes: at most {SALT_MAX}"
        return ""

    def packed(self) -> bytes:
        """The superblock."""
        return _FIELDS.pack(
            SIGNATURE,
            _VERSION,
            _NORMAL,
            self.uuid,
            self.algorithm.encode(),
            self.data_block_size,
            self.hash_block_size,
            self.data_blocks,
            len(self.salt),
            b"",
            self.salt,
            b"",
        )


def read(raw: bytes) -> Volume:
    """Read a superblock, all of whose unused bytes are zero. Raises MalformedError, UnsupportedTreeError."""
    if len(raw) < SIZE or not raw.startswith(SIGNATURE):
        raise MalformedError("no superblock")
    fields = _FIELDS.unpack(raw[:SIZE])
    _, version, kind, uuid, name, data_block, hash_block, blocks, salt_size, pad, salt, rest = fields
    if (version, kind) != (_VERSION, _NORMAL):
        raise UnsupportedTreeError(f"version {version}, hash type {kind}")
    algorithm = name.rstrip(b"\0").decode("latin-1")
    if algorithm not in ALGORITHMS:
        raise UnsupportedTreeError(f"digest algorithm {algorithm[:32]!r}")
    if salt_size > SALT_MAX or any((*pad, *rest, *salt[salt_size:])):
        raise MalformedError("unused bytes that are not zero")
    volume = Volume(algorithm, data_block, hash_block, blocks, salt[:salt_size], uuid)
    if problem := volume._problem():  # noqa: SLF001 - of the same class
        raise MalformedError(problem)
    return volume
