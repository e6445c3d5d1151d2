"""The version resource of a PE image: names and version that its publisher gave it (VS_VERSIONINFO).

Only what is looked for is read, and everything is bounded: Microsoft's "PE Format", clause ".rsrc section", and
"Version Information" of the Windows API.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.versions import DOTTED, Release
from chopmark.formats.pe import image as images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import View
    from chopmark.formats.pe.image import Image

_RESOURCES = 2
"""IMAGE_DIRECTORY_ENTRY_RESOURCE."""
_RT_VERSION = 16
_ENTRIES_MAX = 4096
"""Entries of a resource directory that are looked at."""
_SIZE_MAX = 64 * 1024
"""A version resource; its length field has 16 bits."""
_DIRECTORY, _ENTRY, _DATA = struct.Struct("<12xHH"), struct.Struct("<II"), struct.Struct("<II8x")
_BLOCK = struct.Struct("<HHH")
_FIXED = struct.Struct("<I4xII")
"""VS_FIXEDFILEINFO, its beginning: signature, structure version, file version."""
_DEPTH = 3
"""Type, name, language."""
_SIGNATURE = 0xFEEF04BD
_INSIDE = 0x80000000
_STRINGS_MAX = 256
_NAMES = ("OriginalFilename", "InternalName", "ProductName")

Version = tuple[int, int, int, int]


def read(view: View) -> tuple[dict[str, str], Version | None]:
    """The strings (of all languages, the first one first) and the file version; nothing when there is no resource.

    Raises MalformedError when there is one that cannot be read.
    """
    image = images.read(view)
    address, size = images.data_directory(view, image, _RESOURCES)
    if not address or not size:
        return {}, None
    resource = _find(view, image, address)
    if resource is None:
        return {}, None
    return _parsed(resource)


def release(view: View) -> Release | None:
    """The file by the name that its publisher gave it, and dwFileVersion (VS_FIXEDFILEINFO). Raises MalformedError.

    Names as App Control's rules prefer them: OriginalFilename, else InternalName, else ProductName.
    """
    strings, version = read(view)
    name = next((strings[each] for each in _NAMES if strings.get(each)), "")
    return Release(name, ".".join(map(str, version)), DOTTED) if name and version is not None else None


def _find(view: View, image: Image, address: int) -> bytes | None:
    """The first version resource in the tree of type, name and language."""
    base = image.offset_of(address)
    if base is None:
        raise MalformedError("the resources lie outside of all sections")
    at = base
    for level in range(_DEPTH):
        following = None
        for identifier, target in _entries(view, at):
            if level or identifier == _RT_VERSION:
                following = target
                break
        if following is None:
            return None
        if bool(following & _INSIDE) is (level == _DEPTH - 1):
            raise MalformedError("the tree of resources has another depth than three")
        at = base + (following & ~_INSIDE)
    data = view.read(at, _DATA.size)
    if len(data) != _DATA.size:
        raise MalformedError("a resource is cut off")
    where, size = _DATA.unpack(data)
    offset = image.offset_of(where)
    if offset is None or size > _SIZE_MAX:
        raise MalformedError("the version resource lies outside of all sections, or is enormous")
    found = view.read(offset, size)
    if len(found) != size:
        raise MalformedError("the version resource is cut off")
    return found


def _entries(view: View, at: int) -> Iterator[tuple[int, int]]:
    head = view.read(at, _DIRECTORY.size)
    if len(head) != _DIRECTORY.size:
        raise MalformedError("a directory of resources is cut off")
    count = sum(_DIRECTORY.unpack(head))
    if count > _ENTRIES_MAX:
        raise MalformedError(f"{count} entries in a directory of resources")
    table = view.read(at + _DIRECTORY.size, count * _ENTRY.size)
    if len(table) != count * _ENTRY.size:
        raise MalformedError("a directory of resources is cut off")
    yield from _ENTRY.iter_unpack(table)


def _parsed(resource: bytes) -> tuple[dict[str, str], Version | None]:
    key, value, children = _block(resource, 0, len(resource))
    if key != "VS_VERSION_INFO":
        raise MalformedError("the version resource has another name")
    version: Version | None = None
    if len(value) >= _FIXED.size:
        signature, high, low = _FIXED.unpack_from(value)
        if signature != _SIGNATURE:
            raise MalformedError("the fixed part of the version resource has another signature")
        version = high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF
    strings: dict[str, str] = {}
    for start, end in _children(resource, *children):
        name, _, inner = _block(resource, start, end)
        if name == "StringFileInfo":
            for language_start, language_end in _children(resource, *inner):
                _, _, texts = _block(resource, language_start, language_end)
                for text_start, text_end in _children(resource, *texts):
                    word, text, _ = _block(resource, text_start, text_end)
                    strings.setdefault(word, _text(text))
                    if len(strings) > _STRINGS_MAX:
                        raise MalformedError("more strings than a version resource has")
    return strings, version


def _block(data: bytes, start: int, end: int) -> tuple[str, bytes, tuple[int, int]]:
    """One structure: its key, its value, and where what is inside of it lies."""
    if start + _BLOCK.size > end:
        raise MalformedError("a part of the version resource is cut off")
    length, size, is_text = _BLOCK.unpack_from(data, start)
    stop = start + length
    if length < _BLOCK.size or stop > end:
        raise MalformedError("a part of the version resource has an impossible length")
    position = start + _BLOCK.size
    while position + 2 <= stop and data[position : position + 2] != b"\0\0":
        position += 2
    if position + 2 > stop:
        raise MalformedError("a name in the version resource has no end")
    key = _text(data[start + _BLOCK.size : position])
    value_at = _aligned(position + 2)
    value_end = min(value_at + (2 * size if is_text else size), stop)
    return key, data[value_at:value_end], (_aligned(value_end), stop)


def _children(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the structures between two places lie, one after another on multiples of four."""
    while start + _BLOCK.size <= end:
        length = int.from_bytes(data[start : start + 2], "little")
        if length < _BLOCK.size:
            if any(data[start:end]):
                raise MalformedError("a part of the version resource has an impossible length")
            return
        yield start, min(start + length, end)
        start = _aligned(start + length)


def _aligned(position: int) -> int:
    return position + 3 & ~3


def _text(octets: bytes) -> str:
    return octets.decode("utf-16-le", "replace").partition("\0")[0].strip()
