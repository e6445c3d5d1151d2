"""Where the fields of PE files are: headers, data directories, sections, and the certificate table."""

from __future__ import annotations

import struct

_FILE, _OPTIONAL, _DIRECTORIES, _SECTION, _CERTIFICATES = 4, 24, 16, 40, 4
_OF_FILE = ((4, 2), (6, 2), (8, 4), (12, 4), (16, 4), (20, 2), (22, 2))
_OF_OPTIONAL = ((0, 2), (4, 4), (16, 4), (20, 4), (24, 4), (28, 4), (32, 4), (36, 4), (56, 4), (60, 4), (64, 4),
                (68, 2), (70, 2))  # fmt: skip
_OF_SECTION = ((0, 8), (8, 4), (12, 4), (16, 4), (20, 4), (24, 4), (28, 4), (32, 2), (34, 2), (36, 4))
_NEW, _SECTIONS_MAX, _PLUS, _CHECK_SUM = 0x3C, 8, 0x20B, 64
VALUES = (
    b"\0", b"\1", b"\2", b"\x08", b"\x10", b"\0\2", b"\0\4", b"\0\x10", b"\xff\xff\xff\xff", b"\x7f", b"\0\0\1",
    b"\0\0\0\x80", b"\x0b\2", b"\x0b\1", b"\x64\x86", b"\x4c\1",
)  # fmt: skip


def fields(data: bytes) -> list[tuple[int, int]]:
    """All of them, as far as the file goes."""
    if len(data) < _NEW + 4:
        return []
    start = struct.unpack_from("<I", data, _NEW)[0]
    found = [(0, 2), (_NEW, 4)]
    if start + 2 * 0x100 > len(data):
        return found
    optional = start + _OPTIONAL
    magic, size, sections = (struct.unpack_from("<H", data, place)[0] for place in (optional, start + 20, start + 6))
    count = optional + (108 if magic == _PLUS else 92)
    found += [(start + place, length) for place, length in _OF_FILE]
    found += [(optional + place, length) for place, length in _OF_OPTIONAL]
    found.append((count, 4))
    found += [(count + 4 + 4 * number, 4) for number in range(2 * _DIRECTORIES)]
    for number in range(min(_SECTIONS_MAX, sections)):
        place = optional + size + number * _SECTION
        found += [(place + at, length) for at, length in _OF_SECTION]
    table = struct.unpack_from("<I", data, count + 4 + 8 * _CERTIFICATES)[0]
    return [*found, (table, 4), (table + 4, 2), (table + 6, 2), (len(data) - 8, 8)]


def with_signature(data: bytes, signature: bytes) -> bytes:
    """A signed image with this instead of all its signatures; directory, padding and CheckSum fit."""
    start = struct.unpack_from("<I", data, _NEW)[0]
    optional = start + _OPTIONAL
    wide = struct.unpack_from("<H", data, optional)[0] == _PLUS
    directory = optional + (108 if wide else 92) + 4 + 8 * _CERTIFICATES
    table = struct.unpack_from("<I", data, directory)[0]
    body = signature + bytes(-len(signature) % 8)
    made = bytearray(data[:table] + struct.pack("<I2H", 8 + len(body), 0x200, 2) + body)
    struct.pack_into("<I", made, directory + 4, 8 + len(body))
    struct.pack_into("<I", made, optional + _CHECK_SUM, 0)
    total = sum(struct.unpack(f"<{len(made) // 2}H", made[: len(made) // 2 * 2]))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("<I", made, optional + _CHECK_SUM, total + len(made))
    return bytes(made)
