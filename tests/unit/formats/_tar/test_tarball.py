"""Tar files that two programs read as two things; and that hold against their own checksums."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from chopmark.core.errors import BrokenError
from chopmark.formats._tar import tarball
from tests.support.wheels import Entry, tarred, with_checksums

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = Entry("d/a", b"x")


def ustar(entries: Sequence[Entry], *changes: tuple[int, bytes]) -> bytes:
    """With other bytes at these places, and checksums that fit."""
    data = bytearray(tarred(entries, tarfile.GNU_FORMAT))
    for place, value in changes:
        data[place : place + len(value)] = value
    return with_checksums(bytes(data))


def refused(data: bytes) -> str:
    with pytest.raises(BrokenError) as told:
        list(tarball.entries([data]))
    return told.value.reason.code


def paths(data: bytes) -> list[bytes]:
    return [entry.path for entry in tarball.entries([data])]


@pytest.mark.parametrize(("place", "length"), [(100, 8), (108, 8), (116, 8), (124, 12), (136, 12)])
def test_a_number_of_blanks_is_none(place: int, length: int) -> None:
    """Python takes it for zero; GNU tar and dpkg stop there."""
    empty = Entry("d/a")
    assert refused(ustar([empty], (place, b" " * length))) == "tar.form"
    assert paths(ustar([empty], (place, bytes(length)))) == [b"d/a"]


def test_a_time_before_all_others_is_refused() -> None:
    """GNU tar unpacks the file and says that it failed."""
    assert paths(ustar([FILE], (136, b"\xff" * 12))) == [b"d/a"]
    assert refused(ustar([FILE], (136, b"\xff\xff\0"))) == "tar.form"


def test_blanks_for_the_device_of_a_file_are_read_by_nobody() -> None:
    assert paths(ustar([FILE], (329, b" " * 8), (337, b" " * 8))) == [b"d/a"]


@pytest.mark.parametrize("place", [100, 108, 116])
def test_an_owner_beyond_what_there_can_be_is_refused(place: int) -> None:
    assert refused(ustar([FILE], (place, b"\x80\0\0\1\0\0\0\0"))) == "tar.form"
    assert paths(ustar([FILE], (place, b"\x80\0\0\0\xff\xff\xff\xff"))) == [b"d/a"]


@pytest.mark.parametrize(("place", "value"), [(100, b"0004755"), (108, b"0000001"), (116, b"0000001")])
def test_a_hard_link_with_rights_of_its_own_is_refused(place: int, value: bytes) -> None:
    """It is one file with one mode: dpkg and Python give it that of the link, GNU tar that of the file."""
    link = Entry("d/b", kind=tarfile.LNKTYPE, target="d/a")
    assert paths(ustar([FILE, link])) == [b"d/a", b"d/b"]
    assert refused(ustar([FILE, link], (1024 + place, value))) == "tar.form"


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_a_path_that_is_a_folder_and_something_else_is_refused(kind: bytes) -> None:
    other = Entry("d", kind=kind, target="x" if kind == tarfile.SYMTYPE else "")
    assert refused(ustar([FILE, other])) == "tar.duplicate"
    assert refused(ustar([other, FILE])) == ("tar.path" if kind == tarfile.SYMTYPE else "tar.duplicate")
    deeper = Entry("d/a/b/c", b"x")
    assert refused(ustar([FILE, deeper])) == "tar.duplicate"


def test_a_folder_may_come_before_and_behind_what_is_in_it() -> None:
    folder = Entry("d", kind=tarfile.DIRTYPE)
    assert paths(ustar([folder, FILE])) == [b"d", b"d/a"]
    assert paths(ustar([FILE, folder])) == [b"d/a", b"d"]
    assert refused(ustar([folder, folder])) == "tar.duplicate"


def test_the_root_is_a_folder_and_nothing_else() -> None:
    assert paths(ustar([Entry("./", kind=tarfile.DIRTYPE), FILE])) == [b"", b"d/a"]
    assert refused(ustar([Entry(".", b"x")])) == "tar.path"
    assert refused(ustar([Entry(".", kind=tarfile.SYMTYPE, target="etc")])) == "tar.path"


def test_a_long_name_has_its_beginning_in_the_header_as_well() -> None:
    """dpkg refuses the package otherwise."""
    long = Entry("d/" + "x" * 150, b"x")
    assert paths(ustar([long])) == [long.name.encode()]
    assert refused(ustar([long], (1024, bytes(100)))) == "tar.form"
