"""The ELF header, the segments and the sections, read strictly and in bounded memory (gABI 4.2, chapters 4 and 5)."""

from __future__ import annotations

import struct
from operator import add, itemgetter
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import View

MAGIC = b"\x7fELF"
RELOCATABLE, EXECUTABLE, SHARED = 1, 2, 3
LOAD = 1
_EMPTY = (8, 0)
"""SHT_NOBITS and SHT_NULL: sections that have nothing in the file, whatever size they say."""
_IDENT = 16
_MANY = 0xFFFF
"""PN_XNUM and SHN_XINDEX: the number stands in the first section."""
# Behind e_ident: e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, e_ehsize, e_phentsize, e_phnum,
# e_shentsize, e_shnum, e_shstrndx.
_HEADER = {1: "HHIIIIIHHHHHH", 2: "HHIQQQIHHHHHH"}
# p_type, p_offset, p_filesz; sh_name, sh_type, sh_offset, sh_size: what lies between is not looked at.
_SEGMENT = {1: "II8xI12x", 2: "I4xQ16xQ16x"}
_SECTION = {1: "II8xII16x", 2: "II16xQQ24x"}
_FIRST = {1: "20xIII8x", 2: "32xQII16x"}
"""sh_size, sh_link and sh_info of the first section, which count more than the header can."""


_FIRST_OF = itemgetter(0)


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
    loads: tuple[tuple[int, int, int], ...]
    rows: tuple[tuple[int, int, int, int], ...]
    names: int

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the rows of the table of segments say (`loads`)."""
        return tuple(map(Segment._make, self.loads))

    @property
    def is_loaded(self) -> bool:
        """Whether any segment is for loading (PT_LOAD)."""
        return LOAD in map(_FIRST_OF, self.loads)

    @property
    def sections(self) -> tuple[Section, ...]:
        """What the rows of the table of sections say; programs are judged without them."""
        return tuple(Section(name, kind, at, 0 if kind in _EMPTY else size) for name, kind, at, size in self.rows)


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
        found = _table(view, size, sections_at, 1, section_size, section, "sections")
        sections_there, names_there, segments_there = struct.unpack(order + _FIRST[width], found)
        section_count = section_count or sections_there
        names = names_there if names == _MANY else names
        segment_count = segments_there if segment_count == _MANY else segment_count
    elif section_count or segment_count == _MANY:
        raise MalformedError("sections without a table of them")
    found = _table(view, size, sections_at, section_count, section_size, section, "sections")
    rows = tuple(section.iter_unpack(found))
    segment = struct.Struct(order + _SEGMENT[width])
    found = _table(view, size, segments_at, segment_count, segment_size, segment, "segments")
    loads = tuple(segment.iter_unpack(found))
    _require_within(size, loads, rows)
    if rows and names >= len(rows):
        raise MalformedError("names of sections in a section that there is not")
    return Elf(type_, machine, 32 * width, loads, rows, names)


def _require_within(
    size: int, loads: Sequence[tuple[int, int, int]], rows: Sequence[tuple[int, int, int, int]]
) -> None:
    """Raises MalformedError for what reaches beyond the end; empty ones may lie anywhere."""
    if _farthest(loads, 1) > size:
        for _, offset, length in loads:
            if length and offset + length > size:
                raise MalformedError("segments that reach beyond the end of the file")
    if _farthest(rows, 2) <= size:
        return
    for _, type_of, offset, length in rows:
        if length and offset + length > size and type_of not in _EMPTY:
            raise MalformedError("sections that reach beyond the end of the file")


def _farthest(table: Sequence[tuple[int, ...]], column: int) -> int:
    """The end that lies farthest; `column` is the one with the offsets, in front of that with the lengths.

    Nearly all end within the file: to see so takes no step of ours for each row.
    """
    if not table:
        return 0
    columns = tuple(zip(*table, strict=True))
    farthest: int = max(map(add, columns[column], columns[column + 1]))
    return farthest


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
