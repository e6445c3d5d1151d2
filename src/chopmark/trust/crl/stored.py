"""Indexes of large revocation lists on disk, so that the next process neither reads nor checks the whole list again.

An index says of a list in a file: somebody with this key signed it, its blocks have these digests, and its entries are
at these places. It is made after the signature was checked, and sealed with a key that is kept among chopmark's data,
beside the trust stores: whoever can write there can add roots as well, and whoever can only write to the cache can do
no more than make the next process read the list again. What is read later, of the list and of the index, is read block
by block into memory, and each block is held against its digest before a byte of it is used.

The file: the magic, the length of the head and the head; its HMAC-SHA256; then places and marks (lookup.Index).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import struct
import sys
from array import array
from typing import TYPE_CHECKING, Any, cast, overload

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError
from chopmark.core.named import NamedTuple
from chopmark.trust import sealing
from chopmark.trust.crl.lookup import Index, TamperedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAGIC = b"chopmark crl index 1\n"
_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<32s32sQQQB7x")
"""Identity of the list, SHA-256 of the key that signed it, its size, how many places and marks, the byte order."""
_SUM = 32
_LIST_BLOCK = 32 * limits.KIB
_AREA_BLOCK = 4 * limits.KIB
_END = 64 * limits.KIB
"""Bytes at either end of a list that tell it from others: dates and number are at the beginning, the signature at the
end."""
_NUMBER = 8
_KEY = "cache"
_ORDERS = {"little": 1, "big": 2}
_ORDER = _ORDERS[sys.byteorder]


class Blocks:
    """Bytes of a file, read block by block and compared with the digests of the blocks; a descriptor of its own.

    It can stand for `bytes` where only indexes and slices are taken. Raises TamperedError for bytes that changed.
    """

    def __init__(self, descriptor: int, offset: int, size: int, block: int, digests: bytes) -> None:
        self._descriptor = os.dup(descriptor)
        self._offset, self._size, self._block, self._digests = offset, size, block, digests
        self._last: dict[int, bytes] = {}

    def __len__(self) -> int:
        """How many bytes there are."""
        return self._size

    @overload
    def __getitem__(self, where: int) -> int: ...
    @overload
    def __getitem__(self, where: slice) -> bytes: ...
    def __getitem__(self, where: int | slice) -> int | bytes:
        """A byte, or those of a slice without a step."""
        if isinstance(where, int):
            if not 0 <= where < self._size:
                raise IndexError(where)
            return self._read(where // self._block)[where % self._block]
        start, stop, _ = where.indices(self._size)
        if stop <= start:
            return b""
        first, last = start // self._block, (stop - 1) // self._block
        begin = start - first * self._block
        if first == last:
            return self._read(first)[begin : begin + stop - start]
        return b"".join(self._read(number) for number in range(first, last + 1))[begin : begin + stop - start]

    def _read(self, number: int) -> bytes:
        known = self._last.get(number)
        if known is not None:
            return known
        start = number * self._block
        data = os.pread(self._descriptor, min(self._block, self._size - start), self._offset + start)
        if hashlib.sha256(data).digest() != self._digests[number * _SUM : (number + 1) * _SUM]:
            raise TamperedError("a block of the list or its index changed")
        if len(self._last) >= limits.CRL_BLOCKS_KEPT_MAX:
            self._last.clear()
        self._last[number] = data
        return data

    def __del__(self) -> None:
        """Give the descriptor back."""
        with contextlib.suppress(OSError, AttributeError):
            os.close(self._descriptor)


class _Numbers:
    """Numbers of 8 bytes in blocks, as a sequence to search."""

    def __init__(self, blocks: Blocks, first: int, count: int) -> None:
        self._blocks, self._first, self._count = blocks, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> int:
        if not 0 <= position < self._count:
            raise IndexError(position)
        start = (self._first + position) * _NUMBER
        return int.from_bytes(self._blocks[start : start + _NUMBER], sys.byteorder)


class Kept(NamedTuple):
    """A list on disk with its index: its file and bytes (Blocks), its entries, and whose signature was checked."""

    path: str
    raw: bytes
    entries: Index
    signed_by: bytes


class Indexes:
    """A folder of indexes."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def open(self, path: str) -> Kept | None:
        """The list in a file if there is an index of it; None if not, or if that does not hold."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (OSError, ValueError):
            return None
        try:
            size = os.fstat(descriptor).st_size
            if not limits.CRL_INDEX_MIN <= size <= limits.CRL_MAX or not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            head, tail = os.pread(descriptor, _END, 0), os.pread(descriptor, _END, size - _END)
            return self._open(path, descriptor, _identity(size, head, tail), size)
        except (OSError, TamperedError):
            return None
        finally:
            os.close(descriptor)

    def _open(self, path: str, descriptor: int, identity: bytes, size: int) -> Kept | None:
        index = os.open(self._path(identity), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            head = _head(index)
            if head is None:
                return None
            held, signed_by, held_size, entries, marks, order = _HEAD.unpack_from(head)
            area_at, area_size = _area_at(head), _NUMBER * (entries + marks)
            if (held, held_size, order) != (identity, size, _ORDER) or os.fstat(index).st_size != area_at + area_size:
                return None
            split = _HEAD.size + _SUM * -(-size // _LIST_BLOCK)
            raw = Blocks(descriptor, 0, size, _LIST_BLOCK, head[_HEAD.size : split])
            area = Blocks(index, area_at, area_size, _AREA_BLOCK, head[split:])
        finally:
            os.close(index)
        found = Index(
            cast("Sequence[int]", _Numbers(area, 0, entries)), cast("Sequence[int]", _Numbers(area, entries, marks))
        )
        return Kept(path, cast("bytes", raw), found, signed_by)

    def keep(self, raw: bytes, index: Index, signed_by: bytes) -> None:
        """Keep the index of a list whose signature was checked with the key of this SHA-256.

        An index that cannot be written is no error: the next process does the work again.
        """
        if len(raw) < limits.CRL_INDEX_MIN or index.trouble:
            return
        with contextlib.suppress(OSError, ChopmarkError):
            key = sealing.key(_KEY, make=True)
            if key is not None:
                self._write(raw, index, signed_by, key)

    def _write(self, raw: bytes, index: Index, signed_by: bytes, key: bytes) -> None:
        from chopmark.core.patch import write_file

        identity = _identity(len(raw), raw[:_END], raw[-_END:])
        area = array("Q", index.places).tobytes() + array("Q", index.marks).tobytes()
        numbers = (len(raw), len(index.places), len(index.marks), _ORDER)
        head = _HEAD.pack(identity, signed_by, *numbers) + _digests(raw, _LIST_BLOCK) + _digests(area, _AREA_BLOCK)
        begin = _MAGIC + _LENGTH.pack(len(head)) + head
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        write_file(self._path(identity), begin + sealing.seal(key, begin) + area, 0o600)
        self._prune()

    def _prune(self) -> None:
        """Only the newest indexes stay: each issue of a list has one of its own."""
        with os.scandir(self._folder) as found:
            entries = sorted(((item.stat().st_mtime_ns, item.path) for item in found if item.is_file()), reverse=True)
        for _, path in entries[limits.CRL_INDEXES_MAX :]:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _path(self, identity: bytes) -> str:
        return os.path.join(self._folder, identity.hex())


def _head(descriptor: int) -> bytes | None:
    """The head of an index, if this user's own key sealed it."""
    key = sealing.key(_KEY, make=False)
    begin = os.pread(descriptor, len(_MAGIC) + _LENGTH.size, 0)
    if key is None or len(begin) != len(_MAGIC) + _LENGTH.size or not begin.startswith(_MAGIC):
        return None
    (length,) = _LENGTH.unpack_from(begin, len(_MAGIC))
    if not _HEAD.size <= length <= limits.CRL_INDEX_HEAD_MAX:
        return None
    head = os.pread(descriptor, length + _SUM, len(begin))
    head, seal = head[:length], head[length:]
    return head if sealing.holds(key, begin + head, seal) else None


def _area_at(head: bytes) -> int:
    return len(_MAGIC) + _LENGTH.size + len(head) + _SUM


def _identity(size: int, head: bytes, tail: bytes) -> bytes:
    return hashlib.sha256(_LENGTH.pack(size) + head + tail).digest()


def _digests(data: bytes, block: int) -> bytes:
    return b"".join(_each(data, block))


def _each(data: bytes, block: int) -> Iterator[bytes]:
    view: Any = memoryview(data)
    for start in range(0, len(data), block):
        yield hashlib.sha256(view[start : start + block]).digest()
