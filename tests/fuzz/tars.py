"""Tar files beside Python's reading of them: what is accepted here must be the same files there."""

from __future__ import annotations

import hashlib
import io
import tarfile
from contextlib import suppress

from chopmark.core.errors import MalformedError
from chopmark.formats._tar import tarball
from chopmark.formats._tar.headers import FILE, FOLDER, LINK, PIPE

_KINDS = {
    tarfile.REGTYPE: FILE,
    tarfile.AREGTYPE: FILE,
    tarfile.LNKTYPE: FILE,
    tarfile.DIRTYPE: FOLDER,
    tarfile.SYMTYPE: LINK,
    tarfile.FIFOTYPE: PIPE,
}


def compare(data: bytes, *, extended: bool) -> None:
    """Paths, kinds, modes and contents, entry by entry."""
    with suppress(MalformedError):
        ours = [
            (entry.kind, entry.path, entry.mode & 0o7777, entry.content)
            for entry in tarball.entries([data], extended=extended)
        ]
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as opened:
            theirs = [_told(opened, each) for each in opened]
        assert ours == theirs


def _told(archive: tarfile.TarFile, info: tarfile.TarInfo) -> tuple[bytes, bytes, int, bytes]:
    name = info.name.encode("utf-8", "surrogateescape").removeprefix(b"./")
    kind = _KINDS[info.type]
    content = b""
    if kind == FILE:
        opened = archive.extractfile(info)
        assert opened is not None
        content = hashlib.sha256(opened.read()).digest()
    elif kind == LINK:
        content = info.linkname.encode("utf-8", "surrogateescape")
    return kind, b"" if name == b"." else name, info.mode & 0o7777, content
