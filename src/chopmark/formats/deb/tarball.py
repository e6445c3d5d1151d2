"""The files that a package brings, in the tar format that dpkg reads: ustar and GNU's long names (tar(5)).

Nothing is unpacked: each file is hashed as it goes by. What two readers could take for two things is refused.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.formats.deb import reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FILE, FOLDER, LINK, HARD_LINK = b"f", b"d", b"l", b"h"
_KINDS = {b"0": FILE, b"\0": FILE, b"5": FOLDER, b"2": LINK, b"1": HARD_LINK, b"3": b"c", b"4": b"b", b"6": b"p"}
_BLOCK = 512
_LONG_NAME, _LONG_LINK = b"L", b"K"
_MAGICS = (b"ustar\00000", b"ustar  \0")
_OCTAL = re.compile(rb" *([0-7]{1,12})[ \0]*").fullmatch
_SIZE_MAX = 1 << 62


class Entry(NamedTuple):
    """A file of the package: its path without `./`, and its SHA-256 or the target of its link."""

    kind: bytes
    path: bytes
    mode: int
    uid: int
    gid: int
    size: int
    content: bytes = b""


class Reader:
    """Exactly so many bytes at a time, of pieces of any size."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""

    def take(self, length: int) -> bytes:
        """The next bytes, all together. Raises BrokenError at the end."""
        return b"".join(self.pass_by(length))

    def pass_by(self, length: int) -> Iterator[bytes]:
        """The next bytes as they come. Raises BrokenError at the end."""
        while length:
            if not self._left:
                self._left = next(self._pieces, b"")
                if not self._left:
                    raise BrokenError(reasons.TAR, "it is cut off")
            piece, self._left = self._left[:length], self._left[length:]
            length -= len(piece)
            yield piece

    def only_zeros(self) -> bool:
        """Whether nothing but zeros follows; all of it is read."""
        if self._left.strip(b"\0"):
            return False
        return not any(piece.strip(b"\0") for piece in self._pieces)


class Header(NamedTuple):
    """A block that begins an entry."""

    kind: bytes
    name: bytes
    target: bytes
    mode: int
    uid: int
    gid: int
    size: int


def entries(pieces: Iterable[bytes]) -> Iterator[Entry]:
    """All files in their order. Raises BrokenError where a rule is broken, MalformedError for damaged compression."""
    reader, seen = Reader(pieces), _Places()
    while (header := _header(reader)) is not None:
        path = normal(header.name)
        kind = _KINDS[header.kind]
        if kind in (b"c", b"b"):
            raise BrokenError(reasons.TAR_DEVICE, shown(path))
        content = b""
        if kind == FILE:
            content = _hashed(reader, header.size)
        elif kind == HARD_LINK:
            content = seen.linked(path, normal(header.target))
        elif kind == LINK:
            content = header.target
        seen.take(path, kind, content)
        kind = FILE if kind == HARD_LINK else kind
        yield Entry(kind, path, header.mode, header.uid, header.gid, header.size, content)
    if not reader.only_zeros():
        raise BrokenError(reasons.TAR, "something stands behind its end")


def small(pieces: Iterable[bytes], wanted: frozenset[bytes], limit: int) -> dict[bytes, bytes]:
    """The content of some files, each at most `limit` bytes long; by path. Raises as `entries` does."""
    reader, found = Reader(pieces), {}
    seen = _Places()
    while (header := _header(reader)) is not None:
        path, kind = normal(header.name), _KINDS[header.kind]
        seen.take(path, kind, b"")
        if kind != FILE:
            continue
        if path in wanted:
            if header.size > limit:
                raise BrokenError(reasons.TAR, f"{shown(path)} has {header.size} bytes")
            found[path] = reader.take(header.size)
        else:
            for _ in reader.pass_by(header.size):
                pass
        _fill(reader, header.size)
    return found


class _Places:
    """Paths as they come: each but once, none through a link of the same package, hard links to what came before."""

    def __init__(self) -> None:
        self._seen: dict[bytes, bytes] = {}
        self._links: set[bytes] = set()

    def take(self, path: bytes, kind: bytes, content: bytes) -> None:
        if path in self._seen:
            raise BrokenError(reasons.TAR_DUPLICATE, shown(path))
        if self._links:
            parent = path.rpartition(b"/")[0]
            while parent:
                if parent in self._links:
                    raise BrokenError(reasons.TAR_PATH, shown(path))
                parent = parent.rpartition(b"/")[0]
        if kind == LINK:
            self._links.add(path)
        if len(self._seen) == limits.TAR_ENTRIES_MAX:
            raise BrokenError(reasons.TAR, f"more than {limits.TAR_ENTRIES_MAX} files")
        self._seen[path] = content if kind in (FILE, HARD_LINK) else b""

    def linked(self, path: bytes, target: bytes) -> bytes:
        """The content of the file that a hard link leads to."""
        content = self._seen.get(target, b"")
        if not content:
            raise BrokenError(reasons.TAR_LINK, shown(path))
        return content


def normal(name: bytes) -> bytes:
    """A path below the root: no `./` before and no slash behind it. Raises BrokenError where it leads elsewhere."""
    path = name.removeprefix(b"./").rstrip(b"/") if name not in (b".", b"./") else b""
    if path and any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise BrokenError(reasons.TAR_PATH, shown(name))
    return path


def shown(path: bytes) -> str:
    """A path for people."""
    return path[:200].decode("ascii", "backslashreplace")


def _header(reader: Reader) -> Header | None:
    """The next entry's head, long names taken in; None at the end, which two blocks of zeros make."""
    long: dict[bytes, bytes] = {}
    while True:
        block = reader.take(_BLOCK)
        if not block.strip(b"\0"):
            if long or reader.take(_BLOCK).strip(b"\0"):
                raise BrokenError(reasons.TAR, "it ends in the middle")
            return None
        header = _parsed(block)
        if header.kind in long or header.kind not in (_LONG_NAME, _LONG_LINK):
            break
        if not 0 < header.size <= limits.TAR_NAME_MAX:
            raise BrokenError(reasons.TAR, f"a name of {header.size} bytes")
        value = reader.take(header.size)
        _fill(reader, header.size)
        if value.find(b"\0") != len(value) - 1:
            raise BrokenError(reasons.TAR, "a long name that does not end where it should")
        long[header.kind] = value[:-1]
    if header.kind not in _KINDS:
        raise BrokenError(reasons.TAR, f"an entry of the type {header.kind!r}")
    header = header._replace(name=long.get(_LONG_NAME, header.name), target=long.get(_LONG_LINK, header.target))
    if header.size and _KINDS[header.kind] != FILE:
        raise BrokenError(reasons.TAR, f"{shown(header.name)} is no file, and has {header.size} bytes")
    if not header.name or (bool(header.target) != (_KINDS[header.kind] in (LINK, HARD_LINK))):
        raise BrokenError(reasons.TAR, "an entry without a name or target, or with one too many")
    return header


def _parsed(block: bytes) -> Header:
    if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise BrokenError(reasons.TAR, "a checksum that does not fit")
    magic = block[257:265]
    if magic not in _MAGICS and magic.strip(b"\0"):
        raise BrokenError(reasons.TAR, "neither ustar nor what came before it")
    name = _text(block[:100])
    if magic == _MAGICS[0] and (prefix := _text(block[345:500])):
        name = prefix + b"/" + name
    numbers = [_number(field) for field in (block[100:108], block[108:116], block[116:124], block[124:136])]
    return Header(block[156:157], name, _text(block[157:257]), *numbers)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Octal digits; or, as GNU writes what is too large for them, a number to the base of 256."""
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
        if value > _SIZE_MAX:
            raise BrokenError(reasons.TAR, "a number that is too large")
        return value
    match = _OCTAL(field)
    if match is None:
        if not field.strip(b"\0 "):
            return 0
        raise BrokenError(reasons.TAR, "a field that is no number")
    return int(match[1], 8)


def _hashed(reader: Reader, size: int) -> bytes:
    hasher = hashlib.sha256(usedforsecurity=False)
    for piece in reader.pass_by(size):
        hasher.update(piece)
    _fill(reader, size)
    return hasher.digest()


def _fill(reader: Reader, size: int) -> None:
    if reader.take(-size % _BLOCK).strip(b"\0"):
        raise BrokenError(reasons.TAR, "something else than zeros fills up a block")
