"""Commits, tags and push certificates; loose objects, deltas, packs and their indexes."""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.errors import MalformedError
from chopmark.engine import identify
from chopmark.formats.git import parsing, sealing, signatures
from chopmark.formats.git.database import objects, packs
from tests.support import git_repo, probing

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "1" * 40
COMMIT, TAG = git_repo.commit(NAME, NAME), git_repo.tag(NAME)
PLACES = [(bytes.fromhex(NAME), 12), (bytes.fromhex("2" * 40), 60)]


def seeds() -> Iterable[bytes]:
    """Objects signed and unsigned, and what stands in files around them."""
    header = git_repo.sealed(TAG).removesuffix(b"\n").replace(b"\n", b"\n ")
    merge = COMMIT.replace(b"\n\n", b"\nmergetag " + header + b"\n\n", 1)
    for data in (COMMIT, TAG, merge):
        yield data
        yield git_repo.sealed(data)
        yield git_repo.sealed(data, "openpgp")
    yield b"certificate version 0.1\npusher A <a@b.c> 1 +0000\n\n" + f"{NAME} {NAME} refs/a\n".encode()
    yield zlib.compress(b"commit 3\0abc")
    yield git_repo.copy(0, 3) + git_repo.literal(b"x")
    yield git_repo.delta(3, 4, git_repo.copy(0, 3), git_repo.literal(b"x"))
    whole = git_repo.Entry(NAME, "commit", COMMIT).encoded(12, {})
    yield b"PACK" + (2).to_bytes(4, "big") + (2).to_bytes(4, "big") + whole + bytes(20)
    yield git_repo.index(PLACES, "sha1")


def run(data: bytes) -> None:
    """Read it as each of these."""
    format_ = identify.formats()["git"]
    probing.interrogate(format_, Artifact.from_bytes(data))
    for kind in parsing.BEGINS:
        with suppress(MalformedError):
            parsed = parsing.parse(data, kind)
            assert parsed.message + parsed.signature
            signatures.read(parsed.signature)
    with suppress(MalformedError):
        sealing.detached(data, parsing.parse(git_repo.sealed(COMMIT), parsing.COMMIT).signature)
    with suppress(MalformedError):
        objects.loose(data)
    _stored(data)
    with suppress(MalformedError):
        objects.patched(b"abc", data)
    index = packs.Index(BytesView(git_repo.index(PLACES, "sha1")), 20)
    with suppress(MalformedError):
        packs.Pack(BytesView(data), index, 20).get(PLACES[0][0])
    with suppress(MalformedError):
        found = packs.Index(BytesView(data), 20)
        found.find(PLACES[0][0])
        assert len(list(found.like("1111"))) <= 2


def _stored(data: bytes) -> None:
    """The bytes as an object in a file and in a pack, and as the instructions of a delta, with sizes that fit."""
    head = f"tag {len(data)}\0".encode()
    assert objects.loose(zlib.compress(head + data, 1)) == ("tag", data)
    for size in (4, len(data)):
        with suppress(MalformedError):
            assert len(objects.patched(b"abc", git_repo.delta(3, size, data))) == size
    whole = git_repo.Entry(NAME, "tag", data).encoded(12, {})
    pack = b"PACK" + (2).to_bytes(4, "big") + (1).to_bytes(4, "big") + whole
    index = packs.Index(BytesView(git_repo.index(PLACES[:1], "sha1")), 20)
    with suppress(MalformedError):  # its id is another one
        packs.Pack(BytesView(pack + bytes(20)), index, 20).get(PLACES[0][0])
