"""The fuzz targets under hypothesis: every parser, with inputs made of good ones, in seconds and without a fuzzer.

Few of them, since `make fuzz` gives the same targets many thousands.
"""

from __future__ import annotations

import functools
import importlib
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.run import names
from tests.support import der_trees

if TYPE_CHECKING:
    from types import ModuleType

HEADERS = [
    bytes((tag, length)) for tag in (0x30, 0x31, 0xA0, 0x04, 0x02, 0x06, 0x24) for length in (0, 0x80, 0x84, 0xFF)
]
NUMBERS = [bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x01\0\0\0", b"\xf8\xff\xff\xff", b"\xff" * 8]
TEXTS = [b"\n", b"\r\n", b"\0", b"# ", b"<!-- ", b"-----BEGIN ", b"=", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3\x28"]


@functools.cache
def target(name: str) -> tuple[ModuleType, list[bytes]]:
    module = importlib.import_module(f"tests.fuzz.targets.{name}")
    return module, list(module.seeds())


@st.composite
def edits(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good input with some pieces replaced, removed, repeated or taken from another."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from((0, 1, 2, 4, 8)) | st.integers(0, len(data)))
        other = draw(st.sampled_from(seeds))
        place = draw(st.integers(0, len(other)))
        pieces = st.sampled_from((*HEADERS, *NUMBERS, *TEXTS)) | st.binary(max_size=8)
        again = st.sampled_from((bytes(data[start : start + length]) * 2, other[place : place + length], b""))
        data[start : start + length] = draw(pieces | again)
    return bytes(data)


@pytest.mark.parametrize("name", names())
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_nothing_but_clear_errors_comes_out(name: str, data: st.DataObject) -> None:
    module, seeds = target(name)
    along = der_trees.changed(*seeds) if getattr(module, "mutate", None) is der_trees.mutate else st.nothing()
    module.run(data.draw(edits(seeds) | st.binary(max_size=64) | along))


@pytest.mark.parametrize("name", names())
def test_every_beginning_of_a_good_input_is_answered(name: str) -> None:
    module, seeds = target(name)
    shortest = min(seeds, key=len)
    step = max(1, len(shortest) // 150)
    for length in range(0, len(shortest), step):
        module.run(shortest[:length])


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x30\x80" * 100_000, id="indefinite lengths"),
        pytest.param(b"\x30\x84\xff\xff\xff\xff" * 10_000, id="enormous lengths"),
        pytest.param(b"\xa0\x82\xff\xff" * 50_000, id="lengths beyond the end"),
        pytest.param(b"\x05\x00" * 200_000, id="many small values"),
        pytest.param(b"MZ" + bytes(0x3A) + b"\xff\xff\xff\x7f" + bytes(100_000), id="a header far away"),
        pytest.param(b"-----BEGIN A-----\n" * 20_000, id="many beginnings"),
        pytest.param(b"# SIG # Begin signature block\r\n" * 20_000, id="many blocks"),
        pytest.param("\ufeff\U0010ffff".encode("utf-16-le") * 50_000, id="strange characters"),
        pytest.param(b"=" * 400_000, id="padding"),
    ],
)
def test_large_nonsense_is_answered_in_good_time(name: str, data: bytes) -> None:
    module, _ = target(name)
    started = time.process_time()
    module.run(data)
    assert time.process_time() - started < 10
