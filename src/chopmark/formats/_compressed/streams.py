"""One compressed stream, and nothing behind it, uncompressed in bounded pieces (RFC 1952, RFC 8878, xz, bzip2, LZ4)."""

from __future__ import annotations

import bz2
import lzma
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from chopmark.core import limits, reasons
from chopmark.core.errors import BrokenError, MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PLAIN, GZIP, XZ, BZIP2, ZSTANDARD, LZ4 = "", "gz", "xz", "bz2", "zst", "lz4"
"""The kinds, by the suffix that files have."""
KINDS = (PLAIN, GZIP, XZ, BZIP2, ZSTANDARD, LZ4)
_WRONG = (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)


def unpacked(pieces: Iterable[bytes], kind: str, limit: int) -> Iterator[bytes]:
    """What a stream of this kind holds.

    Raises BrokenError for more than `limit` bytes, for a stream that is damaged, cut off or has something behind it,
    and, with an UNKNOWN outcome of its reason, where the library for this kind is not installed.
    """
    total = 0
    for piece in pieces if kind == PLAIN else _decoded(pieces, kind):
        total += len(piece)
        if total > limit:
            raise BrokenError(reasons.UNPACKED_TOO_LARGE, f"more than {limit} bytes")
        if piece:
            yield piece


def _decoded(pieces: Iterable[bytes], kind: str) -> Iterator[bytes]:
    decoder = _decoder(kind)
    try:
        for piece in pieces:
            if decoder.eof:
                raise MalformedError("something behind the compressed data")
            yield from _pieces_of(decoder, piece, kind)
        if not decoder.eof or decoder.unused_data:
            raise MalformedError("cut off, or something behind the compressed data")
    except MalformedError:
        raise
    except _WRONG as error:
        raise MalformedError(f"compressed data is damaged ({error})") from None
    except Exception as error:
        # The errors of the libraries for Zstandard and LZ4 have no class in common; both raise plain ones of their own.
        if type(error).__name__ in ("ZstdError", "RuntimeError"):
            raise MalformedError(f"compressed data is damaged ({error})") from None
        raise


def _pieces_of(decoder: Any, piece: bytes, kind: str) -> Iterator[bytes]:  # noqa: ANN401 - of six libraries
    if kind == GZIP:
        while piece and not decoder.eof:
            yield decoder.decompress(piece, limits.READ_CHUNK)
            piece = decoder.unconsumed_tail
        while not decoder.eof and (more := decoder.decompress(b"", limits.READ_CHUNK)):
            yield more
        return
    yield decoder.decompress(piece, limits.READ_CHUNK)
    while not decoder.needs_input and not decoder.eof:
        yield decoder.decompress(b"", limits.READ_CHUNK)


def _decoder(kind: str) -> Any:  # noqa: ANN401 - of six libraries
    if kind == GZIP:
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    if kind == XZ:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.XZ_MEMORY_MAX)
    if kind == BZIP2:
        return bz2.BZ2Decompressor()
    try:
        if kind == LZ4:
            return import_module("lz4.frame").LZ4FrameDecompressor()
        zstd = zstandard_module()
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: limits.ZSTANDARD_WINDOW_MAX})
    except ImportError:
        raise BrokenError(reasons.COMPRESSION_UNSUPPORTED, f".{kind}: pip install 'chopmark[packages]'") from None


def zstandard_module() -> Any:  # noqa: ANN401 - a module, under two names
    """The library for Zstandard. Raises ImportError."""
    try:
        return import_module("compression.zstd")  # Python 3.14
    except ImportError:
        return import_module("backports.zstd")
