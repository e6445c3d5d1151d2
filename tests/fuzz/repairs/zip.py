"""ZIP archives: sizes, checksums and places as they are, in the list and in the members' own headers."""

from __future__ import annotations

import struct
import zlib

_LOCAL, _LOCAL_SIGN = 30, b"PK\3\4"
_ENTRY, _ENTRY_SIGN = 46, b"PK\1\2"
_END, _END_SIGN = 22, b"PK\5\6"

_LOCAL_FIELDS = ((4, 2), (6, 2), (8, 2), (10, 4), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2))
_ENTRY_FIELDS = ((4, 1), (5, 1), (6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (34, 2),
                 (36, 2), (38, 4), (42, 4))  # fmt: skip
_END_FIELDS = ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2))
VALUES = (
    b"\0", b"\1", b"\2", b"\x08", b"\x09", b"\0\x08", b"\x08\x08", b"\x14", b"\x2d", b"\x3f", b"\x40",
    b"\xff\xff\xff\xff", b"\0\0\xed\x41", b"\0\0\xff\xa1", b"\0\0\xa4\x81", b"\x10\0\0\0", b"a", b"b/", b"../", b"/a",
    b"a\\b", b"c:", b"\0x", b"\xc3\xa4", b"\x84", b"A", b"./", b"//", b"\1\0\x08\0", b"\1\0\0\0", b"up\x09\0\1",
    b"UT\x05\0", b"\x0a\0",
)  # fmt: skip


def fields(data: bytes) -> list[tuple[int, int]]:
    """All fields of members, of the list and of its end, and names with what follows them."""
    found = []
    for sign, size, those in ((_LOCAL_SIGN, _LOCAL, _LOCAL_FIELDS), (_ENTRY_SIGN, _ENTRY, _ENTRY_FIELDS)):
        for place in _places(data, sign, size, len(data)):
            found += [(place + start, length) for start, length in those]
            found += [(place + size, length) for length in (1, 4, 12)]
            found.append((place + size + data[place + (26 if size == _LOCAL else 28)], 12))
    return found + [
        (place + at, length) for place in _places(data, _END_SIGN, _END, len(data)) for at, length in _END_FIELDS
    ]


def parts(data: bytes) -> list[tuple[int, int]]:
    """Members, entries of the list, and what stands behind them."""
    places = sorted(
        place for sign, size in ((_LOCAL_SIGN, _LOCAL), (_ENTRY_SIGN, _ENTRY), (_END_SIGN, _END))
        for place in _places(data, sign, size, len(data))
    )  # fmt: skip
    return [(place, end - place) for place, end in zip(places, [*places[1:], len(data)], strict=False) if end > place]


def repaired(data: bytes) -> bytes:
    """With a list that leads to the members in their order, and numbers that fit what each holds.

    The last bit of the list's end decides whether names, flags and methods in front of members are those of the list.
    """
    start, end = data.find(_ENTRY_SIGN), data.rfind(_END_SIGN)
    if start < 0 or end < start or end + _END > len(data):
        return data
    made, alike = bytearray(data), data[end + 4] == 0
    locals_ = _places(data, _LOCAL_SIGN, _LOCAL, start)
    entries = _places(data, _ENTRY_SIGN, _ENTRY, end)
    for local, following, entry in zip(locals_, [*locals_[1:], start], entries, strict=False):
        flags, method = struct.unpack_from("<2H", data, entry + 8)
        name, more = struct.unpack_from("<2H", data, local + 26)
        begin = local + _LOCAL + name + more
        stop, crc, size = _measured(data, begin, following, method)
        numbers = struct.pack("<3L", crc, max(stop - begin, 0), size)
        made[entry + 16 : entry + 28] = numbers
        made[entry + 42 : entry + 46] = struct.pack("<L", local)
        if alike:
            made[local + 6 : local + 10] = data[entry + 8 : entry + 12]
            if struct.unpack_from("<H", data, entry + 28)[0] == name:
                made[local + _LOCAL : local + _LOCAL + name] = data[entry + _ENTRY : entry + _ENTRY + name]
        made[local + 14 : local + 26] = bytes(12) if flags & 8 else numbers
        if flags & 8 and stop + 16 <= following:
            made[stop : stop + 16] = b"PK\7\x08" + numbers
    made[end + 4 : end + _END] = struct.pack("<4H2LH", 0, 0, len(entries), len(entries), end - start, start, 0)
    return bytes(made[: end + _END])


def _places(data: bytes, sign: bytes, size: int, end: int) -> list[int]:
    found, place = [], data.find(sign)
    while 0 <= place <= end - size:
        found.append(place)
        place = data.find(sign, place + size)
    return found


def _measured(data: bytes, begin: int, following: int, method: int) -> tuple[int, int, int]:
    """Where what a member holds ends, its checksum, and how long it is, unpacked."""
    if method == 8:
        decoder = zlib.decompressobj(-15)
        try:
            plain = decoder.decompress(data[begin:following], 1 << 20)
        except zlib.error:
            return following, 0, 0
        return following - len(decoder.unused_data), zlib.crc32(plain), len(plain)
    plain = data[begin:following]
    return following, zlib.crc32(plain), len(plain)
