"""The files that packages bring: what dpkg reads is read, and what two readers could take for two things is refused."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import BytesView
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.formats._tar import tarball
from chopmark.formats.deb import contents, deb822
from tests.support import debs
from tests.support.debs import File

FOLDER = File("./", kind=tarfile.DIRTYPE)
A = File("./usr/a", b"content of a" * 100)


def entries(data: bytes, step: int = 1 << 20) -> list[tarball.Entry]:
    return list(tarball.entries(data[start : start + step] for start in range(0, len(data), step)))


def refused(data: bytes) -> str:
    with pytest.raises(BrokenError) as told:
        entries(data)
    return told.value.reason.code


def test_files_links_and_folders_are_told() -> None:
    long = "./" + "/".join(["x" * 90] * 5)
    data = debs.tar(
        [
            FOLDER,
            A,
            File("./usr/b", kind=tarfile.LNKTYPE, target="./usr/a"),
            File("./usr/c", kind=tarfile.SYMTYPE, target="../etc/" + "y" * 200),
            File(long, b"long"),
            File("./run", kind=tarfile.FIFOTYPE),
            File("./empty"),
        ]
    )
    digest = hashlib.sha256(A.content).digest()
    found = {entry.path: (entry.kind, entry.content) for entry in entries(data)}
    assert found == {
        b"": (b"d", b""),
        b"usr/a": (b"f", digest),
        b"usr/b": (b"f", digest),
        b"usr/c": (b"l", b"../etc/" + b"y" * 200),
        long[2:].encode(): (b"f", hashlib.sha256(b"long").digest()),
        b"run": (b"p", b""),
        b"empty": (b"f", hashlib.sha256(b"").digest()),
    }
    assert entries(data) == entries(data, 7)
    assert [entry.path for entry in entries(debs.tar([A], tarfile.USTAR_FORMAT))] == [b"usr/a"]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([File("../etc/passwd", b"x")], "tar.path"),
        ([File("./usr/../../x", b"x")], "tar.path"),
        ([File("/etc/passwd", b"x")], "tar.path"),
        ([File("./usr//a", b"x")], "tar.path"),
        ([File("./etc", kind=tarfile.SYMTYPE, target="/tmp"), File("./etc/x", b"x")], "tar.path"),
        ([File("./e", kind=tarfile.SYMTYPE, target="/tmp"), File("./e/x/y", b"x")], "tar.path"),
        ([A, A], "tar.duplicate"),
        ([A, File("usr/a", b"other")], "tar.duplicate"),
        ([File("./b", kind=tarfile.LNKTYPE, target="./usr/a"), A], "tar.link"),
        ([File("./b", kind=tarfile.LNKTYPE, target="/etc/shadow")], "tar.path"),
        ([File("./c", kind=tarfile.SYMTYPE, target="x"), File("./b", b"", tarfile.LNKTYPE, "./c")], "tar.link"),
        ([File("./dev/sda", kind=tarfile.BLKTYPE)], "tar.device"),
        ([File("./dev/mem", kind=tarfile.CHRTYPE)], "tar.device"),
        ([File("./s", b"", kind=tarfile.GNUTYPE_SPARSE)], "tar.form"),
        ([File("./l", kind=tarfile.SYMTYPE)], "tar.form"),
        ([File("./f", b"x", target="elsewhere")], "tar.form"),
        ([File("./d", b"x", kind=tarfile.DIRTYPE)], "tar.form"),
    ],
)  # fmt: skip
def test_paths_links_and_kinds(files: list[File], code: str) -> None:
    assert refused(debs.tar(files)) == code


def test_pax_headers_are_refused_as_dpkg_does() -> None:
    assert refused(debs.tar([File("./" + "x" * 200, b"x")], tarfile.PAX_FORMAT)) == "tar.form"


def test_the_end_is_where_it_says() -> None:
    data = debs.tar([A])
    assert refused(data[:512]) == "tar.form"
    assert refused(data + b"x") == "tar.form"
    assert refused(data + debs.tar([A])) == "tar.form"
    assert entries(data + b"\0" * 1024) == entries(data)
    wrong = bytearray(data)
    wrong[0] ^= 1
    assert refused(bytes(wrong)) == "tar.form"
    filled = bytearray(data)
    filled[512 + len(A.content)] = 1
    assert refused(bytes(filled)) == "tar.form"


def test_sizes_to_the_base_of_256_are_bounded() -> None:
    block = bytearray(debs.tar([File("./x", b"")])[:512])
    block[124:136] = b"\x80" + b"\xff" * 11
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert refused(bytes(block) + b"\0" * 1024) == "tar.form"


def test_entries_and_names_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TAR_ENTRIES_MAX", 1)
    assert refused(debs.tar([FOLDER, A])) == "tar.form"
    monkeypatch.undo()
    monkeypatch.setattr(limits, "TAR_NAME_MAX", 150)
    assert refused(debs.tar([File("./" + "x" * 200, b"x")])) == "tar.form"


@given(st.binary(max_size=1024), st.integers(0, 511))
def test_no_damage_crashes(data: bytes, place: int) -> None:
    whole = bytearray(debs.tar([A, File("./usr/b", kind=tarfile.LNKTYPE, target="./usr/a")]))
    whole[place : place + len(data)] = data
    try:
        entries(bytes(whole))
    except BrokenError:
        return


# Whole packages


@pytest.mark.parametrize("packed", ["", "gz", "xz", "bz2"])
def test_packages_say_what_they_are_and_bring(packed: str) -> None:
    view = BytesView(debs.deb([FOLDER, A], settings=["etc/tool.conf"], packed=packed))
    said = contents.control(view)
    assert said == (b"tool", b"1:2.0-1", b"amd64", frozenset({b"etc/tool.conf"}))
    assert [entry.path for entry in contents.files(view)] == [b"", b"usr/a"]


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = debs.deb([File("./zeros", b"\0" * 20_000_000)], packed="xz")
    assert len(bomb) < 20_000
    monkeypatch.setattr(limits, "DEB_DATA_MAX", 10_000_000)
    with pytest.raises(BrokenError) as told:
        list(contents.files(BytesView(bomb)))
    assert told.value.reason.code == "format.unpacked_too_large"


@pytest.mark.parametrize("packed", ["gz", "xz"])
def test_damaged_and_doubled_compression_is_refused(packed: str) -> None:
    stored = debs.PACK[packed](debs.tar([A]))
    middle = len(stored) // 2
    damaged = stored[:middle] + bytes([stored[middle] ^ 0xFF]) + stored[middle + 1 :]
    for data in (stored[:-1], stored + b"x", stored + stored, damaged, b""):
        package = debs.assembled(
            ("debian-binary", b"2.0\n"), ("control.tar", debs.tar([])), (f"data.tar.{packed}", data)
        )
        with pytest.raises(MalformedError):
            list(contents.files(BytesView(package)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Package: a\nVersion: 1\n",
        b"Package: a\nVersion: 1\nArchitecture: all\n\nPackage: b\n",
        b"Package: a\nPackage: b\nVersion: 1\nArchitecture: all\n",
        b"Package: a\nVersion: 1\nArchitecture: all\nnonsense\n",
        b" Package: a\nVersion: 1\nArchitecture: all\n",
    ],
)
def test_control_files_that_dpkg_would_refuse(text: bytes) -> None:
    package = debs.assembled(
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", lzma.compress(debs.tar([File("./control", text)]))),
        ("data.tar.gz", gzip.compress(debs.tar([]))),
    )
    with pytest.raises(BrokenError) as told:
        contents.control(BytesView(package))
    assert told.value.reason.code == "deb.control"


@given(st.binary(max_size=300), st.integers(1, 20))
def test_paragraphs_do_not_depend_on_pieces(data: bytes, step: int) -> None:
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    assert list(deb822.paragraphs(pieces)) == list(deb822.paragraphs([data]))
    for paragraph in deb822.paragraphs([data]):
        try:
            said = deb822.fields(paragraph)
        except MalformedError:
            continue
        assert all(name == name.lower() for name in said)


def test_a_paragraph_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DEB822_PARAGRAPH_MAX", 100)
    with pytest.raises(MalformedError):
        list(deb822.paragraphs([b"a: " + b"x" * 200]))
