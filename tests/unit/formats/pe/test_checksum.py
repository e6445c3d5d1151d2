"""CheckSum, against the slow way of computing it."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from chopmark.formats.pe import checksum
from tests.unit.formats.pe import signing
from tests.vectors.pe import make


@given(st.binary(min_size=16, max_size=200), st.lists(st.integers(0, 200), max_size=4), st.integers(0, 3))
def test_any_pieces_in_any_order_come_to_the_sum_of_words(data: bytes, cuts: list[int], at: int) -> None:
    data = b"MZ" + data
    field = 4 * at
    zeroed = data[:field] + bytes(4) + data[field + 4 :]
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    total = checksum.WordSum()
    for start, end in reversed(list(itertools.pairwise(places))):
        total.feed(start, zeroed[start:end])
    if any(zeroed):
        assert checksum.finished(total.value, len(data)) == make.checksum(data, field)


def test_a_sum_of_65535_stays() -> None:
    data = b"\xff\xff" + bytes(14)
    total = checksum.WordSum()
    total.feed(0, data)
    assert checksum.finished(total.value, len(data)) == make.checksum(data, 4) == 0xFFFF + 16


def right(data: bytes) -> bool:
    at = signing.headers(data).checksum
    return int.from_bytes(data[at : at + 4], "little") == make.checksum(data, at)


def test_signing_and_stripping_leave_it_right() -> None:
    for built in make.SAMPLES.values():
        data = make.with_checksum(built)
        for options in (signing.PLAIN, signing.PAGES):
            whole = signing.signed(data, options)
            assert right(whole)
            assert right(signing.signed(whole, signing.APPEND))
            assert right(signing.stripped(whole))


def test_an_unused_field_stays_unused_when_stripping_but_not_when_signing() -> None:
    data = make.Pe().build()
    whole = bytearray(signing.signed(data))
    assert right(bytes(whole))
    at = signing.headers(data).checksum
    whole[at : at + 4] = bytes(4)
    assert signing.against(bytes(whole)) == set()
    assert signing.stripped(bytes(whole)) == data


def test_the_field_at_an_odd_place() -> None:
    data = make.Pe(lfanew=0x83).build()
    assert right(signing.signed(data))
