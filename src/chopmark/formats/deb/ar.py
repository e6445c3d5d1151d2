"""The archive around a package (ar(5)), in the one way in which dpkg-deb and ar write it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats.deb import reasons

if TYPE_CHECKING:
    from chopmark.core.artifact import View

MAGIC = b"!<arch>\n"
_HEADER = 60
_END = b"`\n"
_PAD = b"\n"
_NAME = re.compile(rb"([a-z0-9_][a-z0-9_.+-]*)/?").fullmatch
"""With or without the slash that GNU's ar puts behind names; tables of long names belong in no package."""
_NUMBER = re.compile(rb"(0|[1-9][0-9]*) *").fullmatch


class Member(NamedTuple):
    """A member: its name, where its header and its bytes begin, how many they are."""

    name: str
    start: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Behind its bytes and the one that fills them up to an even number."""
        return self.offset + self.size + self.size % 2


def members(view: View) -> list[Member]:
    """All members, from the first byte of the file to the last. Raises BrokenError for anything else in it."""
    if view.read(0, len(MAGIC)) != MAGIC:
        raise BrokenError(reasons.AR, "it does not begin as an archive")
    found: list[Member] = []
    place = len(MAGIC)
    while place < view.size:
        if len(found) == limits.AR_MEMBERS_MAX:
            raise BrokenError(reasons.AR, f"more than {limits.AR_MEMBERS_MAX} members")
        member = _member(view.read(place, _HEADER), place)
        if member.end > view.size:
            raise BrokenError(reasons.AR, f"{member.name} is cut off")
        if member.size % 2 and view.read(member.end - 1, 1) != _PAD:
            raise BrokenError(reasons.AR, f"something else than a line end fills up {member.name}")
        found.append(member)
        place = member.end
    return found


def _member(header: bytes, place: int) -> Member:
    if len(header) < _HEADER or header[58:] != _END:
        raise BrokenError(reasons.AR, f"no header at byte {place}")
    name = _NAME(header[:16].rstrip(b" "))
    numbers = [_NUMBER(field) for field in (header[16:28], header[28:34], header[34:40], header[40:48], header[48:58])]
    if name is None or None in numbers:
        raise BrokenError(reasons.AR, f"a header at byte {place} that is not as it is written")
    size = int(header[48:58])
    return Member(name[1].decode("ascii"), place, place + _HEADER, size)


def written(name: str, data: bytes) -> bytes:
    """A member as dpkg-deb writes one, at no particular time."""
    header = b"%-16s%-12d%-6d%-6d%-8s%-10d" % (name.encode("ascii"), 0, 0, 0, b"100644", len(data))
    return header + _END + data + _PAD * (len(data) % 2)
