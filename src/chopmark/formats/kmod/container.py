"""The compression around a module: one gzip member (RFC 1952) or one .xz stream, with nothing in it besides."""

from __future__ import annotations

import lzma
import struct
import zlib
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.formats.kmod import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import View

GZIP, XZ, ZSTANDARD = "gzip", "xz", "zstandard"
_MAGIC = {b"\x1f\x8b": GZIP, b"\xfd7zXZ\x00": XZ, b"\x28\xb5\x2f\xfd": ZSTANDARD}
_HEADER, _TRAILER = struct.Struct("<4sIBB"), struct.Struct("<II")
_PLAIN_HEADER = b"\x1f\x8b\x08\x00"
"""Deflate, and no optional field: a name or comment there is covered by nothing."""
_RAW = -zlib.MAX_WBITS
_HARDEST, _UNIX = 2, 3
_XZ_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": limits.MIB}]
"""As the kernel's Makefile compresses modules: CRC32 and a small dictionary are all that its own decoder can do."""


def kind(view: View) -> str:
    """GZIP, XZ, ZSTANDARD, or empty."""
    head = view.read(0, 6)
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")


def beginning(head: bytes) -> bytes:
    """What the first bytes of a compressed file uncompress to, as far as that goes; empty where it does not."""
    try:
        if head.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, 64)
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.XZ_MEMORY_MAX).decompress(head, 64)
    except (zlib.error, lzma.LZMAError, EOFError):
        return b""


def unpack(view: View, packed: str) -> bytes:
    """The module in it. Raises BrokenError for anything that could be written differently and mean the same."""
    if packed == ZSTANDARD:
        raise BrokenError(reasons.ZSTANDARD)
    if view.size > limits.MODULE_PACKED_MAX:
        raise BrokenError(reasons.TOO_LARGE, f"{view.size} bytes, compressed")
    try:
        return (_gunzip if packed == GZIP else _unxz)(view)
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise BrokenError(reasons.CONTAINER, str(error)) from None


def pack(data: bytes, packed: str) -> bytes:
    """Compress a module, the same bytes for the same module each time."""
    if packed == XZ:
        return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=_XZ_FILTERS)
    deflate = zlib.compressobj(9, zlib.DEFLATED, _RAW)
    body = deflate.compress(data) + deflate.flush()
    header = _HEADER.pack(_PLAIN_HEADER, 0, _HARDEST, _UNIX)
    return header + body + _TRAILER.pack(zlib.crc32(data), len(data) & 0xFFFFFFFF)


def _gunzip(view: View) -> bytes:
    if view.size <= _HEADER.size + _TRAILER.size or view.read(0, 4) != _PLAIN_HEADER:
        raise BrokenError(reasons.CONTAINER, "a gzip header with optional fields, or cut off")
    end = view.size - _TRAILER.size
    decoder = zlib.decompressobj(_RAW)
    found = bytearray()
    for piece in _pieces(view, _HEADER.size, end - 1):
        left = piece
        while left:
            found += decoder.decompress(left, limits.READ_CHUNK)
            _bounded(found)
            if decoder.eof:
                raise BrokenError(reasons.CONTAINER, "something behind the compressed data")
            left = decoder.unconsumed_tail
    last = view.read(end - 1, 1)
    remains = _finished(decoder, last)
    if remains is None:
        raise BrokenError(reasons.CONTAINER, "compressed data that does not end where it should")
    for bit in range(8):
        # Bits that fill the last byte mean nothing, so they have to be zero.
        if last[0] >> bit & 1 and _finished(decoder, bytes([last[0] ^ 1 << bit])) == remains:
            raise BrokenError(reasons.CONTAINER, "bits that mean nothing are set")
    found += remains
    _bounded(found)
    if _TRAILER.unpack(view.read(end, _TRAILER.size)) != (zlib.crc32(found), len(found) & 0xFFFFFFFF):
        raise BrokenError(reasons.CONTAINER, "checksum or length are wrong")
    return bytes(found)


def _finished(decoder: zlib._Decompress, last: bytes) -> bytes | None:
    """What comes out if `last` is the last byte; None if the data does not end with it."""
    attempt = decoder.copy()
    try:
        found = attempt.decompress(last)
    except zlib.error:
        return None
    return found if attempt.eof else None


def _unxz(view: View) -> bytes:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.XZ_MEMORY_MAX)
    found = bytearray()
    for piece in _pieces(view, 0, view.size):
        if decoder.eof:
            raise BrokenError(reasons.CONTAINER, "something behind the compressed data")
        found += decoder.decompress(piece, limits.READ_CHUNK)
        _bounded(found)
        while not decoder.needs_input and not decoder.eof:
            found += decoder.decompress(b"", limits.READ_CHUNK)
            _bounded(found)
    if not decoder.eof or decoder.unused_data:
        raise BrokenError(reasons.CONTAINER, "cut off, or something behind the compressed data")
    return bytes(found)


def _pieces(view: View, offset: int, end: int) -> Iterator[bytes]:
    while offset < end:
        piece = view.read(offset, min(limits.READ_CHUNK, end - offset))
        offset += len(piece)
        yield piece


def _bounded(found: bytearray) -> None:
    if len(found) > limits.CONTENT_SIGNED_MAX:
        raise BrokenError(reasons.TOO_LARGE, f"more than {limits.CONTENT_SIGNED_MAX} bytes")
