"""The digest by which fs-verity knows a file (Linux, Documentation/filesystems/fsverity.rst)."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from chopmark.core.artifact import pieces
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.formats._verity.merkle import MerkleTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import View

ALGORITHMS = {"sha256": 1, "sha512": 2}
"""FS_VERITY_HASH_ALG_*."""
NAMES = {number: name for name, number in ALGORITHMS.items()}
_INPUT_BLOCK = {"sha256": 64, "sha512": 128}
"""What the digest algorithm takes at once: a salt is filled up to that."""
BLOCK_SIZES = tuple(1 << bits for bits in range(10, 17))
SALT_MAX = 32
DESCRIPTOR = struct.Struct("<BBBBIQ64s32s144s")
"""struct fsverity_descriptor."""
_FORMATTED = struct.Struct("<8sHH")
"""struct fsverity_formatted_digest, without the digest."""
_VERSION = 1


class Parameters(NamedTuple):
    """How the tree is made. Raises UsageError from `checked` for what the kernel cannot do."""

    algorithm: str = "sha256"
    block_size: int = 4096
    salt: bytes = b""

    def checked(self) -> Parameters:
        """Itself, if the kernel takes it."""
        if self.algorithm not in ALGORITHMS:
            message = f"fs-verity uses {' or '.join(ALGORITHMS)}, not {self.algorithm}"
            raise UsageError(message)
        if self.block_size not in BLOCK_SIZES:
            message = f"a block of {self.block_size} bytes: it is a power of two from {BLOCK_SIZES[0]} to 65536"
            raise UsageError(message)
        if len(self.salt) > SALT_MAX:
            message = f"a salt of {len(self.salt)} bytes: at most {SALT_MAX}"
            raise UsageError(message)
        return self

    def tree(self) -> MerkleTree:
        """An empty tree."""
        width = _INPUT_BLOCK[self.algorithm]
        filled = self.salt.ljust(-(-len(self.salt) // width) * width, b"\0")
        return MerkleTree(self.algorithm, self.block_size, filled)


def digests(view: View, wanted: Sequence[Parameters]) -> list[bytes]:
    """The fs-verity digests of a file, by several parameters in one pass."""
    trees = [parameters.tree() for parameters in wanted]
    for piece in pieces(view, 0, view.size):
        for tree in trees:
            tree.update(piece)
    return [digest_of(tree.root(), view.size, each) for tree, each in zip(trees, wanted, strict=True)]


def digest_of(root: bytes, size: int, parameters: Parameters) -> bytes:
    """The digest of the descriptor, which has the root hash, the size of the file and the parameters in it."""
    bits = parameters.block_size.bit_length() - 1
    descriptor = DESCRIPTOR.pack(
        _VERSION, ALGORITHMS[parameters.algorithm], bits, len(parameters.salt), 0, size, root, parameters.salt, b""
    )
    return hashlib.new(parameters.algorithm, descriptor, usedforsecurity=False).digest()


def formatted(digest: bytes, algorithm: str) -> bytes:
    """What a built-in signature is over: struct fsverity_formatted_digest."""
    return _FORMATTED.pack(b"FSVerity", ALGORITHMS[algorithm], len(digest)) + digest
