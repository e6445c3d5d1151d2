"""Making the tree of digests of a volume, and holding volume and tree against a root hash, in bounded memory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.formats._verity import superblock
from chopmark.formats._verity.merkle import MerkleTree
from chopmark.formats.dmverity import reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.core.artifact import View
    from chopmark.core.finding import Finding
    from chopmark.formats._verity.superblock import Volume


class Tree(NamedTuple):
    """A file with a tree in it, whose superblock stands at `offset`."""

    view: View
    offset: int
    volume: Volume


def make(data: View, volume: Volume, put: Callable[[int, bytes], None]) -> bytes:
    """The root hash; `put` is given every block of the tree, and where it belongs behind a superblock at 0."""
    places = volume.starts(0)

    def sink(level: int, block: bytes) -> None:
        put(places[level], block)
        places[level] += len(block)

    tree = MerkleTree(
        volume.algorithm,
        volume.hash_block_size,
        volume.salt,
        slot=volume.slot,
        leaf_size=volume.data_block_size,
        sink=sink,
    )
    for piece in _blocks(data, 0, volume.data_blocks * volume.data_block_size):
        tree.update(piece)
    return tree.root()


def read(view: View, offset: int) -> Tree:
    """The tree in a file. Raises MalformedError, UnsupportedTreeError."""
    volume = superblock.read(view.read(offset, superblock.SIZE))
    if volume.end(offset) > view.size:
        raise MalformedError("a tree that is not all in the file")
    return Tree(view, offset, volume)


def check(data: View, tree: Tree, root_hash: bytes) -> Iterator[Finding]:
    """Hold the tree against the root hash, and the data against the tree."""
    volume = tree.volume
    yield reasons.SUPERBLOCK.found(f"{volume.algorithm}, {volume.data_blocks} blocks of {volume.data_block_size} bytes")
    covered = volume.data_blocks * volume.data_block_size
    if data.size < covered:
        yield reasons.DATA_WRONG.found(f"{data.size} bytes, {covered} are covered")
        return
    wrong = _wrong_in_tree(tree, root_hash)
    if wrong:
        yield reasons.TREE_WRONG.found(wrong)
        return
    yield reasons.TREE.found(root_hash.hex())
    if _more_digests(tree):
        yield reasons.COUNT_WRONG.found(f"{volume.data_blocks}")
    bad, count = _wrong_data(data, tree, root_hash)
    if count:
        named = ", ".join(map(str, bad))
        yield reasons.DATA_WRONG.found(
            f"{count} of {volume.data_blocks}: number {named}" + (" ..." * (count > len(bad)))
        )
    else:
        yield reasons.DATA.found(f"{covered} bytes")
    same = data is tree.view
    if data.size > covered and not (same and tree.offset <= covered + volume.hash_block_size):
        yield reasons.UNCOVERED.found(f"{data.size - covered} bytes")
    if tree.view.size > volume.end(tree.offset):
        yield reasons.BEHIND.found(f"{tree.view.size - volume.end(tree.offset)} bytes")


def _wrong_in_tree(tree: Tree, root_hash: bytes) -> str:
    """The first block of the tree that is not the one its parent names; empty when all are."""
    volume = tree.volume
    if len(root_hash) != volume.digest_size:
        return f"a root hash of {len(root_hash)} bytes for {volume.algorithm}"
    starts, counts = volume.starts(tree.offset), volume.levels
    for level in range(len(counts) - 1, -1, -1):
        above = iter([root_hash]) if level == len(counts) - 1 else _digests(tree, starts[level + 1], counts[level])
        end = starts[level] + counts[level] * volume.hash_block_size
        digest = _hasher(volume)
        number = 0
        for piece in _blocks(tree.view, starts[level], end, volume.hash_block_size):
            for offset in range(0, len(piece), volume.hash_block_size):
                if digest(piece[offset : offset + volume.hash_block_size]) != next(above):
                    return f"level {level}, block {number}"
                number += 1
    return ""


def _wrong_data(data: View, tree: Tree, root_hash: bytes) -> tuple[list[int], int]:
    """The numbers of the first blocks of data that are not those of the tree, and how many there are."""
    volume = tree.volume
    starts = volume.starts(tree.offset)
    expected = _digests(tree, starts[0], volume.data_blocks) if starts else iter([root_hash])
    digest, size = _hasher(volume), volume.data_block_size
    bad: list[int] = []
    count = number = 0
    for piece in _blocks(data, 0, volume.data_blocks * size, size):
        for offset in range(0, len(piece), size):
            if digest(piece[offset : offset + size]) != next(expected):
                count += 1
                if len(bad) < limits.DM_VERITY_NAMED_MAX:
                    bad.append(number)
            number += 1
    return bad, count


def _more_digests(tree: Tree) -> bool:
    """Whether the last block of any level has more digests than there are said to be blocks below it."""
    volume = tree.volume
    below = volume.data_blocks
    for start, count in zip(volume.starts(tree.offset), volume.levels, strict=True):
        used = (below - (count - 1) * volume.per_block) * volume.slot
        last = start + (count - 1) * volume.hash_block_size
        if any(tree.view.read(last + used, volume.hash_block_size - used)):
            return True
        below = count
    return False


def _digests(tree: Tree, start: int, count: int) -> Iterator[bytes]:
    """The first digests of a level."""
    volume = tree.volume
    size, slot, per_block = volume.digest_size, volume.slot, volume.per_block
    end = start + -(-count // per_block) * volume.hash_block_size
    for piece in _blocks(tree.view, start, end, volume.hash_block_size):
        for block in range(0, len(piece), volume.hash_block_size):
            for place in range(block, block + per_block * slot, slot):
                if not count:
                    return
                yield piece[place : place + size]
                count -= 1


def _blocks(view: View, start: int, end: int, block: int = 1) -> Iterator[bytes]:
    """The bytes of a range in large pieces of whole blocks."""
    step = max(limits.READ_CHUNK // block, 1) * block
    while start < end:
        piece = view.read(start, min(step, end - start))
        if not piece:
            return
        yield piece
        start += len(piece)


def _hasher(volume: Volume) -> Callable[[bytes], bytes]:
    start = hashlib.new(volume.algorithm, volume.salt, usedforsecurity=False)

    def digest(block: bytes) -> bytes:
        hasher = start.copy()
        hasher.update(block)
        return hasher.digest()

    return digest
