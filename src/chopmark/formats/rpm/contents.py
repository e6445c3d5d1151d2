"""The payload held against the header's list of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core import reasons as common
from chopmark.core.artifact import pieces
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats._compressed import streams
from chopmark.formats.rpm import cpio, files, reasons, tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import View
    from chopmark.formats.rpm.cpio import Item
    from chopmark.formats.rpm.files import Listed
    from chopmark.formats.rpm.package import Package

_COMPRESSORS = {
    b"": streams.PLAIN,
    b"none": streams.PLAIN,
    b"gzip": streams.GZIP,
    b"xz": streams.XZ,
    b"bzip2": streams.BZIP2,
    b"zstd": streams.ZSTANDARD,
}
_PLAIN = b"0707"


class Compared(NamedTuple):
    """How many files the header names, and what of them is another in the payload, missing or one too many."""

    files: int
    differing: tuple[str, ...]


def compare(view: View, found: Package) -> Compared:
    """Unpack the payload in passing. Raises BrokenError, and MalformedError where the compression is damaged."""
    listed = files.listed(found.header)
    by_path = {each.path: number for number, each in enumerate(listed)}
    last = _last_of_links(listed)
    waiting = {number for number, each in enumerate(listed) if not each.is_ghost}
    differing: list[str] = []

    def size_of(number: int) -> int:
        if number >= len(listed):
            raise BrokenError(reasons.PAYLOAD_FORM, f"file {number} of {len(listed)}")
        each = listed[number]
        has_content = each.is_link or (each.is_file and last.get(each.links) == number)
        return each.size if has_content else 0

    for item in cpio.items(_unpacked(view, found), files.algorithm(found.header), size_of):
        number = by_path.get(item.path) if item.number is None else item.number
        if number not in waiting or number is None:
            differing.append(shown(item.path or b"%d" % (item.number or 0)))
            continue
        waiting.discard(number)
        if not _fits(item, listed[number], holds_content=size_of(number) > 0 or not listed[number].size):
            differing.append(shown(listed[number].path))
    differing += [shown(listed[number].path) for number in sorted(waiting)]
    return Compared(len(listed), tuple(differing))


def _last_of_links(listed: Sequence[Listed]) -> dict[tuple[int, int], int]:
    """The last one of each set of hard links: it alone comes with the content."""
    return {each.links: number for number, each in enumerate(listed) if each.is_file and not each.is_ghost}


def _fits(item: Item, listed: Listed, *, holds_content: bool) -> bool:
    if item.number is None and item.mode != listed.mode:
        return False
    if listed.is_link:
        return item.beginning == listed.target
    if not listed.is_file:
        return not item.size
    if not holds_content:
        return not item.size
    return item.size == listed.size and item.digest == listed.digest


def _unpacked(view: View, found: Package) -> Iterator[bytes]:
    named = found.header.string(tags.PAYLOAD_COMPRESSOR)
    said = _COMPRESSORS.get(b"gzip" if named is None else named)
    form = found.header.string(tags.PAYLOAD_FORMAT)
    if said is None or form not in (None, b"cpio"):
        raise BrokenError(common.COMPRESSION_UNSUPPORTED, f"{shown(form or b'cpio')}, {shown(named or b'')}")
    kind = streams.PLAIN if view.read(found.payload, len(_PLAIN)) == _PLAIN else said
    return streams.unpacked(map(bytes, pieces(view, found.payload, found.size)), kind, limits.RPM_PAYLOAD_MAX)


def shown(path: bytes) -> str:
    """A path for people."""
    return path[:200].decode("ascii", "backslashreplace")
