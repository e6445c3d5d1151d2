"""Two lists of lines beside each other."""

from __future__ import annotations

from chopmark.engine.catalog import comparing
from chopmark.formats.catalog import listing

ROOT = b"d 0755 0 0 - - ."


def line(path: bytes, content: bytes = b"a" * 64, size: bytes = b"1") -> bytes:
    return b"f 0644 0 0 %b %b %b" % (size, content, listing.escape(path))


def told(listed: list[bytes], found: list[bytes]) -> list[tuple[str, str]]:
    return [(each.code, each.subject) for each in comparing.differences([ROOT, *listed], [ROOT, *found])]


def test_the_same_lines_are_the_same() -> None:
    assert told([line(b"a"), line(b"b")], [line(b"a"), line(b"b")]) == []


def test_nobody_vouches_for_what_could_not_be_read_however_often() -> None:
    unread = line(b"a", listing.UNREAD, b"-")
    assert told([unread], [unread]) == [("catalog.unvouched", "a")]
    folder = b"d 0755 0 0 - ! d"
    assert told([folder], [folder, line(b"d/added")]) == [("catalog.unvouched", "d")]


def test_what_is_there_only_once_is_named_wherever_it_stands() -> None:
    every = [line(path, bytes([path[0]]) * 64) for path in (b"a", b"b", b"c", b"d", b"e")]
    for at, each in enumerate(every):
        others = every[:at] + every[at + 1 :]
        name = chr(ord("a") + at)
        assert told(every, others) == [("catalog.missing", name)]
        assert told(others, every) == [("catalog.added", name)]
        assert told(every, [*others[:at], each.replace(b"0644", b"0600"), *others[at:]]) == [("catalog.mode", name)]
