"""Superblocks and trees of dm-verity, and root hashes with what lies beside them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.errors import MalformedError
from chopmark.engine import identify
from chopmark.formats._verity import superblock
from chopmark.formats.dmverity import volume
from tests.support import probing

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = identify.formats()["dmverity"]
DATA = BytesView(bytes(range(256)) * 16)
DIGITS = b"ab" * 32


def seeds() -> Iterable[bytes]:
    """A tree, a root hash, a signature."""
    wanted = superblock.Volume("sha256", 512, 512, 8, b"salt")
    out = bytearray(wanted.end(0))
    volume.make(DATA, wanted, lambda place, block: out.__setitem__(slice(place, place + len(block)), block))
    out[: superblock.SIZE] = wanted.packed()
    yield bytes(out)
    yield DIGITS
    artifact = Artifact.from_bytes(DIGITS, "disk.roothash")
    yield probing.signed(FORMAT, artifact).render(artifact)


def run(data: bytes) -> None:
    """Take it for each of these."""
    with suppress(MalformedError):
        for finding in volume.check(DATA, volume.read(BytesView(data), 0), bytes(32)):
            assert finding.code
    probing.interrogate(FORMAT, Artifact.from_bytes(data, "disk.roothash"))
    probing.interrogate(FORMAT, Artifact.from_bytes(DIGITS, "disk.roothash", {".p7s": data}))
