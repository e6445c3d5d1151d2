"""Headers: what is read, and what is refused."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import BrokenError, ChopmarkError, MalformedError
from chopmark.core.seal import Range
from chopmark.formats.pe import FORMAT, image, reasons
from tests.unit.formats.pe import signing
from tests.vectors.pe import make

if TYPE_CHECKING:
    from chopmark.core.artifact import View


def reason(data: bytes) -> str:
    with pytest.raises(BrokenError) as caught:
        signing.headers(data)
    return caught.value.reason.code


@pytest.mark.parametrize("plus", [True, False])
def test_fields_are_where_the_specification_has_them(*, plus: bool) -> None:
    built = make.Pe(plus=plus, subsystem=make.EFI_APPLICATION, machine=make.ARM64, security=(0x600, 16))
    head = signing.headers(built.build() + bytes(16))
    assert (head.checksum, head.directory) == (built.checksum_at, built.security_at)
    assert (head.machine, head.subsystem, head.efi) == (make.ARM64, make.EFI_APPLICATION, True)
    assert (head.table, head.end, head.signed) == (Range(0x600, 16), 0x600, True)
    assert (head.section_alignment, head.file_alignment, head.headers_size) == (0x1000, 0x200, 0x200)
    assert [(each.name, each.raw_offset, each.raw_size) for each in head.sections] == [
        (b".text\0\0\0", 0x200, 0x200),
        (b".rdata\0\0", 0x400, 0x200),
    ]


def test_all_but_three_fields_are_covered() -> None:
    built = make.Pe(security=(0x600, 8))
    data = built.build() + bytes(8)
    hashed = set[int]()
    for offset, length in signing.headers(data).covered():
        hashed |= set(range(offset, offset + length))
    left = set(range(len(data))) - hashed
    fields = (built.checksum_at, 4), (built.security_at, 8), (0x600, 8)
    assert left == {place for offset, length in fields for place in range(offset, offset + length)}


def test_headers_far_behind_the_stub_are_found() -> None:
    for lfanew in (0x40, 0xF00, 0x1000, 0x12340):
        built = make.Pe(lfanew=lfanew)
        head = signing.headers(built.build())
        assert (head.checksum, head.directory) == (built.checksum_at, built.security_at)
        assert signing.against(signing.signed(built.build())) == set()


def test_certainty() -> None:
    data = make.Pe().build()
    assert FORMAT.detect(data, "x") == 9
    assert FORMAT.detect(make.Pe(lfanew=0x12340).build()[:4096], "x") == 6
    assert FORMAT.detect(data.replace(b"PE\0\0", b"NE\0\0"), "program.exe") == 0
    assert FORMAT.detect(b"VZ" + data[2:], "driver.efi") == 0
    assert FORMAT.detect(b"MZ", "program.exe") == 0
    assert FORMAT.detect(b"MZ is the beginning of this text, which is not a program at all, only words.", "notes") == 0


@pytest.mark.parametrize(
    "built",
    [
        pytest.param(make.Pe(optional_size=112 + 8 * 4), id="directory 4 is counted, but lies in the section table"),
        pytest.param(make.Pe(optional_size=64), id="optional header too short"),
        pytest.param(make.Pe(optional_size=0), id="no optional header"),
        pytest.param(make.Pe(extra={"directory_count": 5}, directories=4), id="one directory too many"),
    ],
)
def test_sizes_that_disagree_are_refused(built: make.Pe) -> None:
    assert reason(built.build()) == reasons.HEADERS.code


def test_other_optional_headers_are_refused() -> None:
    built = make.Pe()
    data = bytearray(built.build())
    for magic in (0x107, 0, 0xFFFF):
        struct.pack_into("<H", data, built.optional_at, magic)
        assert reason(bytes(data)) == reasons.HEADERS.code
    for other in (b"VZ" + built.build()[2:], built.build().replace(b"PE\0\0", b"NE\0\0"), b"MZ" + bytes(61)):
        assert reason(other) == reasons.HEADERS.code


def test_a_directory_that_is_not_counted_is_no_signature() -> None:
    data = make.Pe(extra={"directory_count": 4}, security=(0x600, 8)).build() + bytes(8)
    head = signing.headers(data)
    assert not head.signed
    assert list(FORMAT.extract(signing.artifact(data))) == []
    after = head.checksum + 4
    assert head.covered() == (Range(0, head.checksum), Range(after, len(data) - after))


def test_as_many_directories_are_read_as_are_counted() -> None:
    for plus, count in ((True, 0), (False, 3), (True, 4), (True, 5), (False, 16)):
        built = make.Pe(plus=plus, directories=count)
        data = bytearray(built.build())
        directories = built.security_at - 32
        for number in range(count):
            struct.pack_into("<II", data, directories + 8 * number, 0x600 + number, 8)
        here = signing.artifact(bytes(data))
        head = image.read(here.view)
        assert (head.directory, head.table) == ((built.security_at, (0x604, 8)) if count > 4 else (None, (0, 0)))
        found = [image.data_directory(here.view, head, number) for number in range(17)]
        assert found == [(0x600 + number, 8) for number in range(count)] + [(0, 0)] * (17 - count)
    behind = make.Pe(extra={"directory_count": 3}, optional_size=112, sections=())
    data = bytearray(behind.build())
    struct.pack_into("<II", data, behind.security_at - 16, 0x600, 8)
    here = signing.artifact(bytes(data))
    assert image.data_directory(here.view, image.read(here.view), 2) == (0, 0)


def test_every_truncation_of_the_headers_is_refused() -> None:
    data = make.Pe().build()
    sections_end = make.Pe().sections_at + 80
    for length in range(sections_end):
        with pytest.raises(MalformedError):
            signing.headers(data[:length])
    assert len(signing.headers(data[:sections_end]).sections) == 2


def test_more_than_four_gigabytes_are_refused() -> None:
    class Huge:
        size = 1 << 32

        def read(self, offset: int, length: int) -> bytes:  # noqa: ARG002
            return b"MZ"

        def changed(self) -> bool:
            return False

    view: View = Huge()
    with pytest.raises(BrokenError) as caught:
        image.read(view)
    assert caught.value.reason is reasons.TOO_LARGE


NUMBERS = st.sampled_from([0, 1, 7, 8, 0x3C, 0x80, 0x1FF, 0x200, 0x600, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFF])


@given(
    lfanew=NUMBERS | st.integers(0, 0x700),
    optional_size=NUMBERS | st.integers(0, 0x200),
    counted=NUMBERS,
    sections=NUMBERS,
    headers_size=NUMBERS,
    security=st.tuples(NUMBERS | st.integers(0, 0x700), NUMBERS),
    raw=st.tuples(NUMBERS, NUMBERS),
    alignment=NUMBERS,
    tail=st.binary(max_size=24),
)
def test_hostile_numbers_give_clear_errors_or_seals(
    *,
    lfanew: int,
    optional_size: int,
    counted: int,
    sections: int,
    headers_size: int,
    security: tuple[int, int],
    raw: tuple[int, int],
    alignment: int,
    tail: bytes,
) -> None:
    built = make.Pe(security=security)
    data = bytearray(built.build())
    struct.pack_into("<I", data, 0x3C, lfanew if lfanew % 3 == 0 else built.lfanew)
    struct.pack_into("<H", data, built.lfanew + 6, sections & 0xFFFF if sections % 5 == 0 else 2)
    struct.pack_into("<H", data, built.lfanew + 20, optional_size & 0xFFFF if optional_size % 2 else 240)
    struct.pack_into("<II", data, built.optional_at + 32, alignment, 0x200)
    struct.pack_into("<I", data, built.optional_at + 60, headers_size)
    struct.pack_into("<I", data, built.optional_at + 108, counted if counted != 1 else 16)
    struct.pack_into("<II", data, built.sections_at + 16, *raw)
    hostile = bytes(data) + tail
    signing.against(hostile)
    for options in (signing.PLAIN, signing.PAGES):
        with contextlib.suppress(ChopmarkError):
            assert signing.against(signing.signed(hostile, options)) == set()
    with contextlib.suppress(ChopmarkError):
        assert len(signing.stripped(hostile)) <= len(hostile)


def test_what_was_signed_in_spite_of_odd_numbers_verifies() -> None:
    for built in (
        make.Pe(section_alignment=0x20, file_alignment=0x20),
        make.Pe(machine=0xEBC, subsystem=make.EFI_ROM),
        make.Pe(sections=()),
        make.Pe(sections=(make.Section(b".bss", b"", virtual_size=0x5000),)),
        replace(make.Pe(), overlay=b"\0" * 3),
    ):
        assert signing.against(signing.signed(built.build())) == set()
