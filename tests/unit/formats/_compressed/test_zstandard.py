"""Where a frame of Zstandard ends, beside where the library says it does."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import MalformedError
from chopmark.formats._compressed import zstandard

if TYPE_CHECKING:
    from collections.abc import Mapping

PARAMETER = zstd.CompressionParameter


def frame(data: bytes, options: Mapping[int, int], *, sized: bool = True) -> bytes:
    compressor = zstd.ZstdCompressor(options=options)
    if sized:
        return compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)
    return compressor.compress(data) + compressor.flush()


def library_end(data: bytes) -> int:
    decoder = zstd.ZstdDecompressor()
    decoder.decompress(data)
    assert decoder.eof
    return len(data) - len(decoder.unused_data)


@pytest.mark.parametrize("checksum", [0, 1])
@pytest.mark.parametrize("content_size", [0, 1])
@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, 300_000])
def test_frames_of_every_form(size: int, checksum: int, content_size: int, sized: bool) -> None:  # noqa: FBT001 - a case
    options: dict[int, int] = {PARAMETER.checksum_flag: checksum, PARAMETER.content_size_flag: content_size}
    for data in (bytes(size), hashlib.shake_128(b"").digest(size), b"words and words " * (size // 16)):
        made = frame(data, options, sized=sized)
        assert zstandard.end(made) == len(made)
        assert zstandard.end(made + made) == len(made)
        assert zstandard.end(made + b"x") == len(made)
        for cut in (*range(min(len(made), 20)), len(made) - 1):
            with pytest.raises(MalformedError):
                zstandard.end(made[:cut])


@given(st.binary(max_size=2000), st.data())
def test_what_the_library_takes_ends_where_it_says(data: bytes, draw: st.DataObject) -> None:
    made = bytearray(frame(data, {PARAMETER.checksum_flag: 1}) + b"behind")
    place = draw.draw(st.integers(0, len(made) - 1))
    made[place] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        theirs = library_end(bytes(made))
    except (zstd.ZstdError, AssertionError):
        return
    if made.startswith(zstandard.MAGIC):  # and not a frame that is to be passed over
        assert zstandard.end(bytes(made)) == theirs


def test_blocks_of_no_known_type() -> None:
    with pytest.raises(MalformedError):
        zstandard.end(zstandard.MAGIC + b"\x20\x00" + b"\x07\x00\x00")
