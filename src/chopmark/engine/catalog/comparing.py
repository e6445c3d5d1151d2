"""Two lists in the order of paths beside each other: what is another, what is there only once, what moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.formats.catalog import listing, reasons
from chopmark.formats.catalog.listing import BEYOND, UNREAD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.finding import Finding
    from chopmark.formats.catalog.listing import Entry, Header

_CAPABILITY = b"security.capability"
_NAMES = {b"f": "file", b"d": "folder", b"l": "link", b"c": "character device", b"b": "block device",
          b"p": "FIFO", b"s": "socket"}  # fmt: skip


class _Only(NamedTuple):
    """A file that is only in one of them, until it is known whether it stands elsewhere in the other."""

    path: bytes
    finding: Finding


def differences(listed: Iterable[bytes], found: Iterable[bytes], *, only_listed: bool = False) -> Iterator[Finding]:
    """What `found` has otherwise than `listed`; both are lines in the order of paths.

    With `only_listed`, others that were found are counted and not named.
    """
    return _Comparison(listed, iter(found), only_listed=only_listed).findings()


def headers(was: Header, now: Header) -> Iterator[Finding]:
    """What two lists are about otherwise: one that leaves something out says nothing of it, and has no other line."""
    if was.root != now.root:
        yield reasons.ROOT.found(f"{_shown(was.root)}, now {_shown(now.root)}")
    for path in sorted({*was.excluded} ^ {*now.excluded}):
        yield reasons.SCOPE.found("not left out" if path in was.excluded else "left out", subject=_shown(path))
    if was.one_file_system != now.one_file_system:
        yield reasons.SCOPE.found(f"{'one file system' if now.one_file_system else 'all file systems'}")
    if was.only_listed != now.only_listed:
        yield reasons.SCOPE.found("there may be other files" if now.only_listed else "there may be no other files")


def lines_of(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of whole blocks of them."""
    for block in blocks:
        yield from block[:-1].split(b"\n")


class _Comparison:
    def __init__(self, listed: Iterable[bytes], found: Iterator[bytes], *, only_listed: bool) -> None:
        self._only_listed = only_listed
        self._outside = 0
        self._listed = listed
        self._found = found
        self._missing: dict[bytes, list[_Only]] = {}
        self._added: dict[bytes, list[_Only]] = {}
        self._held = 0
        self._unread_here = self._unread_there = b"/"  # prefixes of folders that nobody could read; no path has this

    def findings(self) -> Iterator[Finding]:
        current = next(self._found, None)
        for line in self._listed:
            if current == line:  # almost always
                if b" - ! " in line:
                    yield from self._unvouched(_path(line), line)
                current = next(self._found, None)
                continue
            path = listing.path_in(line)
            while current is not None and (there := _path(current)) < path:
                yield from self._is_added(there, current)
                current = next(self._found, None)
            if current == line:
                yield from self._unvouched(path, line)
                current = next(self._found, None)
            elif current is not None and _path(current) == path:
                yield from self._changes(path, line, current)
                current = next(self._found, None)
            else:
                yield from self._is_missing(path, line)
        while current is not None:
            yield from self._is_added(_path(current), current)
            current = next(self._found, None)
        yield from self._moved()

    def _unvouched(self, path: bytes, line: bytes) -> Iterator[Finding]:
        if line[:1] in b"df" and line.split(b" ", 6)[5] == UNREAD:
            yield reasons.UNVOUCHED.found(subject=_shown(path))
            if line[:1] == b"d":
                self._unread_there = path + b"/"

    def _changes(self, path: bytes, line: bytes, current: bytes) -> Iterator[Finding]:
        was, now = listing.entry(line), listing.entry(current)
        if now.kind == b"d" and now.content == UNREAD:
            self._unread_here = path + b"/"
        subject = _shown(path)
        if was.content == UNREAD and was.kind in (b"d", b"f"):
            yield from self._unvouched(path, line)
        yield from _changes(was, now, subject)

    def _is_added(self, path: bytes, line: bytes) -> Iterator[Finding]:
        if path.startswith(self._unread_there):
            return
        found = reasons.ADDED.found(_NAMES[line[:1]], subject=_shown(path))
        for each in self._hold(self._added, path, line, found):
            yield from self._added_for_good(each)

    def _added_for_good(self, finding: Finding) -> Iterator[Finding]:
        if self._only_listed:
            self._outside += 1
        else:
            yield finding

    def _is_missing(self, path: bytes, line: bytes) -> Iterator[Finding]:
        if path.startswith(self._unread_here):
            return
        found = reasons.MISSING.found(_NAMES[line[:1]], subject=_shown(path))
        yield from self._hold(self._missing, path, line, found)

    def _hold(self, where: dict[bytes, list[_Only]], path: bytes, line: bytes, found: Finding) -> Iterator[Finding]:
        """Keep a file that may stand elsewhere; say the rest at once."""
        fields = line.split(b" ", 6)
        if fields[0] != b"f" or fields[4] in (b"0", b"-") or self._held >= limits.CATALOG_RENAMES_MAX:
            yield found
            return
        self._held += 1
        where.setdefault(fields[5], []).append(_Only(path, found))

    def _moved(self) -> Iterator[Finding]:
        for digest, gone in self._missing.items():
            arrived = self._added.get(digest, [])
            while gone and arrived:
                old, new = gone.pop(0), arrived.pop(0)
                yield reasons.RENAMED.found(f"now {_shown(new.path)}", subject=_shown(old.path))
            yield from (each.finding for each in gone)
        for left in self._added.values():
            for each in left:
                yield from self._added_for_good(each.finding)
        if self._outside:
            yield reasons.OUTSIDE.found(f"{self._outside} files and folders")


def _changes(was: Entry, now: Entry, subject: str) -> Iterator[Finding]:
    """How one file differs from what was listed."""
    if was.kind != now.kind:
        yield reasons.KIND.found(f"{_NAMES[was.kind]}, now {_NAMES[now.kind]}", subject=subject)
        return  # the permissions of a link mean nothing beside those of a file
    if was.content != now.content and UNREAD not in (was.content, now.content):
        if BEYOND in (was.content, now.content) and was.kind in (b"d", b"f"):
            detail = "another file system stands there" if now.content == BEYOND else "no other file system any more"
            yield reasons.KIND.found(detail, subject=subject)
        elif was.kind == b"f":
            yield reasons.CHANGED.found(f"{_text(was.size)} bytes, now {_text(now.size)}", subject=subject)
        else:
            yield reasons.TARGET.found(f"{_shown(was.content)}, now {_shown(now.content)}", subject=subject)
    if was.mode != now.mode:
        yield reasons.MODE.found(f"{_text(was.mode)}, now {_text(now.mode)}", subject=subject)
    if (was.uid, was.gid) != (now.uid, now.gid):
        detail = f"{_text(was.uid)}:{_text(was.gid)}, now {_text(now.uid)}:{_text(now.gid)}"
        yield reasons.OWNER.found(detail, subject=subject)
    if was.attributes != now.attributes:
        before, after = dict(was.attributes), dict(now.attributes)
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                reason = reasons.CAPABILITIES if name == _CAPABILITY else reasons.ATTRIBUTES
                how = "added" if name not in before else "removed" if name not in after else "changed"
                yield reason.found(f"{_text(name)} {how}", subject=subject)


def _path(line: bytes) -> bytes:
    return listing.path_of(line.split(b" ", 7)[6])


def _shown(path: bytes) -> str:
    return listing.escape(path).decode("ascii") or "."


def _text(field: bytes) -> str:
    return field.decode("ascii")
