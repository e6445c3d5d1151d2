"""What a package says of itself, and the files that it brings."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import pieces
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.named import NamedTuple
from chopmark.formats._compressed import streams, zstandard
from chopmark.formats._tar import tarball
from chopmark.formats.deb import deb822, package, reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import View
    from chopmark.formats._tar.tarball import Entry
    from chopmark.formats.deb.ar import Member
    from chopmark.formats.deb.package import Package

_CONTROL, _SETTINGS = b"control", b"conffiles"


class Control(NamedTuple):
    """Name, version, architecture, and the paths (below the root) of its settings."""

    package: bytes
    version: bytes
    architecture: bytes
    settings: frozenset[bytes]


def control(view: View) -> Control:
    """What control.tar says. Raises BrokenError."""
    found = package.read(view)
    members = _unpacked(view, found.control, found.control_packed, limits.DEB_CONTROL_MAX)
    small = tarball.small(members, tarball.Wanted(frozenset({_CONTROL, _SETTINGS}), limits.DEB822_PARAGRAPH_MAX))
    try:
        said = deb822.only(small[_CONTROL])
        named = said[b"package"], said[b"version"], said[b"architecture"]
    except (MalformedError, KeyError) as error:
        raise BrokenError(reasons.CONTROL, str(error)) from None
    settings = small.get(_SETTINGS, b"").split(b"\n")
    return Control(*named, frozenset(line.rstrip().lstrip(b"/") for line in settings if line.startswith(b"/")))


def files(view: View) -> Iterator[Entry]:
    """What data.tar brings, hashed. Raises BrokenError, and MalformedError where the compression is damaged."""
    found = package.read(view)
    yield from tarball.entries(_unpacked(view, found.data, found.data_packed, limits.DEB_DATA_MAX))


def check_boundary(view: View, found: Package) -> None:
    """That control.tar is one archive and data.tar another, where nothing else says where one ends.

    Signed are the bytes of all members, one behind the other: files could be moved from the beginning of one into the
    end of the other, where tar passes over them. Raises BrokenError.
    """
    member, packed = found.control, found.control_packed
    if member.size > limits.DEB_CONTROL_MAX:
        raise BrokenError(reasons.BOUNDARY, f"control.tar has {member.size} bytes")
    try:
        if packed == streams.ZSTANDARD:
            if zstandard.end(view.read(member.offset, member.size)) != member.size:
                raise BrokenError(reasons.BOUNDARY, "something behind the compressed data")
        elif packed:
            deque(_unpacked(view, member, packed, limits.DEB_CONTROL_MAX), maxlen=0)
        else:
            deque(tarball.entries(_unpacked(view, member, packed, limits.DEB_CONTROL_MAX)), maxlen=0)
            if not view.read(found.data.offset, 1).strip(b"\0"):
                raise BrokenError(reasons.BOUNDARY, "data.tar begins with zeros")
    except BrokenError as error:
        raise BrokenError(reasons.BOUNDARY, f"{error.reason.code} {error.detail}") from None
    except MalformedError as error:
        raise BrokenError(reasons.BOUNDARY, str(error)) from None


def _unpacked(view: View, member: Member, packed: str, limit: int) -> Iterator[bytes]:
    stored = map(bytes, pieces(view, member.offset, member.offset + member.size))
    return streams.unpacked(stored, packed, limit)
