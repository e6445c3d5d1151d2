"""Digest algorithms and the one pass over an artifact that computes several of them."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from chopmark.core.artifact import pieces
from chopmark.core.errors import MalformedError
from chopmark.core.seal import Payload, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from chopmark.core.artifact import View
    from chopmark.core.seal import Recipe

    Tap = Callable[[int, bytes | memoryview], None]


class Strength(Enum):
    """Whether collisions can be made: never known, known since SHA1_SUNSET, or by anybody."""

    STRONG = "strong"
    DATED = "dated"
    BROKEN = "broken"


class Algorithm(NamedTuple):
    """A digest algorithm: its name here and in hashlib, its length in bytes, its strength."""

    name: str
    size: int
    strength: Strength


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("md5", 16, Strength.BROKEN),
        Algorithm("sha1", 20, Strength.DATED),
        Algorithm("sha224", 28, Strength.STRONG),
        Algorithm("sha256", 32, Strength.STRONG),
        Algorithm("sha384", 48, Strength.STRONG),
        Algorithm("sha512", 64, Strength.STRONG),
        Algorithm("sha3_256", 32, Strength.STRONG),
        Algorithm("sha3_384", 48, Strength.STRONG),
        Algorithm("sha3_512", 64, Strength.STRONG),
        Algorithm("blake2b", 64, Strength.STRONG),
    )
}
SIGNING_ALGORITHMS = ("sha256", "sha384", "sha512")
"""What new signatures may use."""


def weakest(names: Iterable[str]) -> str:
    """The weakest of some algorithms; among equals the shortest digest."""
    order = (Strength.BROKEN, Strength.DATED, Strength.STRONG)
    return min(names, key=lambda name: (order.index(ALGORITHMS[name].strength), ALGORITHMS[name].size))


def of(data: bytes, algorithm: str) -> bytes:
    """The digest of bytes in memory."""
    return hashlib.new(algorithm, data, usedforsecurity=False).digest()


def hash_ranges(view: View, recipes: Sequence[Recipe], taps: Sequence[Tap] = ()) -> list[Payload]:
    """Compute recipes that hash ranges as they are, reading each distinct list of ranges once.

    `taps` are shown what is read, each piece with its offset. Raises MalformedError when a range lies outside the
    artifact.
    """
    by_ranges: dict[tuple[Range | bytes, ...], dict[str, bytes]] = {}
    lengths: dict[tuple[Range | bytes, ...], int] = {}
    for ranges in dict.fromkeys(recipe.ranges for recipe in recipes):
        names = dict.fromkeys(recipe.algorithm for recipe in recipes if recipe.ranges == ranges)
        hashers = [hashlib.new(name, usedforsecurity=False) for name in names]
        lengths[ranges] = 0
        for offset, piece in _located(view, ranges):
            lengths[ranges] += len(piece)
            for hasher in hashers:
                hasher.update(piece)
            if offset is not None:
                for tap in taps:
                    tap(offset, piece)
        by_ranges[ranges] = {name: hasher.digest() for name, hasher in zip(names, hashers, strict=True)}
    return [Payload(recipe, by_ranges[recipe.ranges][recipe.algorithm], lengths[recipe.ranges]) for recipe in recipes]


def _located(view: View, ranges: Iterable[Range | bytes]) -> Iterator[tuple[int | None, bytes | memoryview]]:
    """The pieces of ranges and where they stand; bytes that are in no file stand nowhere."""
    for part in ranges:
        if isinstance(part, bytes):
            yield None, part
            continue
        offset, end = part.offset, part.offset + part.length
        if offset < 0 or end < offset or end > view.size:
            message = f"range {offset}+{part.length} lies outside of {view.size} bytes"
            raise MalformedError(message)
        for piece in pieces(view, offset, end):
            yield offset, piece
            offset += len(piece)
