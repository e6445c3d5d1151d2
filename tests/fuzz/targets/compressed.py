"""Compressed streams of every kind, as they are and with checksums that fit; Python's modules read them the same."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.formats._compressed import streams, zstandard
from tests.fuzz.repairs import compressed as repairs
from tests.support.packed import lz4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CONTENT = b"content " * 9 + bytes(range(64))
_ZSTANDARD = (
    "28b52ffd2420ad000078636f6e74656e7420686f706d61726b01009b0b17babc0be9",
    "28b52ffd0000ad000078636f6e74656e7420686f706d61726b01009b0b17",
)
"""Frames with a size and a checksum, and with neither."""
_LZ4 = (
    "04224d186840200000000000000030130000008d636f6e74656e7420080070686f706d61726b00000000",
    "04224d186440a7130000008d636f6e74656e7420080070686f706d61726b00000000a3e30635",
)
"""Frames with a size, and with a checksum and blocks by themselves."""
MOST = 1 << 20
PEERS: dict[str, Callable[[bytes], bytes]] = {
    streams.GZIP: gzip.decompress,
    streams.XZ: lambda data: lzma.decompress(data, lzma.FORMAT_XZ, limits.XZ_MEMORY_MAX),
    streams.BZIP2: bz2.decompress,
    streams.LZ4: lz4.decompress,
    streams.ZSTANDARD: streams.zstandard_module().decompress,
}


def seeds() -> Iterable[bytes]:
    """One of each kind, and of xz with filters and each check."""
    yield gzip.compress(CONTENT, mtime=0)
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    yield packer.compress(CONTENT) + packer.flush()
    yield bz2.compress(CONTENT)
    for check in (lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256):
        yield lzma.compress(CONTENT, lzma.FORMAT_XZ, check)
    yield lzma.compress(CONTENT, filters=[{"id": lzma.FILTER_DELTA}, {"id": lzma.FILTER_LZMA2, "dict_size": 4096}])
    yield from map(bytes.fromhex, (*_ZSTANDARD, *_LZ4))
    yield lz4.compress(CONTENT, block_checksum=True, content_checksum=True)
    yield zstandard.MAGIC + b"\x20\x01\x09\x00\x00x"
    yield bytes.fromhex("04224d1864408a") + bytes.fromhex("0100008078") + bytes(4)


def run(data: bytes) -> None:
    """What is unpacked here is what others unpack, and in pieces the same as at once."""
    for kind in streams.KINDS:
        for each in {data, *(repaired(data) for repaired in repairs.EVERY)}:
            _compare(each, kind)
    with suppress(MalformedError):
        assert 0 < zstandard.end(data) <= len(data)


def _compare(data: bytes, kind: str) -> None:
    with suppress(MalformedError):
        found = b"".join(streams.unpacked([data], kind, MOST))
        assert b"".join(streams.unpacked([data[at : at + 7] for at in range(0, len(data), 7)], kind, MOST)) == found
        if kind == streams.ZSTANDARD:
            assert zstandard.end(data) == len(data)
        if kind in PEERS:
            assert PEERS[kind](data) == found
