"""Compressed streams: the checksums of gzip (RFC 1952 clause 2.3.1) and of xz's headers (its file format, clause 2),
those of LZ4's frames (its frame format), and of Zstandard's content (RFC 8878 clause 3.1.1).

The last two are xxHash, which their libraries compute: what they pack ends with the checksum of what was packed.
"""

from __future__ import annotations

import zlib

from chopmark.formats._compressed import streams, zstandard
from tests.support import packed

_GZIP_FLAGS, _GZIP_HEADER = 0x1F, 10
_XZ, _XZ_HEADER = b"\xfd7zXZ\0", 12
_ZSTD_HEADER, _ZSTD_CHECKSUM = 6, 4
_LZ4 = b"\x04\x22\x4d\x18"
_LZ4_BLOCKS, _LZ4_SIZE, _LZ4_CONTENT, _LZ4_DICTIONARY = 16, 8, 4, 1
"""Flags of a frame: checksums of blocks, a size, a checksum of the content, a dictionary."""
_LZ4_PLAIN = 1 << 31
"""In the size of a block: it is not packed."""
_MOST = 1 << 20


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


def zstd(data: bytes) -> bytes:
    """With a checksum that fits, behind the first frame, if it has one."""
    if not data.startswith(zstandard.MAGIC) or len(data) < _ZSTD_HEADER or not data[4] & _ZSTD_CHECKSUM:
        return data
    library = streams.zstandard_module()
    decoder = library.ZstdDecompressor()
    try:
        plain = decoder.decompress(data[:4] + bytes([data[4] & ~_ZSTD_CHECKSUM]) + data[5:], _MOST)
    except library.ZstdError:
        return data
    if not decoder.eof:
        return data
    end = len(data) - len(decoder.unused_data)
    made = library.compress(plain, options={library.CompressionParameter.checksum_flag: 1})
    return bytes(data[:end] + made[-4:] + data[end + 4 :])


def lz4(data: bytes) -> bytes:
    """With checksums that fit the header, each block and the content of the first frame, and a size that does."""
    if not data.startswith(_LZ4) or len(data) < len(_LZ4) + 2:
        return data
    flags = data[4]
    end = 6 + 8 * bool(flags & _LZ4_SIZE) + 4 * bool(flags & _LZ4_DICTIONARY)
    checked, bare, place = b"", b"", end + 1
    while size := int.from_bytes(data[place : place + 4], "little"):
        stop = place + 4 + size % _LZ4_PLAIN
        if stop > len(data):
            break
        bare += data[place:stop]
        checked += data[place:stop] + (_xxh32(data[place + 4 : stop]) if flags & _LZ4_BLOCKS else b"")
        place = stop + 4 * bool(flags & _LZ4_BLOCKS)
    plain = _unpacked(flags, data[5], bare)
    header = bytearray(data[4:end])
    if plain is not None and flags & _LZ4_SIZE:
        header[2:10] = len(plain).to_bytes(8, "little")
    made = _LZ4 + bytes(header) + _xxh32(bytes(header))[1:2] + checked
    if plain is None:
        return made + data[place:]
    sum_ = _xxh32(plain) if flags & _LZ4_CONTENT else b""
    return made + bytes(4) + sum_ + data[place + 4 + len(sum_) :]


def _unpacked(flags: int, largest: int, blocks: bytes) -> bytes | None:
    """What blocks without checksums hold."""
    header = bytes([flags & ~(_LZ4_BLOCKS | _LZ4_SIZE | _LZ4_CONTENT | _LZ4_DICTIONARY), largest])
    try:
        decoder = packed.lz4.LZ4FrameDecompressor()
        plain = decoder.decompress(_LZ4 + header + _xxh32(header)[1:2] + blocks + bytes(4), _MOST)
    except RuntimeError:
        return None
    return plain if decoder.eof else None


def _xxh32(data: bytes) -> bytes:
    """XXH32 with the seed 0, in the order of the frame format."""
    return bytes(packed.lz4.compress(data, content_checksum=True, store_size=False)[-4:])


EVERY = (gzip, xz, zstd, lz4)
_BY_MAGIC = {b"\x1f\x8b": gzip, _XZ: xz, zstandard.MAGIC: zstd, _LZ4: lz4}


def repaired(data: bytes) -> bytes:
    """With checksums that fit, if it is compressed in one of these ways."""
    return next((repair(data) for magic, repair in _BY_MAGIC.items() if data.startswith(magic)), data)
