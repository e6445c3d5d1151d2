"""Digest algorithms and the one pass over an artifact that computes several of them."""

from __future__ import annotations

import hashlib
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, TypeGuard

from chopmark.core import limits, reasons
from chopmark.core.artifact import FileView, UnreadableError, pieces
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.core.seal import Payload, Range, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from hashlib import _Hash as Hash

    from chopmark.core.artifact import Artifact, View

    Tap = Callable[[int, bytes | memoryview], None]
    _Begun = dict[tuple[str, Range], Hash]


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
STRONG = frozenset(each.name for each in ALGORITHMS.values() if each.strength is Strength.STRONG)
"""Those of which no collisions are known."""
SIGNING_ALGORITHMS = ("sha256", "sha384", "sha512")
"""What new signatures may use."""


def weakest(names: Iterable[str]) -> str:
    """The weakest of some algorithms; among equals the shortest digest."""
    order = (Strength.BROKEN, Strength.DATED, Strength.STRONG)
    return min(names, key=lambda name: (order.index(ALGORITHMS[name].strength), ALGORITHMS[name].size))


_LARGE = 4096
"""Bytes that are hashed again in no less time than it takes to look up what they came to."""


@cache
def _untouched(algorithm: str) -> Hash:
    return hashlib.new(algorithm, usedforsecurity=False)


def fresh(algorithm: str) -> Hash:
    """A digest to be computed: a copy, which takes a fifth of the time of asking OpenSSL for one by its name."""
    return _untouched(algorithm).copy()


def of(data: bytes, algorithm: str) -> bytes:
    """The digest of bytes in memory."""
    return hashlib.new(algorithm, data, usedforsecurity=False).digest()


def whole(view: View, algorithm: str) -> bytes:
    """The digest of all bytes of an artifact, computed once for each view."""
    if isinstance(view, FileView):
        return _beginning(view, algorithm, view.size)
    [payload] = hash_ranges(view, [Recipe(algorithm, (Range(0, view.size),))])
    return payload.value


def hash_ranges(view: View, recipes: Sequence[Recipe], taps: Sequence[Tap] = ()) -> list[Payload]:
    """Compute recipes that hash ranges as they are, reading each distinct list of ranges once.

    `taps` are shown what is read, each piece with its offset. Raises MalformedError when a range lies outside the
    artifact.

    What all bytes come to is computed once for a view, and so is what its beginnings come to but for their ends.
    """
    if isinstance(view, FileView) and not taps and (whole := view.whole()) is not None:
        begun: _Begun = {}
        return [_in_memory(view, memoryview(whole), recipe, begun) for recipe in recipes]
    by_ranges: dict[tuple[Range | bytes, ...], dict[str, bytes]] = {}
    lengths: dict[tuple[Range | bytes, ...], int] = {}
    for ranges in dict.fromkeys(recipe.ranges for recipe in recipes):
        names = dict.fromkeys(recipe.algorithm for recipe in recipes if recipe.ranges == ranges)
        if isinstance(view, FileView) and len(names) == 1 and not taps and _is_beginning(ranges, view):
            [name], [part] = names, ranges
            by_ranges[ranges], lengths[ranges] = {name: _beginning(view, name, part.length)}, part.length
            continue
        hashers = [fresh(name) for name in names]
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


def _in_memory(view: FileView, whole: memoryview, recipe: Recipe, begun: _Begun) -> Payload:
    """What a recipe comes to for a small file: reading costs nothing, keeping several in step would.

    `begun` has what large first parts came to, for recipes that begin alike.
    """
    algorithm, ranges, _ = recipe
    if len(ranges) == 1 and _is_beginning(ranges, view):
        return Payload(recipe, _beginning(view, algorithm, ranges[0].length), ranges[0].length)
    hasher, length = fresh(algorithm), 0
    for part in ranges:
        if isinstance(part, bytes):
            hasher.update(part)
            length += len(part)
            continue
        offset, size = part
        if offset < 0 or size < 0 or offset + size > len(whole):
            raise _outside(part, view)
        if size >= _LARGE and not length:
            hasher = _begin(whole, algorithm, part, begun).copy()
        else:
            hasher.update(whole[offset : offset + size])
        length += size
    return Payload(recipe, hasher.digest(), length)


def _begin(whole: memoryview, algorithm: str, part: Range, begun: _Begun) -> Hash:
    hasher = begun.get((algorithm, part))
    if hasher is None:
        hasher = begun[algorithm, part] = fresh(algorithm)
        hasher.update(whole[part.offset : part.offset + part.length])
    return hasher


def _outside(part: Range, view: View) -> MalformedError:
    return MalformedError(f"range {part.offset}+{part.length} lies outside of {view.size} bytes")


def content_of(artifact: Artifact, recipe: Recipe) -> Payload:
    """The bytes of a recipe's ranges themselves, for keys that sign these and not a digest. Raises UnreadableError."""
    parts = [part for part in recipe.ranges if isinstance(part, Range)]
    size = sum(part.length for part in parts)
    if size > limits.CONTENT_SIGNED_MAX:
        raise UnreadableError(artifact.name, reasons.INPUT_TOO_LARGE, f"{size} bytes")
    return Payload(recipe, b"".join(artifact.view.read(part.offset, part.length) for part in parts), size)


def _is_beginning(ranges: tuple[Range | bytes, ...], view: View) -> TypeGuard[tuple[Range]]:
    return (
        len(ranges) == 1
        and isinstance(ranges[0], Range)
        and ranges[0].offset == 0
        and 0 <= ranges[0].length <= view.size
    )


_NEAR = 4096
"""How far before the end of a file signatures begin in it, mostly: what is signed ends there."""


def _beginning(view: FileView, algorithm: str, length: int) -> bytes:
    """The digest of the first bytes, from where an earlier one got to."""
    states = view.hashed.get(algorithm)
    if states is None:
        states = view.hashed[algorithm] = [(0, fresh(algorithm))]
    at, state = states[-1]
    if at > length:
        at, state = next(each for each in reversed(states) if each[0] <= length)
    if at == length:
        return state.digest()
    hasher = state.copy()
    on_the_way = length - _NEAR if length == view.size > 2 * _NEAR else at
    if on_the_way <= at and (content := view.whole()) is not None:
        hasher.update(memoryview(content)[at:length])
        if length > states[-1][0] and len(states) < limits.DIGEST_STATES_MAX:
            states.append((length, hasher))
        return hasher.digest()
    for end in (on_the_way, length):
        for piece in pieces(view, at, end):
            hasher.update(piece)
            at += len(piece)
            if at > states[-1][0] and len(states) < limits.DIGEST_STATES_MAX:
                states.append((at, hasher.copy()))
    return hasher.digest()


def _located(view: View, ranges: Iterable[Range | bytes]) -> Iterator[tuple[int | None, bytes | memoryview]]:
    """The pieces of ranges and where they stand; bytes that are in no file stand nowhere."""
    for part in ranges:
        if isinstance(part, bytes):
            yield None, part
            continue
        offset, end = part.offset, part.offset + part.length
        if offset < 0 or end < offset or end > view.size:
            raise _outside(part, view)
        for piece in pieces(view, offset, end):
            yield offset, piece
            offset += len(piece)
