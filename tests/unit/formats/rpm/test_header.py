"""Headers: one way to write them, and every trick with regions, offsets, counts and tags has its rule."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import BytesView
from chopmark.core.errors import BrokenError
from chopmark.formats.rpm import header, tags
from chopmark.formats.rpm.header import Value
from tests.support import rpms

ENTRY = struct.Struct(">IIiI")
Row = tuple[int, int, int, int]
NAME, NUMBER = (1000, tags.STRING, 0, 1), (1003, tags.INT32, 8, 2)
DATA = b"tool\0\0\0\0" + struct.pack(">II", 1, 2)


def trailer(rows: int, tag: int = tags.IMMUTABLE, kind: int = tags.BINARY, length: int = 16) -> bytes:
    return ENTRY.pack(tag, kind, -16 * rows, length)


def built(rows: list[Row], data: bytes, region: Row | None = None, end: bytes | None = None, loose: bytes = b"",
          outside: tuple[Row, ...] = ()) -> bytes:  # fmt: skip
    """A header of these rows; region and trailer as they should be, unless given."""
    first = region or (tags.IMMUTABLE, tags.BINARY, len(data), 16)
    every = [first, *rows, *outside]
    body = data + (trailer(len(rows) + 1) if end is None else end) + loose
    index = b"".join(ENTRY.pack(*row) for row in every)
    return header.MAGIC + struct.pack(">II", len(every), len(body)) + index + body


def read(raw: bytes) -> header.Header:
    return header.read(BytesView(raw), 0, limits.RPM_HEADER_MAX)[0]


def refused(raw: bytes) -> str:
    with pytest.raises(BrokenError) as told:
        read(raw)
    return told.value.reason.code


def test_values_are_read_by_their_types() -> None:
    found = read(built([NAME, NUMBER], DATA))
    assert found.string(1000) == b"tool"
    assert found.numbers(1003) == (1, 2)
    assert (found.string(1), found.strings(1), found.numbers(1), found.number(1), found.raw(1)) == (
        None,
        [],
        (),
        None,
        b"",
    )
    with pytest.raises(BrokenError):
        found.number(1003)
    for wrong in (found.strings, found.numbers):
        with pytest.raises(BrokenError):
            wrong(1000)
    with pytest.raises(BrokenError):
        found.string(1003)


def test_what_is_written_is_read_again() -> None:
    said = [rpms.text(1000, "a"), rpms.numbers(1028, [1, 2]), rpms.texts(1117, ["", "b", ""]), rpms.numbers(5008, [7],
            tags.INT64), rpms.numbers(1030, [3], tags.INT16), Value(5, tags.BINARY, 1, b"\1")]  # fmt: skip
    raw = header.written(tags.IMMUTABLE, [each for each in said if each.tag >= tags.LOCALES])
    found = read(raw)
    assert (found.strings(1117), found.numbers(5008), found.signed) == ([b"", b"b", b""], (7,), raw)
    assert header.written(tags.IMMUTABLE, header.values(found)) == raw


GOOD = [NAME, NUMBER]
TRICKS: dict[str, tuple[bytes, str]] = {
    "no tag at all": (header.MAGIC + struct.pack(">II", 0, 16) + bytes(16), "rpm.header"),
    "no data": (header.MAGIC + struct.pack(">II", 1, 0) + bytes(16), "rpm.header"),
    "many tags": (header.MAGIC + struct.pack(">II", limits.RPM_TAGS_MAX + 1, 16) + bytes(2 << 20), "rpm.header"),
    "much data": (header.MAGIC + struct.pack(">II", 2, limits.RPM_HEADER_MAX + 1), "rpm.header"),
    "cut off": (built(GOOD, DATA)[:-1], "rpm.header"),
    "another magic": (b"\x8e\xad\xe8\x02" + built(GOOD, DATA)[4:], "rpm.header"),
    "no region": (built(GOOD[1:], DATA, NAME), "rpm.region"),
    "the region of signatures": (built(GOOD, DATA, (62, 7, 16, 16), trailer(3, 62)), "rpm.region"),
    "an old region": (built(GOOD, DATA, (61, 7, 16, 16), trailer(3, 61)), "rpm.region"),
    "a region of another type": (built(GOOD, DATA, (63, 6, 16, 16)), "rpm.region"),
    "a region of another size": (built(GOOD, DATA, (63, 7, 16, 32)), "rpm.region"),
    "a trailer behind the data": (built(GOOD, DATA, (63, 7, 32, 16)), "rpm.region"),
    "a trailer before the data": (built(GOOD, DATA, (63, 7, -16, 16)), "rpm.region"),
    "a trailer of another tag": (built(GOOD, DATA, None, trailer(3, 61)), "rpm.region"),
    "a trailer of another type": (built(GOOD, DATA, None, trailer(3, 63, 6)), "rpm.region"),
    "a trailer of another size": (built(GOOD, DATA, None, trailer(3, 63, 7, 17)), "rpm.region"),
    "a trailer of half a tag": (built(GOOD, DATA, None, ENTRY.pack(63, 7, -40, 16)), "rpm.region"),
    "a trailer of nothing": (built(GOOD, DATA, None, ENTRY.pack(63, 7, 0, 16)), "rpm.region"),
    "a trailer that leads forward": (built(GOOD, DATA, None, ENTRY.pack(63, 7, 48, 16)), "rpm.region"),
    "a trailer of more than there is": (built(GOOD, DATA, None, trailer(4)), "rpm.region"),
    "a trailer of less than there is": (built(GOOD, DATA, None, trailer(2)), "rpm.outside"),
    "a tag outside": (built(GOOD, DATA, loose=b"evil\0", outside=((1000, 6, 32, 1),)), "rpm.outside"),
    "data outside": (built(GOOD, DATA, loose=b"evil\0"), "rpm.outside"),
    "a tag twice": (built([NAME, (1000, 6, 5, 1)], b"tool\0evil\0"), "rpm.duplicate"),
    "values that overlap": (built([NAME, (1001, 6, 2, 1)], b"tool\0"), "rpm.overlap"),
    "values that run into the trailer": (built([NAME, (1003, 4, 8, 3)], DATA), "rpm.overlap"),
    "a value inside of the trailer": (built([NAME, (1003, 4, 24, 1)], DATA), "rpm.overlap"),
    "a value that does not end": (built([NAME, (1001, 6, 5, 1)], b"tool\0evil"), "rpm.overlap"),
    "strings that run into the next": (built([(1000, 8, 0, 2), NUMBER], b"tool\0abc" + DATA[8:]), "rpm.overlap"),
    "fewer strings than said": (built([(1000, 8, 0, 3)], b"a\0b\0"), "rpm.overlap"),
    "more strings than said": (built([(1000, 8, 0, 2)], b"a\0b\0c\0"), "rpm.overlap"),
    "something between": (built([NAME, (1003, 4, 8, 2)], b"tool\0x\0\0" + DATA[8:]), "rpm.overlap"),
    "more between than aligns": (built([NAME, (1003, 4, 12, 2)], b"tool\0" + bytes(7) + DATA[8:]), "rpm.overlap"),
    "something behind": (built([NAME], b"tool\0\0"), "rpm.overlap"),
    "something at the beginning": (built([(1000, 6, 1, 1)], b"\0tool\0"), "rpm.overlap"),
    "a crooked offset": (built([NAME, (1003, 4, 6, 1)], b"tool\0\0\0\0\0\1"), "rpm.overlap"),
    "a crooked offset right behind": (built([NAME, (1003, 4, 5, 1)], b"tool\0\0\0\0\1"), "rpm.overlap"),
    "an offset before the data": (built([(1000, 6, -4, 1)], b"tool\0"), "rpm.overlap"),
    "a value of no type": (built([(1000, 0, 0, 1)], b"tool\0"), "rpm.tag"),
    "a value of an unknown type": (built([(1000, 10, 0, 1)], b"tool\0"), "rpm.tag"),
    "no value": (built([(1000, 6, 0, 0)], b"tool\0"), "rpm.tag"),
    "two of a single string": (built([(1000, 6, 0, 2)], b"a\0b\0"), "rpm.tag"),
    "a huge count": (built([NAME, (1003, 4, 8, 0x40000001)], DATA), "rpm.tag"),
    "a huge count of strings": (built([NAME, (1117, 8, 5, 0xFFFFFFFF)], b"tool\0a\0"), "rpm.tag"),
    "a tag below zero": (built([NAME, (0xFFFFFFFF, 6, 5, 1)], b"tool\0x\0"), "rpm.tag"),
    "another region inside": (built([(61, 7, 0, 16)], bytes(16)), "rpm.tag"),
}  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_have_their_rules(trick: str) -> None:
    raw, code = TRICKS[trick]
    assert refused(raw) == code


def test_a_stored_header_has_what_installing_added_outside_of_what_is_signed() -> None:
    """The very trick that rpm relies on in its database: what stands outside replaces what is inside."""
    raw = built(GOOD, DATA, loose=b"evil\0\0\0\0" + bytes(4), outside=((1000, 6, 32, 1), (1008, 4, 40, 1)))
    inside, added = header.stored(raw[8:])
    assert (inside.string(1000), added.string(1000), added.number(1008)) == (b"tool", b"evil", 0)
    assert inside.signed == built(GOOD, DATA)
    assert inside.number(1008) is None


def test_what_was_added_does_not_overlap_either() -> None:
    with pytest.raises(BrokenError) as told:
        header.stored(built(GOOD, DATA, loose=b"evil\0", outside=((1000, 6, 32, 1), (1001, 6, 33, 1)))[8:])
    assert told.value.reason.code == "rpm.overlap"
    with pytest.raises(BrokenError):
        header.stored(built(GOOD, DATA, loose=b"evil\0", outside=((1000, 6, 0, 1),))[8:])


@pytest.mark.parametrize(
    "blob", [b"", bytes(7), bytes(8), bytes(40), built(GOOD, DATA)[8:-1], built(GOOD, DATA)[8:] + b"\0"], ids=range(6)
)
def test_a_stored_header_has_its_exact_size(blob: bytes) -> None:
    with pytest.raises(BrokenError):
        header.stored(blob)


ROWS = st.tuples(st.integers(60, 1010), st.integers(0, 10), st.integers(-8, 40), st.integers(0, 9))


@given(st.lists(ROWS, max_size=4), st.binary(max_size=40))
def test_any_index_is_read_or_refused(rows: list[Row], data: bytes) -> None:
    raw = built(rows, data)
    try:
        found = read(raw)
    except BrokenError:
        return
    assert found.signed == raw
    assert header.written(tags.IMMUTABLE, header.values(found)) == raw or list(found.entries) != sorted(found.entries)


def test_old_regions_of_signatures_are_read() -> None:
    raw = built([(1000, 4, 0, 1)], bytes(4), (62, 7, 4, 16), trailer(2, 61))
    assert header.signatures(BytesView(raw), 0, limits.RPM_SIGNATURES_MAX)[0].number(1000) == 0
    loose = built([(1000, 4, 0, 1)], bytes(4), (62, 7, 4, 16), trailer(2, 62), b"a\0", ((274, 8, 20, 1),))
    assert header.signatures(BytesView(loose), 0, limits.RPM_SIGNATURES_MAX)[0].strings(274) == [b"a"]
    twice = built([(1000, 4, 0, 1)], bytes(4), (62, 7, 4, 16), trailer(2, 62), bytes(4), ((1000, 4, 20, 1),))
    with pytest.raises(BrokenError) as told:
        header.signatures(BytesView(twice), 0, limits.RPM_SIGNATURES_MAX)
    assert told.value.reason.code == "rpm.duplicate"


SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 6: 0, 8: 0, 9: 0}


def stands_as_rpm_writes_it(rows: list[Row], data: bytes) -> bool:
    """The same rules, read off one after the other."""
    place = 0
    for _, kind, offset, amount in rows:
        if kind not in SIZES or amount < 1 or (kind == tags.STRING and amount != 1):
            return False
        start = place + -place % (SIZES[kind] or 1)
        if offset != start or data[place:start].strip(b"\0"):
            return False
        place = start + amount * SIZES[kind]
        for _ in range(0 if SIZES[kind] else amount):
            place = data.find(b"\0", place) + 1
            if not place:
                return False
    return place == len(data)


def laid_out(kinds: list[tuple[int, int]], octets: bytes) -> tuple[list[Row], bytes]:
    """An index of such types and amounts that fits the octets as far as they go, and those that it needs."""
    rows: list[Row] = []
    place = 0
    for kind, amount in kinds:
        place += -place % (SIZES.get(kind) or 1)
        rows.append((1000 + len(rows), kind, place, amount))
        place += amount * SIZES.get(kind, 1)
        for _ in range(0 if SIZES.get(kind, 1) else amount):
            place = octets.find(b"\0", place) + 1 or len(octets)
    return rows, octets[:place]


KINDS = st.tuples(st.sampled_from([3, 4, 6, 6, 6, 7, 8, 8, 9, 10]), st.sampled_from([0, 1, 1, 1, 2, 3]))


@given(st.lists(KINDS, max_size=5), st.lists(st.sampled_from(b"ab\0\0"), max_size=40), st.integers(-3, 9))
def test_exactly_what_the_rules_allow_is_accepted(kinds: list[tuple[int, int]], octets: list[int], nudge: int) -> None:
    rows, data = laid_out(kinds, bytes(octets))
    if rows and nudge > 0:  # move one of them a little
        tag, kind, offset, amount = rows[nudge % len(rows)]
        rows[nudge % len(rows)] = (tag, kind, offset + nudge % 3, amount)
    try:
        read(built(rows, data))
        accepted = True
    except BrokenError:
        accepted = False
    assert accepted == stands_as_rpm_writes_it(rows, data)
