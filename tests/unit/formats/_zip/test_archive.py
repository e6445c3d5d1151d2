"""ZIP archives: what can be read in one way only is read, and what two programs could take for two is not."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import BytesView
from chopmark.core.errors import BrokenError
from chopmark.formats._zip import archive
from tests.support.wheels import DOS, Member, described, zipped

if TYPE_CHECKING:
    from collections.abc import Callable

A, B = Member(b"a.py", b"content of a" * 50), Member(b"folder/b.py", b"b", method=0)
FOLDER = Member(b"folder/", method=0, mode=0o040755)
WIDE_ZEROS = struct.pack("<2H2Q", 1, 16, 0, 0)
ZERO_DOWN = Member(b"bomb", b"\0" * 300_000)


def contents(data: bytes) -> dict[str, bytes]:
    found = archive.read(BytesView(data))
    return {name: b"".join(found.content(member)) for name, member in found.members.items()}


def refused(data: bytes) -> str:
    with pytest.raises(BrokenError) as told:
        contents(data)
    assert str(told.value).isprintable()
    return told.value.reason.code


def test_a_sound_archive_is_read() -> None:
    expected = {"a.py": A.data, "folder/": b"", "folder/b.py": b"b"}
    assert contents(zipped([A, FOLDER, B])) == expected
    assert contents(zipped([FOLDER, B, A], end64=True)) == expected
    assert contents(zipped([])) == {}


def test_the_list_need_not_be_in_the_order_of_the_members() -> None:
    whole = zipped([A, Member(b"z", b"z", method=0)])
    start = whole.index(b"PK\1\2")
    one = whole[start : start + 46 + len(A.name)]
    two = whole[start + len(one) : -22]
    assert list(contents(whole[:start] + two + one + whole[-22:])) == ["z", "a.py"]


class Pipe(io.RawIOBase):
    """Somewhere to write to that cannot go back."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.written += data
        return len(data)


@pytest.mark.parametrize("wide", [False, True])
def test_archives_of_pythons_own_are_read(wide: bool) -> None:  # noqa: FBT001
    raw, pipe = io.BytesIO(), Pipe()
    for target in (raw, pipe):
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
            with made.open("a.py", "w", force_zip64=wide) as file:
                file.write(A.data)
            made.mkdir("d")
            made.writestr("d/\u00e9.txt", "text")
    for data in (raw.getvalue(), bytes(pipe.written)):
        assert contents(data) == {"a.py": A.data, "d/": b"", "d/\u00e9.txt": b"text"}


@pytest.mark.parametrize("form", ["<4s3L", "<3L", "<4sL2Q", "<L2Q"])
def test_sizes_may_stand_behind_what_is_compressed(form: str) -> None:
    assert contents(zipped([described(A, form), B])) == {"a.py": A.data, "folder/b.py": b"b"}
    wrong = described(Member(b"a.py", A.data, crc=1), form)
    assert refused(zipped([wrong])) == "zip.data"
    cut = described(A, form)
    assert refused(zipped([Member(**{**vars(cut), "behind": cut.behind[:-1]}), B])) == "zip.differs"


def test_a_stored_member_must_say_before_how_long_it_is() -> None:
    """Whoever reads on from the beginning takes what looks like a header in it for the next member."""
    assert refused(zipped([described(B), A])) == "zip.gap"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "zip.end"),
        (b"PK\5\6", "zip.end"),
        (b"MZ" + zipped([A]), "zip.end"),
        (zipped([A], behind=b"\n"), "zip.end"),
        (zipped([A], comment=b"x"), "zip.end"),
        (zipped([A], comment=zipped([B])), "zip.end"),
        (zipped([A]) + zipped([B]), "zip.end"),
        (zipped([A], count=2), "zip.directory"),
        (zipped([A, B], count=1), "zip.directory"),
        (zipped([A], list_behind=b"\0"), "zip.directory"),
        (zipped([A], count=0xFFFF), "zip.end"),
        (zipped([A], gap=b"\0"), "zip.gap"),
        (zipped([A, Member(b"b", b"b", before=b"\0")]), "zip.gap"),
        (zipped([Member(b"a", b"a", before=b"#!/bin/sh\n")]), "zip.gap"),
        (zipped([A, Member(b"b", A.data, start=0, local_name=b"a.py")]), "zip.gap"),
        (zipped([Member(b"a", b"a" * 9, method=0, packed=8, size=8)]), "zip.gap"),
        (zipped([A, A]), "zip.duplicate"),
        (zipped([FOLDER, Member(b"folder", b"x")]), "zip.duplicate"),
        (zipped([B, Member(b"folder", b"x")]), "zip.duplicate"),
        (zipped([Member(b"a", b"x", local_name=b"b")]), "zip.differs"),
        (zipped([Member(b"a", b"x", local_flags=0x800)]), "zip.differs"),
        (zipped([Member(b"a", b"x", local_method=0)]), "zip.differs"),
        (zipped([Member(b"a", b"x", local_sizes=(0, 3, 1))]), "zip.differs"),
        (zipped([Member(b"a", b"x", local_sizes=(zlib.crc32(b"x"), 0xFFFFFFFF, 1))]), "zip.differs"),
        (zipped([Member(b"a", b"x", flags=8, local_sizes=(0, 0, 0))]), "zip.differs"),
        (zipped([Member(b"a", b"x", crc=7)]), "zip.data"),
        (zipped([Member(b"a", b"xyz", size=2)]), "zip.data"),
        (zipped([Member(b"a", b"xyz", size=4)]), "zip.data"),
        (zipped([Member(b"a", b"xyz", inner=b"hidden")]), "zip.data"),
        (zipped([Member(b"a", b"xyz", method=0, size=2)]), "zip.data"),
        (zipped([Member(b"a", b"x", flags=1)]), "zip.encrypted"),
        (zipped([Member(b"a", b"x", flags=0x40)]), "zip.encrypted"),
        (zipped([Member(b"a", b"x", flags=0x2000)]), "zip.encrypted"),
        (zipped([Member(b"a", b"x", flags=0x20)]), "zip.method"),
        (zipped([Member(b"a", b"x", method=12)]), "zip.method"),
        (zipped([Member(b"a", b"x", needed=64)]), "zip.method"),
        (zipped([Member(b"a", b"x", local_needed=64)]), "zip.method"),
        (zipped([Member(b"a", b"/etc/shadow", mode=0o120777)]), "zip.kind"),
        (zipped([Member(b"a", b"", mode=0o020666)]), "zip.kind"),
        (zipped([Member(b"a/", b"", mode=0o100644)]), "zip.kind"),
        (zipped([Member(b"a/", b"x", mode=0o040755)]), "zip.directory"),
        (zipped([Member(b"a", b"x", extra=b"\1")]), "zip.directory"),
        (zipped([Member(b"a", b"x", extra=b"\xfe\xca\x09\0")]), "zip.directory"),
        (zipped([Member(b"a", b"x", extra=WIDE_ZEROS)]), "zip.directory"),
        (zipped([Member(b"a", b"x", local_extra=WIDE_ZEROS)]), "zip.directory"),
        (zipped([Member(b"a", b"x", extra=struct.pack("<2H", 0x0017, 0))]), "zip.directory"),
        (zipped([Member(b"a", b"x", extra=struct.pack("<2HBL", 0x7075, 6, 1, 0) + b"z")]), "zip.name"),
    ],
)  # fmt: skip
def test_what_two_programs_could_read_in_two_ways(data: bytes, code: str) -> None:
    assert refused(data) == code


@pytest.mark.parametrize(
    "name",
    [
        *(b"", b"/etc/passwd", b"../x", b"a/../../x", b"a//b", b"./a", b"a/./b", b"a\\b", b"..\\x", b"C:/x", b"c:x"),
        *(b"a\0b", b"a\nb", b"\x7f", "\u00e9".encode(), b"\xff", b"x" * 5000, b"/", b".", b".."),
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_or_are_read_differently(name: bytes) -> None:
    assert refused(zipped([Member(name, b"x")])) == "zip.name"


def test_a_name_that_is_said_to_be_utf8_is_one() -> None:
    assert contents(zipped([Member("\u00e9".encode(), b"x", flags=0x800)])) == {"\u00e9": b"x"}
    assert refused(zipped([Member(b"\xe9", b"x", flags=0x800)])) == "zip.name"


def test_what_only_unix_says_counts_only_there() -> None:
    assert contents(zipped([Member(b"a", b"x", mode=0o120777, made=DOS)])) == {"a": b"x"}


def test_a_record_of_64_bits_in_a_comment_is_seen() -> None:
    """Python takes it for the end of the archive, because it stands before the record of the end."""
    hidden = zipped([B])
    evil = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(hidden), 0)
    comment = evil + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    assert refused(zipped([Member(b"a.py", A.data, comment=comment)])) == "zip.end"
    assert contents(zipped([Member(b"a.py", A.data, comment=b"harmless")])) == {"a.py": A.data}


def test_two_records_of_the_end_must_agree() -> None:
    data = bytearray(zipped([A], end64=True))
    data[-14:-12] = (7).to_bytes(2, "little")
    data[-12:-10] = (7).to_bytes(2, "little")
    assert refused(bytes(data)) == "zip.end"
    record = len(data) - 22 - 20 - 56
    for place, value in ((4, 45), (24, 2), (56 + 4, 1), (56 + 8, 1), (56 + 16, 2)):
        data = bytearray(zipped([A], end64=True))
        data[record + place] = value
        assert refused(bytes(data)) == "zip.end"


def test_bombs_are_refused_by_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped([ZERO_DOWN])
    assert contents(data) == {"bomb": ZERO_DOWN.data}
    monkeypatch.setattr(limits, "UNPACKED_ANYWAY", 100_000)
    assert refused(data) == "format.unpacked_too_large"
    monkeypatch.setattr(limits, "UNPACKED_RATIO_MAX", 100_000)
    assert contents(data) == {"bomb": ZERO_DOWN.data}
    monkeypatch.setattr(limits, "UNPACKED_MAX", 200_000)
    assert refused(data) == "format.unpacked_too_large"


def test_a_bomb_that_says_it_is_small_is_left_early() -> None:
    data = zipped([Member(b"bomb", b"\0" * 30_000_000, size=10)])
    tracemalloc.start()
    assert refused(data) == "zip.data"
    assert tracemalloc.get_traced_memory()[1] < 6_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(("name", "value", "code"), [
    ("ZIP_ENTRIES_MAX", 1, "zip.directory"),
    ("ZIP_DIRECTORY_MAX", 60, "zip.directory"),
    ("ZIP_NAME_MAX", 3, "zip.name"),
])  # fmt: skip
def test_limits(name: str, value: int, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, name, value)
    assert refused(zipped([A, B])) == code


def test_names_that_are_alike_are_told() -> None:
    names = ["A.py", "a.py", "\u00e9", "e\u0301", "other"]
    assert list(archive.alike(names)) == [("A.py", "a.py"), ("\u00e9", "e\u0301")]
    on_windows = ["p/a.py", "p/a.py.", "p /a.py", "p/a.py::$DATA", "p/other"]
    assert list(archive.alike(on_windows)) == [(on_windows[0], each) for each in on_windows[1:4]]


def test_one_small_member_is_read_whole() -> None:
    found = archive.read(BytesView(zipped([A])))
    assert found.whole(found.members["a.py"], 10_000) == A.data
    with pytest.raises(BrokenError):
        found.whole(found.members["a.py"], 10)


def by_python(data: bytes) -> dict[str, bytes]:
    with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(data)) as opened:
        warnings.simplefilter("ignore")
        return {info.filename: opened.read(info) for info in opened.infolist()}


def agree(data: bytes) -> None:
    """What is accepted here is the same to Python."""
    try:
        ours = contents(data)
    except BrokenError:
        return
    assert by_python(data) == ours


@given(st.integers(0, 400), st.binary(min_size=1, max_size=6), st.sampled_from([
    zipped([A, FOLDER, B]),
    zipped([A, described(Member(b"c", b"c" * 30))], end64=True),
    zipped([B, A], comment=b"c" * 9),
]))  # fmt: skip
def test_damage_is_refused_or_means_the_same_to_python(place: int, piece: bytes, data: bytes) -> None:
    place %= len(data)
    agree(data[:place] + piece + data[place + len(piece) :])
    agree(data[:place] + piece + data[place:])


TRICKS: list[Callable[[Member], Member]] = [
    lambda m: m,
    described,
    lambda m: Member(m.name, m.data, local_name=m.name[::-1]),
    lambda m: Member(m.name, m.data, before=b"PK\3\4"),
    lambda m: Member(m.name, m.data, inner=b"PK\5\6"),
    lambda m: Member(m.name, m.data, method=0, comment=b"PK\5\6" + bytes(18)),
    lambda m: Member(m.name, m.data, start=0),
    lambda m: Member(m.name, m.data, extra=WIDE_ZEROS),
]


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"b/c", b"b/", b"D"]), st.binary(max_size=40), st.sampled_from(TRICKS))),
    st.binary(max_size=3), st.binary(max_size=30), st.booleans(),
)  # fmt: skip
def test_tricks_are_refused_or_mean_the_same_to_python(
    members: list[tuple[bytes, bytes, Callable[[Member], Member]]],
    gap: bytes,
    comment: bytes,
    wide: bool,  # noqa: FBT001
) -> None:
    made = [trick(Member(name, data)) for name, data, trick in members]
    agree(zipped(made, gap=gap, comment=comment, end64=wide))
    agree(zipped(made, end64=wide))
