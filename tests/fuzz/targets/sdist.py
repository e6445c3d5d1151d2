"""Source distributions: what is in the gzip, as the fuzzer finds no checksum; and tar as Python reads it, with and
without checksums that fit."""

from __future__ import annotations

import gzip
import io
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact
from chopmark.core.errors import MalformedError
from chopmark.formats._tar import tarball
from chopmark.formats.sdist import FORMAT
from tests.support import wheels
from tests.support.wheels import PKG_INFO, PROJECT, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "sample-1.0.tar.gz"


def seeds() -> Iterable[bytes]:
    """Tar files with headers of both kinds."""
    long = Entry("sample-1.0/" + "x" * 120, b"x")
    yield wheels.tarred([PKG_INFO, PROJECT])
    yield wheels.tarred([PKG_INFO, long, Entry("sample-1.0/l", kind=tarfile.SYMTYPE, target="y" * 120)])
    yield wheels.tarred([PKG_INFO, long], tarfile.GNU_FORMAT)
    yield wheels.tarred([PKG_INFO, PROJECT], tarfile.USTAR_FORMAT)
    yield wheels.tarred([PKG_INFO], headers={"comment": "0" * 40})
    yield wheels.sdist()


def run(data: bytes) -> None:
    """Ask everything, packed and as it is; nothing but MalformedError may come out."""
    for packed in (gzip.compress(data, compresslevel=1, mtime=0), data):
        artifact = Artifact.from_bytes(packed, NAME, {})
        FORMAT.detect(artifact.head(), NAME)
        for question in (FORMAT.examine, FORMAT.release, FORMAT.facts):
            with suppress(MalformedError):
                list(question(artifact) or ())
    for tar in (data, wheels.with_checksums(data)):
        _compare(tar)


def _compare(data: bytes) -> None:
    """What is read is what Python reads."""
    with suppress(MalformedError):
        ours = [entry.path for entry in tarball.entries([data], extended=True)]
        with tarfile.open(fileobj=io.BytesIO(data)) as opened:
            theirs = [name.removeprefix("./").encode("utf-8", "surrogateescape") for name in opened.getnames()]
        assert [name for name in ours if name] == [name for name in theirs if name not in (b"", b".")]
