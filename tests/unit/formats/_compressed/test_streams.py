"""Compressed streams: the same bytes come out in bounded pieces, and nothing but one whole stream is taken."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.formats._compressed import streams

lz4 = pytest.importorskip("lz4.frame", reason="the extra for packages")
zstd = pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd", reason="the same")
PACK = {
    "gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "lz4": lz4.compress, "zst": zstd.compress,
}  # fmt: skip
every_kind = pytest.mark.parametrize("kind", PACK)


def unpacked(data: bytes, kind: str, step: int = 1 << 16, limit: int = 1 << 30) -> list[bytes]:
    return list(streams.unpacked((data[at : at + step] for at in range(0, len(data), step)), kind, limit))


@every_kind
def test_what_was_packed_comes_back_in_pieces(kind: str) -> None:
    data = bytes(range(256)) * 20_000
    packed = PACK[kind](data)
    for step in (1 << 16, 997):
        pieces = unpacked(packed, kind, step)
        assert b"".join(pieces) == data
        assert max(map(len, pieces)) <= limits.READ_CHUNK


@every_kind
def test_nothing_else_is_taken(kind: str) -> None:
    packed = PACK[kind](b"content" * 100)
    for data in (b"", packed[:-1], packed[: len(packed) // 2], packed + b"x", packed + packed, b"x" + packed):
        with pytest.raises(MalformedError):
            unpacked(data, kind)


@every_kind
def test_a_bomb_ends_at_the_limit(kind: str) -> None:
    packed = PACK[kind](b"\0" * 30_000_000)
    with pytest.raises(BrokenError) as told:
        unpacked(packed, kind, limit=3_000_000)
    assert told.value.reason.code == "format.unpacked_too_large"


@every_kind
@given(st.binary(max_size=100), st.integers(0, 60))
def test_no_damage_crashes(kind: str, noise: bytes, place: int) -> None:
    packed = bytearray(PACK[kind](b"some content, and more" * 5))
    packed[place : place + len(noise)] = noise
    try:
        unpacked(bytes(packed), kind, limit=1 << 20)
    except MalformedError:
        return


def test_without_the_library_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lz4.frame", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    for kind in ("lz4", "zst"):
        with pytest.raises(BrokenError) as told:
            unpacked(PACK[kind](b"x"), kind)
        assert told.value.reason.code == "format.compression_unsupported"
        assert told.value.reason.outcome == "unknown"
