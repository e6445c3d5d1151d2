"""Packages of rpm: regions around each header, and digests of header and payload that fit, and the payload's own."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from chopmark.formats.rpm import tags
from tests.fuzz.repairs import compressed

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAD, _INTRO, _ROW = 96, 16, 16
_MAGIC = b"\x8e\xad\xe8\x01\0\0\0\0"

VALUES = (
    b"\0", b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\6", b"\0\0\0\7", b"\0\0\0\x08", b"\0\0\0\x09", b"\x7f\xff\xff\xff",
    b"\x80", b"\xff\xff\xff\xff", b"\0\0\3\xe8", b"\0\0\1\x0d", b"\0\0\4\x5d", b"/", b"a\0b\0", b"../", b"07070",
    b"TRAILER!!!", b"\x81\xa4", b"\xa1\xff", b"\0\0\0\x40", b"00000000", b"FFFFFFFF", b"0000000A",
)  # fmt: skip


def fields(data: bytes) -> list[tuple[int, int]]:
    """The lead's fields, counts, rows of the indexes, their values, and the payload's first header."""
    found = [(4, 1), (5, 1), (6, 2), (8, 2), (10, 66), (76, 2), (78, 2), (80, 16)]
    start = _LEAD
    while end := _end(bytearray(data), start):
        count = struct.unpack_from(">I", data, start + 8)[0]
        found += [(start + 8, 4), (start + 12, 4)]
        found += [(start + _INTRO + number * 4, 4) for number in range(count * 4)]
        found += [(place, length) for _, place in _values(bytearray(data), start) for length in (1, 4, 16)]
        start = end + -end % 8
    return found + [(start + 6 + 8 * number, 8) for number in range(-1, 16)]


def repaired(data: bytes) -> bytes:
    """With regions that hold all of their headers, and every digest that is there made anew."""
    made = bytearray(data)
    end = _end(made, _LEAD)
    start = end + -end % 8
    payload = _end(made, start)
    if not end or not payload:
        return data
    made[payload:] = compressed.repaired(data[payload:])
    _surround(made, start, tags.IMMUTABLE)
    _surround(made, _LEAD, tags.SIGNATURES)
    rest = bytes(made[payload:])
    texts = {tags.PAYLOAD_DIGEST: "sha256", tags.PAYLOAD_SHA512: "sha512", tags.PAYLOAD_SHA3_256: "sha3_256"}
    for tag, place in _values(made, start):
        if tag in texts:
            _put(made, place, hashlib.new(texts[tag], rest).hexdigest().encode() + b"\0", payload)
    head = bytes(made[start:payload])
    whole = head + rest
    beside = {
        tags.SHA1: hashlib.sha1(head, usedforsecurity=False).hexdigest().encode() + b"\0",
        tags.SHA256: hashlib.sha256(head).hexdigest().encode() + b"\0",
        tags.SHA3_256: hashlib.sha3_256(head).hexdigest().encode() + b"\0",
        tags.MD5: hashlib.md5(whole, usedforsecurity=False).digest(),
        tags.SIZE: struct.pack(">I", len(whole) & 0xFFFFFFFF),
    }
    for tag, place in _values(made, _LEAD):
        if tag in beside:
            _put(made, place, beside[tag], end)
    return bytes(made)


def _end(data: bytearray, start: int) -> int:
    """Where a header ends; 0 where there is none."""
    if data[start : start + 8] != _MAGIC or len(data) < start + _INTRO:
        return 0
    count, size = struct.unpack_from(">II", data, start + 8)
    end = start + _INTRO + count * _ROW + size
    return end if 0 < count < 1000 and size >= _ROW and end <= len(data) else 0


def _values(data: bytearray, start: int) -> Iterator[tuple[int, int]]:
    """Each tag of a header, and where its value begins."""
    count = struct.unpack_from(">I", data, start + 8)[0]
    store = start + _INTRO + count * _ROW
    for row in range(count):
        tag, _, offset, _ = struct.unpack_from(">IIII", data, start + _INTRO + row * _ROW)
        yield tag, store + offset


def _surround(data: bytearray, start: int, region: int) -> None:
    """A region of all tags, with its trailer at the end."""
    count, size = struct.unpack_from(">II", data, start + 8)
    trailer = start + _INTRO + count * _ROW + size - _ROW
    struct.pack_into(">IIiI", data, start + _INTRO, region, tags.BINARY, size - _ROW, _ROW)
    struct.pack_into(">IIiI", data, trailer, region, tags.BINARY, -count * _ROW, _ROW)


def _put(data: bytearray, place: int, value: bytes, end: int) -> None:
    if place + len(value) <= end - _ROW:
        data[place : place + len(value)] = value
