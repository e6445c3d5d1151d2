"""The blocks of a tar file: headers of entries, with what stands in front of them for their long names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats._tar import pax, reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FILE, FOLDER, LINK, HARD_LINK, PIPE = b"f", b"d", b"l", b"h", b"p"
DEVICES = (b"c", b"b")
KINDS = {b"0": FILE, b"\0": FILE, b"5": FOLDER, b"2": LINK, b"1": HARD_LINK, b"3": b"c", b"4": b"b", b"6": PIPE}
_BLOCK = 512
_LONG_NAME, _LONG_LINK = b"L", b"K"
_USTAR = b"ustar\00000"
_MAGICS = (_USTAR, b"ustar  \0")
_NEGATIVE = b"\xff"
"""How GNU begins a number below zero, as a time before 1970 is."""
_OCTAL = re.compile(rb" *([0-7]{1,12})[ \0]*").fullmatch
_SIZE_MAX = 1 << 62
_RIGHTS_MAX = 0xFFFFFFFF


class Reader:
    """Exactly so many bytes at a time, of pieces of any size."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""

    def take(self, length: int) -> bytes:
        """The next bytes, all together. Raises BrokenError at the end."""
        return b"".join(self.pass_by(length))

    def pass_by(self, length: int) -> Iterator[bytes]:
        """The next bytes as they come. Raises BrokenError at the end."""
        while length:
            if not self._left:
                self._left = next(self._pieces, b"")
                if not self._left:
                    raise BrokenError(reasons.FORM, "it is cut off")
            piece, self._left = self._left[:length], self._left[length:]
            length -= len(piece)
            yield piece

    def fill(self, size: int) -> None:
        """Pass by what fills up the last block of so many bytes. Raises BrokenError for anything but zeros."""
        if self.take(-size % _BLOCK).strip(b"\0"):
            raise BrokenError(reasons.FORM, "something else than zeros fills up a block")

    def only_zeros(self) -> bool:
        """Whether nothing but zeros follows; all of it is read."""
        if self._left.strip(b"\0"):
            return False
        return not any(piece.strip(b"\0") for piece in self._pieces)


class Header(NamedTuple):
    """A block that begins an entry."""

    kind: bytes
    name: bytes
    target: bytes
    mode: int
    uid: int
    gid: int
    size: int


def following(reader: Reader, *, extended: bool) -> Header | None:
    """The next entry's head, long names taken in; None at the end, which two blocks of zeros make.

    Long names are GNU's; with `extended`, those of pax(1) as well. An entry with both is refused.
    """
    long: dict[bytes, bytes] = {}
    said: dict[bytes, bytes] = {}
    begun = False
    while True:
        block = reader.take(_BLOCK)
        if not block.strip(b"\0"):
            if begun or reader.take(_BLOCK).strip(b"\0"):
                raise BrokenError(reasons.FORM, "it ends in the middle")
            return None
        header, begun = _parsed(block), True
        if extended and header.kind in (pax.EXTENDED, pax.GLOBAL):
            found = pax.records(_value(reader, header.size), header.kind)
            if long or said or (header.kind == pax.EXTENDED and not found):
                raise BrokenError(reasons.FORM, "two headers for one entry, or an empty one")
            said = dict(found) if header.kind == pax.EXTENDED else {}
            continue
        if said or header.kind in long or header.kind not in (_LONG_NAME, _LONG_LINK):
            break
        value = _value(reader, header.size)
        if value.find(b"\0") != len(value) - 1:
            raise BrokenError(reasons.FORM, "a long name that does not end where it should")
        long[header.kind] = value[:-1]
    if _LONG_NAME in long and not header.name:
        raise BrokenError(reasons.FORM, "a long name, and nothing of it where dpkg looks for one")
    if header.kind not in KINDS:
        raise BrokenError(reasons.FORM, f"an entry of the type {header.kind!r}")
    return _complete(header, said.get(b"path", long.get(_LONG_NAME)), said.get(b"linkpath", long.get(_LONG_LINK)))


def _complete(header: Header, name: bytes | None, target: bytes | None) -> Header:
    header = header._replace(
        name=header.name if name is None else name, target=header.target if target is None else target
    )
    kind = KINDS[header.kind]
    if header.size and kind != FILE:
        raise BrokenError(reasons.FORM, f"{shown(header.name)} is no file, and has {header.size} bytes")
    if kind == FILE and header.name.endswith(b"/"):
        raise BrokenError(reasons.FORM, f"{shown(header.name)} is a file, or a folder")
    if not header.name or (bool(header.target) != (kind in (LINK, HARD_LINK))):
        raise BrokenError(reasons.FORM, "an entry without a name or target, or with one too many")
    return header


def shown(path: bytes) -> str:
    """A path for people."""
    return repr(path[:200])[2:-1]


def _value(reader: Reader, size: int) -> bytes:
    if not 0 < size <= limits.TAR_NAME_MAX:
        raise BrokenError(reasons.FORM, f"a name of {size} bytes")
    value = reader.take(size)
    reader.fill(size)
    return value


def _parsed(block: bytes) -> Header:
    if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise BrokenError(reasons.FORM, "a checksum that does not fit")
    magic = block[257:265]
    if magic not in _MAGICS and block[257:].strip(b"\0"):
        raise BrokenError(reasons.FORM, "neither ustar nor what came before it")
    name = _text(block[:100])
    if magic == _USTAR:
        if prefix := _text(block[345:500]):
            name = prefix + b"/" + name
    elif block[345:500].strip(b"\0"):  # Python reads a prefix there all the same
        raise BrokenError(reasons.FORM, "a prefix that not all programs read")
    _check_unread(block[136:148])
    for field in (block[329:337], block[337:345]):  # Python stops at what is none
        if field.strip(b" "):
            _check_unread(field)
    numbers = [_number(field) for field in (block[100:108], block[108:116], block[116:124], block[124:136])]
    if max(numbers[:3]) > _RIGHTS_MAX:
        raise BrokenError(reasons.FORM, "a mode or owner that there is not")
    return Header(block[156:157], name, _text(block[157:257]), *numbers)


def _check_unread(field: bytes) -> None:
    """A number that is not heeded here, and that others stop at where it is none."""
    if field[:1] != _NEGATIVE:
        _number(field)
    elif int.from_bytes(field, "big", signed=True) < -_SIZE_MAX:
        raise BrokenError(reasons.FORM, "a number that is too small")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Octal digits, or zeros alone; or, as GNU writes what is too large for octal digits, a number to the base of 256.

    Blanks alone are a zero to Python, and to GNU tar and dpkg an error.
    """
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
        if value > _SIZE_MAX:
            raise BrokenError(reasons.FORM, "a number that is too large")
        return value
    match = _OCTAL(field)
    if match is None:
        if not field.strip(b"\0"):
            return 0
        raise BrokenError(reasons.FORM, "a field that is no number")
    return int(match[1], 8)
