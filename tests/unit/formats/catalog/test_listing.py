"""The text of a catalog: what is written is read again, and nothing else is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.formats.catalog import FORMAT, listing, reasons, sealing

VECTORS = Path(__file__).parents[3] / "vectors" / "catalog"
HEAD = listing.head(listing.Header())
ROOT = b"d 0755 0 0 - - .\n"

names = st.binary(min_size=1, max_size=40).filter(lambda raw: b"/" not in raw and b"\0" not in raw and raw.strip(b"."))


def read(data: bytes, step: int = 1 << 20) -> listing.Listing:
    found = listing.Listing(data[start : start + step] for start in range(0, len(data), step))
    for _ in found.rows():
        pass
    return found


@pytest.mark.parametrize("path", sorted(VECTORS.glob("sample-*")), ids=lambda path: path.name)
def test_samples_are_read_in_pieces_of_any_size(path: Path) -> None:
    data = path.read_bytes()
    whole = read(data)
    assert whole.count == data.count(b"\n", data.index(b"\n\n")) - 3
    assert (read(data, 1).header, read(data, 7).count) == (whole.header, whole.count)
    assert data.startswith(listing.head(whole.header))


@pytest.mark.parametrize("path", sorted(VECTORS.glob("sample-*")), ids=lambda path: path.name)
def test_the_second_reading_is_the_first(path: Path) -> None:
    """With origins and without; a file may be called as an origin begins."""
    data = path.read_bytes()
    named = b"f 0644 0 0 1 %b @a\nl 0777 0 0 - @b @c @a/b/1\n" % (b"0" * 64)
    for whole in (data, HEAD + ROOT + named + listing.tail(3)):
        strict, again = listing.Listing([whole]), listing.Listing([whole])
        assert [line for _, line in strict.rows()] == list(again.lines())
        assert strict.count == again.count


def test_a_second_reading_of_other_bytes_takes_no_line_apart_that_is_none() -> None:
    for line in (b"f 0644", b"f 0644 0 0 1 x @y", b"@"):
        with pytest.raises(BrokenError):
            listing.path_in(line)
        with pytest.raises(BrokenError):
            listing.without_origin(line)


@pytest.mark.parametrize("path", [b"/x", b"a//b", b"a/", b"..", b"a/..", b"a/./b", b"x\\x00"])
def test_what_is_no_path_below_the_root(path: bytes) -> None:
    folder, file = b"d 0755 0 0 - - a\n", b"f 0644 0 0 1 %b %b\n" % (b"0" * 64, path)
    lines = (folder, file) if path > b"a" else (file, folder)
    with pytest.raises(BrokenError) as told:
        read(HEAD + ROOT + b"".join(lines) + listing.tail(3))
    assert told.value.reason.code == "catalog.path"


@pytest.mark.parametrize("path", sorted(VECTORS.glob("invalid-*")), ids=lambda path: path.name)
def test_every_broken_rule_has_its_reason(path: Path) -> None:
    with pytest.raises(BrokenError) as told:
        read(path.read_bytes())
    assert told.value.reason.code == f"catalog.{path.name.split('-')[1].removesuffix('.catalog')}"
    artifact = Artifact.from_bytes(path.read_bytes(), path.name)
    with pytest.raises(MalformedError):
        list(FORMAT.extract(artifact))
    with pytest.raises(RefusedError):
        FORMAT.recipe(artifact, SealOptions())


def test_the_vectors_are_what_their_program_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_catalog_vectors", VECTORS / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    written = {f"{kind}-{name}.catalog": data for kind, files in (("sample", make.SAMPLES), ("invalid", make.INVALID))
               for name, data in files.items()}  # fmt: skip
    assert written == {path.name: path.read_bytes() for path in VECTORS.glob("*.catalog")}


@given(st.binary(max_size=300))
def test_names_of_any_bytes_come_back(raw: bytes) -> None:
    text = listing.escape(raw)
    assert text.isascii()
    assert b" " not in text
    assert b"\n" not in text
    assert listing.unescape(text) == raw


@given(st.text("abc\\x0159ef \n", max_size=30).map(str.encode))
def test_a_name_can_be_written_in_one_way_only(text: bytes) -> None:
    try:
        raw = listing.unescape(text)
    except BrokenError:
        return
    assert listing.escape(raw) == text


@given(st.sets(names, max_size=20))
@example({b"\n", b"a\n"})
def test_files_of_any_name_are_listed_and_found(paths: set[bytes]) -> None:
    lines = [b"f 0644 0 0 1 %s %s\n" % (b"0" * 64, listing.escape(path)) for path in sorted(paths)]
    data = HEAD + ROOT + b"".join(lines) + listing.tail(len(paths) + 1)
    found = listing.Listing([data])
    assert [path for path, _ in found.rows()] == [b"", *sorted(paths)]


@given(st.data())
def test_no_change_of_a_catalog_makes_another_that_says_the_same(data: st.DataObject) -> None:
    """Whatever is still read after a change is written exactly so: there is one text for one list."""
    whole = bytearray((VECTORS / "sample-kinds.catalog").read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    found = None
    try:
        found = listing.Listing([bytes(whole)])
        rows = [line for _, line in found.rows()]
    except BrokenError:
        return
    assert listing.head(found.header) + b"\n".join(rows) + b"\n" + listing.tail(found.count) == whole


def test_lines_and_numbers_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokenError) as told:
        read(HEAD + b"a" * (limits.CATALOG_LINE_MAX + 2), step=limits.MIB)
    assert told.value.reason is reasons.FORM
    monkeypatch.setattr(limits, "CATALOG_ENTRIES_MAX", 1)
    with pytest.raises(BrokenError):
        read(HEAD + ROOT + b"p 0644 0 0 - - a\nend 2\n")
    monkeypatch.setattr(limits, "CATALOG_EXCLUDES_MAX", 1)
    with pytest.raises(BrokenError):
        read(listing.head(listing.Header(excluded=(b"a", b"b"))) + ROOT + b"end 1\n")


@pytest.mark.parametrize("junk", [b"", b"\n", b"x" * 100, b"-----BEGIN CMS-----\n-----END CMS-----\n"])
def test_a_block_that_is_none_is_broken(junk: bytes) -> None:
    data = (VECTORS / "sample-empty.catalog").read_bytes() + junk + b"-----END CMS-----\n"
    with pytest.raises(BrokenError) as told:
        sealing.read(Artifact.from_bytes(data))
    assert told.value.reason is reasons.BLOCK
