"""Sections of images for firmware by name: what a unified kernel image, shim and SBAT put there."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats.pe import image as images
from chopmark.formats.pe import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import View
    from chopmark.formats.pe.image import Image, Section

SBAT, SBAT_LEVEL, VENDOR = b".sbat", b".sbatlevel", b".vendor_cert"
_LONG_NAME_MAX = 64
_SYMBOL = 18
"""Octets of a symbol; behind all of them stand the names of sections that have more than eight octets."""
_OPTIONAL = 64
"""From the optional header to CheckSum."""
_BOOT = b"HdrS"
_BOOT_AT = 0x202


class Carried(NamedTuple):
    """What shim carries: a certificate or lists that it trusts, the same of what it forbids, a level of SBAT."""

    allowed: bytes
    forbidden: bytes
    level: bytes


def named(view: View, image: Image) -> Iterator[tuple[bytes, Section]]:
    """Every section with its name, which may stand behind the symbols (PE Format, Section Table, Name)."""
    for section in image.sections:
        name = section.name.rstrip(b"\0")
        if name[:1] == b"/" and name[1:].isdigit():
            name = _long_name(view, image, int(name[1:])) or name
        yield name, section


def _long_name(view: View, image: Image, offset: int) -> bytes:
    symbols, count = struct.unpack("<II", view.read(image.checksum - _OPTIONAL - 12, 8))
    if not symbols:
        return b""
    return view.read(symbols + _SYMBOL * count + offset, _LONG_NAME_MAX).partition(b"\0")[0]


def find(view: View, image: Image, name: bytes) -> Iterator[Section]:
    """Every section with this name."""
    return (section for each, section in named(view, image) if each == name)


def content(view: View, section: Section, limit: int) -> bytes:
    """What is in a section, without what fills it up. Raises BrokenError for more than `limit` bytes, or less."""
    size = min(section.virtual_size, section.raw_size)
    if size > limit:
        raise BrokenError(reasons.SECTION_OUTSIDE, f"{size} bytes in {section.name!r}")
    found = view.read(section.raw_offset, size)
    if len(found) != size:
        raise BrokenError(reasons.SECTION_OUTSIDE, f"{section.name!r} is cut off")
    return found


def carried(view: View) -> Carried | None:
    """What shim carries; None when it is none. Raises BrokenError.

    `.vendor_cert` begins with two sizes and two offsets from its own beginning; `.sbatlevel` with a version and the
    offsets, from behind that, of two levels, of which shim sets the first one by itself.
    """
    image = images.read(view)
    section = next(find(view, image, VENDOR), None)
    if section is None:
        return None
    table = content(view, section, limits.EFI_LISTS_MAX)
    sizes = [int.from_bytes(table[start : start + 4], "little") for start in range(0, 16, 4)]
    allowed, forbidden = (table[at : at + size] for size, at in zip(sizes[:2], sizes[2:], strict=True))
    if len(table) < 16 or (len(allowed), len(forbidden)) != tuple(sizes[:2]):
        raise BrokenError(reasons.SECTION_OUTSIDE, "what shim carries is cut off")
    level = next(find(view, image, SBAT_LEVEL), None)
    return Carried(allowed, forbidden, _level(content(view, level, limits.SBAT_MAX)) if level else b"")


def _level(data: bytes) -> bytes:
    start = 4 + int.from_bytes(data[4:8], "little")
    end = data.find(b"\0", start)
    if start >= len(data) or end < 0 or any(data[:4]):
        raise BrokenError(reasons.SECTION_OUTSIDE, "the levels of SBAT are cut off, or of a version that is not known")
    return data[start:end]


def is_kernel(view: View) -> bool:
    """Whether it is a Linux kernel with an EFI stub (Documentation/arch/x86/boot.rst)."""
    return view.read(_BOOT_AT, len(_BOOT)) == _BOOT
