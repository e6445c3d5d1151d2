"""SBAT: rows of sections and levels of revocations, and what is older than they demand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.trust.secureboot import sbat
from tests.support.firmware import GRUB, LEVEL


def test_the_generations_of_a_section_are_held_against_a_level() -> None:
    rows = sbat.section(GRUB + b"\0" * 100)
    assert [(row.component, row.generation) for row in rows] == [("sbat", 1), ("grub", 3), ("grub.debian", 4)]
    wanted = sbat.level(LEVEL)
    assert wanted.date == "2024010900"
    assert sbat.revoked(rows, wanted) == []
    newer = sbat.level(LEVEL.replace(b"grub,3", b"grub,4").replace(b"2024", b"2025"))
    [old] = sbat.revoked(rows, newer)
    assert old.startswith("grub 3, at least 4")
    assert sbat.revoked(rows, sbat.level(b"sbat,2,2030010100\n"))[0].startswith("sbat 1")


def test_a_level_without_a_date_and_lines_of_other_systems_are_read() -> None:
    assert sbat.level(b"\xef\xbb\xbfsbat,1\r\nshim,2\r\n") == sbat.Level({"sbat": 1, "shim": 2}, "")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"grub",
        b"grub,3,too,few,fields\n",
        GRUB.replace(b"grub,3", b"grub,0"),
        GRUB.replace(b"grub,3", b"grub,-3"),
        GRUB.replace(b"grub,3", b"grub,3x"),
        GRUB.replace(b"grub,3", b"grub,65536"),
        GRUB.replace(b"grub,3", b"grub,\xd9\xa3"),  # a digit, but not one of ASCII
        GRUB.replace(b"grub,3", b",3"),
        GRUB.replace(b"grub,3", b"grub\0,3"),
        GRUB * (limits.SBAT_ROWS_MAX // 3 + 1),
        GRUB + b"x" * limits.SBAT_MAX,
    ],
)
def test_what_is_not_written_so_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenError) as error:
        sbat.section(data)
    assert error.value.reason.code == "shim.sbat_broken"


@pytest.mark.parametrize(
    "data", [b"", b"shim,4\n", b"sbat\n", b"sbat,1,2,3\n", b"sbat,1,2024\nshim,4,2024\n", b"sbat,1\nshim\n", GRUB]
)
def test_what_is_no_level_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenError):
        sbat.level(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (sbat.section, sbat.level):
        try:
            assert read(data)
        except BrokenError:
            continue
