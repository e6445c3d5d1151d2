"""The text of a catalog: a header, one line for each file in the order of their paths, and how many there are."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats.catalog import reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FIRST = b"chopmark catalog 1"
UNREAD = b"!"
"""In place of a content: it could not be read, or changed meanwhile, so that nobody vouches for it."""
BEYOND = b"x"
"""In place of a content: something of another file system stands there."""
ROOT = b"."
"""How the root's own path, which is empty, is written."""

_UNSAFE = re.compile(rb"[^!-\[\]-~]")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
# Possessive: no piece of a name can be read in another way, so nothing need be tried again.
_WORD = rb"(?:[!-\[\]-~]++|\\x[0-9a-f]{2})++"
_NUMBER = rb"(?:0|[1-9][0-9]{0,18})"
_OWNED = rb" [0-7]{4} " + _NUMBER + rb" " + _NUMBER + rb" "
_KINDS = (
    rb"f" + _OWNED + rb"(?:" + _NUMBER + rb" [0-9a-f]{64}|- [!x])",
    rb"d" + _OWNED + rb"- [-!x]",
    rb"l" + _OWNED + rb"- " + _WORD,
    rb"[bc]" + _OWNED + rb"- " + _NUMBER + rb":" + _NUMBER,
    rb"[ps]" + _OWNED + rb"- -",
)
_ATTRIBUTE = rb" (?:[!-<>-\[\]-~]++|\\x[0-9a-f]{2})++=(?:[0-9a-f]{2})*+"
_NAMED = rb"/(?:[!-.0-<>-\[\]-~]|\\x[0-9a-f]{2})+"
_ORIGIN = rb" @([a-z0-9]+(?:" + _NAMED + rb"){0,2})"
_LINE = re.compile(
    rb"(?:" + rb"|".join(_KINDS) + rb") (" + _WORD + rb")((?:" + _ATTRIBUTE + rb")*+)(?:" + _ORIGIN + rb")?"
).fullmatch
_UNNAMED = re.compile(rb"[^!-.0-<>-\[\]-~]")
_OUTSIDE = re.compile(rb"(?:^|/)\.{0,2}(?:/|\Z)|\0").search
"""An empty name, `.` or `..`, a slash at either end, a NUL: what no path below a root has."""
_NO_NAMES = frozenset({b"", b".", b".."})
_END = re.compile(rb"end (" + _NUMBER + rb")").fullmatch


class Header(NamedTuple):
    """What the list is of: the folder it was made from, whether the walk stayed on its file system, what it left out.

    `root` is the absolute path (empty: not told); `excluded` are paths below it, ascending. `only_listed` says that
    there may be other files, about which the list says nothing.
    """

    root: bytes = b""
    one_file_system: bool = True
    excluded: tuple[bytes, ...] = ()
    only_listed: bool = False


class Origin(NamedTuple):
    """Where a file comes from: `how` that is known (release, package, md5, ...), the package and its version."""

    how: bytes = b""
    package: bytes = b""
    version: bytes = b""


class Entry(NamedTuple):
    """One line taken apart: paths and link targets as bytes, everything else as it is written."""

    kind: bytes
    mode: bytes
    uid: bytes
    gid: bytes
    size: bytes
    content: bytes
    path: bytes
    attributes: tuple[tuple[bytes, bytes], ...] = ()


def escape(raw: bytes) -> bytes:
    """A name as it is written: everything but visible ASCII, and the backslash, as backslash x and two digits."""
    return _UNSAFE.sub(lambda found: b"\\x%02x" % found[0][0], raw)


def unescape(text: bytes) -> bytes:
    """The name that is written so. Raises BrokenError where it can be written in another way."""
    if b"\\" not in text and not _UNSAFE.search(text):
        return text
    raw = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text)
    if escape(raw) != text:
        raise BrokenError(reasons.FORM, f"a name that is not written as it should be: {shown(text)}")
    return raw


def head(header: Header) -> bytes:
    """The header, up to the line before the first file."""
    lines = [FIRST, b"digest sha256"]
    if header.root:
        lines.append(b"root " + escape(header.root))
    lines.append(b"file-systems " + (b"one" if header.one_file_system else b"all"))
    if header.only_listed:
        lines.append(b"scope listed")
    lines += [b"exclude " + escape(path) for path in header.excluded]
    return b"\n".join((*lines, b"", b""))


def tail(count: int) -> bytes:
    """The last line."""
    return b"end %d\n" % count


def entry(line: bytes) -> Entry:
    """Take a line apart that `lines` has yielded."""
    kind, mode, uid, gid, size, content, path, *attributes = line.split(b" ")
    pairs = tuple((name, value) for name, _, value in (each.partition(b"=") for each in attributes))
    return Entry(kind, mode, uid, gid, size, unescape(content) if kind == b"l" else content, path_of(path), pairs)


def with_origin(line: bytes, origin: Origin) -> bytes:
    """A line that says where its file comes from."""
    named = b"".join(b"/" + _UNNAMED.sub(lambda found: b"\\x%02x" % found[0][0], each) for each in origin[1:] if each)
    return b"%b @%b%b" % (line, origin.how, named)


def origin_of(text: bytes) -> Origin:
    """An origin as it is written, without the sign before it. Raises BrokenError where it can be written otherwise."""
    how, *named = text.split(b"/")
    found = Origin(how, *(_ESCAPE.sub(lambda part: bytes((int(part[1], 16),)), each) for each in named))
    if with_origin(b"", found)[2:] != text:
        raise BrokenError(reasons.FORM, f"an origin that is not written as it should be: {shown(text)}")
    return found


def without_origin(line: bytes) -> bytes:
    """A line as it is where its file's origin is not told. Raises BrokenError for what is no line."""
    match = _LINE(line)
    if match is None:
        raise BrokenError(reasons.FORM, shown(line))
    return line[: -len(match[3]) - 2] if match[3] else line


def path_in(line: bytes) -> bytes:
    """The path of a line. Raises BrokenError for what is no line."""
    match = _LINE(line)
    if match is None:
        raise BrokenError(reasons.FORM, shown(line))
    return path_of(match[1])


def path_of(text: bytes) -> bytes:
    """The path in a line; the root's is empty."""
    return b"" if text == ROOT else unescape(text)


class Listing:
    """A catalog's list read strictly and once, in pieces. `header` is there at once, `count` when all is read.

    `origin` is that of the row which was yielded last, as it is written (see `origin_of`; empty: not told).
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        """Read the header. Raises BrokenError where it breaks the rules."""
        self._lines = _lines(pieces)
        self.count = 0
        self.origin = b""
        self.header = self._header()

    def _header(self) -> Header:
        first = next(self._lines, b"")
        if first != FIRST:
            raise BrokenError(reasons.VERSION, shown(first[: len(FIRST)]) or "the first line is empty")
        if next(self._lines, b"") != b"digest sha256":
            raise BrokenError(reasons.FORM, "the digest algorithm")
        word, _, value = next(self._lines, b"").partition(b" ")
        root = b""
        if word == b"root":
            root = unescape(value)
            if not root.startswith(b"/") or (root != b"/" and _OUTSIDE(root[1:])):
                raise BrokenError(reasons.FORM, f"root {shown(value)}")
            word, _, value = next(self._lines, b"").partition(b" ")
        if word != b"file-systems" or value not in (b"one", b"all"):
            raise BrokenError(reasons.FORM, "file-systems")
        one_file_system = value == b"one"
        line = next(self._lines, b"")
        only_listed = line == b"scope listed"
        if only_listed:
            line = next(self._lines, b"")
        excluded: list[bytes] = []
        while line:
            if not line.startswith(b"exclude ") or len(excluded) == limits.CATALOG_EXCLUDES_MAX:
                raise BrokenError(reasons.FORM, shown(line))
            path = unescape(line[8:])
            if _OUTSIDE(path) or (excluded and path <= excluded[-1]):
                raise BrokenError(reasons.PATH, shown(line))
            excluded.append(path)
            line = next(self._lines, b"")
        return Header(root, one_file_system, tuple(excluded), only_listed)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Path and line (without origin) of each file. Raises BrokenError where a rule is broken or the end missing."""
        places = _Places()
        for written in self._lines:
            match, line = _LINE(written), written
            if match is None:
                self._finish(line)
                return
            text, attributes, origin = match.groups()
            path = path_of(text)
            places.take(path, is_entered=line[:1] == b"d" and line.split(b" ", 6)[5] == b"-")
            if attributes:
                _check_attributes(attributes)
            self.origin = b""
            if origin:
                origin_of(origin)
                self.origin, line = origin, written[: -len(origin) - 2]
            self.count += 1
            if self.count > limits.CATALOG_ENTRIES_MAX:
                raise BrokenError(reasons.FORM, f"more than {limits.CATALOG_ENTRIES_MAX} files")
            yield path, line
        raise BrokenError(reasons.CUT)

    def lines(self) -> Iterator[bytes]:
        """The lines (without origin) of a list that was read by `rows` before: nothing is held against them.

        Whoever takes one apart does so strictly, in case that the file was changed since.
        """
        for line in self._lines:
            if line.startswith(b"end "):
                return
            self.count += 1
            yield line if b" @" not in line else without_origin(line)

    def _finish(self, line: bytes) -> None:
        match = _END(line)
        if match is None:
            raise BrokenError(reasons.FORM, f"entry {self.count + 1}: {shown(line)}")
        if int(match[1]) != self.count or not self.count:
            raise BrokenError(reasons.CUT, f"{self.count} files, not {int(match[1])}")
        if next(self._lines, None) is not None:
            raise BrokenError(reasons.FORM, "something follows the last line")


class _Places:
    """Paths as they come: the root first, each but once and in order, each in a folder that came before."""

    def __init__(self) -> None:
        self._before: bytes | None = None
        self._parent = b""
        self._folders: set[bytes] = set()

    def take(self, path: bytes, *, is_entered: bool) -> None:
        if self._before is None:
            if path or not is_entered:
                raise BrokenError(reasons.PATH, "the root itself, a folder, does not come first")
        elif path <= self._before:
            raise BrokenError(reasons.ORDER, shown(path))
        else:
            parent, slash, name = path.rpartition(b"/")
            if name in _NO_NAMES or b"\0" in name or (slash and not parent):
                raise BrokenError(reasons.PATH, shown(path))
            if parent != self._parent:  # which was held to the same when it came itself
                if parent not in self._folders:
                    raise BrokenError(reasons.PATH, f"in no folder of the list: {shown(path)}")
                self._parent = parent
        if is_entered:
            self._folders.add(path)
        self._before = path


def shown(text: bytes) -> str:
    """A piece of a line for people."""
    return escape(text[:200]).decode("ascii")


def _check_attributes(text: bytes) -> None:
    names = [unescape(each.partition(b"=")[0]) for each in text[1:].split(b" ")]
    if any(one >= other for one, other in pairwise(names)):
        raise BrokenError(reasons.FORM, "attributes that are not in order")


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines without their LF. Raises BrokenError for one that is too long or has no end."""
    rest = b""
    for piece in pieces:
        found = (rest + piece).split(b"\n")
        rest = found.pop()
        if len(rest) > limits.CATALOG_LINE_MAX:
            raise BrokenError(reasons.FORM, f"a line of more than {limits.CATALOG_LINE_MAX} bytes")
        yield from found
    if rest:
        raise BrokenError(reasons.CUT, "in the middle of a line")
