"""DER mutated along its structure: one value of the tree is made odd, and everything around it gets the right length.

Bytes that are flipped at random mostly end at a length; what is made here is read to its depths. `mutate` is what a
fuzz target names as its own, and `changed` the same for hypothesis.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tests.support import der_oddities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

CONSTRUCTED = 0x20
OCTET_STRING, BIT_STRING = 0x04, 0x03
_DEPTH = 40
_HIGH = 0x1F
"""A tag number that more octets say: such values stay what they are."""
_PAIR = 2
_BLOCK = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----\n([A-Za-z0-9+/=\n]+)(?=-----END)")


@dataclass(slots=True)
class Tree:
    """One value: `value` where nothing is inside, else `children`; `before` are octets in front of these.

    Strings of octets and bits that hold DER (keys, extensions, content) are opened as well; the bits unused are
    `before`. `written` replaces all of it, where a header is to be odd.
    """

    tag: int
    value: bytes = b""
    children: list[Tree] | None = None
    before: bytes = b""
    written: bytes | None = field(default=None, repr=False)

    def encoded(self) -> bytes:
        """Header and value, with the length that they have now."""
        if self.written is not None:
            return self.written
        inside = self.value if self.children is None else b"".join(child.encoded() for child in self.children)
        return header(self.tag, len(self.before) + len(inside)) + self.before + inside

    def walk(self) -> Iterator[Tree]:
        """Itself and everything inside."""
        yield self
        for child in self.children or ():
            yield from child.walk()

    def copy(self) -> Tree:
        """The same again, to be changed by itself."""
        children = None if self.children is None else [child.copy() for child in self.children]
        return Tree(self.tag, self.value, children, self.before, self.written)


def header(tag: int, length: int) -> bytes:
    """Identifier and length octets."""
    if length < 0x80:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets


def parse(data: bytes) -> Tree | None:
    """The values that fill `data` exactly, as children of a tree without a header of its own; None if it is not DER."""
    found = _values(data, 0)
    return Tree(0, children=found) if found else None


def written(top: Tree) -> bytes:
    """What `parse` has read."""
    return b"".join(child.encoded() for child in top.children or ())


def _values(data: bytes, depth: int) -> list[Tree] | None:
    found: list[Tree] = []
    position = 0
    while position < len(data):
        head = _header(data, position)
        if head is None:
            return None
        tag, body, end = head
        found.append(_opened(tag, data[body:end], depth))
        position = end
    return found


def _header(data: bytes, position: int) -> tuple[int, int, int] | None:
    """Tag, where the value starts, where it ends; None for what is no header of DER."""
    head = data[position : position + 6]
    if len(head) < _PAIR or head[0] & _HIGH == _HIGH or head[0] == 0:
        return None
    body, length = position + 2, head[1]
    if length > 0x80:
        octets = head[2 : 2 + length - 0x80]
        body, length = body + len(octets), int.from_bytes(octets, "big")
    elif length == 0x80:
        return None
    end = body + length
    return (head[0], body, end) if end <= len(data) and data[position:body] == header(head[0], length) else None


def _opened(tag: int, value: bytes, depth: int) -> Tree:
    before = value[:1] if tag == BIT_STRING else b""
    if tag & CONSTRUCTED or tag in (OCTET_STRING, BIT_STRING):
        inside = _values(value[len(before) :], depth + 1) if depth < _DEPTH and value[len(before) :] else None
        if inside is None and tag & CONSTRUCTED and not value:
            inside = []
        if inside is not None:
            return Tree(tag, children=inside, before=before)
    return Tree(tag, value)


def mutate(data: bytes, random: Random, donors: Sequence[bytes]) -> bytes | None:
    """`data` with one to four of its values made odd, or exchanged for some of `donors`; None if it is not DER.

    In PEM it is one of the blocks that is changed.
    """
    if blocks := list(_BLOCK.finditer(data)):
        chosen = random.choice(blocks)
        try:
            inside = mutate(base64.b64decode(chosen[1]), random, donors)
        except ValueError:
            return None
        return inside and data[: chosen.start(1)] + base64.encodebytes(inside) + data[chosen.end(1) :]
    top = parse(data)
    if top is None:
        return None
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        _change(top, random, donors)
    return written(top)


def _change(top: Tree, random: Random, donors: Sequence[bytes]) -> None:
    """One change, anywhere below `top`."""
    places = [(parent, number) for parent in top.walk() for number in range(len(parent.children or ()))]
    if not places:
        return
    parent, number = random.choice(places)
    assert parent.children is not None
    chosen = parent.children[number]
    if random.random() < 0.55 and (odd := der_oddities.values(chosen.tag, chosen.value, random)) is not None:
        chosen.children, chosen.before, chosen.written, chosen.value = None, b"", None, odd
        return
    random.choice(_STRUCTURAL)(parent.children, number, random, donors)


def _twice(siblings: list[Tree], number: int, random: Random, _: Sequence[bytes]) -> None:
    siblings[number + random.randint(0, 1) : number] = [
        siblings[number].copy() for _ in range(random.choice((1, 1, 9)))
    ]


def _gone(siblings: list[Tree], number: int, _: Random, __: Sequence[bytes]) -> None:
    del siblings[number]


def _exchanged(siblings: list[Tree], number: int, random: Random, _: Sequence[bytes]) -> None:
    other = random.randrange(len(siblings))
    siblings[number], siblings[other] = siblings[other], siblings[number]


def _taken(siblings: list[Tree], number: int, random: Random, donors: Sequence[bytes]) -> None:
    """A value of another seed, or of this one, in place of this or before it; mostly one of its own kind."""
    trees = [tree for tree in map(_donor, donors) if tree is not None]
    found = [each for tree in trees for child in tree.children or () for each in child.walk()] or siblings
    alike = [each for each in found if each.tag == siblings[number].tag]
    chosen = random.choice(alike if alike and random.random() < 0.8 else found).copy()
    siblings[number : number + random.choice((0, 1, 1))] = [chosen]


@lru_cache(maxsize=64)
def _donor(data: bytes) -> Tree | None:
    return parse(data)


def _retagged(siblings: list[Tree], number: int, random: Random, _: Sequence[bytes]) -> None:
    siblings[number].tag = der_oddities.tag(siblings[number].tag, random)


def _wrapped(siblings: list[Tree], number: int, random: Random, __: Sequence[bytes]) -> None:
    for _ in range(random.choice((1, 1, 1, 60))):
        siblings[number] = Tree(random.choice((0x30, 0x31, 0xA0, 0xA1, 0x04)), children=[siblings[number]])


def _unwrapped(siblings: list[Tree], number: int, _: Random, __: Sequence[bytes]) -> None:
    siblings[number : number + 1] = siblings[number].children or []


def _emptied(siblings: list[Tree], number: int, random: Random, _: Sequence[bytes]) -> None:
    chosen = siblings[number]
    if chosen.children:
        del chosen.children[random.randrange(len(chosen.children)) :]
    else:
        chosen.value = b""


def _turned(siblings: list[Tree], number: int, random: Random, _: Sequence[bytes]) -> None:
    """The elements in another order."""
    inside = siblings[number].children or siblings
    random.shuffle(inside)


def _badly_written(siblings: list[Tree], number: int, random: Random, _: Sequence[bytes]) -> None:
    """A length that is not DER's, or not right; what is around it fits what is written."""
    whole = siblings[number].encoded()
    inside = whole[len(whole) - len(siblings[number].before) - _size(siblings[number]) :]
    siblings[number].written = der_oddities.framed(siblings[number].tag, inside, random)


def _size(tree: Tree) -> int:
    return len(tree.value) if tree.children is None else sum(len(child.encoded()) for child in tree.children)


_STRUCTURAL = (
    _twice,
    _gone,
    _exchanged,
    _taken,
    _taken,
    _retagged,
    _wrapped,
    _unwrapped,
    _emptied,
    _turned,
    _badly_written,
)


@st.composite
def changed(draw: st.DrawFn, *seeds: bytes) -> bytes:
    """One of `seeds`, mutated if it holds DER; the others are where values are taken from."""
    seed = draw(st.sampled_from(seeds))
    made = mutate(seed, draw(st.randoms(use_true_random=False)), seeds)
    return seed if made is None else made
