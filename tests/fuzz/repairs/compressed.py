"""Compressed streams: the checksums of gzip (RFC 1952 clause 2.3.1) and of xz's headers (its file format, clause 2)."""

from __future__ import annotations

import zlib

_GZIP_FLAGS, _GZIP_HEADER = 0x1F, 10
_XZ, _XZ_HEADER = b"\xfd7zXZ\0", 12


def gzip(data: bytes) -> bytes:
    """With a checksum and a length that fit, behind the first deflated stream of a plain header."""
    if data[:3] != b"\x1f\x8b\x08" or len(data) < _GZIP_HEADER or data[3] & _GZIP_FLAGS:
        return data
    decoder = zlib.decompressobj(-15)
    try:
        plain = decoder.decompress(data[10:], 1 << 20)
    except zlib.error:
        return data
    end = len(data) - len(decoder.unused_data)
    trailer = zlib.crc32(plain).to_bytes(4, "little") + len(plain).to_bytes(4, "little")
    return data[:end] + trailer + data[end + 8 :]


def xz(data: bytes) -> bytes:
    """With checksums that fit the headers of the stream and of its first block, its index and its end."""
    if len(data) < 2 * _XZ_HEADER + 8:
        return data
    made = bytearray(data)
    made[: len(_XZ)], made[-2:] = _XZ, b"YZ"
    made[-4:-2] = made[6:8]
    _seal(made, 6, 8, 8)
    block = _XZ_HEADER + 4 * made[_XZ_HEADER]
    _seal(made, _XZ_HEADER, block, block)
    index = len(made) - _XZ_HEADER - 4 * (1 + int.from_bytes(made[-8:-4], "little"))
    if index >= block:
        _seal(made, index, len(made) - _XZ_HEADER - 4, len(made) - _XZ_HEADER - 4)
    _seal(made, len(made) - 8, len(made) - 2, len(made) - _XZ_HEADER)
    return bytes(made)


def _seal(data: bytearray, start: int, end: int, place: int) -> None:
    if place + 4 <= len(data):
        data[place : place + 4] = zlib.crc32(data[start:end]).to_bytes(4, "little")
