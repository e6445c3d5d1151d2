"""As much of ELF as tells a kernel module: a relocatable file with a section .modinfo (gABI 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.formats._elf import header

if TYPE_CHECKING:
    from chopmark.core.artifact import View

_MODINFO = b".modinfo\0"


class _NoModuleError(MalformedError):
    """Why not."""


def problem(view: View, size: int) -> str:
    """Why the first `size` bytes are no kernel module; empty when they are one."""
    try:
        _look(view, size)
    except MalformedError as error:
        return str(error)
    return ""


def modinfo(view: View, size: int) -> dict[str, str]:
    """What a module says of itself in .modinfo (`tag=value`), the first value of each tag. Raises MalformedError."""
    try:
        section = _look(view, size)
    except MalformedError as error:
        raise MalformedError(f"no kernel module: {error}") from None
    if section.size > limits.MODINFO_MAX:
        raise MalformedError(f"{section.size} bytes in .modinfo")
    found: dict[str, str] = {}
    for entry in view.read(section.offset, section.size).split(b"\0"):
        tag, equals, value = entry.partition(b"=")
        if equals:
            found.setdefault(tag.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
    return found


def _look(view: View, size: int) -> header.Section:
    """The section .modinfo. Raises MalformedError."""
    elf = header.read(view, size)
    if elf.kind != header.RELOCATABLE:
        raise _NoModuleError(f"an ELF file of type {elf.kind}, not relocatable")
    sections = elf.sections
    if not sections:
        raise _NoModuleError("no table of sections")
    names = sections[elf.names]
    if names.size > limits.SCRIPT_MAX:
        raise _NoModuleError("names of sections that are not in the file")
    text = view.read(names.offset, names.size)
    section = next((each for each in sections if text.startswith(_MODINFO, each.name)), None)
    if section is None:
        raise _NoModuleError("no section .modinfo")
    return section
