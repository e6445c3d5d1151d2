"""The format deb: the archive, signatures in it, and the files of data.tar."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.formats._compressed import zstandard
from chopmark.formats._tar import tarball
from chopmark.formats.deb import FORMAT, contents, package
from tests.fuzz.formats import VECTORS
from tests.support import debs

if TYPE_CHECKING:
    from collections.abc import Iterable


def seeds() -> Iterable[bytes]:
    """Packages, and a tar alone."""
    files = [debs.File("./a", b"content"), debs.File("./" + "x" * 150, b"y")]
    yield (VECTORS / "deb" / "sample-tiny.deb").read_bytes()
    yield debs.deb(files, packed="")
    yield debs.deb(files, settings=["etc/x"], packed="xz")
    yield debs.tar(files)
    yield zstandard.MAGIC + b"\x20\x01\x09\x00\x00x"


def run(data: bytes) -> None:
    """Ask everything; nothing but MalformedError may come out, nor RefusedError where a patch is asked for."""
    artifact = Artifact.from_bytes(data, "x.deb")
    with suppress(MalformedError):
        for seal in FORMAT.extract(artifact):
            FORMAT.digest(artifact, [claim.recipe for claim in seal.claims])
    with suppress(RefusedError):
        FORMAT.strip(artifact).render(artifact)
    with suppress(MalformedError):
        contents.control(BytesView(data))
        for _ in contents.files(BytesView(data)):
            pass
    with suppress(MalformedError):
        contents.check_boundary(BytesView(data), package.read(BytesView(data)))
    with suppress(MalformedError):
        assert 0 < zstandard.end(data) <= len(data)
    with suppress(MalformedError):
        for _ in tarball.entries([data]):
            pass
