"""The files of a catalog in memory: about a hundred bytes each, found by content and by path."""

from __future__ import annotations

import hashlib
from array import array
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SIZE = 32
_NONE = bytes(_SIZE)
_FREE = 0xFFFFFFFF
_WIDTHS = "IQ"
"""Of numbers in an array: four bytes where they do, else eight."""


class _Index:
    """Numbers of entries by the hash of what they are found by: open addressing, at most half full."""

    def __init__(self, count: int, key: Callable[[int], bytes]) -> None:
        self._mask = (1 << (2 * count).bit_length()) - 1
        self._slots = array("I", [_FREE]) * (self._mask + 1)
        self._key = key

    def add(self, number: int) -> None:
        """Have it found, unless another with the same key is."""
        wanted = self._key(number)
        slot = hash(wanted) & self._mask
        while (there := self._slots[slot]) != _FREE:
            if self._key(there) == wanted:
                return
            slot = (slot + 1) & self._mask
        self._slots[slot] = number

    def find(self, wanted: bytes) -> int | None:
        slot = hash(wanted) & self._mask
        while (there := self._slots[slot]) != _FREE:
            if self._key(there) == wanted:
                return there
            slot = (slot + 1) & self._mask
        return None


class Contents:
    """SHA-256 by path and back; what lies beside in a catalog (owners, modes) is not kept."""

    def __init__(self, files: Iterable[tuple[bytes, bytes]]) -> None:
        """Paths and digests; an empty digest is that of a file that could not be read."""
        paths, digests = bytearray(), bytearray()
        ends = array(_WIDTHS[0])
        for path, digest in files:
            paths += path
            if len(paths) > _FREE and ends.typecode == _WIDTHS[0]:
                ends = array(_WIDTHS[1], ends)
            ends.append(len(paths))
            digests += digest or _NONE
        self._paths, self._digests, self._ends = bytes(paths), bytes(digests), ends
        self._by_path = _Index(len(ends), self._path)
        self._by_digest = _Index(len(ends), self._digest)
        for number in range(len(ends)):
            self._by_path.add(number)
            if self._digest(number) != _NONE:
                self._by_digest.add(number)

    def __len__(self) -> int:
        return len(self._ends)

    def __contains__(self, digest: object) -> bool:
        """Whether a file with this SHA-256 is listed."""
        return isinstance(digest, bytes) and self._by_digest.find(digest) is not None

    def first(self, digest: bytes) -> bytes | None:
        """The first path at which a content is listed."""
        number = self._by_digest.find(digest)
        return None if number is None else self._path(number)

    def at(self, path: bytes) -> bytes | None:
        """The digest that is listed at a path: empty for a file that could not be read, None where there is no file."""
        number = self._by_path.find(path)
        if number is None:
            return None
        digest = self._digest(number)
        return b"" if digest == _NONE else digest

    @property
    def fingerprint(self) -> str:
        """What tells one list of contents from another, in hex."""
        return hashlib.sha256(self._digests).hexdigest()

    def _path(self, number: int) -> bytes:
        return self._paths[self._ends[number - 1] if number else 0 : self._ends[number]]

    def _digest(self, number: int) -> bytes:
        return self._digests[number * _SIZE : number * _SIZE + _SIZE]


class Listed(NamedTuple):
    """What a catalog lists, and who vouches: two with the same `signer` differ only in their contents."""

    name: str
    signer: str
    contents: Contents
