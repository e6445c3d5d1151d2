"""The format deb: the archive, signatures in it, and the files of data.tar, which Python must read the same way."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.formats._compressed import zstandard
from chopmark.formats.deb import FORMAT, contents, package
from tests.fuzz import fields, tars
from tests.fuzz.formats import VECTORS
from tests.fuzz.repairs import ar, tar
from tests.support import debs
from tests.support.wheels import with_checksums

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTROL = b"Package: tool\nVersion: 1\nArchitecture: all\n"
mutate = fields.Mutator(tar.fields, tar.VALUES, tar.parts)


def seeds() -> Iterable[bytes]:
    """Packages, tar files alone, and what control says."""
    files = [debs.File("./a", b"content"), debs.File("./" + "x" * 150, b"y")]
    yield (VECTORS / "deb" / "sample-tiny.deb").read_bytes()
    yield debs.deb(files, packed="")
    yield debs.deb(files, settings=["etc/x"], packed="xz")
    yield debs.deb(files, packed="zst")
    plain = debs.tar([debs.File("./control", CONTROL)])
    yield debs.assembled(("debian-binary", b"2.0\n"), ("control.tar", plain), ("data.tar", debs.tar(files)))
    yield debs.tar(files)
    yield debs.tar([*files, debs.File("./l", kind=b"2", target="a"), debs.File("./h", kind=b"1", target="./a")])
    yield zstandard.MAGIC + b"\x20\x01\x09\x00\x00x"
    yield CONTROL


def run(data: bytes) -> None:
    """Ask everything, as it is, with sizes and checksums that fit, and with the bytes as a tar file or as control."""
    mended = with_checksums(data)
    for whole in (data, ar.repaired(data), _with(mended), _with(debs.tar([debs.File("./control", data)]))):
        _ask(whole)
    with suppress(MalformedError):
        assert 0 < zstandard.end(data) <= len(data)
    for each in (data, mended):
        tars.compare(each, extended=False)


def _with(archive: bytes) -> bytes:
    """A package that consists of this tar file twice."""
    return debs.assembled(("debian-binary", b"2.0\n"), ("control.tar", archive), ("data.tar", archive))


def _ask(data: bytes) -> None:
    """Nothing but MalformedError may come out, nor RefusedError where a patch is asked for."""
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
