"""Where the fields of ELF files are (gABI 4.2): header, both tables; and those of what is appended to sign them."""

from __future__ import annotations

import struct

_MARK, _TRAILER, _HEADER = 28, 12, 64
_ROWS = 12
_LITTLE, _WIDE = 1, 2
_WORDS = {4: "I", 8: "Q"}
VALUES = (b"\0", b"\1", b"\2", b"\3", b"\x08", b"\x40", b"\xff", b"\0\0\0\0", b"\0\0\1\0", b"\x7f\xff\xff\xff",
          b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\xff\xff", b"\xf0\xff\xff\xff")  # fmt: skip


def fields(data: bytes) -> list[tuple[int, int]]:
    """All of them, as far as the file goes."""
    end = len(data) - _MARK - _TRAILER
    if end < _HEADER:
        return [(0, len(data))]
    trailer = [(end, 1), (end + 1, 1), (end + 2, 1), (end + 3, 1), (end + 4, 1), (end + 5, 3), (end + 8, 4)]
    return [*trailer, (end - 8, 8), (end + _TRAILER, 8), (len(data) - 8, 8), *_of_elf(data)]


def _of_elf(data: bytes) -> list[tuple[int, int]]:
    wide = data[4] == _WIDE
    word, after = (8, 24 + 3 * 8) if wide else (4, 24 + 3 * 4)
    found = [(at, 1) for at in range(4, 9)] + [(16, 2), (18, 2), (20, 4)]
    found += [(24 + number * word, word) for number in range(3)]
    found += [(after, 4), *((after + 4 + 2 * number, 2) for number in range(6))]
    order = "<" if data[5] == _LITTLE else ">"
    segments, sections = struct.unpack_from(order + 2 * _WORDS[word], data, 24 + word)
    for start, size in ((segments, 56 if wide else 32), (sections, 64 if wide else 40)):
        for row in range(_ROWS):
            found += [(start + row * size + at, 4) for at in range(0, size, 4)]
            found += [(start + row * size + at, 8) for at in range(8, size, 8)]
    return [(place, length) for place, length in found if 0 <= place <= len(data) - length]
