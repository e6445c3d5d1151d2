"""Where the fields of tar headers are; their checksums are mended by tests.support.wheels."""

from __future__ import annotations

import tarfile

_BLOCK = tarfile.BLOCKSIZE
_FIELDS = ((0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (265, 32),
           (297, 32), (329, 8), (337, 8), (345, 155), (500, 12))  # fmt: skip
VALUES = (
    b"a", b"b/", b"./", b"./a", b"/a", b"..", b"a/../b", b"a/./b", b"a//b", b"\0x", b" ", b"-1", b"+1", b"0x1",
    b"1_0", b"7", b"8", b"12345670123", b"777777777777", b"\x80", b"\x80\0\0\0\0\0\0\0\0\0\0\1", b"\xff",
    b"\xff\xff\xff\xff\xff", b" 644 ", b"0000644\0", b"644", b"\xc3\xa4", b"\xe4", b"1", b"2", b"3", b"4", b"5", b"6",
    b"L", b"K", b"x", b"g", b"S", b"V", b"D", b"N", b"X", b"ustar\00000", b"ustar  \0", b"ustar\0\0\0", b"GNUtar ",
    b"tar\0",
)  # fmt: skip


def headers(data: bytes) -> list[int]:
    """Where blocks begin that may be headers: they have digits where the checksum stands."""
    return [
        place
        for place in range(0, len(data) - _BLOCK + 1, _BLOCK)
        if data[place + 148 : place + 154].strip(b" ").isdigit()
    ]


def fields(data: bytes) -> list[tuple[int, int]]:
    """All fields of all headers but checksums, and of what follows a header the first bytes."""
    found = [(place + start, length) for place in headers(data) for start, length in _FIELDS]
    return found + [(place + _BLOCK, 64) for place in headers(data)]


def parts(data: bytes) -> list[tuple[int, int]]:
    """Entries as a whole: from each header to the next."""
    places = headers(data)
    return [(place, end - place) for place, end in zip(places, [*places[1:], len(data)], strict=False) if end > place]
