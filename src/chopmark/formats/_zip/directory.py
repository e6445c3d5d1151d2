"""The end of an archive and its list of members (APPNOTE.TXT clauses 4.3.12 to 4.3.16)."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats._zip import extra, reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import View

_END, _END_SIGN = struct.Struct("<4s4H2LH"), b"PK\5\6"
_LOCATOR, _LOCATOR_SIGN = struct.Struct("<4sLQL"), b"PK\6\7"
_END64, _END64_SIGN = struct.Struct("<4sQ2H2L4Q"), b"PK\6\6"
_ENTRY, _ENTRY_SIGN = struct.Struct("<4s6H3L5H2L"), b"PK\1\2"
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF
"""What stands where a number needs the wider field elsewhere."""
ENCRYPTED, DESCRIBED, PATCHED, STRONG, UTF8, MASKED = 0x1, 0x8, 0x20, 0x40, 0x800, 0x2000
"""Bits of a member's flags (clause 4.4.4)."""
STORED, DEFLATED = 0, 8
NEEDED_MAX = 63
"""The highest version of the specification (6.3) that a member may need; behind it others begin to refuse."""
_UNIX = 3
_KIND, _PLAIN, _FOLDER = 0o170000, (0, 0o100000), (0, 0o040000)
_DRIVE = re.compile(r"[A-Za-z]:").match
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]").search


class Member(NamedTuple):
    """A member as the list has it: where its own header begins, and how many bytes it takes, packed and unpacked."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int

    @property
    def shown(self) -> str:
        """Its name for people."""
        return shown(self.name)

    @property
    def is_folder(self) -> bool:
        """Whether it only says that there is a folder."""
        return self.name.endswith("/")


class Directory(NamedTuple):
    """The list, in its order, and where in the archive it begins."""

    members: tuple[Member, ...]
    start: int


def shown(name: str) -> str:
    """A name for people."""
    return ascii(name[:200])[1:-1]


def read(view: View) -> Directory:
    """The list of members of the archive that a view is, to its last byte. Raises BrokenError."""
    count, size, start = _end(view)
    if count > limits.ZIP_ENTRIES_MAX or size > limits.ZIP_DIRECTORY_MAX:
        raise BrokenError(reasons.DIRECTORY, f"{count} members in a list of {size} bytes")
    members = tuple(_entries(view.read(start, size), count))
    _refuse_doubles(members)
    return Directory(members, start)


def _end(view: View) -> tuple[int, int, int]:
    """How many members there are, how long their list is, and where it begins."""
    place = view.size - _END.size
    tail = view.read(place, _END.size)
    if not tail.startswith(_END_SIGN):
        raise BrokenError(reasons.END, "something stands behind it, or it is cut off")
    _, disk, first, here, count, size, start, comment = _END.unpack(tail)
    if disk or first or here != count or comment:
        raise BrokenError(reasons.END, "several parts, or a comment")
    if count == FULL_16 or FULL_32 in (size, start):
        place, wide = _end64(view, place)
        if any(narrow not in (full, exact) for narrow, full, exact in zip(
            (count, size, start), (FULL_16, FULL_32, FULL_32), wide, strict=True)):  # fmt: skip
            raise BrokenError(reasons.END, "two records that differ")
        count, size, start = wide
    elif view.read(place - _LOCATOR.size, 4) == _LOCATOR_SIGN:
        # In the comment of the last entry, say; some programs take it wherever it stands.
        raise BrokenError(reasons.END, "a record of 64 bits that nothing needs")
    if start + size != place:
        raise BrokenError(reasons.END, "the list of members does not end where it should")
    return count, size, start


def _end64(view: View, end: int) -> tuple[int, tuple[int, int, int]]:
    """The wider record, which is there only where a number needs it; where it begins, and what it says."""
    place = end - _LOCATOR.size
    locator = view.read(place, _LOCATOR.size)
    if not locator.startswith(_LOCATOR_SIGN):
        raise BrokenError(reasons.END, "a number that is too large")
    _, disk, record, disks = _LOCATOR.unpack(locator)
    data = view.read(record, _END64.size)
    if disk or disks > 1 or record + _END64.size != place or not data.startswith(_END64_SIGN):
        raise BrokenError(reasons.END, "no record of 64 bits where it should be")
    _, length, _, _, disk, first, here, count, size, start = _END64.unpack(data)
    if length != _END64.size - 12 or disk or first or here != count:
        raise BrokenError(reasons.END, "several parts, or a record of 64 bits with something else in it")
    return record, (count, size, start)


def _entries(data: bytes, count: int) -> Iterator[Member]:
    place = 0
    for _ in range(count):
        if data[place : place + 4] != _ENTRY_SIGN or place + _ENTRY.size > len(data):
            raise BrokenError(reasons.DIRECTORY, f"no entry at its byte {place}")
        fields = _ENTRY.unpack_from(data, place)
        name, more, comment = fields[10:13]
        begin = place + _ENTRY.size
        place = begin + name + more + comment
        if place > len(data):
            raise BrokenError(reasons.DIRECTORY, "an entry that is cut off")
        yield _member(fields, data[begin : begin + name], data[begin + name : begin + name + more])
    if place != len(data):
        raise BrokenError(reasons.DIRECTORY, f"{len(data) - place} bytes behind its last entry")


def _member(fields: tuple[int, ...], raw: bytes, more: bytes) -> Member:
    made, needed, flags, method, crc, packed, size = (fields[n] for n in (1, 2, 3, 4, 7, 8, 9))
    disk, external, start = (fields[n] for n in (13, 15, 16))
    name = _name(raw, flags)
    wide = extra.wide(more, (size == FULL_32, packed == FULL_32, start == FULL_32), shown(name))
    size, packed, start = (given if wider is None else wider for given, wider in zip(
        (size, packed, start), wide, strict=True))  # fmt: skip
    if disk:
        raise BrokenError(reasons.DIRECTORY, f"{shown(name)} is in another part")
    if flags & (ENCRYPTED | STRONG | MASKED):
        raise BrokenError(reasons.ENCRYPTED, shown(name))
    if method not in (STORED, DEFLATED) or flags & PATCHED or needed > NEEDED_MAX:
        raise BrokenError(reasons.METHOD, f"{shown(name)}: method {method}, needs version {needed}")
    folder = name.endswith("/")
    if folder and (size or packed > 2):  # nothing is two bytes long, compressed
        raise BrokenError(reasons.DIRECTORY, f"{shown(name)} is a folder, and has {size} bytes")
    kind = (external >> 16) & _KIND if made >> 8 == _UNIX else 0
    if kind not in (_FOLDER if folder else _PLAIN):
        raise BrokenError(reasons.KIND, shown(name))
    return Member(name, flags, method, crc, packed, size, start)


def _name(raw: bytes, flags: int) -> str:
    """Its name, a path below the root. What is not ASCII must be said to be UTF-8; it is anybody's guess otherwise."""
    if not 0 < len(raw) <= limits.ZIP_NAME_MAX:
        raise BrokenError(reasons.NAME, f"of {len(raw)} bytes")
    try:
        name = raw.decode("utf-8" if flags & UTF8 else "ascii")
    except UnicodeDecodeError:
        raise BrokenError(reasons.NAME, f"not in UTF-8, or not said to be: {raw[:200]!r}") from None
    if _UNSAFE(name) or _DRIVE(name) or any(part in ("", ".", "..") for part in name.removesuffix("/").split("/")):
        raise BrokenError(reasons.NAME, shown(name))
    return name


def _refuse_doubles(members: tuple[Member, ...]) -> None:
    seen: set[str] = set()
    for member in members:
        bare = member.name.removesuffix("/")
        if bare in seen:
            raise BrokenError(reasons.DUPLICATE, shown(bare))
        seen.add(bare)
    files = {member.name for member in members if not member.is_folder}
    for member in members:
        parent = member.name.removesuffix("/").rpartition("/")[0]
        while parent:
            if parent in files:
                raise BrokenError(reasons.DUPLICATE, shown(parent))
            parent = parent.rpartition("/")[0]
