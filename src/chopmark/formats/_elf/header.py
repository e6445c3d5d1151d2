"""The ELF header, the segments and the sections, read strictly and in bounded memory (gABI 4.2, chapters 4 and 5)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from chopmark.core import limits
from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    from chopmark.core.artifact import View

MAGIC = b"\x7fELF"
RELOCATABLE, EXECUTABLE, SHARED = 1, 2, 3
LOAD = 1
_NOBITS, _NULL = 8, 0
_IDENT = 16
_MANY = 0xFFFF
"""PN_XNUM and SHN_XINDEX: the number stands in the first section."""
# Behind e_ident: e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, e_ehsize, e_phentsize, e_phnum,
# e_shentsize, e_shnum, e_shstrndx.
_HEADER = {1: "HHIIIIIHHHHHH", 2: "HHIQQQIHHHHHH"}
_SEGMENT = {1: "IIIIIIII", 2: "IIQQQQQQ"}
_SECTION = {1: "IIIIIIIIII", 2: "IIQQQQIIQQ"}
_OFFSET_OF_SEGMENT = {1: (1, 4), 2: (2, 5)}
"""Where p_offset and p_filesz stand."""


class Segment(NamedTuple):
    """A segment: its type, and where it lies in the file."""

    kind: int
    offset: int
    size: int


class Section(NamedTuple):
    """A section: where its name lies among the names, its type, where it lies in the file (NOBITS: size 0)."""

    name: int
    kind: int
    offset: int
    size: int


class Elf(NamedTuple):
    """An ELF file: e_type, e_machine, the number of bits, and both tables. `names` is the section with the names."""

    kind: int
    machine: int
    bits: int
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]
    names: int


def kind(head: bytes) -> int:
    """The e_type of what begins as an ELF file of either class and byte order; 0 for everything else."""
    if head[:4] != MAGIC or head[4:5] not in (b"\1", b"\2") or head[5:6] not in (b"\1", b"\2"):
        return 0
    return int.from_bytes(head[16:18], "little" if head[5] == 1 else "big")


def read(view: View, size: int) -> Elf:
    """Read the first `size` bytes. Raises MalformedError for a table, segment or section that is not all in them."""
    ident = view.read(0, min(size, _IDENT))
    if len(ident) < _IDENT or not kind(ident + b"\1\1"):
        raise MalformedError("no ELF file")
    if ident[6] != 1:
        raise MalformedError(f"ELF version {ident[6]}")
    width, order = ident[4], "<" if ident[5] == 1 else ">"
    header = struct.Struct(order + _HEADER[width])
    if size < _IDENT + header.size:
        raise MalformedError("an ELF header that is cut off")
    fields = header.unpack(view.read(_IDENT, header.size))
    type_, machine, _, _, segments_at, sections_at, _, own_size, *tables = fields
    if own_size != _IDENT + header.size:
        raise MalformedError(f"an ELF header that says it has {own_size} bytes")
    segment_size, segment_count, section_size, section_count, names = tables
    section = struct.Struct(order + _SECTION[width])
    if sections_at:
        first = section.unpack(_table(view, size, sections_at, 1, section_size, section, "sections"))
        section_count = section_count or first[5]
        names = first[6] if names == _MANY else names
        segment_count = first[7] if segment_count == _MANY else segment_count
    elif section_count or segment_count == _MANY:
        raise MalformedError("sections without a table of them")
    found = _table(view, size, sections_at, section_count, section_size, section, "sections")
    sections = tuple(_section(each) for each in section.iter_unpack(found))
    segment = struct.Struct(order + _SEGMENT[width])
    found = _table(view, size, segments_at, segment_count, segment_size, segment, "segments")
    place, length = _OFFSET_OF_SEGMENT[width]
    segments = tuple(Segment(each[0], each[place], each[length]) for each in segment.iter_unpack(found))
    parts: tuple[Segment | Section, ...] = (*segments, *sections)
    for part in parts:
        if part.size and part.offset + part.size > size:
            raise MalformedError(f"{type(part).__name__.lower()}s that reach beyond the end of the file")
    if sections and names >= len(sections):
        raise MalformedError("names of sections in a section that there is not")
    return Elf(type_, machine, 32 * width, segments, sections, names)


def _section(fields: tuple[int, ...]) -> Section:
    name, type_, _, _, offset, size = fields[:6]
    return Section(name, type_, offset, 0 if type_ in (_NOBITS, _NULL) else size)


def _table(view: View, size: int, start: int, count: int, each: int, expected: struct.Struct, what: str) -> bytes:
    if not count:
        return b""
    if each != expected.size:
        raise MalformedError(f"a table of {what} whose entries have {each} bytes")
    if count * each > limits.ELF_TABLE_MAX:
        raise MalformedError(f"a table of {count} {what}")
    if start + count * each > size:
        raise MalformedError(f"a table of {what} that is not in the file")
    return view.read(start, count * each)
