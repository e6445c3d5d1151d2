"""The forms that rpm's database had before SQLite: read whole, and nothing that is not as rpm writes it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import BytesView
from chopmark.supply.rpm.berkeley import Berkeley
from chopmark.supply.rpm.ndb import Ndb
from chopmark.supply.rpm.records import DatabaseError
from tests.support import rpm_databases

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS = {1: b"one", 2: b"x" * 100, 7: bytes(range(256)) * 40, 9: b"", 300: b"y" * 70_000}
READERS: list[tuple[Callable[[BytesView], Ndb | Berkeley], bytes]] = [
    (Ndb, rpm_databases.ndb(RECORDS)),
    (Berkeley, rpm_databases.berkeley(RECORDS)),
    (Berkeley, rpm_databases.berkeley(RECORDS, order=">", size=512)),
]
IDS = ("ndb", "berkeley", "berkeley of the other byte order")


def read(reader: Callable[[BytesView], Ndb | Berkeley], data: bytes) -> dict[int, bytes]:
    found = reader(BytesView(data))
    return {number: found.record(number) for number in found.numbers}


def changed(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


@pytest.mark.parametrize(("reader", "data"), READERS, ids=IDS)
def test_all_records_come_back(reader: Callable[[BytesView], Ndb | Berkeley], data: bytes) -> None:
    assert read(reader, data) == RECORDS
    with pytest.raises(DatabaseError):
        reader(BytesView(data)).record(8)


@given(st.dictionaries(st.integers(1, 2**32 - 2), st.binary(max_size=3000), max_size=60))
def test_whatever_the_records(records: dict[int, bytes]) -> None:
    assert read(Ndb, rpm_databases.ndb(records)) == records
    assert read(Berkeley, rpm_databases.berkeley(records, size=1024)) == records


@given(st.sampled_from(READERS), st.data())
def test_damage_is_an_error_or_the_record_of_another_content(
    which: tuple[Callable[[BytesView], Ndb | Berkeley], bytes], data: st.DataObject
) -> None:
    reader, good = which
    if data.draw(st.booleans()):
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    else:
        bad = changed(good, data.draw(st.integers(0, 6000)), data.draw(st.binary(min_size=1, max_size=8)))
    try:
        found = reader(BytesView(bad))
    except DatabaseError:
        return
    for number in found.numbers:
        try:
            assert len(found.record(number)) <= len(bad)
        except DatabaseError:
            continue


SLOT = 32  # of the first record


@pytest.mark.parametrize(
    ("place", "new"),
    [
        (0, b"rpmP"),
        (4, b"\1"),  # version
        (12, b"\0"),  # pages of slots
        (12, b"\2"),  # a page that has records instead
        (12, b"\xff\xff\xff\x7f"),
        (SLOT, b"slot"),
        (SLOT + 4, b"\0"),  # a record without a number
        (SLOT + 4, b"\2"),  # a number that is taken
        (SLOT + 8, b"\1\0"),  # among the slots
        (SLOT + 8, b"\2\1"),  # in another record
        (SLOT + 8, b"\xff\xff\xff"),  # behind the file
        (SLOT + 12, b"\0"),  # of no blocks
        (SLOT + 12, b"\x20"),  # of too many
    ],
)
def test_slots_that_rpm_does_not_write(place: int, new: bytes) -> None:
    with pytest.raises(DatabaseError):
        Ndb(BytesView(changed(rpm_databases.ndb(RECORDS), place, new)))


@pytest.mark.parametrize(
    ("place", "new"),
    [
        (4096, b"x"),  # head
        (4100, b"\2"),  # number
        (4108, b"\4"),  # length
        (4108, b"\x40"),
        (4112, b"O"),  # the record itself: a checksum
        (4096 + 32 - 12, b"\0\0"),  # the checksum
        (4096 + 32 - 8, b"\5"),  # length, again
        (4096 + 32 - 1, b"x"),  # tail
    ],
)
def test_a_record_of_ndb_that_was_damaged(place: int, new: bytes) -> None:
    found = Ndb(BytesView(changed(rpm_databases.ndb({1: b"one", 2: b"two"}), place, new)))
    with pytest.raises(DatabaseError):
        found.record(1)
    assert found.record(2) == b"two"


def test_free_slots_and_further_pages() -> None:
    data = rpm_databases.ndb(RECORDS, pages=3)
    assert read(Ndb, data) == RECORDS
    number, place = struct.unpack_from("<II", data, SLOT + 4)
    freed = changed(data, SLOT + 4, bytes(12))
    assert (number, place) == (1, 3 * 256)
    assert sorted(Ndb(BytesView(freed)).numbers) == sorted(set(RECORDS) - {1})
    with pytest.raises(DatabaseError):
        Ndb(BytesView(data + b"\0"))  # not whole blocks


def page(number: int, place: int = 0, size: int = 4096) -> int:
    return number * size + place


@pytest.mark.parametrize(
    ("place", "new"),
    [
        (8, b"\1"),  # the page's own number
        (12, b"\x62\x31\x05\0"),  # a B-tree
        (16, b"\7"),  # version
        (20, b"\0\x08\0\0"),  # another size of pages
        (20, b"\0\0\0\0"),
        (24, b"\1"),  # encrypted
        (25, b"\x09"),  # kind
        (26, b"\1"),  # checksums
        (page(1, 8), b"\2"),  # a page that says it is another
        (page(1, 16), b"\2"),  # leads into another bucket
        (page(1, 16), b"\1"),  # leads to itself
        (page(1, 16), b"\xff\xff"),  # leads out of the file
        (page(1, 20), b"\3"),  # an odd number of entries
        (page(1, 20), b"\xfe\xff"),
        (page(1, 25), b"\7"),  # a kind that is no bucket
        (page(1, 26), b"\0\0"),  # a key among the headers
        (page(1, 28), b"\xff\x0f"),  # a value behind its key
        (page(1, 4091), b"\2"),  # a key of another kind
    ],
)
def test_tables_that_rpm_does_not_write(place: int, new: bytes) -> None:
    good = rpm_databases.berkeley({4: b"four", 8: b"eight", 12: b"x" * 5000}, counter=False)
    assert read(Berkeley, good) == {4: b"four", 8: b"eight", 12: b"x" * 5000}
    with pytest.raises(DatabaseError):
        Berkeley(BytesView(changed(good, place, new)))


def test_a_number_that_is_there_twice() -> None:
    good = rpm_databases.berkeley({4: b"four", 5: b"five"}, counter=False)
    [place] = [at for at in range(len(good)) if good[at : at + 5] == b"\1\5\0\0\0"]
    with pytest.raises(DatabaseError):
        Berkeley(BytesView(changed(good, place, b"\1\4\0\0\0")))


@pytest.mark.parametrize(
    ("place", "new"),
    [
        (page(5, 8), b"\1"),  # the page's own number
        (page(5, 16), b"\5"),  # leads to itself, with more than there is left
        (page(5, 16), b"\0"),  # ends too early
        (page(5, 22), b"\0\0"),  # has nothing
        (page(5, 22), b"\xff\xff"),  # has more than a page
        (page(5, 25), b"\x0d"),  # is no overflow page
        (page(6, 22), b"\xff\x0f"),  # has more than is left
    ],
)
def test_a_long_record_that_was_damaged(place: int, new: bytes) -> None:
    good = rpm_databases.berkeley({4: b"x" * 5000, 8: b"eight"})
    found = Berkeley(BytesView(changed(good, place, new)))
    assert found.record(8) == b"eight"
    with pytest.raises(DatabaseError):
        found.record(4)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"\3\0\0\0\5\0\0\0", b"\4"), (b"\3\0\0\0\5\0\0\0", b"\3\0\0\0\xff"), (b"\3\0\0\0\5\0\0\0", b"\3\0\0\0\0")],
)
def test_references_that_lead_nowhere(old: bytes, new: bytes) -> None:
    good = rpm_databases.berkeley({4: b"x" * 5000})
    assert good.count(old) == 1
    with pytest.raises(DatabaseError):
        Berkeley(BytesView(changed(good, good.index(old), new))).record(4)


@pytest.mark.parametrize(("reader", "data"), READERS, ids=IDS)
def test_limits(reader: Callable[[BytesView], Ndb | Berkeley], data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RPM_HEADER_MAX", 69_999)
    found = reader(BytesView(data))
    assert found.record(2) == RECORDS[2]
    with pytest.raises(DatabaseError):
        found.record(300)
    monkeypatch.setattr(limits, "RPM_PACKAGES_MAX", 2)
    with pytest.raises(DatabaseError):
        reader(BytesView(data))
