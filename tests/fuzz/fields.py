"""Mutations that know where fields are: one of them gets a value that such a field may have, or that another one has.

`Mutator.by_fields` needs nothing but a source of chance, so that tests can use it as well.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Read = TypeVar("Read")

Field = tuple[int, int]
"""Where a field begins, and how many bytes it has."""
_AT_ONCE = 3
_TRIES = 60
"""For each input that is to be found."""


def accepted(
    count: int, seed: int, draw: Callable[[random.Random], bytes], read: Callable[[bytes], Read]
) -> Iterator[tuple[bytes, Read]]:
    """So many inputs, each another one, that a reader does not refuse (MalformedError), with what it makes of them."""
    chance = random.Random(seed)
    known = set()
    for _ in range(count * _TRIES):
        data = draw(chance)
        if data in known:
            continue
        known.add(data)
        try:
            found = read(data)
        except MalformedError:
            continue
        yield data, found
        count -= 1
        if not count:
            return
    raise AssertionError("hardly anything is accepted")


class Mutator(NamedTuple):
    """`fields` finds the fields of a file; `values` are worth a try in any, cut off or filled up with zeros to fit.

    `parts`, where given, finds what can be left out, doubled or put into another order as a whole.
    """

    fields: Callable[[bytes], Sequence[Field]]
    values: Sequence[bytes]
    parts: Callable[[bytes], Sequence[Field]] | None = None

    def __call__(self, data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
        """As tests/fuzz/run.py calls a target's `mutate`."""
        return self.by_fields(data, chance)

    def by_fields(self, data: bytes, chance: random.Random) -> bytes:
        """One to a few fields with other values, or parts that are moved."""
        made = data
        for _ in range(chance.randint(1, _AT_ONCE)):
            parts = self.parts(made) if self.parts is not None and chance.random() < 0.2 else ()
            made = _moved(made, parts, chance) if len(parts) > 1 else self._changed(made, chance)
        return made

    def _changed(self, data: bytes, chance: random.Random) -> bytes:
        fields = [(place, length) for place, length in self.fields(data) if length and place + length <= len(data)]
        if not fields:
            return data
        place, length = chance.choice(fields)
        old = data[place : place + length]
        return data[:place] + self._value(data, fields, old, chance) + data[place + length :]

    def _value(self, data: bytes, fields: Sequence[Field], old: bytes, chance: random.Random) -> bytes:
        length, kind = len(old), chance.randrange(6)
        if kind == 0:
            other, size = chance.choice(fields)
            return data[other : other + size][:length].ljust(length, b"\0")
        if kind == 1:
            at = chance.randrange(length)
            return old[:at] + bytes([old[at] ^ 1 << chance.randrange(8)]) + old[at + 1 :]
        if kind == 2:
            number = int.from_bytes(old, "little") + chance.choice((-1, 1, 1 << 8 * (length - 1)))
            return (number % (1 << 8 * length)).to_bytes(length, "little")
        if kind == 3:
            return chance.choice((b"\0", b"\xff", b" ", b"0")) * length
        value = chance.choice(self.values)[:length]
        if kind == 4:
            at = chance.randrange(length - len(value) + 1)
            return old[:at] + value + old[at + len(value) :]
        return value.ljust(length, chance.choice((b"\0", b" ", old[-1:])))


def _moved(data: bytes, parts: Sequence[Field], chance: random.Random) -> bytes:
    """One part left out, doubled, or in another's place."""
    (one, size), (other, _) = chance.sample(list(parts), 2)
    body, kind = data[one : one + size], chance.randrange(3)
    if kind == 0:
        return data[:one] + data[one + size :]
    doubled = data[:other] + body + data[other:]
    if kind == 1:
        return doubled
    start = one + size * (other <= one)
    return doubled[:start] + doubled[start + size :]
