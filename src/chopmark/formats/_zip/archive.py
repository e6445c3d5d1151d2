"""An archive from its first byte to its last: every byte belongs to one member, or to the list of them."""

from __future__ import annotations

import re
import struct
import unicodedata
import zlib
from operator import attrgetter
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import pieces
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.core.reasons import UNPACKED_TOO_LARGE
from chopmark.formats._compressed import bounds
from chopmark.formats._zip import directory, extra, reasons
from chopmark.formats._zip.directory import DEFLATED, DESCRIBED, FULL_32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.artifact import View
    from chopmark.formats._zip.directory import Member

_HEADER, _HEADER_SIGN = struct.Struct("<4s5H3L2H"), b"PK\3\4"
_DESCRIPTOR_SIGN = b"PK\7\x08"
_PASSED_OVER = re.compile(r":|[. ](?:/|\Z)").search


class Archive(NamedTuple):
    """The members by name, in the order of the list, and where the bytes of each begin."""

    view: View
    members: dict[str, Member]
    places: dict[str, int]

    def content(self, member: Member) -> Iterator[bytes]:
        """What a member holds, in pieces. Raises BrokenError where that is not what the list says."""
        begin = self.places[member.name]
        stored = map(bytes, pieces(self.view, begin, begin + member.packed))
        crc = total = 0
        for piece in _inflated(stored, member) if member.method == DEFLATED else stored:
            crc = zlib.crc32(piece, crc)
            total += len(piece)
            if total > member.size:
                break
            yield piece
        if total != member.size or crc != member.crc:
            raise BrokenError(reasons.DATA, member.shown)

    def whole(self, member: Member, limit: int) -> bytes:
        """All of a small member. Raises BrokenError, also where it has more than `limit` bytes."""
        if member.size > limit:
            raise BrokenError(reasons.DATA, f"{member.shown} has {member.size} bytes")
        return b"".join(self.content(member))


def read(view: View) -> Archive:
    """Take an archive apart, without looking into members. Raises BrokenError where it breaks a rule."""
    found = directory.read(view)
    total = sum(member.size for member in found.members)
    if total > bounds.most(view.size):
        raise BrokenError(UNPACKED_TOO_LARGE, f"{total} bytes in {view.size}")
    places: dict[str, int] = {}
    place = 0
    for member in sorted(found.members, key=attrgetter("start")):
        if member.start != place:
            raise BrokenError(reasons.GAP, f"before {member.shown}, at byte {min(place, member.start)}")
        places[member.name] = begin = _begin(view, member)
        place = begin + member.packed
        if place > found.start:
            raise BrokenError(reasons.GAP, f"{member.shown} reaches into what follows")
        if member.flags & DESCRIBED:
            place = _described(view, member, place)
    if place != found.start:
        raise BrokenError(reasons.GAP, f"before the list of members, at byte {min(place, found.start)}")
    return Archive(view, {member.name: member for member in found.members}, places)


def alike(members: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names that are the same on systems that do not tell capitals apart, compose letters, or pass over some."""
    seen: dict[str, str] = {}
    for name in members:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", _on_windows(name)).casefold())
        if folded in seen:
            yield seen[folded], name
        seen.setdefault(folded, name)


def _on_windows(name: str) -> str:
    """A name without what Windows passes over: dots and blanks at the end of a part, and what names its own content."""
    if not _PASSED_OVER(name):
        return name
    return "/".join(part.partition(":")[0].rstrip(". ") for part in name.split("/"))


def _begin(view: View, member: Member) -> int:
    """Where the bytes of a member begin, whose own header says what the list says."""
    data = view.read(member.start, _HEADER.size)
    if len(data) < _HEADER.size or not data.startswith(_HEADER_SIGN):
        raise BrokenError(reasons.DIFFERS, f"{member.shown} has no header")
    _, needed, flags, method, _, _, crc, packed, size, name, more = _HEADER.unpack(data)
    rest = view.read(member.start + _HEADER.size, name + more)
    if (rest[:name], flags, method) != (member.name.encode(), member.flags, member.method):
        raise BrokenError(reasons.DIFFERS, f"{member.shown}: name, flags or method")
    if needed > directory.NEEDED_MAX:
        raise BrokenError(reasons.METHOD, f"{member.shown} needs version {needed}")
    missing = (size == FULL_32, packed == FULL_32)
    if any(missing) != all(missing):
        raise BrokenError(reasons.DIFFERS, f"{member.shown}: one wide number of two (clause 4.5.3)")
    wide = extra.wide(rest[name:], missing, member.shown)
    size, packed = (given if wider is None else wider for given, wider in zip((size, packed), wide, strict=True))
    told = (crc, packed, size)
    later = member.flags & DESCRIBED and told == (0, 0, 0)
    if not later and told != (member.crc, member.packed, member.size):
        raise BrokenError(reasons.DIFFERS, f"{member.shown}: checksum or sizes")
    end: int = member.start + _HEADER.size + name + more
    return end


def _described(view: View, member: Member, place: int) -> int:
    """The end of what stands behind a member whose sizes were not known before (clause 4.3.9).

    Stored, nobody who reads on from the beginning knows where such a member ends.
    """
    if member.method != DEFLATED and member.packed:
        raise BrokenError(reasons.GAP, f"{member.shown} is stored, and says only behind it how long it is")
    for form in ("<3L", "<L2Q"):
        if max(member.packed, member.size) > FULL_32 and form == "<3L":
            continue
        expected = struct.pack(form, member.crc, member.packed, member.size)
        for sign in (_DESCRIPTOR_SIGN, b""):
            if view.read(place, len(sign + expected)) == sign + expected and _follows(view, place, sign + expected):
                return place + len(sign + expected)
    raise BrokenError(reasons.DIFFERS, f"{member.shown}: what stands behind it")


def _follows(view: View, place: int, descriptor: bytes) -> bool:
    """Whether a member or the list comes next; a descriptor of the one width can begin as that of the other."""
    return view.read(place + len(descriptor), 4) in (_HEADER_SIGN, b"PK\1\2")


def _inflated(stored: Iterable[bytes], member: Member) -> Iterator[bytes]:
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for piece in stored:
            if decoder.eof:
                raise BrokenError(reasons.DATA, f"something stands behind what {member.shown} holds")
            rest = piece
            while rest and not decoder.eof:
                yield decoder.decompress(rest, limits.READ_CHUNK)
                rest = decoder.unconsumed_tail
        while not decoder.eof and (more := decoder.decompress(b"", limits.READ_CHUNK)):
            yield more
    except zlib.error as error:
        raise BrokenError(reasons.DATA, f"{member.shown}: {error}") from None
    if not decoder.eof or decoder.unused_data:
        raise BrokenError(reasons.DATA, f"{member.shown} is cut off, or something stands behind it")
