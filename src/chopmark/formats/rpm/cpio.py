"""The archive in a package: cpio in the new portable form, or stripped to numbers of files in the header (cpio(5)).

Nothing is unpacked: each file is hashed as it goes by.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats.rpm import reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_NEW, _CHECKED, _STRIPPED = b"070701", b"070702", b"07070X"
_MAGIC, _FIELDS, _NUMBER = 6, 104, 8
_HEX = re.compile(rb"[0-9A-Fa-f]+").fullmatch
_END = b"TRAILER!!!"
_ALIGNED = 4


class Item(NamedTuple):
    """Something in the archive: its path, or the number in the header that stands for it; its mode (0: not told).

    `digest` is that of its bytes, or these are a link's target.
    """

    path: bytes
    number: int | None
    mode: int
    size: int
    digest: bytes
    beginning: bytes


class _Reader:
    """Exactly so many bytes at a time, of pieces of any size."""

    def __init__(self, stored: Iterable[bytes]) -> None:
        self._pieces = iter(stored)
        self._left = memoryview(b"")
        self._place = 0

    def pass_by(self, length: int) -> Iterator[memoryview]:
        """The next bytes as they come. Raises BrokenError at the end."""
        while length:
            if not self._left:
                self._left = memoryview(next(self._pieces, b""))
                if not self._left:
                    raise BrokenError(reasons.PAYLOAD_FORM, "it is cut off")
            piece, self._left = self._left[:length], self._left[length:]
            length -= len(piece)
            self._place += len(piece)
            yield piece

    def take(self, length: int) -> bytes:
        """The next bytes, all together."""
        return b"".join(self.pass_by(length))

    def align(self) -> None:
        """Pass by the zeros up to the next multiple of four."""
        if self.take(-self._place % _ALIGNED).strip(b"\0"):
            raise BrokenError(reasons.PAYLOAD_FORM, "something else than zeros fills it up")

    def only_zeros(self) -> bool:
        """Whether nothing but zeros follows."""
        return not bytes(self._left).strip(b"\0") and not any(piece.strip(b"\0") for piece in self._pieces)


def items(stored: Iterable[bytes], algorithm: str, size_of: Callable[[int], int]) -> Iterator[Item]:
    """Everything in the archive, hashed. `size_of` says how long the file of a number is. Raises BrokenError."""
    reader = _Reader(stored)
    for _ in range(limits.RPM_FILES_MAX + 1):
        magic = reader.take(_MAGIC)
        number, path, mode = None, b"", 0
        if magic == _STRIPPED:
            number = _numbers(reader.take(_NUMBER))[0]
            size = size_of(number)
        elif magic in (_NEW, _CHECKED):
            fields = _numbers(reader.take(_FIELDS))
            mode, size = fields[1], fields[6]
            path = _path(reader.take(_length(fields[11])))
        else:
            raise BrokenError(reasons.PAYLOAD_FORM, "no header where one should be")
        reader.align()
        if path == _END:
            if size or not reader.only_zeros():
                raise BrokenError(reasons.PAYLOAD_FORM, "something stands behind its end")
            return
        yield _item(reader, Item(path, number, mode, size, b"", b""), algorithm)
        reader.align()
    raise BrokenError(reasons.PAYLOAD_FORM, f"more than {limits.RPM_FILES_MAX} files")


def _item(reader: _Reader, item: Item, algorithm: str) -> Item:
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    beginning = b""
    for piece in reader.pass_by(item.size):
        hasher.update(piece)
        if len(beginning) < limits.RPM_LINK_MAX:
            beginning += bytes(piece[: limits.RPM_LINK_MAX])
    return item._replace(digest=hasher.digest(), beginning=beginning)


def _numbers(field: bytes) -> list[int]:
    if not _HEX(field):
        raise BrokenError(reasons.PAYLOAD_FORM, "a field that is no number")
    return [int(field[at : at + _NUMBER], 16) for at in range(0, len(field), _NUMBER)]


def _length(length: int) -> int:
    if not 1 < length <= limits.TAR_NAME_MAX:
        raise BrokenError(reasons.PAYLOAD_FORM, f"a name of {length} bytes")
    return length


def _path(field: bytes) -> bytes:
    """The name of a file, from the root on: rpm writes `./` before it, and some builders the slash alone."""
    if field.find(b"\0") != len(field) - 1:
        raise BrokenError(reasons.PAYLOAD_FORM, "a name that does not end where it should")
    path = field[:-1]
    return path.removeprefix(b"." if path.startswith(b"./") else b"").removeprefix(b"/")
