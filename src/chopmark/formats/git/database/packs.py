"""Packs and their indexes (gitformat-pack(5)): objects whole or as deltas on others, found by their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats.git import reasons
from chopmark.formats.git.database.objects import KINDS, Stored, inflate, patched, refuse_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import View

_OFFSET_DELTA, _REF_DELTA = 6, 7
_TABLE = 8
_FANOUT = _TABLE + 1024
_HEAD = 12


class Index:
    """The index of a pack, version 2: which object is where. It only says where to look; the hash settles the rest."""

    def __init__(self, view: View, width: int) -> None:
        """Read the fan-out; `width` is the size of an object id. Raises BrokenError."""
        data = view.read(0, _FANOUT)
        if data[:_TABLE] != b"\xfftOc\0\0\0\2" or len(data) < _FANOUT:
            raise BrokenError(reasons.OBJECT_BROKEN, "not an index of version 2")
        counts = [int.from_bytes(data[at : at + 4], "big") for at in range(_TABLE, _FANOUT, 4)]
        self.count = counts[-1]
        if counts != sorted(counts) or view.size < _FANOUT + self.count * (width + 8) + 2 * width:
            raise BrokenError(reasons.OBJECT_BROKEN, "an index that is cut off or not in order")
        self._counts = [0, *counts]
        self._view, self._width = view, width

    def find(self, name: bytes) -> int | None:
        """Where the object of this id is in the pack; an id that is cut off is nobody's."""
        if len(name) != self._width:
            return None
        low, high = self._counts[name[0]], self._counts[name[0] + 1]
        while low < high:
            middle = (low + high) // 2
            found = self._name(middle)
            if found == name:
                return self._offset(middle)
            low, high = (middle + 1, high) if found < name else (low, middle)
        return None

    def like(self, prefix: str) -> Iterator[str]:
        """The ids that begin with these digits, two at most: more would not tell more."""
        first = prefix[:2]
        low, high = self._counts[int(first, 16)], self._counts[int(first, 16) + 1]
        start, end = low, high
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._name(middle).hex() < prefix else (low, middle)
        for place in range(max(low, start), min(low + 2, end)):
            name = self._name(place).hex()
            if name.startswith(prefix):
                yield name

    def _name(self, place: int) -> bytes:
        return self._view.read(_FANOUT + place * self._width, self._width)

    def _offset(self, place: int) -> int:
        behind = _FANOUT + self.count * (self._width + 4)
        offset = int.from_bytes(self._view.read(behind + 4 * place, 4), "big")
        if offset < 1 << 31:
            return offset
        return int.from_bytes(self._view.read(behind + 4 * self.count + 8 * (offset - (1 << 31)), 8), "big")


class _Entry(NamedTuple):
    """What stands at one place of a pack: a type, a size, where a delta's base is, and where the stream begins."""

    kind: int
    size: int
    base: int | bytes
    stream: int


class Pack:
    """A pack with its index. Deltas rest on objects of the same pack, as in every pack that is not in transit."""

    def __init__(self, view: View, index: Index, width: int) -> None:
        """Read the head. Raises BrokenError."""
        head = view.read(0, _HEAD)
        if head[:4] != b"PACK" or int.from_bytes(head[4:8], "big") not in (2, 3) or view.size < _HEAD + width:
            raise BrokenError(reasons.OBJECT_BROKEN, "not a pack of version 2 or 3")
        self.index = index
        self._view, self._width = view, width
        self._end = view.size - width
        self._known: dict[int, Stored] = {}
        self._kept = 0

    def get(self, name: bytes) -> Stored | None:
        """The object of this id, as it stands here; None where it does not. Raises BrokenError."""
        place = self.index.find(name)
        return None if place is None else self._at(place)

    def _at(self, place: int) -> Stored:
        """Undo deltas one after the other: a chain may be long, and hostile ones go round in circles."""
        chain: list[tuple[int, _Entry]] = []
        seen: set[int] = set()
        total = 0
        found = self._known.get(place)
        while found is None:
            entry = self._entry(place)
            total += entry.size
            if place in seen or len(seen) > limits.GIT_DELTAS_MAX or total > limits.GIT_DELTA_WORK_MAX:
                raise BrokenError(reasons.OBJECT_BROKEN, "deltas without end")
            seen.add(place)
            if entry.kind in KINDS:
                found = Stored(KINDS[entry.kind], self._inflated(entry))
                self._keep(place, found)
                break
            chain.append((place, entry))
            place = self._base(place, entry)
            found = self._known.get(place)
        for at, entry in reversed(chain):
            found = Stored(found.kind, patched(found.data, self._inflated(entry)))
            total += len(found.data)
            if total > limits.GIT_DELTA_WORK_MAX:
                raise BrokenError(reasons.OBJECT_BROKEN, "deltas that make too much")
            self._keep(at, found)
        return found

    def _base(self, place: int, entry: _Entry) -> int:
        if isinstance(entry.base, int):
            base: int | None = place - entry.base
        else:
            base = self.index.find(entry.base)
        if base is None or (isinstance(entry.base, int) and not _HEAD <= base < place):
            raise BrokenError(reasons.OBJECT_BROKEN, "a delta on an object that is not there")
        return base

    def _entry(self, place: int) -> _Entry:
        head = self._view.read(place, min(32 + self._width, self._end - place)) if place >= _HEAD else b""
        octets = iter(head)
        at = place
        try:
            octet = next(octets)
            kind, size, shift = octet >> 4 & 7, octet & 15, 4
            at += 1
            while octet & 0x80:
                octet = next(octets)
                at += 1
                size |= (octet & 0x7F) << shift
                shift += 7
            base: int | bytes = b""
            if kind == _OFFSET_DELTA:
                octet = next(octets)
                at += 1
                base = octet & 0x7F
                while octet & 0x80:
                    octet = next(octets)
                    at += 1
                    base = (base + 1) << 7 | octet & 0x7F
            elif kind == _REF_DELTA:
                base = head[at - place : at - place + self._width]
                at += self._width
            elif kind not in KINDS:
                raise BrokenError(reasons.OBJECT_BROKEN, f"an object of the type {kind}")
        except StopIteration:
            raise BrokenError(reasons.OBJECT_BROKEN, "a place that is not in the pack") from None
        refuse_size(size)
        return _Entry(kind, size, base, at)

    def _inflated(self, entry: _Entry) -> bytes:
        # No stream is much longer than what comes out of it (RFC 1950, RFC 1951 clause 3.2.4).
        longest = entry.size + (entry.size >> 10) + 1024
        return inflate(self._view.read(entry.stream, min(longest, self._end - entry.stream)), entry.size)

    def _keep(self, place: int, found: Stored) -> None:
        """Deltas of neighbours rest on the same objects, so the last ones stay in memory."""
        if self._kept > limits.GIT_KEPT_MAX:
            self._known.clear()
            self._kept = 0
        self._known[place] = found
        self._kept += len(found.data) + 200


def opened(path: str, width: int) -> Pack:
    """The pack whose index is at `path`. Raises BrokenError, UnreadableError."""
    index = Index(Artifact.open(path).view, width)
    return Pack(Artifact.open(path.removesuffix(".idx") + ".pack").view, index, width)
