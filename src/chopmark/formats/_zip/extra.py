"""Extra fields of a member (APPNOTE.TXT clause 4.5): the wider numbers are read, and what changes a name is refused."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError
from chopmark.formats._zip import reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDE, _STRONG, _COMMENT, _PATH = 0x0001, 0x0017, 0x6375, 0x7075
_REFUSED = {
    _STRONG: "encryption",
    _COMMENT: "another comment",
    _PATH: "another name, which some programs take",
}


def wide(data: bytes, missing: Sequence[bool], name: str) -> list[int | None]:
    """The numbers of 64 bits in place of those that are `missing`, in their order (clause 4.5.3); None for others.

    There must be exactly those. Raises BrokenError.
    """
    found: bytes | None = None
    place = 0
    while place < len(data):
        if place + 4 > len(data):
            raise BrokenError(reasons.DIRECTORY, f"{name} has an extra field that is cut off")
        kind, length = struct.unpack_from("<2H", data, place)
        body = data[place + 4 : place + 4 + length]
        place += 4 + length
        if place > len(data):
            raise BrokenError(reasons.DIRECTORY, f"{name} has an extra field that is cut off")
        if kind in _REFUSED:
            raise BrokenError(reasons.NAME if kind == _PATH else reasons.DIRECTORY, f"{name} has {_REFUSED[kind]}")
        if kind == _WIDE:
            if found is not None:
                raise BrokenError(reasons.DIRECTORY, f"{name} has its wide numbers twice")
            found = body
    if len(found or b"") != 8 * sum(missing):
        raise BrokenError(reasons.DIRECTORY, f"{name} has other wide numbers than it needs")
    numbers = iter(struct.unpack(f"<{sum(missing)}Q", found or b""))
    return [next(numbers) if is_missing else None for is_missing in missing]
