"""The entries of a revocation list: walked and checked once, then found by serial number (RFC 5280 clause 5.1.2.6).

A list may have millions of them, so nothing is kept of an entry but eight bytes: a checksum of its serial number, and
where it starts. Sorted, that finds an entry with a few comparisons; what it says is decoded when it is asked for.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, x509

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONG = 0x80
"""From here on, the octet after the tag says how long the length is, not how long the value."""
_EMPTY_MAX = 2
"""A value shorter than this has no room for an element."""
_DIRECTORY = der.context(4)
_SHIFT = 32
_OFFSET = (1 << _SHIFT) - 1
_UTC, _GENERALIZED = 13, 15
"""Characters of a time in Zulu without fractions (clauses 4.1.2.5.1 and 4.1.2.5.2)."""
_KNOWN = frozenset({x509.CRL_REASON, x509.INVALIDITY_DATE})
_REMEMBERED = 4096
"""Blocks of extensions that are known by their bytes: most entries of a list say the same."""


class TamperedError(MalformedError):
    """What lies on disk is not what it was when the list was read and checked."""


class Index(NamedTuple):
    """Where the entries of a list are.

    `places` are sorted numbers: the checksum of a serial number above the offset of its entry behind the first one.
    `marks` are the sorted offsets of the entries that name an issuer, which stands until the next (clause 5.3.3).
    `trouble` says why the list must not be used because of one of its entries; it is empty when it may.
    """

    places: Sequence[int]
    marks: Sequence[int] = ()
    trouble: str = ""

    def offsets(self, serial: bytes) -> Iterator[int]:
        """Where entries start that may have this serial number (the octets of an INTEGER, of either sign)."""
        wanted = zlib.crc32(magnitude(serial)) << _SHIFT
        position = bisect_left(self.places, wanted)
        while position < len(self.places) and (place := self.places[position]) <= wanted | _OFFSET:
            yield place & _OFFSET
            position += 1

    def mark(self, offset: int) -> int | None:
        """Where the entry starts that says who issued the certificate of the entry at `offset`; None for nobody."""
        number = bisect_right(self.marks, offset)
        return self.marks[number - 1] if number else None


def magnitude(octets: bytes) -> bytes:
    """A serial number without sign and needless zeros: some authorities write the same one in different ways."""
    return octets.lstrip(b"\0") or b"\0"


def index(block: der.Node, *, indirect: bool, extensible: bool) -> Index:
    """Walk the entries of a list and check their form.

    `indirect` lists may name other issuers; those of version 1 are not `extensible`. Never raises for what the entries
    are: that is the trouble of the index.
    """
    try:
        return _Walk(block, indirect=indirect, extensible=extensible).run()
    except der.DerError as error:
        return Index((), (), f"an entry of it: {error}")


class _UnusableEntryError(der.DerError):
    """An entry that makes the whole list unusable."""


class _Walk:
    """One walk along a list."""

    def __init__(self, block: der.Node, *, indirect: bool, extensible: bool) -> None:
        self._block = block
        self._indirect = indirect
        self._extensible = extensible
        self._known = _KNOWN | {x509.CERTIFICATE_ISSUER} if indirect else _KNOWN
        self._seen: dict[bytes, bool] = {}

    def run(self) -> Index:
        # Headers are read by hand, not as nodes: there may be a million entries.
        buffer, begin, end = self._block.buffer, self._block.body, self._block.end
        checksum, start = zlib.crc32, begin
        places: list[int] = []
        marks = array("Q")
        while start < end:
            length = buffer[start + 1] if start + 1 < end else _LONG
            if length < _LONG and buffer[start] == der.SEQUENCE:
                position, following = start + 2, start + 2 + length
            else:
                node = der.Node(buffer, start, end).expect(der.SEQUENCE)
                position, following = node.body, node.end
            if following > end or length < _EMPTY_MAX:
                raise der.DerError("it is cut off")
            size = buffer[position + 1]
            if buffer[position] != der.INTEGER or not 0 < size < _LONG:
                raise der.DerError("no serial number, or an enormous one")
            date = position + 2 + size
            places.append(checksum(buffer[position + 2 : date].lstrip(b"\0") or b"\0") << _SHIFT | start - begin)
            position = date + 2
            tag_and_size = buffer[date:position]
            position += _UTC if tag_and_size == b"\x17\x0d" else _GENERALIZED
            if tag_and_size not in (b"\x17\x0d", b"\x18\x0f") or position > following:
                raise der.DerError("no revocation date")
            if not buffer[date + 2 : position - 1].isdigit() or buffer[position - 1] != ord("Z"):
                raise der.DerError("a revocation date that is not a time in Zulu")
            if position != following and self._names_issuer(buffer, position, following):
                marks.append(start - begin)
            start = following
        places.sort()
        return Index(array("Q", places), marks)

    def _names_issuer(self, buffer: bytes, start: int, end: int) -> bool:
        """Whether the extensions of an entry name an issuer. Raises DerError when they spoil the list."""
        raw = buffer[start:end]
        known = self._seen.get(raw)
        if known is None:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            known = self._seen[raw] = self._examined(raw)
        return known

    def _examined(self, raw: bytes) -> bool:
        if not self._extensible:
            raise _UnusableEntryError("extensions in a list of version 1")
        extensions = x509.extensions(der.parse(raw))
        if not extensions:
            raise _UnusableEntryError("a list of extensions that is empty")
        for oid, extension in extensions.items():
            if extension.critical and oid not in self._known:
                raise _UnusableEntryError(f"a critical extension that is not evaluated ({oid})")
        named = extensions.get(x509.CERTIFICATE_ISSUER)
        if named is not None:
            issuer_named(named)
        return named is not None


def issuer_named(extension: x509.Extension) -> object:
    """Whose certificates an entry and those behind it are about, as x509.name_key (clause 5.3.3). Raises DerError."""
    names = der.parse(extension.value).expect(der.SEQUENCE).children()
    directories = [node.only_child().raw for node in names if node.tag == _DIRECTORY]
    if len(directories) != 1:
        raise der.DerError("an entry by another issuer without one name")
    return x509.name_key(directories[0])


def entry_at(block: der.Node, offset: int) -> der.Node:
    """The entry that starts there. Raises DerError."""
    return der.Node(block.buffer, block.body + offset, block.end)


def serial_of(entry: der.Node) -> bytes:
    """The octets of an entry's serial number. Raises DerError."""
    return der.Node(entry.buffer, entry.body, entry.end).expect(der.INTEGER).value
