"""Extended headers of tar (pax(1)): records in front of an entry, for what its own header has no room for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError
from chopmark.formats._tar import reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

GLOBAL, EXTENDED = b"g", b"x"
_LENGTH = re.compile(rb"([1-9][0-9]{0,9}) ").match
_NAMES = (b"path", b"linkpath")
_HARMLESS = frozenset({*_NAMES, b"atime", b"comment", b"ctime", b"gid", b"gname", b"mtime", b"uid", b"uname"})
_VENDORS = re.compile(
    rb"SCHILY\.(?:acl\.(?:access|default|ace)|dev(?:major|minor)?|fflags|ino|nlink|xattr\..+)"
    rb"|LIBARCHIVE\.(?:creationtime|symlinktype|xattr\..+)",
    re.DOTALL,
).fullmatch
"""Attributes and times in the manner of two other programs; nobody else looks at them."""


def records(data: bytes, kind: bytes) -> Mapping[bytes, bytes]:
    """The records of one header. Raises BrokenError for what programs read in different ways.

    `size` is refused because some take the one of the header itself, and find other entries behind it, and
    `SCHILY.realsize`, by which bsdtar alone cuts a file short; `hdrcharset` and what describes sparse files because
    they change what everything else means. A header for the whole archive may carry a comment only, as `git archive`
    writes.
    """
    found: dict[bytes, bytes] = {}
    place = 0
    while place < len(data):
        length = _LENGTH(data, place)
        end = place + int(length[1]) if length else 0
        if length is None or end > len(data) or end <= length.end() or data[end - 1 : end] != b"\n":
            raise BrokenError(reasons.FORM, "an extended header that is no list of records")
        name, equals, value = data[length.end() : end - 1].partition(b"=")
        if not equals or name in found:
            raise BrokenError(reasons.FORM, f"the record {_shown(name)} twice, or without a value")
        if not (name in _HARMLESS or _VENDORS(name)) or (kind == GLOBAL and name != b"comment"):
            raise BrokenError(reasons.FORM, f"a record that changes how others are read: {_shown(name)}")
        if name in _NAMES and (not value or b"\0" in value):
            raise BrokenError(reasons.FORM, f"no {_shown(name)}, or one with a NUL in it")
        found[name] = value
        place = end
    return found


def _shown(name: bytes) -> str:
    return repr(name[:60])[2:-1]
