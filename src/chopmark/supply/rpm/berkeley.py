"""rpm's records in a hash table of Berkeley DB (Packages), as nearly all hosts had them before 2020.

Only what rpm writes is read: one table, neither encrypted nor with checksums. Page 0 says how large pages are, how many
buckets there are, and by how much the pages of each doubling of them are shifted. A bucket is a page, and the pages
that it leads to; they list keys and values by turns, from the end of the page towards its beginning. A key is the
record's number, in the byte order of the whole file; a value stands behind it, or in pages of its own.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.supply.rpm.records import DatabaseError, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import View

_FILE = "8xIIIIBBBx4xI36xIII12x32I"
_MAGIC, _VERSIONS, _HASH_TABLE, _CHECKSUMS = 0x00061561, range(8, 11), 8, 1
_SIZES = tuple(1 << bits for bits in range(9, 17))
_PAGE, _PAGE_HEAD = "8xI4xIHHxB", 26
_BUCKETS, _OVERFLOW = (2, 13), 7
_HERE, _ELSEWHERE = 1, 3
_REFERENCE = "BxxxII"
_COUNTER = 0
"""The key of what is no record but the number of the last one."""


class _Page(NamedTuple):
    """A page; `used` is how much of a value an overflow page has."""

    data: bytes
    following: int
    entries: int
    used: int
    kind: int


class _Entry(NamedTuple):
    """Where a key or value stands: in its page, with the octet before it that says of what kind it is."""

    page: int
    start: int
    end: int


class Berkeley:
    """The records of an open file, which must outlive this object."""

    def __init__(self, view: View) -> None:
        """Raises DatabaseError."""
        self._view = view
        self._order = "<" if view.read(12, 4) == _MAGIC.to_bytes(4, "little") else ">"
        number, magic, version, size, encrypted, kind, flags, last, buckets, *rest = self._unpacked(_FILE, 0)
        if (magic, kind, number) != (_MAGIC, _HASH_TABLE, 0) or version not in _VERSIONS:
            raise DatabaseError("no hash table of Berkeley DB, or of a version that rpm did not write")
        if encrypted or flags & _CHECKSUMS or size not in _SIZES:
            raise DatabaseError(f"pages of {size} bytes, encrypted or with checksums, which rpm's have not")
        self._size, self._shifts = size, rest[2:]
        self._last = min(last, view.size // size - 1)
        self._values = dict(self._entries(buckets))
        self._values.pop(_COUNTER, None)
        self.numbers = list(self._values)

    def record(self, number: int) -> bytes:
        """The header with this number. Raises DatabaseError."""
        entry = self._values.get(number)
        if entry is None:
            raise DatabaseError("no such record")
        raw = self._page(entry.page).data[entry.start : entry.end]
        if raw[0] == _HERE:
            return raw[1:]
        if raw[0] != _ELSEWHERE or len(raw) != struct.calcsize(f"={_REFERENCE}"):
            raise DatabaseError(f"a value of kind {raw[0]}")
        _, page, length = struct.unpack(self._order + _REFERENCE, raw)
        if length > limits.RPM_HEADER_MAX:
            raise DatabaseError(f"{length} bytes; at most {limits.RPM_HEADER_MAX} are read")
        return b"".join(self._pieces(page, length))

    def _pieces(self, number: int, left: int) -> Iterator[bytes]:
        while left:
            page = self._page(number)
            if page.kind != _OVERFLOW or not 0 < page.used <= min(left, self._size - _PAGE_HEAD):
                raise DatabaseError(f"page {number} is not the rest of a value")
            yield page.data[_PAGE_HEAD : _PAGE_HEAD + page.used]
            left -= page.used
            number = page.following

    def _entries(self, buckets: int) -> Iterator[tuple[int, _Entry]]:
        """Each key with the place of its value; no key and no page is there twice."""
        seen: set[int] = set()
        found: set[int] = set()
        for bucket in range(min(buckets, self._last) + 1):
            shift = bucket.bit_length()
            number = bucket + (self._shifts[shift] if shift < len(self._shifts) else 0)
            while number:
                if number in seen:
                    raise DatabaseError(f"page {number} is in two places")
                seen.add(number)
                page = self._page(number)
                if page.kind not in _BUCKETS:
                    raise DatabaseError(f"page {number} is of kind {page.kind} and no bucket")
                for key, value in self._pairs(number, page):
                    if key in found or len(found) > limits.RPM_PACKAGES_MAX:
                        raise DatabaseError(f"record {key} is there twice, or there are too many")
                    found.add(key)
                    yield key, value
                number = page.following

    def _pairs(self, number: int, page: _Page) -> Iterator[tuple[int, _Entry]]:
        if page.entries % 2 or _PAGE_HEAD + 2 * page.entries > self._size:
            raise DatabaseError(f"page {number} with {page.entries} entries")
        starts = struct.unpack_from(f"{self._order}{page.entries}H", page.data, _PAGE_HEAD)
        end = self._size
        for place in range(0, page.entries, 2):
            key, value = starts[place], starts[place + 1]
            if not _PAGE_HEAD + 2 * page.entries <= value < key < end:
                raise DatabaseError(f"entries of page {number} overlap")
            raw = page.data[key:end]
            form = struct.Struct(f"{self._order}BI")
            if len(raw) != form.size or raw[0] != _HERE:
                raise DatabaseError(f"a key in page {number} that is no number")
            yield form.unpack(raw)[1], _Entry(number, value, key)
            end = value

    def _page(self, number: int) -> _Page:
        if not 0 < number <= self._last:
            raise DatabaseError(f"there is no page {number}")
        data = self._view.read(number * self._size, self._size)
        if len(data) != self._size:
            raise DatabaseError(f"page {number} is cut off")
        own, following, entries, used, kind = struct.unpack_from(self._order + _PAGE, data)
        if own != number:
            raise DatabaseError(f"page {number} says that it is page {own}")
        return _Page(data, following, entries, used, kind)

    def _unpacked(self, form: str, offset: int) -> tuple[int, ...]:
        return unpacked(struct.Struct(self._order + form), self._view, offset)
