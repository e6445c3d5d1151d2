"""The format rpm: headers, signatures in them, the list of files, and the payload; stored headers as well."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.formats.rpm import FORMAT, contents, cpio, files, header, package, signatures
from tests.fuzz import fields
from tests.fuzz.formats import VECTORS
from tests.fuzz.repairs import rpm as repairs
from tests.support import rpms

if TYPE_CHECKING:
    from collections.abc import Iterable


FILES = (rpms.File("/usr/a", b"content"), rpms.File("/usr/b", mode=rpms.LINK, target="a"))

mutate = fields.Mutator(repairs.fields, repairs.VALUES)


def seeds() -> Iterable[bytes]:
    """Packages signed and unsigned, a stored header, and an archive alone."""
    yield rpms.signed((VECTORS / "rpm" / "sample-tiny.rpm").read_bytes())
    yield rpms.rpm(FILES, how="")
    yield rpms.rpm(FILES, how="xz", stripped=True)
    yield rpms.rpm(FILES, how="zstd")
    yield header.written(63, rpms.values(FILES).values())[8:]
    yield rpms.cpio(FILES)


def run(data: bytes) -> None:
    """Ask everything, as it is, with regions and digests that fit, and with the bytes as an archive in a package."""
    for whole in (data, repairs.repaired(data), _around(data)):
        _ask(whole)
    with suppress(MalformedError):
        inside, added = header.stored(data)
        files.listed(inside)
        list(signatures.found(added, signatures.HEADER))
    with suppress(MalformedError):
        for _ in cpio.items([data], "sha256", lambda number: number):
            pass


def _around(data: bytes) -> bytes:
    """A package whose payload these bytes are, and whose header lists the files of the seeds."""
    return rpms.packed(rpms.values(FILES, data, packed="none").values(), data)


def _ask(data: bytes) -> None:
    """Nothing but MalformedError may come out, nor RefusedError where a patch is asked for."""
    artifact = Artifact.from_bytes(data, "x.rpm")
    with suppress(MalformedError):
        for seal in FORMAT.extract(artifact):
            FORMAT.digest(artifact, [claim.recipe for claim in seal.claims])
    with suppress(RefusedError):
        FORMAT.strip(artifact).render(artifact)
    with suppress(MalformedError):
        FORMAT.release(artifact)
    with suppress(MalformedError):
        FORMAT.facts(artifact)
    with suppress(MalformedError):
        contents.compare(artifact.view, package.read(artifact.view))
