"""What a unit is made of, as text in one spelling: its name, the files in the order they are read, further names."""

from __future__ import annotations

import re

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats.catalog.listing import escape, shown, unescape
from chopmark.formats.unit import reasons

FIRST = b"chopmark unit 1"
_FILE = re.compile(rb"file ([0-9a-f]{64}|-) (\S+)").fullmatch
_LINK = re.compile(rb"link (\S+) (\S+)").fullmatch
_END = re.compile(rb"end (0|[1-9][0-9]{0,8})").fullmatch
_OUTSIDE = re.compile(rb"/\.{0,2}(?:/|\Z)|\0").search


class File(NamedTuple):
    """A file and the SHA-256 of its content in hex; `-` for a drop-in that is a link to /dev/null."""

    path: bytes
    digest: bytes


class Link(NamedTuple):
    """A link by which the unit has a further name, and where it leads to as it is written."""

    path: bytes
    target: bytes


class Definition(NamedTuple):
    """Whose unit (`system`, `user` or `user NAME`), its name, its files as they are read, its links by path."""

    scope: bytes
    name: bytes
    files: tuple[File, ...]
    links: tuple[Link, ...] = ()


def write(what: Definition) -> bytes:
    """The text."""
    lines = [FIRST, b"scope " + escape(what.scope), b"unit " + escape(what.name)]
    lines += [b"file " + each.digest + b" " + escape(each.path) for each in what.files]
    lines += [b"link " + escape(each.path) + b" " + escape(each.target) for each in sorted(what.links)]
    lines.append(b"end %d" % (len(what.files) + len(what.links)))
    return b"\n".join((*lines, b""))


def read(text: bytes) -> Definition:
    """The definition that a text says. Raises BrokenError for one that `write` would not have written."""
    lines = text.split(b"\n")
    if lines[0] != FIRST:
        raise BrokenError(reasons.VERSION, shown(lines[0]))
    if lines.pop():
        raise BrokenError(reasons.CUT, "in the middle of a line")
    end = _END(lines[-1])
    if end is None:
        raise BrokenError(reasons.CUT)
    scope, name = _value(lines, 1, b"scope"), _value(lines, 2, b"unit")
    files: list[File] = []
    links: list[Link] = []
    for line in lines[3:-1]:
        file, link = _FILE(line), _LINK(line)
        if file is not None and not links:
            files.append(File(_path(file[2]), file[1]))
        elif link is not None:
            links.append(Link(_path(link[1]), _word(link[2])))
        else:
            raise BrokenError(reasons.FORM, shown(line))
    if int(end[1]) != len(files) + len(links) or not files:
        raise BrokenError(reasons.CUT, f"{len(files) + len(links)} lines, not {int(end[1])}")
    if len(files) + len(links) > limits.SERVICE_UNITS_MAX:
        raise BrokenError(reasons.FORM, "too many files")
    found = Definition(scope, name, tuple(files), tuple(links))
    if write(found) != text or _has_twice(files, links):
        raise BrokenError(reasons.FORM, "not as it is written")
    return found


def _has_twice(files: list[File], links: list[Link]) -> bool:
    """Whether two files, or two links, have one path; the unit's own file may itself be a link."""
    return len({each.path for each in files}) != len(files) or len({each.path for each in links}) != len(links)


def _value(lines: list[bytes], number: int, word: bytes) -> bytes:
    if len(lines) <= number or not lines[number].startswith(word + b" "):
        raise BrokenError(reasons.FORM, f"no {word.decode()}")
    return _word(lines[number][len(word) + 1 :])


def _word(text: bytes) -> bytes:
    try:
        return unescape(text)
    except BrokenError as error:
        raise BrokenError(reasons.FORM, error.detail) from None


def _path(text: bytes) -> bytes:
    path = _word(text)
    if not path.startswith(b"/") or _OUTSIDE(path):
        raise BrokenError(reasons.FORM, shown(text))
    return path
