"""As much of ELF as tells a kernel module: a relocatable file with a section .modinfo (ELF 1.2, book III)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    from chopmark.core.artifact import View

_RELOCATABLE = 1
_IDENT = 16
_MODINFO = b".modinfo\0"
# Behind e_ident: e_type; e_shoff; e_shentsize, e_shnum, e_shstrndx. Sections: sh_name; sh_offset, sh_size.
_HEADER = {1: "HHIIIIIHHHHHH", 2: "HHIQQQIHHHHHH"}
_SECTION = {1: "IIIIIIIIII", 2: "IIQQQQIIQQ"}


class _NoModuleError(Exception):
    """Why not."""


def problem(view: View, size: int) -> str:
    """Why the first `size` bytes are no kernel module; empty when they are one."""
    try:
        _look(view, size)
    except _NoModuleError as error:
        return str(error)
    return ""


def modinfo(view: View, size: int) -> dict[str, str]:
    """What a module says of itself in .modinfo (`tag=value`), the first value of each tag. Raises MalformedError."""
    try:
        offset, length = _look(view, size)
    except _NoModuleError as error:
        raise MalformedError(f"no kernel module: {error}") from None
    if length > limits.MODINFO_MAX:
        raise MalformedError(f"{length} bytes in .modinfo")
    found: dict[str, str] = {}
    for entry in view.read(offset, length).split(b"\0"):
        tag, equals, value = entry.partition(b"=")
        if equals:
            found.setdefault(tag.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
    return found


def _look(view: View, size: int) -> tuple[int, int]:
    """Where .modinfo lies and how long it is."""
    ident = view.read(0, min(size, _IDENT))
    if len(ident) < _IDENT or ident[:4] != b"\x7fELF" or ident[4] not in _HEADER or ident[5] not in (1, 2):
        raise _NoModuleError("no ELF file")
    order = "<" if ident[5] == 1 else ">"
    header, section = struct.Struct(order + _HEADER[ident[4]]), struct.Struct(order + _SECTION[ident[4]])
    if size < _IDENT + header.size:
        raise _NoModuleError("an ELF header that is cut off")
    fields = header.unpack(view.read(_IDENT, header.size))
    if fields[0] != _RELOCATABLE:
        raise _NoModuleError(f"an ELF file of type {fields[0]}, not relocatable")
    start, (width, count, names_index) = fields[5], fields[10:]
    if width != section.size or names_index >= count or start + width * count > size:
        raise _NoModuleError("a table of sections that is not in the file")
    table = view.read(start, width * count)
    if len(table) < width * count:
        raise _NoModuleError("a table of sections that is not in the file")
    sections = list(section.iter_unpack(table))
    offset, length = sections[names_index][4:6]
    if offset + length > size or length > limits.SCRIPT_MAX:
        raise _NoModuleError("names of sections that are not in the file")
    names = view.read(offset, length)
    found = (each for each in sections if names.startswith(_MODINFO, each[0]) and each[4] + each[5] <= size)
    section_of_info = next(found, None)
    if section_of_info is None:
        raise _NoModuleError("no section .modinfo")
    return section_of_info[4], section_of_info[5]
