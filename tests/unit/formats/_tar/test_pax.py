"""Extended headers of tar: harmless ones are read as Python does, those that divide readers are refused."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import BrokenError
from chopmark.formats._tar import pax, tarball
from tests.support.wheels import Entry, tarred, with_checksums

LONG = "d/" + "x" * 150


def entries(data: bytes, step: int = 1 << 20) -> list[tarball.Entry]:
    pieces = (data[start : start + step] for start in range(0, len(data), step))
    return list(tarball.entries(pieces, extended=True))


def refused(data: bytes) -> str:
    with pytest.raises(BrokenError) as told:
        entries(data)
    assert str(told.value).isprintable()
    return told.value.reason.code


def names(data: bytes) -> list[str]:
    """As Python reads them."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return archive.getnames()


def with_headers(entry: Entry, **headers: str) -> Entry:
    entry.pax_headers = {name.replace("__", "."): value for name, value in headers.items()}
    return entry


def test_long_names_and_targets_are_read() -> None:
    data = tarred(
        [
            Entry(LONG, b"x"),
            Entry("\u00e9", b"y"),
            with_headers(Entry("t", b"z"), mtime="1.5", SCHILY__xattr__user="\u00ff", LIBARCHIVE__creationtime="1"),
            Entry("link", kind=tarfile.SYMTYPE, target="y" * 150),
        ]
    )
    found = entries(data)
    assert [entry.path.decode() for entry in found] == [LONG, "\u00e9", "t", "link"]
    assert found[3].content == b"y" * 150
    assert entries(data, 7) == found


def test_the_comment_of_git_archive_is_harmless() -> None:
    assert len(entries(tarred([Entry("a", b"x")], headers={"comment": "0" * 40}))) == 1
    assert refused(tarred([], headers={"comment": "x"})) == "tar.form"
    for name in ("path", "mtime", "hdrcharset"):
        assert refused(tarred([Entry("a", b"x")], headers={name: "b"})) == "tar.form"


@pytest.mark.parametrize(
    "headers",
    [
        {"size": "0"},
        {"hdrcharset": "BINARY"},
        {"GNU__sparse__major": "1"},
        {"GNU__sparse__name": "b"},
        {"foo": "b"},
        {"SCHILY__realsize": "1"},
        {"SCHILY__filetype": "directory"},
    ],
)
def test_records_that_divide_readers_are_refused(headers: dict[str, str]) -> None:
    """The size of an extended header is taken by some and passed over by others, who find other files then."""
    assert refused(tarred([with_headers(Entry("a", b"x"), **headers)])) == "tar.form"


def test_a_size_that_hides_a_file_is_refused() -> None:
    """As in CVE-2025-62518: whoever takes the size in the header itself finds `hidden` as well."""
    inner = tarred([Entry("hidden", b"evil")], tarfile.USTAR_FORMAT)[:1024]
    data = bytearray(tarred([with_headers(Entry("a", inner), size=str(len(inner)))]))
    place = data.index(b"ustar", 1024 + 200) - 257
    data[place + 124 : place + 136] = b"00000000000\0"
    assert names(mended := with_checksums(bytes(data))) == ["a"]
    assert refused(mended) == "tar.form"


V7, GNU = b"\0" * 8, b"ustar  \0"


@pytest.mark.parametrize("magic", [V7, GNU])
def test_a_prefix_that_python_reads_without_ustar_is_refused(magic: bytes) -> None:
    """Others read no prefix there: pip would unpack `0/a`, dpkg and GNU tar `a`."""
    data = bytearray(tarred([Entry("a", b"x")], tarfile.USTAR_FORMAT))
    data[257:265] = magic
    assert names(plain := with_checksums(bytes(data))) == ["a"]
    assert [entry.path for entry in entries(plain)] == [b"a"]
    data[345] = ord("0")
    assert names(mended := with_checksums(bytes(data))) == ["0/a"]
    assert refused(mended) == "tar.form"


@pytest.mark.parametrize("place", [136, 329, 337])
def test_a_number_that_ends_python_s_reading_is_refused(place: int) -> None:
    """Time and device are not heeded; but the second file is not there for who stops at them."""
    data = bytearray(tarred([Entry("a", b"x"), Entry("b", b"y")], tarfile.USTAR_FORMAT))
    data[1024 + place : 1024 + place + 7] = b"0000009"
    assert names(mended := with_checksums(bytes(data))) == ["a"]
    assert refused(mended) == "tar.form"


def test_a_time_before_1970_is_none() -> None:
    entry = Entry("a", b"x")
    entry.mtime = -1
    assert [found.path for found in entries(tarred([entry], tarfile.GNU_FORMAT))] == [b"a"]


def test_two_headers_for_one_entry_are_refused() -> None:
    two = tarred([Entry(LONG, b"x")])
    end = two.index(b"ustar", 600) - 257 + 512
    assert refused(two[: min(end, 1024)] + two) == "tar.form"
    gnu = tarred([Entry(LONG, b"x")], tarfile.GNU_FORMAT)
    assert refused(two[:1024] + gnu) == "tar.form"
    assert entries(gnu)[0].path.decode() == LONG


def test_a_name_with_a_slash_behind_it_is_no_file() -> None:
    data = tarred([Entry("a/", b"x", tarfile.AREGTYPE)], tarfile.USTAR_FORMAT)
    assert refused(data) == "tar.form"


@pytest.mark.parametrize(
    "data",
    [
        b"9 path=a",
        b"9 path=a\nx",
        b"8 path=a\n",
        b"09 path=a\n",
        b"path=a\n",
        b" 9 path=a\n",
        b"9 path a\n",
        b"8 path=\n",
        b"10 path=\0a\n",
        b"9 path=a\n9 path=b\n",
        b"2 \n",
        b"99999999999 path=a\n",
    ],
)
def test_what_is_no_list_of_records(data: bytes) -> None:
    with pytest.raises(BrokenError):
        pax.records(data, pax.EXTENDED)


@given(st.dictionaries(st.sampled_from(["path", "mtime", "comment", "uname"]), st.text(min_size=1, max_size=20)))
def test_records_are_those_of_python(said: dict[str, str]) -> None:
    data = b""
    for name, value in said.items():
        bare = f" {name}={value}\n".encode("utf-8", "surrogateescape")
        length = len(bare)
        while len(str(length)) + len(bare) != length:
            length = len(str(length)) + len(bare)
        data += str(length).encode() + bare
    if any("\0" in value for name, value in said.items() if name == "path"):
        return
    assert pax.records(data, pax.EXTENDED) == {name.encode(): value.encode() for name, value in said.items()}


@given(st.integers(0, 3000), st.binary(min_size=1, max_size=20))
def test_damage_is_refused_or_means_the_same_to_python(place: int, piece: bytes) -> None:
    data = tarred([Entry(LONG, b"x" * 600), Entry("b", b"y"), Entry("c", kind=tarfile.SYMTYPE, target="b")])
    changed = data[:place] + piece + data[place + len(piece) :]
    try:
        ours = [entry.path.decode() for entry in entries(changed)]
    except (BrokenError, UnicodeDecodeError):
        return
    with tarfile.open(fileobj=io.BytesIO(changed)) as archive:
        assert [name.removeprefix("./") for name in archive.getnames()] == ours
