"""A source distribution taken apart, and held to the rules for unpacking one and to its name."""

from __future__ import annotations

import re
import zlib
from itertools import islice
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import pieces
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats._compressed import bounds, streams
from chopmark.formats._python import metadata, naming
from chopmark.formats._tar import headers, tarball
from chopmark.formats._tar import reasons as tar_reasons
from chopmark.formats.sdist import links, reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact, View
    from chopmark.core.finding import Finding
    from chopmark.core.versions import Release
    from chopmark.formats._tar.tarball import Entry

_ABOUT = "PKG-INFO"
_SIGNS = (_ABOUT, "pyproject.toml", "setup.py")
"""What tells that it is a source distribution of Python's, in the folder."""
_BEFORE = (b"x", b"g", b"L", b"K")
"""Kinds of headers that an entry's own comes behind."""
_OCTAL = re.compile(rb"[0-7]+").fullmatch


class Sdist(NamedTuple):
    """What was found: how many files and bytes, PKG-INFO if there is one, and what there should not be."""

    files: int
    size: int
    about: bytes | None
    is_python: bool
    wrong: tuple[Finding, ...]


def read(artifact: Artifact) -> Sdist:
    """Look at every file. Raises BrokenError, and MalformedError where the compression is damaged."""
    top = naming.stem(artifact.name)
    about = f"{top}/{_ABOUT}".encode()
    signs = {f"{top}/{sign}".encode() for sign in _SIGNS}
    files = size = 0
    said: bytes | None = None
    is_python = False
    wrong: list[Finding] = []
    targets: dict[bytes, bytes] = {}
    wanted = tarball.Wanted(frozenset({about}), limits.PYTHON_METADATA_MAX)
    for number, entry in enumerate(tarball.entries(_unpacked(artifact.view), wanted, extended=True)):
        if number == limits.SDIST_ENTRIES_MAX:
            raise BrokenError(tar_reasons.FORM, f"more than {limits.SDIST_ENTRIES_MAX} files")
        files += entry.kind == headers.FILE
        size += entry.size
        is_python = is_python or (entry.path in signs and entry.kind == headers.FILE)
        if entry.path == about and entry.kind == headers.FILE:
            said = entry.data
        if entry.kind == headers.LINK:
            targets[entry.path] = entry.content
        if len(wrong) < limits.PYTHON_NAMED_MAX:
            wrong += _wrong(entry, top.encode())
    for path in islice(links.leading_out(targets, top.encode()), max(0, limits.PYTHON_NAMED_MAX - len(wrong))):
        wrong.append(reasons.LINK.found(f"{headers.shown(path)} -> {headers.shown(targets[path])}"))
    return Sdist(files, size, said, is_python, tuple(wrong))


def examine(artifact: Artifact) -> Iterator[Finding]:
    """Everything that can be said of it without knowing who made it. Raises as `read` does."""
    found = read(artifact)
    yield tar_reasons.READ.found(f"{found.files} files")
    if not found.is_python:
        yield reasons.OTHER.found()
        return
    yield from found.wrong
    named = naming.sdist(artifact.name)
    if found.about is None or named is None:
        yield reasons.UNNAMED.found()
        return
    yield from metadata.held(metadata.read(found.about), named)


def release(artifact: Artifact) -> Release | None:
    """Which version of which project it is; None where it does not say so itself."""
    about = read(artifact).about
    return None if about is None else metadata.release(metadata.read(about))


def facts(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """What is in it, for people."""
    found = read(artifact)
    if found.about is not None:
        yield from metadata.facts(metadata.read(found.about))
    yield "files", f"{found.files}, {found.size:,} bytes"


def begins(head: bytes, name: str) -> bool:
    """Whether the first entry of a gzipped tar file is in the folder that its name says."""
    top = naming.stem(name).encode()
    try:
        plain = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, limits.DETECT_HEAD)
    except zlib.error:
        return False
    while plain[156:157] in _BEFORE:
        size = plain[124:135].strip(b"\0 ")
        if not _OCTAL(size):
            return False
        plain = plain[512 + -(-int(size, 8) // 512) * 512 :]
    return plain.removeprefix(b"./").startswith(top + b"/")


def _unpacked(view: View) -> Iterator[bytes]:
    stored = map(bytes, pieces(view, 0, view.size))
    yield from streams.unpacked(stored, streams.GZIP, bounds.most(view.size))


def _wrong(entry: Entry, top: bytes) -> Iterator[Finding]:
    shown = headers.shown(entry.path)
    if entry.path != top and not entry.path.startswith(top + b"/"):
        yield reasons.TOP.found(shown)
    if entry.kind == headers.PIPE:
        yield reasons.SPECIAL.found(shown)
