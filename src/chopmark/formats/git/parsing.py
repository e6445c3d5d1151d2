"""Commits, tags and push certificates taken apart, strictly: in one way only, so that nobody reads them in another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.core.seal import Range
from chopmark.formats.git import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT, TAG, PUSH = "commit", "tag", "push certificate"
BEGINS = {COMMIT: b"tree ", TAG: b"object ", PUSH: b"certificate version "}
TYPES = (b"commit", b"tree", b"blob", b"tag")
HEADERS = {"sha1": b"gpgsig", "sha256": b"gpgsig-sha256"}
"""Of a signature in a commit, by the hash of its repository."""
ARMOUR = (
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
    b"-----BEGIN SSH SIGNATURE-----",
)
"""How git's own signatures begin (gpg-interface.c)."""
_HASHES = {40: "sha1", 64: "sha256"}
_ID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NAME = re.compile(rb"[!-~]+")
_IDENT = re.compile(rb"[^<>\n]*<[^<>\n]*> [0-9]{1,18} [+-][0-9]{4}")
_PUSHER = re.compile(rb"[^\n]+ [0-9]{1,18} [+-][0-9]{4}")
_UPDATE = re.compile(rb"([0-9a-f]+) ([0-9a-f]+) ([^\n]+)")


class Header(NamedTuple):
    """A header: its name, its value with continuation lines joined, and where all of it stands."""

    name: bytes
    value: bytes
    start: int
    end: int


class Update(NamedTuple):
    """What a push does to a ref: from which object to which (zeros: none), in hex."""

    old: str
    new: str
    ref: str


class Parsed(NamedTuple):
    """An object taken apart.

    `hash` names the algorithm of the object ids in it; the message is from `body` on; `signature` is as it stands, with
    the spaces of a header taken away, empty where there is none; `covered` is what it is over, `place` where it stands
    or would stand, `others` the number of further ones.
    """

    kind: str
    hash: str
    headers: tuple[Header, ...]
    body: int
    signature: bytes
    covered: tuple[Range, ...]
    place: Range
    others: int
    raw: bytes

    def values(self, name: bytes) -> list[bytes]:
        """The values of the headers of a name."""
        return [header.value for header in self.headers if header.name == name]

    @property
    def parents(self) -> list[str]:
        """The ids of a commit's parents."""
        return [value.decode() for value in self.values(b"parent")]

    @property
    def message(self) -> bytes:
        """What is signed, and nothing else."""
        return b"".join(self.raw[part.offset : part.offset + part.length] for part in self.covered)


def kind_of(data: bytes) -> str:
    """What the bytes resemble; empty for none of these objects."""
    for kind, begin in BEGINS.items():
        if data.startswith(begin) and (kind == PUSH or _ID.match(data, len(begin))):
            return kind
    return ""


def parse(data: bytes, kind: str) -> Parsed:
    """Take an object of a kind apart. Raises BrokenError where it is not as git writes it."""
    headers, body = _headers(data)
    names = [header.name for header in headers]
    algorithm = {COMMIT: _commit, TAG: _tag, PUSH: _push}[kind](headers, names)
    if kind == COMMIT:
        return _in_header(data, headers, body, algorithm)
    if kind == PUSH:
        algorithm = _hash_of([update.new for update in updates(data, body, _end(data, body))])
    end = _end(data, body)
    others = len(starts(data, body)) - 1 if end < len(data) else 0
    place = Range(end, len(data) - end)
    return Parsed(kind, algorithm, headers, body, data[end:], (Range(0, end),), place, others, data)


def starts(data: bytes, body: int) -> list[int]:
    """Every line from `body` on that begins as a signature does, in order."""
    found = []
    at = data.find(b"-----BEGIN ", body)
    while at >= 0:
        if data[at - 1 : at] == b"\n" and data.startswith(ARMOUR, at):
            found.append(at)
        at = data.find(b"-----BEGIN ", at + 1)
    return found


def updates(data: bytes, body: int, end: int) -> list[Update]:
    """What a push certificate says is to be done to which refs. Raises BrokenError."""
    found = []
    for line in data[body:end].split(b"\n")[:-1]:
        match = _UPDATE.fullmatch(line)
        if match is None or len(match[1]) != len(match[2]) or not _ID.fullmatch(match[1]):
            raise BrokenError(reasons.FORM, "a line of a push certificate that updates nothing")
        found.append(Update(match[1].decode(), match[2].decode(), match[3].decode("utf-8", "surrogateescape")))
    if not data[body:end].endswith(b"\n") or not 0 < len(found) <= limits.GIT_UPDATES_MAX:
        raise BrokenError(reasons.FORM, f"a push certificate about {len(found)} refs")
    if len({update.ref for update in found}) != len(found):
        raise BrokenError(reasons.FORM, "a push certificate that updates a ref twice")
    return found


def _headers(data: bytes) -> tuple[tuple[Header, ...], int]:
    """The headers and where the message begins."""
    end = data.find(b"\n\n")
    if end < 0:
        raise BrokenError(reasons.FORM, "no empty line behind the headers")
    if data.find(b"\0", 0, end) >= 0:
        raise BrokenError(reasons.NUL, "in a header")
    found: list[Header] = []
    for start, line in _lines(data[: end + 1]):
        stop = start + len(line) + 1
        if line.startswith(b" "):
            if not found:
                raise BrokenError(reasons.FORM, "the continuation of nothing")
            last = found[-1]
            found[-1] = last._replace(value=last.value + b"\n" + line[1:], end=stop)
            continue
        name, space, value = line.partition(b" ")
        if not space or not _NAME.fullmatch(name):
            raise BrokenError(reasons.FORM, "a header without a name or value")
        found.append(Header(name, value, start, stop))
        if len(found) > limits.GIT_HEADERS_MAX:
            raise BrokenError(reasons.FORM, f"more than {limits.GIT_HEADERS_MAX} headers")
    return tuple(found), end + 2


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for line in data.split(b"\n")[:-1]:
        yield at, line
        at += len(line) + 1


def _commit(headers: tuple[Header, ...], names: list[bytes]) -> str:
    parents = 0
    while names[1 + parents : 2 + parents] == [b"parent"]:
        parents += 1
    fixed = (b"tree", *(b"parent",) * parents, b"author", b"committer")
    if tuple(names[: len(fixed)]) != fixed or any(name in fixed or name == b"parent" for name in names[len(fixed) :]):
        raise BrokenError(reasons.FORM, "headers of a commit that are missing, repeated or in another order")
    if names.count(b"encoding") > 1:
        raise BrokenError(reasons.FORM, "several encodings")
    _idents(headers[len(fixed) - 2 : len(fixed)])
    return _hash_of([header.value.decode("latin-1") for header in headers[: 1 + parents]])


def _tag(headers: tuple[Header, ...], names: list[bytes]) -> str:
    fixed = (b"object", b"type", b"tag", b"tagger")
    count = 4 if names[3:4] == [b"tagger"] else 3  # the oldest tags have none
    if tuple(names[:count]) != fixed[:count] or any(name in fixed for name in names[count:]):
        raise BrokenError(reasons.FORM, "headers of a tag that are missing, repeated or in another order")
    if headers[1].value not in TYPES or b"\n" in headers[2].value or not headers[2].value:
        raise BrokenError(reasons.FORM, "a tag without a type or name")
    _idents(headers[3:count])
    return _hash_of([headers[0].value.decode("latin-1")])


def _push(headers: tuple[Header, ...], names: list[bytes]) -> str:
    order = [b"certificate", b"pusher", b"pushee", b"nonce", b"push-option"]
    places = [order.index(name) if name in order else -1 for name in names]
    single = [name for name in names if name != b"push-option"]
    if names[:2] != order[:2] or -1 in places or places != sorted(places) or len(set(single)) != len(single):
        raise BrokenError(reasons.FORM, "headers of a push certificate that are missing, repeated or unknown")
    if headers[0].value != b"version 0.1" or not _PUSHER.fullmatch(headers[1].value):
        raise BrokenError(reasons.FORM, "a push certificate of another version, or by nobody")
    return ""


def _idents(headers: tuple[Header, ...]) -> None:
    for header in headers:
        if not _IDENT.fullmatch(header.value):
            raise BrokenError(reasons.FORM, f"{header.name.decode()}: not a name, an address and a time")


def _hash_of(ids: list[str]) -> str:
    lengths = {len(each) for each in ids}
    if len(lengths) != 1 or not all(_ID.fullmatch(each.encode("latin-1")) for each in ids):
        raise BrokenError(reasons.FORM, "object ids that are none, or of several kinds")
    return _HASHES[lengths.pop()]


def _in_header(data: bytes, headers: tuple[Header, ...], body: int, algorithm: str) -> Parsed:
    """The signature of a commit is a header; without one, it would be the last (git's add_header_signature)."""
    own = [header for header in headers if header.name == HEADERS[algorithm]]
    if not own:
        end = body - 1
        return Parsed(COMMIT, algorithm, headers, body, b"", (Range(0, len(data)),), Range(end, 0), 0, data)
    first = own[0]
    out = [header for header in headers if header.name in HEADERS.values()]
    covered, at = [], 0
    for header in out:
        covered.append(Range(at, header.start - at))
        at = header.end
    covered.append(Range(at, len(data) - at))
    place = Range(first.start, first.end - first.start)
    kept = tuple(part for part in covered if part.length)
    return Parsed(COMMIT, algorithm, headers, body, first.value + b"\n", kept, place, len(own) - 1, data)


def _end(data: bytes, body: int) -> int:
    """Where the message ends and the signature begins: git takes the last line that looks like one."""
    return (starts(data, body) or [len(data)])[-1]
