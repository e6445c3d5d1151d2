"""rpm's records in its own format "ndb" (Packages.db), which SUSE has had since 2020.

A file of blocks of 16 bytes, little-endian. It begins with pages of slots, 16 bytes each: a magic, the record's number,
its first block and how many it has; the first two slots' places hold the header of the file. A record has a head
(magic, number, time, length), its octets, zeros up to a whole block, and a tail (Adler-32 over all before it, length,
magic).
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.supply.rpm.records import DatabaseError, unpacked

if TYPE_CHECKING:
    from chopmark.core.artifact import View

_FILE = struct.Struct("<IIIII12x")
_SLOT = struct.Struct("<4sIII")
_HEAD = struct.Struct("<4sIII")
_TAIL = struct.Struct("<II4s")
_PAGE, _BLOCK = 4096, 16
_MAGIC = int.from_bytes(b"RpmP", "little")
_VERSION = 0


class _Place(NamedTuple):
    """Where a record stands, in blocks."""

    first: int
    blocks: int


class Ndb:
    """The records of an open file, which must outlive this object."""

    def __init__(self, view: View) -> None:
        """Raises DatabaseError."""
        self._view = view
        magic, version, _, pages, _ = unpacked(_FILE, view, 0)
        if magic != _MAGIC or version != _VERSION:
            raise DatabaseError(f"no ndb of version {_VERSION}")
        if not 0 < pages <= limits.RPM_PACKAGES_MAX * 2 * _SLOT.size // _PAGE or view.size % _BLOCK:
            raise DatabaseError(f"{pages} pages of slots in {view.size} bytes")
        slots = view.read(0, pages * _PAGE)
        if len(slots) != pages * _PAGE:
            raise DatabaseError(f"{pages} pages of slots in {view.size} bytes")
        self._places: dict[int, _Place] = {}
        for mark, number, first, count in _SLOT.iter_unpack(slots[_FILE.size :]):
            if mark != b"Slot":
                raise DatabaseError("something that is no slot among the slots")
            if first:  # a free one has none
                self._take(number, _Place(first, count))
        self._require_apart(pages * _PAGE // _BLOCK)
        self.numbers = list(self._places)

    def _take(self, number: int, place: _Place) -> None:
        if not number or not place.blocks or number in self._places:
            raise DatabaseError(f"record {number} is twice in the list, or is none")
        self._places[number] = place

    def _require_apart(self, end: int) -> None:
        for place in sorted(self._places.values()):
            if place.first < end:
                raise DatabaseError(f"two records share block {place.first}")
            end = place.first + place.blocks
        if end * _BLOCK > self._view.size:
            raise DatabaseError("a record ends behind the file")

    def record(self, number: int) -> bytes:
        """The header with this number. Raises DatabaseError."""
        place = self._places.get(number)
        if place is None:
            raise DatabaseError("no such record")
        size = place.blocks * _BLOCK
        if size > limits.RPM_HEADER_MAX:
            raise DatabaseError(f"{size} bytes; at most {limits.RPM_HEADER_MAX} are read")
        data = self._view.read(place.first * _BLOCK, size)
        if len(data) != size or size < _HEAD.size + _TAIL.size:
            raise DatabaseError("the record is cut off")
        magic, named, _, length = _HEAD.unpack_from(data)
        total, again, closing = _TAIL.unpack_from(data, size - _TAIL.size)
        if (magic, closing) != (b"BlbS", b"BlbE") or named != number:
            raise DatabaseError("no record is where one should be")
        if length != again or not 0 <= size - _TAIL.size - _HEAD.size - length < _BLOCK:
            raise DatabaseError(f"a record of {length} bytes in {place.blocks} blocks")
        if zlib.adler32(data[: size - _TAIL.size]) != total:
            raise DatabaseError("the checksum is another: the record was damaged")
        return data[_HEAD.size : _HEAD.size + length]
