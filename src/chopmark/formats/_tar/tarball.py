"""The files that a tar file brings: ustar with GNU's long names, or those of pax(1) (tar(5)).

Nothing is unpacked: each file is hashed as it goes by. What two readers could take for two things is refused.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats._tar import reasons
from chopmark.formats._tar.headers import DEVICES, FILE, FOLDER, HARD_LINK, KINDS, LINK, Reader, following, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Entry(NamedTuple):
    """A file: its path without `./`, its SHA-256 or the target of its link; `data` is all of it, where wanted."""

    kind: bytes
    path: bytes
    mode: int
    uid: int
    gid: int
    size: int
    content: bytes = b""
    data: bytes = b""


class Wanted(NamedTuple):
    """Files whose content is wanted as well: their paths, and how many bytes one of them may have."""

    paths: frozenset[bytes]
    limit: int


_Rights = tuple[int, int, int]
"""Mode, user and group."""
_NOTHING = Wanted(frozenset(), 0)


def entries(pieces: Iterable[bytes], wanted: Wanted = _NOTHING, *, extended: bool = False) -> Iterator[Entry]:
    """All files in their order; `extended` headers are those of pax(1), which not everybody reads.

    Raises BrokenError where a rule is broken, MalformedError for damaged compression.
    """
    reader, seen = Reader(pieces), _Places()
    while (header := following(reader, extended=extended)) is not None:
        path = normal(header.name)
        kind = KINDS[header.kind]
        if kind in DEVICES:
            raise BrokenError(reasons.DEVICE, shown(path))
        content = data = b""
        rights = header.mode, header.uid, header.gid
        if kind == FILE:
            if keep := path in wanted.paths:
                _refuse_large(path, header.size, wanted.limit)
            content, data = _hashed(reader, header.size, keep=keep)
        elif kind == HARD_LINK:
            content = seen.linked(path, normal(header.target), rights)
        elif kind == LINK:
            content = header.target
        seen.take(path, kind, content, rights)
        kind = FILE if kind == HARD_LINK else kind
        yield Entry(kind, path, *rights, header.size, content, data)
    if not reader.only_zeros():
        raise BrokenError(reasons.FORM, "something stands behind its end")


def small(pieces: Iterable[bytes], wanted: Wanted) -> dict[bytes, bytes]:
    """The content of the files that are wanted, by path; nothing is hashed. Raises as `entries` does."""
    reader, found = Reader(pieces), {}
    seen = _Places()
    while (header := following(reader, extended=False)) is not None:
        path, kind = normal(header.name), KINDS[header.kind]
        seen.take(path, kind, b"", (header.mode, header.uid, header.gid))
        if kind != FILE:
            continue
        if path in wanted.paths:
            _refuse_large(path, header.size, wanted.limit)
            found[path] = reader.take(header.size)
        else:
            for _ in reader.pass_by(header.size):
                pass
        reader.fill(header.size)
    return found


class _Places:
    """Paths as they come: each but once, none through a link or a file, hard links to what came before."""

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[bytes, _Rights]] = {}
        self._folders: set[bytes] = set()
        """Those that it brings, and those that are only in the paths of others."""
        self._links: set[bytes] = set()

    def take(self, path: bytes, kind: bytes, content: bytes, rights: _Rights) -> None:
        if path in self._seen or (kind != FOLDER and path in self._folders):
            raise BrokenError(reasons.DUPLICATE, shown(path))
        if not path and kind != FOLDER:
            raise BrokenError(reasons.PATH, "the root itself")
        parent = path.rpartition(b"/")[0]
        while parent and parent not in self._folders:
            if parent in self._seen:
                raise BrokenError(reasons.PATH if parent in self._links else reasons.DUPLICATE, shown(path))
            self._folders.add(parent)
            parent = parent.rpartition(b"/")[0]
        if kind == LINK:
            self._links.add(path)
        elif kind == FOLDER:
            self._folders.add(path)
        if len(self._seen) == limits.TAR_ENTRIES_MAX:
            raise BrokenError(reasons.FORM, f"more than {limits.TAR_ENTRIES_MAX} files")
        self._seen[path] = content if kind in (FILE, HARD_LINK) else b"", rights

    def linked(self, path: bytes, target: bytes, rights: _Rights) -> bytes:
        """The content of the file that a hard link leads to; they are one, and dpkg gives it what the last one says."""
        content, own = self._seen.get(target, (b"", rights))
        if not content:
            raise BrokenError(reasons.LINK, shown(path))
        if own != rights:
            raise BrokenError(reasons.FORM, f"{shown(path)} has another mode or owner than the file that it is")
        return content


def normal(name: bytes) -> bytes:
    """A path below the root: no `./` before and no slash behind it. Raises BrokenError where it leads elsewhere."""
    path = name.removeprefix(b"./").rstrip(b"/") if name not in (b".", b"./") else b""
    if path and any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise BrokenError(reasons.PATH, shown(name))
    return path


def _refuse_large(path: bytes, size: int, limit: int) -> None:
    if size > limit:
        raise BrokenError(reasons.FORM, f"{shown(path)} has {size} bytes")


def _hashed(reader: Reader, size: int, *, keep: bool) -> tuple[bytes, bytes]:
    hasher = hashlib.sha256(usedforsecurity=False)
    kept = []
    for piece in reader.pass_by(size):
        hasher.update(piece)
        if keep:
            kept.append(piece)
    reader.fill(size)
    return hasher.digest(), b"".join(kept)
