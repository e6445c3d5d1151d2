"""Distinguished Encoding Rules (ITU-T X.690), read strictly and lazily, and written.

A Node is a window on the original bytes: nothing is ever re-encoded to be hashed. Only what is looked at is decoded,
and what is looked at is checked: definite and minimal lengths, exact bounds, canonical integers, booleans and times.
Depth needs no guard here, because nothing recurses over input.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from chopmark.core import limits
from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Identifier octets (tag, class and the constructed bit together)
BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
ENUMERATED = 0x0A
UTF8_STRING = 0x0C
NUMERIC_STRING = 0x12
PRINTABLE_STRING = 0x13
TELETEX_STRING = 0x14
IA5_STRING = 0x16
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
VISIBLE_STRING = 0x1A
UNIVERSAL_STRING = 0x1C
BMP_STRING = 0x1E
SEQUENCE = 0x30
SET = 0x31

_STRINGS = {
    UTF8_STRING: "utf-8",
    NUMERIC_STRING: "ascii",
    PRINTABLE_STRING: "ascii",
    TELETEX_STRING: "latin-1",
    IA5_STRING: "ascii",
    VISIBLE_STRING: "ascii",
    UNIVERSAL_STRING: "utf-32-be",
    BMP_STRING: "utf-16-be",
}

_INTEGER_MAX = 512
"""Bytes of an INTEGER that is asked for as a number; Python can still write out one of this size in decimal."""


LONG = 0x80
"""From here on, the octet after the tag says how long the length is, not how long the value."""
HEADERS = {0x81: 3, 0x82: 4}
"""How many octets a header has, by the second of them; two where that is below LONG."""
_ZULU = ord("Z")
_NEW = object.__new__
_from_iso = dt.datetime.fromisoformat


EMPTY = "it is empty"
"""Said of files without a single byte, which copying and downloading leave behind."""


class DerError(MalformedError):
    """Bytes that are not the DER they should be."""


def context(number: int, *, constructed: bool = True) -> int:
    """The identifier octet of a context-specific tag, such as [0]."""
    return 0x80 | (0x20 if constructed else 0) | number


class Node:
    """One tag-length-value in a buffer: where it starts, where its value starts, where it ends."""

    __slots__ = ("body", "buffer", "end", "start", "tag")

    def __init__(self, buffer: bytes, start: int, limit: int) -> None:
        """Read the header at `start`; the value must end at or before `limit`. Raises DerError."""
        try:
            tag = buffer[start]
            length = buffer[start + 1]
        except IndexError:
            raise DerError("a value is cut off in its header") from None
        if tag & 0x1F == 0x1F:
            raise DerError("a tag number above 30, which nothing here uses")
        body = start + 2
        if length > 0x7F:
            count = length & 0x7F
            if count == 0:
                raise DerError("an indefinite length, which DER does not have")
            if count > 4:
                raise DerError("a length of more than four bytes")
            octets = buffer[body : body + count]
            if len(octets) != count:
                raise DerError("a value is cut off in its header")
            length = int.from_bytes(octets, "big")
            if length < 0x80 or octets[0] == 0:
                raise DerError("a length in more bytes than it needs")
            body += count
        end = body + length
        if end > limit:
            raise DerError(f"a value of {length} bytes is cut off after {max(limit - body, 0)}")
        self.buffer = buffer
        self.start = start
        self.tag = tag
        self.body = body
        self.end = end

    @property
    def raw(self) -> bytes:
        """Header and value, as they stand in the buffer."""
        return self.buffer[self.start : self.end]

    @property
    def value(self) -> bytes:
        """The value octets."""
        return self.buffer[self.body : self.end]

    def within(self, buffer: bytes) -> Node:
        """The same place in other bytes, which must have a value there with the same header."""
        node = _NEW(Node)
        node.buffer, node.start, node.tag, node.body, node.end = buffer, self.start, self.tag, self.body, self.end
        return node

    def expect(self, tag: int) -> Self:
        """Itself, if it has this identifier octet; else DerError."""
        if self.tag != tag:
            raise DerError(f"expected tag {tag:#04x}, found {self.tag:#04x}")
        return self

    def children(self) -> list[Node]:
        """The elements of a constructed value; they must fill it exactly, and not be more than DER_ELEMENTS_MAX."""
        if not self.tag & 0x20:
            raise DerError(f"tag {self.tag:#04x} is primitive: it has no elements")
        found: list[Node] = []
        buffer = self.buffer
        for tag, start, body, end in spans(buffer, self.body, self.end):
            node = _NEW(Node)
            node.buffer, node.start, node.tag, node.body, node.end = buffer, start, tag, body, end
            found.append(node)
        return found

    def each(self) -> Iterator[Node]:
        """The elements one by one, for lists that may rightly be very long (a CRL's entries)."""
        if not self.tag & 0x20:
            raise DerError(f"tag {self.tag:#04x} is primitive: it has no elements")
        position = self.body
        while position < self.end:
            node = Node(self.buffer, position, self.end)
            position = node.end
            yield node

    def fields(self, tag: int = SEQUENCE) -> Fields:
        """The elements of a SEQUENCE (or another constructed tag), to be taken in order."""
        return Fields(self.expect(tag).children())

    def only_child(self) -> Node:
        """The single element of an explicit tag."""
        inner = self.children()
        if len(inner) != 1:
            raise DerError(f"expected one element, found {len(inner)}")
        return inner[0]

    def inside(self) -> Node:
        """The DER that an OCTET STRING or BIT STRING holds, and nothing behind it."""
        if self.tag == BIT_STRING:
            return parse(self.bit_string())
        return parse(self.expect(OCTET_STRING).value)

    def retagged(self, tag: int) -> bytes:
        """The same length and value under another identifier octet (implicit tags; signedAttrs as SET OF)."""
        return bytes((tag,)) + self.buffer[self.start + 1 : self.end]

    def integer(self, longest: int = _INTEGER_MAX) -> int:
        """An INTEGER or ENUMERATED, of any sign, of at most `longest` bytes."""
        if self.tag not in (INTEGER, ENUMERATED):
            raise DerError(f"expected an INTEGER, found tag {self.tag:#04x}")
        if self.end - self.body > longest:
            raise DerError(f"an INTEGER of {self.end - self.body} bytes, which nothing here uses")
        value = self.value
        if not value or (len(value) > 1 and value[0] in (0x00, 0xFF) and (value[0] ^ value[1]) < 0x80):
            raise DerError("an INTEGER that is empty or longer than it needs to be")
        return int.from_bytes(value, "big", signed=True)

    def natural(self, longest: int = _INTEGER_MAX) -> int:
        """An INTEGER of at most `longest` bytes that is not negative, as all numbers of keys are."""
        number = self.expect(INTEGER).integer(longest)
        if number < 0:
            raise DerError("a negative number where none can be")
        return number

    def null(self) -> None:
        """A NULL, which has no value."""
        if self.expect(NULL).value:
            raise DerError("a NULL with a value")

    def oid(self) -> str:
        """An OBJECT IDENTIFIER in dotted form."""
        return dotted(self.expect(OBJECT_IDENTIFIER).value)

    def boolean(self) -> bool:
        """A BOOLEAN: exactly 00 or FF."""
        value = self.expect(BOOLEAN).value
        if value not in (b"\x00", b"\xff"):
            raise DerError("a BOOLEAN that is neither 00 nor FF")
        return value == b"\xff"

    def octets(self) -> bytes:
        """The content of an OCTET STRING."""
        return self.expect(OCTET_STRING).value

    def bit_string(self) -> bytes:
        """The content of a BIT STRING of whole bytes."""
        return whole_bits(self.expect(BIT_STRING).value)

    def bits(self) -> frozenset[int]:
        """The numbers of the bits set in a named-bit BIT STRING (bit 0 is the first)."""
        value = self.expect(BIT_STRING).value
        if not value or value[0] > 7 or (len(value) == 1 and value[0]):
            raise DerError("a BIT STRING with a wrong count of unused bits")
        if len(value) > 1 and value[-1] & ((1 << value[0]) - 1):
            raise DerError("a BIT STRING whose unused bits are not zero")
        return frozenset(
            8 * index + bit for index, octet in enumerate(value[1:]) for bit in range(8) if octet & (0x80 >> bit)
        )

    def text(self) -> str:
        """Any of the string types."""
        encoding = _STRINGS.get(self.tag)
        if encoding is None:
            raise DerError(f"expected a string, found tag {self.tag:#04x}")
        try:
            return self.value.decode(encoding)
        except UnicodeDecodeError:
            if self.tag in (PRINTABLE_STRING, IA5_STRING, VISIBLE_STRING):  # real names hold Latin-1 here
                return self.value.decode("latin-1")
            raise DerError("a string that its own type does not allow") from None

    def time(self) -> dt.datetime:
        """A UTCTime or GeneralizedTime in Zulu; fractions of a second only in the latter (RFC 3161)."""
        return read_time(self.tag, self.value)


def whole_bits(value: bytes) -> bytes:
    """The content of a BIT STRING of whole bytes, from its value octets. Raises DerError."""
    if not value or value[0] != 0:
        raise DerError("a BIT STRING that is not whole bytes")
    return value[1:]


def read_time(tag: int, value: bytes) -> dt.datetime:
    """The value of a UTCTime or GeneralizedTime, as Node.time has it. Raises DerError."""
    # Some versions of Python take midnight for the end of a day: hours are looked at here.
    try:
        if tag == UTC_TIME and len(value) == 13 and value[12] == _ZULU and value[:12].isdigit():
            text = value.decode("ascii")
            if text[6:8] < "24":
                return _from_iso(f"{'19' if text >= '50' else '20'}{text[:6]}T{text[6:]}")
        if tag == GENERALIZED_TIME and value[-1:] == b"Z" and value[:14].isdigit() and len(value) >= 15:
            fraction = value[14:-1]
            if fraction and (fraction[:1] != b"." or not fraction[1:].isdigit() or fraction[-1:] == b"0"):
                raise ValueError
            text = value[:14].decode("ascii")
            if text[8:10] < "24":
                found = _from_iso(f"{text[:8]}T{text[8:]}Z")
                return found.replace(microsecond=int(fraction[1:7].ljust(6, b"0"))) if fraction else found
    except ValueError:
        pass
    raise DerError(f"not a time in Zulu: {value[:32].decode('latin-1')!r}")


class Fields:
    """The elements of a structure, taken one after another."""

    __slots__ = ("_nodes", "_position")

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._position = 0

    def take(self, tag: int | None = None) -> Node:
        """The next element, which must exist and have this identifier octet (any, if None)."""
        if self._position >= len(self._nodes):
            raise DerError("an element is missing")
        node = self._nodes[self._position]
        self._position += 1
        return node if tag is None else node.expect(tag)

    def optional(self, *tags: int) -> Node | None:
        """The next element if it has one of these identifier octets, else None."""
        if self._position < len(self._nodes) and self._nodes[self._position].tag in tags:
            self._position += 1
            return self._nodes[self._position - 1]
        return None

    def rest(self) -> list[Node]:
        """All that remain."""
        left = self._nodes[self._position :]
        self._position = len(self._nodes)
        return left

    def done(self) -> None:
        """Nothing may remain; else DerError."""
        if self._position != len(self._nodes):
            raise DerError(f"{len(self._nodes) - self._position} unexpected elements")

    def __iter__(self) -> Iterator[Node]:
        """Iterate over what remains."""
        return iter(self.rest())


def parse(data: bytes) -> Node:
    """The one value that `data` is, with nothing behind it. Raises DerError."""
    if not data:
        raise DerError(EMPTY)
    node = Node(data, 0, len(data))
    if node.end != len(data):
        raise DerError(f"{len(data) - node.end} bytes behind the value")
    return node


def prefix(data: bytes, start: int = 0) -> Node:
    """The value at `start`, whatever comes behind it. Raises DerError."""
    return Node(data, start, len(data))


Span = tuple[int, int, int, int]
"""Where an element is, without a Node: its identifier octet, where it starts, where its value starts, where it ends."""


def spans(buffer: bytes, position: int, end: int) -> list[Span]:
    """The elements that fill `buffer` from `position` to `end` exactly. Raises DerError, as Node.children does.

    For what is read very often, certificates above all: half the price of nodes.
    """
    found: list[Span] = []
    add = found.append
    most = limits.DER_ELEMENTS_MAX
    few = end - position <= 2 * most  # an element has two octets at least
    while position < end:
        # Short values, nearly all, do not take the long way.
        tag, length = buffer[position], buffer[position + 1] if position + 1 < end else LONG
        following = position + 2 + length
        if length < LONG and tag & 0x1F != 0x1F and following <= end:
            add((tag, position, position + 2, following))
            position = following
        else:
            node = Node(buffer, position, end)
            add((tag, position, node.body, node.end))
            position = node.end
        if not few and len(found) > most:
            raise DerError(f"more than {most} elements")
    return found


def shaped(buffer: bytes, position: int, end: int, shape: bytes) -> list[Span]:
    """The same, if their identifier octets together match the pattern `shape`; else DerError."""
    found = spans(buffer, position, end)
    tags = bytes([tag for tag, _, _, _ in found])
    if re.fullmatch(shape, tags) is None:
        raise DerError(f"other elements than there should be (tags {tags[:32].hex(' ')})")
    return found


@lru_cache(maxsize=1024)
def dotted(value: bytes) -> str:
    """The value of an OBJECT IDENTIFIER in dotted form. Raises DerError."""
    if not value or value[-1] & 0x80 or len(value) > 64:
        raise DerError("an OBJECT IDENTIFIER that is empty, cut off or too long")
    arcs = []
    number = 0
    first = True
    for octet in value:
        if first and octet == 0x80:
            raise DerError("an OBJECT IDENTIFIER with a padded arc")
        number = number << 7 | octet & 0x7F
        first = not octet & 0x80
        if first:
            arcs.append(number)
            number = 0
    top = min(arcs[0] // 40, 2)
    return ".".join(map(str, (top, arcs[0] - 40 * top, *arcs[1:])))


# Writing


def encode(tag: int, *parts: bytes) -> bytes:
    """A value under an identifier octet, its parts joined."""
    value = b"".join(parts)
    length = len(value)
    if length < 0x80:
        return bytes((tag, length)) + value
    return header(tag, length) + value


@lru_cache(maxsize=1024)
def header(tag: int, length: int) -> bytes:
    """Identifier and length octets of a value that is written apart from them, because it is long."""
    if length < 0x80:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets


@lru_cache(maxsize=1024)
def headers(outer: int, inner: int, length: int) -> bytes:
    """The headers of a value in another, which holds nothing else."""
    inside = header(inner, length)
    return header(outer, len(inside) + length) + inside


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of encoded parts."""
    return encode(SEQUENCE, *parts)


def set_of(parts: Iterable[bytes]) -> bytes:
    """A SET OF, its elements sorted as DER wants them (X.690 clause 11.6)."""
    return encode(SET, *sorted(parts))


def explicit(number: int, *parts: bytes) -> bytes:
    """[number] EXPLICIT, or IMPLICIT over something constructed."""
    return encode(context(number), *parts)


def implicit(number: int, value: bytes) -> bytes:
    """[number] IMPLICIT over something primitive."""
    return encode(context(number, constructed=False), value)


def integer(number: int) -> bytes:
    """An INTEGER."""
    return encode(
        INTEGER, number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True)
    )


@lru_cache(maxsize=256)
def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form."""
    arcs = [int(arc) for arc in dotted.split(".")]
    out = bytearray()
    for arc in (40 * arcs[0] + arcs[1], *arcs[2:]):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(arc & 0x7F | 0x80)
        out += bytes(reversed(septets))
    return encode(OBJECT_IDENTIFIER, bytes(out))


def octet_string(value: bytes) -> bytes:
    """An OCTET STRING."""
    return encode(OCTET_STRING, value)


def bit_string(value: bytes) -> bytes:
    """A BIT STRING of whole bytes."""
    return encode(BIT_STRING, b"\x00", value)


def boolean(value: bool) -> bytes:  # noqa: FBT001 - it is the value, not a switch
    """A BOOLEAN."""
    return encode(BOOLEAN, b"\xff" if value else b"\x00")


def null() -> bytes:
    """A NULL."""
    return b"\x05\x00"


def utf8(text: str) -> bytes:
    """A UTF8String."""
    return encode(UTF8_STRING, text.encode())


def generalized_time(moment: dt.datetime) -> bytes:
    """A GeneralizedTime in Zulu, with a fraction only when there is one and without trailing zeros."""
    moment = moment.astimezone(dt.UTC)
    fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
    return encode(GENERALIZED_TIME, f"{moment.year:04}{moment:%m%d%H%M%S}{fraction}Z".encode())


@lru_cache(maxsize=8)  # many signatures at one time
def time(moment: dt.datetime) -> bytes:
    """A Time as RFC 5280 writes it: UTCTime through 2049, GeneralizedTime after; whole seconds."""
    moment = moment.astimezone(dt.UTC).replace(microsecond=0)
    if 1950 <= moment.year < 2050:
        return encode(UTC_TIME, f"{moment:%y%m%d%H%M%SZ}".encode())
    return generalized_time(moment)
