"""The text of a release: which lists a repository has, by their digests, and from when until when."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.named import NamedTuple
from chopmark.formats.deb import deb822
from chopmark.supply.apt import reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_DATE = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), +(\d{1,2}) (" + rb"|".join(_MONTHS) + rb") (\d{4}) (\d{1,2}):(\d\d):(\d\d) "
    rb"(?:UTC|GMT|\+0000|Z)"
).fullmatch
_STRONG = ((b"sha512", "sha512", 128), (b"sha256", "sha256", 64))
_WEAK = (b"md5sum", b"sha1")
_LINE = re.compile(rb" ([0-9a-f]+) +(\d{1,18}) ([!-~]+)").fullmatch
_INDEX = re.compile(r"(?:[^ ]*/)?Packages").fullmatch


class Listed(NamedTuple):
    """A file as the release names it."""

    algorithm: str
    digest: bytes
    size: int


class Release(NamedTuple):
    """What a release says of itself. `weak` are files for which it has no digest that counts."""

    origin: str
    label: str
    suite: str
    codename: str
    date: dt.datetime
    valid_until: dt.datetime | None
    files: Mapping[str, Listed]
    weak: frozenset[str]

    @property
    def name(self) -> str:
        """For people, and by which it is remembered."""
        return " ".join(each for each in (self.origin or self.label, self.codename or self.suite) if each) or "release"

    @property
    def indexes(self) -> list[str]:
        """The lists of packages that it names, uncompressed ones or not: names without a suffix."""
        names = {name.rpartition(".")[0] if name.endswith((".gz", ".xz", ".bz2", ".zst")) else name
                 for name in (*self.files, *self.weak)}  # fmt: skip
        return sorted(name for name in names if _INDEX(name))


def parse(text: bytes) -> Release:
    """Read a release. Raises BrokenError."""
    try:
        said = deb822.only(text)
        return _parsed(said)
    except BrokenError:
        raise
    except MalformedError as error:
        raise BrokenError(reasons.FORM, str(error)) from None


def _parsed(said: dict[bytes, bytes]) -> Release:
    if b"date" not in said:
        raise MalformedError("a release without a date")
    files: dict[str, Listed] = {}
    for field, algorithm, width in reversed(_STRONG):
        for digest, size, name in _lines(said.get(field, b""), width):
            if name in files and files[name].size != size:
                raise MalformedError(f"{name} with two sizes")
            files[name] = Listed(algorithm, bytes.fromhex(digest), size)
    weak = {name for field in _WEAK for _, _, name in _lines(said.get(field, b""), 0)}
    until = said.get(b"valid-until")
    return Release(
        _word(said.get(b"origin", b"")),
        _word(said.get(b"label", b"")),
        _word(said.get(b"suite", b"")),
        _word(said.get(b"codename", b"")),
        _moment(said[b"date"]),
        _moment(until) if until is not None else None,
        files,
        frozenset(weak - files.keys()),
    )


def _lines(block: bytes, width: int) -> list[tuple[str, int, str]]:
    found: list[tuple[str, int, str]] = []
    names = set()
    for line in block.split(b"\n")[1:]:
        match = _LINE(line)
        if match is None or (width and len(match[1]) != width):
            raise MalformedError(f"a line that names no file: {line[:80].decode('ascii', 'backslashreplace')}")
        name = match[3].decode("ascii")
        if name in names or name.startswith("/") or ".." in name.split("/"):
            raise MalformedError(f"{name[:80]}, twice or outside of the repository")
        names.add(name)
        found.append((match[1].decode("ascii"), int(match[2]), name))
    return found


def _moment(text: bytes) -> dt.datetime:
    match = _DATE(text)
    if match is None:
        raise MalformedError(f"a date that is none: {text[:40].decode('ascii', 'backslashreplace')}")
    day, month, *rest = match.groups()
    year, hour, minute, second = map(int, rest)
    try:
        return dt.datetime(year, _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=dt.UTC)
    except ValueError as error:
        raise MalformedError(str(error)) from None


def _word(text: bytes) -> str:
    return text[:200].decode("utf-8", "replace")
