"""Control files in the syntax of deb822(5): paragraphs of fields, as packages, releases and dpkg's status have them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAME = re.compile(rb"(?![#-])[!-9;-~]+").fullmatch
"""Visible ASCII without the colon; neither `#` nor `-` begins it."""


def paragraphs(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Paragraphs without the empty lines between them. Raises MalformedError for one that is too long."""
    rest = b""
    for piece in pieces:
        found = (rest + piece).split(b"\n\n")
        rest = found.pop()
        if len(rest) > limits.DEB822_PARAGRAPH_MAX:
            raise MalformedError(f"a paragraph of more than {limits.DEB822_PARAGRAPH_MAX} bytes")
        yield from (bare for each in found if (bare := each.strip(b"\n")))
    if rest := rest.strip(b"\n"):
        yield rest


def fields(paragraph: bytes) -> dict[bytes, bytes]:
    """The fields by their names in lower case; lines after the first keep their line break and white space.

    Raises MalformedError, also for a field that is there twice, which readers take differently.
    """
    found: dict[bytes, bytes] = {}
    last = b""
    for line in paragraph.split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            if not last:
                raise MalformedError("a paragraph that begins with white space")
            found[last] += b"\n" + line
            continue
        name, colon, value = line.partition(b":")
        if not colon or not _NAME(name):
            raise MalformedError(f"a line that is no field: {line[:80].decode('ascii', 'backslashreplace')}")
        last = name.lower()
        if last in found:
            raise MalformedError(f"the field {name.decode('ascii')} twice")
        found[last] = value.strip(b" \t\r")
    return found


def only(data: bytes) -> dict[bytes, bytes]:
    """The fields of a file with exactly one paragraph. Raises MalformedError."""
    found = list(paragraphs([data]))
    if len(found) != 1:
        raise MalformedError(f"{len(found)} paragraphs in place of one")
    return fields(found[0])
