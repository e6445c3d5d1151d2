"""Packets and numbers (RFC 9580 clauses 3 and 4.2), read strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE, SECRET_KEY, PUBLIC_KEY, SECRET_SUBKEY, MARKER, TRUST = 2, 5, 6, 7, 10, 12
USER_ID, PUBLIC_SUBKEY, USER_ATTRIBUTE, PADDING = 13, 14, 17, 21
_TWO, _PARTIAL, _FOUR = 192, 224, 255
"""First octets of a length: from which on it has two, is one of several parts, has five."""


class Packet(NamedTuple):
    """One packet: what kind it is (its type ID) and what is in it."""

    tag: int
    body: bytes


class Reader:
    """Fields one after the other. Raises MalformedError past the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def take(self, count: int) -> bytes:
        """So many octets."""
        end = self.place + count
        if end > len(self.data):
            raise MalformedError("it ends too early")
        taken, self.place = self.data[self.place : end], end
        return taken

    def number(self, octets: int) -> int:
        """A number of so many octets."""
        end = self.place + octets
        if end > len(self.data):
            raise MalformedError("it ends too early")
        value, self.place = int.from_bytes(self.data[self.place : end], "big"), end
        return value

    def mpi(self, *, exact: bool = True) -> int:
        """A multiprecision integer, its length in bits `exact`, or with zeros before it (clause 3.2)."""
        return int.from_bytes(self.mpi_octets(exact=exact), "big")

    def mpi_octets(self, *, exact: bool = True) -> bytes:
        """The octets of one, without zeros before them."""
        bits = self.number(2)
        octets = self.take((bits + 7) // 8).lstrip(b"\0")
        actual = 8 * len(octets) - 8 + octets[0].bit_length() if octets else 0
        if actual > bits or (exact and actual != bits):
            raise MalformedError("a number whose length is not what it says")
        return octets

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self.data) - self.place)

    def left(self) -> bool:
        """Whether there is more."""
        return self.place < len(self.data)

    def done(self) -> None:
        """Refuse what is left over."""
        if self.left():
            raise MalformedError("it goes on after its end")


def read(data: bytes) -> Iterator[Packet]:
    """Every packet of a file. Raises MalformedError for anything between or behind them.

    Partial and indeterminate lengths are for data that is streamed (clause 4.2.1.4), not for signatures and keys.
    """
    place, size, count = 0, len(data), 0
    while place < size:
        count += 1
        if count > limits.OPENPGP_PACKETS_MAX:
            raise MalformedError(f"more than {limits.OPENPGP_PACKETS_MAX} packets")
        first = data[place]
        if not first & 0x80:
            raise MalformedError("not a packet")
        if first & 0x40:
            tag = first & 0x3F
            length, start = _length(data, place + 1)
        else:
            tag, kind = first >> 2 & 0x0F, first & 3
            if kind == 3:
                raise MalformedError("a packet without a length")
            start = place + 1 + (1 << kind)
            length = int.from_bytes(data[place + 1 : start], "big")
        place = start + length
        if place > size:
            raise MalformedError("it ends too early")
        yield Packet(tag, data[start:place])


def _length(data: bytes, place: int) -> tuple[int, int]:
    """The length of a packet in the newer form, and where it begins."""
    reader = Reader(data)
    reader.place = place
    first = reader.number(1)
    if first < _TWO:
        return first, reader.place
    if first < _PARTIAL:
        return ((first - _TWO) << 8) + reader.number(1) + _TWO, reader.place
    if first < _FOUR:
        raise MalformedError("a packet in several parts")
    return reader.number(4), reader.place


def sublength(data: bytes, place: int) -> tuple[int, int]:
    """The length of a subpacket (clause 5.2.3.7), and where it begins. Raises MalformedError."""
    first = data[place]
    if first < _TWO:
        return first, place + 1
    reader = Reader(data)
    reader.place = place + 1
    length = ((first - _TWO) << 8) + reader.number(1) + _TWO if first < _FOUR else reader.number(4)
    return length, reader.place


def write(tag: int, body: bytes) -> bytes:
    """A packet, with a length of five octets where one does not do."""
    return bytes([0xC0 | tag]) + (bytes([len(body)]) if len(body) < _TWO else b"\xff" + number(len(body), 4)) + body


def number(value: int, octets: int) -> bytes:
    """A number in so many octets."""
    return value.to_bytes(octets, "big")


def mpi(value: int) -> bytes:
    """A multiprecision integer."""
    return number(value.bit_length(), 2) + number(value, (value.bit_length() + 7) // 8)
