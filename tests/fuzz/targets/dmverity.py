"""Superblocks and trees of dm-verity, and root hashes with what lies beside them."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.errors import MalformedError
from chopmark.core.finding import against
from chopmark.engine import identify
from chopmark.formats._verity import superblock
from chopmark.formats.dmverity import reasons, volume
from tests.fuzz import fields
from tests.support import probing

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = identify.formats()["dmverity"]
DATA = BytesView(bytes(range(256)) * 16)
DIGITS = b"ab" * 32


_FIELDS = ((0, 8), (8, 4), (12, 4), (16, 16), (32, 32), (64, 4), (68, 4), (72, 8), (80, 2), (82, 6), (88, 8), (344, 8))
"""Of struct verity_sb."""
_VALUES = (b"\0", b"\1", b"\2", b"\7", b"\x08", b"\x09", b"\0\2", b"\0\4", b"\0\x10", b"\0\0\x08", b"\xff" * 8,
           b"sha1", b"sha512", b"sha384", b"md5", b"SHA256", b"sha256\0x", b"\0\1", b"verity\0\0")  # fmt: skip


def _fields(data: bytes) -> list[tuple[int, int]]:
    """The superblock's, and digests behind it; of what is none, all."""
    if not data.startswith(superblock.SIGNATURE[:3]):
        return [(at, 8) for at in range(0, len(data), 8)]
    return [*_FIELDS, *((at, 32) for at in range(superblock.SIZE, len(data), 32))]


mutate = fields.Mutator(_fields, _VALUES)


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


def _root(wanted: superblock.Volume) -> bytes:
    """The root hash of the data, from the layout that cryptsetup's on-disk format describes, level by level."""
    size, salt, block = wanted.data_block_size, wanted.salt, wanted.hash_block_size
    level = [DATA.read(number * size, size) for number in range(wanted.data_blocks)]
    while True:
        digests = [hashlib.new(wanted.algorithm, salt + each).digest() for each in level]
        if len(digests) == 1:
            return digests[0]
        slot = 1 << (len(digests[0]) - 1).bit_length()
        each = block // slot
        rows = [
            b"".join(one.ljust(slot, b"\0") for one in digests[at : at + each]) for at in range(0, len(digests), each)
        ]
        level = [row.ljust(block, b"\0") for row in rows]


def run(data: bytes) -> None:
    """Take it for each of these."""
    with suppress(MalformedError):
        _ask(data, superblock.read(data))
    probing.interrogate(FORMAT, Artifact.from_bytes(data, "disk.roothash"))
    probing.interrogate(FORMAT, Artifact.from_bytes(DIGITS, "disk.roothash", {".p7s": data}))


def _ask(data: bytes, wanted: superblock.Volume) -> None:
    """Hold data against the tree as it is, and against one that fits this superblock."""
    if not wanted.data_blocks * wanted.data_block_size <= DATA.size:
        assert against(volume.check(DATA, volume.Tree(BytesView(data), 0, wanted), bytes(wanted.digest_size)))
        return
    own = _root(wanted)
    mended = bytearray(wanted.end(0))
    mended[: superblock.SIZE] = data[: superblock.SIZE]

    def put(place: int, block: bytes) -> None:
        mended[place : place + len(block)] = block

    assert volume.make(DATA, wanted, put) == own
    found = list(volume.check(DATA, volume.read(BytesView(bytes(mended)), 0), own))
    assert all(each.code == reasons.UNCOVERED.code for each in against(found))
    for root in (own, bytes(wanted.digest_size)):
        found = list(volume.check(DATA, volume.read(BytesView(data), 0), root))
        assert against(found) or root == own
