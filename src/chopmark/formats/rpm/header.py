"""Headers: an index of tags and the values that it points to, inside of a region that is signed as it stands.

docs/manual/format_header.md and hregions.md of rpm. Read as strictly as rpm writes: values stand in the order of the
index, none overlaps another, and nothing is between them but what aligns them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NoReturn

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats.rpm import reasons, tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chopmark.core.artifact import View

MAGIC = b"\x8e\xad\xe8\x01\0\0\0\0"
INTRO = 16
_COUNTS = struct.Struct(">II")
_ENTRY = struct.Struct(">IIiI")
_SIZES = {1: 1, tags.INT8: 1, tags.INT16: 2, tags.INT32: 4, tags.INT64: 8, tags.BINARY: 1,
          tags.STRING: 0, tags.STRINGS: 0, tags.TRANSLATED: 0}  # fmt: skip
"""Octets of a value, by type; none for texts, which end with a zero."""
_TAG_MAX = 0x7FFFFFFF
"""A greater one is below zero to rpm, which refuses it."""
_NUMBERS = {tags.INT16: "H", tags.INT32: "I", tags.INT64: "Q"}


Entry = tuple[int, int, int, int]
"""A tag of the index: the type of its value, where it begins in the data, how many there are, and where they end.

A bare tuple, because most of what is made of them nobody ever asks for.
"""


class Header(NamedTuple):
    """What is in a region, by tag. `rows` is its index as it stands, and `end` where its data ends."""

    entries: Mapping[int, Entry]
    data: bytes
    rows: bytes = b""
    end: int = 0

    @property
    def signed(self) -> bytes:
        """The bytes of the region that signatures are over: intro, index and data."""
        intro = _COUNTS.pack(len(self.rows) // _ENTRY.size, self.end)
        return b"".join((MAGIC, intro, self.rows, self.data[: self.end]))

    def string(self, tag: int) -> bytes | None:
        """A single string, the first one where there are several languages. Raises BrokenError for other types."""
        entry = self.entries.get(tag)
        if entry is None:
            return None
        kind, offset, amount, end = entry
        if kind not in (tags.STRING, tags.TRANSLATED):
            raise _wrong_type(tag, kind)
        return self.data[offset : end - 1 if amount == 1 else self.data.index(b"\0", offset)]

    def strings(self, tag: int) -> list[bytes]:
        """Several strings; none where the tag is missing. Raises BrokenError for other types."""
        entry = self.entries.get(tag)
        if entry is None:
            return []
        kind, offset, _, end = entry
        if kind != tags.STRINGS:
            raise _wrong_type(tag, kind)
        return self.data[offset : end - 1].split(b"\0")

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Numbers of 16, 32 or 64 bits; none where the tag is missing. Raises BrokenError for other types."""
        if tag not in self.entries:
            return ()
        kind, offset, amount, _ = self.entries[tag]
        if kind not in _NUMBERS:
            raise _wrong_type(tag, kind)
        return struct.unpack_from(f">{amount}{_NUMBERS[kind]}", self.data, offset)

    def number(self, tag: int) -> int | None:
        """The one number; None where the tag is missing. Raises BrokenError where there are more."""
        entry = self.entries.get(tag)
        if entry is None:
            return None
        kind, offset, amount, end = entry
        if kind not in _NUMBERS:
            raise _wrong_type(tag, kind)
        if amount > 1:
            raise BrokenError(reasons.TAG, f"tag {tag} has {amount} values")
        return int.from_bytes(self.data[offset:end], "big")

    def raw(self, tag: int) -> bytes:
        """The octets of a value, whatever they are; empty where the tag is missing."""
        if tag not in self.entries:
            return b""
        _, offset, _, end = self.entries[tag]
        return self.data[offset:end]


def read(view: View, start: int, limit: int) -> tuple[Header, int]:
    """The header of a package, which is its region and nothing else, and where it ends. Raises BrokenError."""
    body, count, end = _body(view, start, limit)
    inside, within = _region(body, count, tags.IMMUTABLE)
    size = len(body) - count * _ENTRY.size
    if (inside, within) != (count, size):
        raise BrokenError(reasons.OUTSIDE, f"{count - inside} tags, {size - within} bytes")
    return _inside(body, count, inside, within), end


def signatures(view: View, start: int, limit: int) -> tuple[Header, int]:
    """A signature header, and where it ends. Raises BrokenError.

    Its region protects nothing, and some versions of rpmsign left signatures of files behind it.
    """
    body, count, end = _body(view, start, limit)
    inside, within = _region(body, count, tags.SIGNATURES)
    found = _inside(body, count, inside, within)
    if inside == count and within == len(found.data):
        return found, end
    added = _entries(body, (inside, count), found.data, (within, len(found.data)))
    both = found.entries.keys() & added.keys()
    if both:
        raise BrokenError(reasons.DUPLICATE, f"tag {min(both)}")
    return found._replace(entries={**found.entries, **added}), end


def _body(view: View, start: int, limit: int) -> tuple[bytes, int, int]:
    """Index and data of a header, how many tags it has, and where it ends."""
    intro = view.read(start, INTRO)
    if len(intro) < INTRO or not intro.startswith(MAGIC):
        raise BrokenError(reasons.HEADER, f"no header at byte {start}")
    count, size = _COUNTS.unpack_from(intro, len(MAGIC))
    if not 0 < count <= limits.RPM_TAGS_MAX or not 0 < size <= limit:
        raise BrokenError(reasons.HEADER, f"{count} tags with {size} bytes")
    length = count * _ENTRY.size + size
    end = start + INTRO + length
    if end > view.size:
        raise BrokenError(reasons.HEADER, "it is cut off")
    return view.read(start + INTRO, length), count, end


def stored(blob: bytes) -> tuple[Header, Header]:
    """A header as the database of installed packages has it: the region, and the tags that stand behind it.

    Those nobody signed: they are what installing added, and the signatures. Raises BrokenError.
    """
    if len(blob) < 8:
        raise BrokenError(reasons.HEADER, "it is cut off")
    count, size = _COUNTS.unpack_from(blob)
    if not 0 < count <= limits.RPM_TAGS_MAX or len(blob) != 8 + count * _ENTRY.size + size:
        raise BrokenError(reasons.HEADER, f"{count} tags with {size} bytes")
    body = blob[8:]
    inside, within = _region(body, count, tags.IMMUTABLE)
    found = _inside(body, count, inside, within)
    added = _entries(body, (inside, count), found.data, (within, len(found.data)), gaps=True)
    return found, Header(added, found.data)


def _inside(body: bytes, count: int, inside: int, within: int) -> Header:
    """So many tags and bytes of a header of `count` tags, which are its region. Raises BrokenError."""
    data = body[count * _ENTRY.size :]
    entries = _entries(body, (1, inside), data, (0, within - _ENTRY.size))
    return Header(entries, data, body[: inside * _ENTRY.size], within)


def _region(body: bytes, count: int, region: int) -> tuple[int, int]:
    """How many tags the region has, and how many bytes, as its first entry and the trailer that this leads to say."""
    start = count * _ENTRY.size
    tag, kind, offset, length = _ENTRY.unpack_from(body)
    if (tag, kind, length) != (region, tags.BINARY, _ENTRY.size) or not 0 <= offset <= len(body) - start - _ENTRY.size:
        raise BrokenError(reasons.REGION, "it does not begin with one")
    tag, kind, back, length = _ENTRY.unpack_from(body, start + offset)
    if tag == tags.IMAGE and region == tags.SIGNATURES:
        tag = region  # old versions of rpm wrote so, and all read it
    inside, rest = divmod(-back, _ENTRY.size)
    if (tag, kind, length) != (region, tags.BINARY, _ENTRY.size) or rest or not 0 < inside <= count:
        raise BrokenError(reasons.REGION, "its trailer")
    return inside, offset + _ENTRY.size


def _entries(
    body: bytes, rows: tuple[int, int], data: bytes, room: tuple[int, int], *, gaps: bool = False
) -> dict[int, Entry]:
    """The entries of some rows of the index, whose values stand in some room of the data and fill that.

    With `gaps` something may be between them. Offsets are taken for unsigned: one below zero is beyond everything then.
    Most of the time that a small package takes is spent here.
    """
    (first, last), (end, limit) = rows, room
    numbers = struct.unpack_from(f">{(last - first) * 4}I", body, first * _ENTRY.size)
    those, kinds, offsets, amounts = numbers[0::4], numbers[1::4], numbers[2::4], numbers[3::4]
    found: dict[int, Entry] = {}
    sizes, find = _SIZES, data.find
    try:
        for tag, kind, offset, amount in zip(those, kinds, offsets, amounts, strict=True):
            size = sizes[kind]
            if offset != end and (offset != end + -end % (size or 1) or data[end:offset].strip(b"\0")):
                _refuse_between(end, offset, gaps=gaps)
            if size:
                end = offset + size * amount
            elif amount == 1:
                end = find(b"\0", offset) + 1
            elif kind == tags.STRING:
                raise BrokenError(reasons.TAG, f"tag {tag} with {amount} values of type {kind}")
            else:
                following = (*offsets, limit)[len(found) + 1]
                end = _end_of_texts(data, offset, amount, following, gaps=gaps)
            if end <= offset or (size and offset % size):
                _refuse(amounts, data, f"tag {tag} has no end, or is not aligned")
            found[tag] = kind, offset, amount, end
    except KeyError as unknown:
        raise BrokenError(reasons.TAG, f"values of type {unknown}") from None
    if end > limit or (end != limit and not gaps):
        _refuse(amounts, data, "something behind the last tag, or it goes on")
    _check_tags(those, len(found))
    return found


def _check_tags(those: tuple[int, ...], different: int) -> None:
    if different != len(those):
        raise BrokenError(reasons.DUPLICATE, f"tag {max(those, key=those.count)}")
    if min(those, default=tags.LOCALES) < tags.LOCALES or max(those, default=0) > _TAG_MAX:
        raise BrokenError(reasons.TAG, f"tag {min(those)} to {max(those)}")


def _refuse(amounts: tuple[int, ...], data: bytes, why: str) -> NoReturn:
    """Values are not where they should be, perhaps because of a count that is beyond everything."""
    if max(amounts, default=0) > len(data):
        raise BrokenError(reasons.TAG, f"{max(amounts)} values in {len(data)} bytes")
    raise BrokenError(reasons.OVERLAP, why)


def _refuse_between(end: int, offset: int, *, gaps: bool) -> None:
    """One value does not begin where the one before ends, or where zeros align it. Raises BrokenError."""
    if offset < end:
        raise BrokenError(reasons.OVERLAP, f"{end - offset} bytes of one value are in the next")
    if not gaps:
        raise BrokenError(reasons.OVERLAP, f"something between values, at byte {end}")


def _end_of_texts(data: bytes, offset: int, count: int, limit: int, *, gaps: bool) -> int:
    """Where several strings end; 0 where they do not before `limit`."""
    if gaps:
        end = offset
        for _ in range(count):
            end = data.find(b"\0", end, limit) + 1
            if not end:
                break
        return end
    # All zeros between here and the limit but the last few end a string; those few align what comes next.
    end = limit - (data.count(b"\0", offset, limit) - count)
    return 0 if end > limit or data[end - 1 : limit].strip(b"\0") else end


class Value(NamedTuple):
    """A value to be written: its tag, type, how many there are, and their octets."""

    tag: int
    kind: int
    amount: int
    octets: bytes


def values(header: Header) -> list[Value]:
    """What is in a region."""
    return [Value(tag, kind, amount, header.data[offset:end]) for tag, (kind, offset, amount, end) in
            header.entries.items()]  # fmt: skip


def written(region: int, those: Iterable[Value]) -> bytes:
    """A header as rpm writes it: sorted, aligned, all inside of one region."""
    index, data = [], bytearray()
    for each in sorted(those):
        data += bytes(-len(data) % (_SIZES.get(each.kind) or 1))
        index.append(_ENTRY.pack(each.tag, each.kind, len(data), each.amount))
        data += each.octets
    rows = len(index) + 1
    index.insert(0, _ENTRY.pack(region, tags.BINARY, len(data), _ENTRY.size))
    data += _ENTRY.pack(region, tags.BINARY, -rows * _ENTRY.size, _ENTRY.size)
    return b"".join((MAGIC, _COUNTS.pack(rows, len(data)), *index, bytes(data)))


def _wrong_type(tag: int, kind: int) -> BrokenError:
    return BrokenError(reasons.TAG, f"tag {tag} with values of type {kind}")
