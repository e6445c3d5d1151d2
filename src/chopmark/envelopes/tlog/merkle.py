"""The Merkle tree of RFC 6962 clause 2.1 over SHA-256, and the checks of its proofs (RFC 9162 clause 2.1)."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HASH_SIZE = 32
EMPTY = sha256().digest()
"""The root of a tree without leaves."""


class ProofError(MalformedError):
    """A proof that does not lead to the root it was to lead to."""


def leaf(data: bytes) -> bytes:
    """The hash of an entry."""
    return sha256(b"\0" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return sha256(b"\1" + left + right).digest()


def pairs(hashes: bytes) -> bytes:
    """The level above an even number of nodes, all as one string of bytes."""
    return b"".join([sha256(b"\1" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 64)])


def perfect(hashes: bytes) -> bytes:
    """The root over a power of two of nodes."""
    while len(hashes) > HASH_SIZE:
        hashes = pairs(hashes)
    return hashes


def joined(subtrees: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees of shrinking size, left to right; EMPTY over none."""
    if not subtrees:
        return EMPTY
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node(left, root)
    return root


def check_inclusion(index: int, size: int, entry: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the entry with this leaf hash is number `index` of the tree (RFC 9162 clause 2.1.3.2).

    Raises ProofError.
    """
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not in a tree of {size}")
    found = entry
    for step, on_the_left in _sides(index, size - 1, proof):
        found = node(step, found) if on_the_left else node(found, step)
    if found != root:
        raise ProofError("the proof does not lead to the root")


def check_consistency(size: int, root: bytes, later_size: int, later_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that a tree is the beginning of a later one (RFC 9162 clause 2.1.4.2). Raises ProofError."""
    if not 0 <= size <= later_size:
        raise ProofError(f"a tree of {size} is not the beginning of one of {later_size}")
    if size in (0, later_size):
        # Nothing needs to be proved of the empty tree, or of one tree.
        if proof or root != (EMPTY if size == 0 else later_root):
            raise ProofError("two different trees of one size, or a proof where none belongs")
        return
    path = [root, *proof] if size & (size - 1) == 0 else list(proof)
    if not path:
        raise ProofError("a proof with too few hashes")
    number, last = size - 1, later_size - 1
    whole = (~number & number + 1).bit_length() - 1  # how high the earlier tree's last perfect subtree is
    first = second = path[0]
    for step, on_the_left in _sides(number >> whole, last >> whole, path[1:]):
        if on_the_left:
            first, second = node(step, first), node(step, second)
        else:
            second = node(second, step)
    if first != root or second != later_root:
        raise ProofError("the proof does not lead to both roots")


def _sides(number: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each hash of a proof from the node `number` of a row up, and whether it is the left of two.

    `last` is the number of the row's last node. Raises ProofError when the proof is too long or too short.
    """
    for step in proof:
        if last == 0:
            raise ProofError("a proof with too many hashes")
        on_the_left = bool(number & 1) or number == last
        yield step, on_the_left
        if on_the_left:
            while not number & 1 and number:  # no sibling in these rows: the node is the last one
                number, last = number >> 1, last >> 1
        number, last = number >> 1, last >> 1
    if last != 0:
        raise ProofError("a proof with too few hashes")
