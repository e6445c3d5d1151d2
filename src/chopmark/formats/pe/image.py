"""Reading the headers of a PE image: only what a signature depends on, every field held against the file.

Offsets are file offsets in bytes. Field names are those of Microsoft's "PE Format".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.core.seal import Range
from chopmark.formats.pe import reasons

if TYPE_CHECKING:
    from chopmark.core.artifact import View

EFI_SUBSYSTEMS = range(10, 14)
"""EFI application, boot service driver, runtime driver, ROM image."""

_NATIVE = 1
_HEAD = 4096
_LFANEW = 0x3C
_COFF = struct.Struct("<4sHHIIIHH")
_SECTION = struct.Struct("<8sIIII16x")
_MAGICS = {0x10B: 96, 0x20B: 112}
"""Where the data directories start in the optional header: PE32, PE32+."""
_SECURITY = 4
"""IMAGE_DIRECTORY_ENTRY_SECURITY; its address is a file offset, unlike all others."""
_CHECKSUM = 64
DIRECTORY = struct.Struct("<II")
"""A data directory: address (for certificates a file offset), size."""
_SIZE_MAX = 0xFFFFFFFF


class Section(NamedTuple):
    """One entry of the section table."""

    name: bytes
    virtual_size: int
    virtual_address: int
    raw_size: int
    raw_offset: int


_READ: WeakKeyDictionary[View, Image] = WeakKeyDictionary()


class Image(NamedTuple):
    """What the headers of one PE file say.

    `checksum` and `directory` are the places of the CheckSum field and of data directory 4 (None when the optional
    header has no room for it); `table` is what that directory says; `headers_end` is the end of the section table.
    """

    size: int
    machine: int
    subsystem: int
    checksum: int
    directory: int | None
    table: Range
    section_alignment: int
    file_alignment: int
    headers_size: int
    headers_end: int
    sections: tuple[Section, ...]

    @property
    def kernel(self) -> bool:
        """Whether it runs in the kernel: the subsystem of drivers is the native one."""
        return self.subsystem == _NATIVE

    def offset_of(self, address: int) -> int | None:
        """Where in the file something lies that a relative virtual address points to; None when it is not there."""
        for section in self.sections:
            inside = address - section.virtual_address
            if 0 <= inside < section.raw_size:
                return section.raw_offset + inside
        return None

    @property
    def efi(self) -> bool:
        """Whether firmware runs it, which takes several signatures side by side."""
        return self.subsystem in EFI_SUBSYSTEMS

    @property
    def signed(self) -> bool:
        """Whether data directory 4 names a certificate table."""
        return self.table != (0, 0)

    @property
    def end(self) -> int:
        """Where what is signed ends: at the certificate table, else at the end of the file."""
        return self.table.offset if self.signed else self.size

    def covered(self, end: int | None = None) -> tuple[Range, ...]:
        """What the image hash covers: all but CheckSum, data directory 4 and the certificate table, in file order."""
        end = self.end if end is None else end
        after = self.checksum + 4
        if self.directory is None:
            return Range(0, self.checksum), Range(after, end - after)
        rest = self.directory + 8
        return Range(0, self.checksum), Range(after, self.directory - after), Range(rest, end - rest)


def read(view: View) -> Image:
    """The headers, read once for each open file. Raises BrokenError (a MalformedError) where they break the rules."""
    known = _READ.get(view)
    if known is None:
        known = _READ[view] = _read(view)
    return known


def data_directory(view: View, image: Image, number: int) -> tuple[int, int]:
    """Address and size in a data directory; zeros when the header has no such directory."""
    start = image.checksum - _CHECKSUM
    fields = view.read(start, 256)
    directories = _MAGICS[int.from_bytes(fields[:2], "little")]
    if number >= int.from_bytes(fields[directories - 4 : directories], "little"):
        return 0, 0
    place = directories + 8 * number
    if start + place + DIRECTORY.size > image.headers_end:
        return 0, 0
    address, size = DIRECTORY.unpack_from(fields, place)
    return address, size


def _read(view: View) -> Image:
    size = view.size
    if size > _SIZE_MAX:
        raise BrokenError(reasons.TOO_LARGE, f"{size} bytes")
    head = view.read(0, _HEAD)
    if head[:2] != b"MZ" or len(head) < _LFANEW + 4:
        raise BrokenError(reasons.HEADERS, "no MZ header")
    start = int.from_bytes(head[_LFANEW : _LFANEW + 4], "little")
    head, base = (head, 0) if start + 1024 <= _HEAD else (view.read(start, _HEAD), start)
    at = start - base
    if len(head) < at + _COFF.size:
        raise BrokenError(reasons.HEADERS, f"e_lfanew {start:#x} points outside of the file")
    magic, machine, count, _, _, _, optional_size, _ = _COFF.unpack_from(head, at)
    if magic != b"PE\0\0":
        raise BrokenError(reasons.HEADERS, f"no PE signature at {start:#x}")
    optional = at + _COFF.size
    sections_at = start + _COFF.size + optional_size
    table = view.read(sections_at, count * 40)
    if len(table) != count * 40:
        raise BrokenError(reasons.HEADERS, f"the table of {count} sections is cut off")
    fields = head[optional : optional + min(optional_size, 256)]
    directories = _MAGICS.get(int.from_bytes(fields[:2], "little"), 0)
    if not directories or len(fields) < directories:
        raise BrokenError(reasons.HEADERS, f"no optional header of PE32 or PE32+ in {optional_size} bytes")
    section_alignment, file_alignment = struct.unpack_from("<II", fields, 32)
    headers_size, _, subsystem = struct.unpack_from("<IIH", fields, 60)
    entries = int.from_bytes(fields[directories - 4 : directories], "little")
    entry = directories + 8 * _SECURITY
    certificates, directory = Range(0, 0), None
    if entries > _SECURITY:
        # A loader finds the directory by the count alone; where the two sizes disagree, two readers see two files.
        if len(fields) < entry + 8:
            raise BrokenError(reasons.HEADERS, f"{entries} data directories in {optional_size} bytes of header")
        certificates = Range(*DIRECTORY.unpack_from(fields, entry))
        directory = base + optional + entry
    return Image(
        size=size,
        machine=machine,
        subsystem=subsystem,
        checksum=base + optional + _CHECKSUM,
        directory=directory,
        table=certificates,
        section_alignment=section_alignment,
        file_alignment=file_alignment,
        headers_size=headers_size,
        headers_end=sections_at + len(table),
        sections=tuple(Section(*entry) for entry in _SECTION.iter_unpack(table)),
    )
