"""Repositories of git written without git: loose objects, packs with whatever is in them, refs."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, NamedTuple

from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.engine import sign
from chopmark.formats.git.database.objects import Stored
from tests.support import bare_keys, pki

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC = bare_keys.public("git")
NUMBERS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
EMPTY = Stored("tree", b"")


class Repo(NamedTuple):
    """A bare repository in a folder."""

    folder: Path
    hash: str = "sha1"

    @classmethod
    def make(cls, folder: Path, algorithm: str = "sha1", more: str = "") -> Repo:
        for name in ("objects/pack", "objects/info", "refs/heads", "refs/tags", "info"):
            (folder / name).mkdir(parents=True)
        (folder / "HEAD").write_text("ref: refs/heads/main\n")
        settings = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
        if algorithm != "sha1":
            settings = f"[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = {algorithm}\n"
        (folder / "config").write_text(settings + more)
        return cls(folder, algorithm)

    def path(self, name: str) -> Path:
        return self.folder / "objects" / name[:2] / name[2:]

    def add(self, kind: str, data: bytes, name: str = "") -> str:
        """A loose object, under its own id or another name."""
        stored = Stored(kind, data)
        name = name or stored.id(self.hash)
        path = self.path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(stored.head + data))
        return name

    def tree(self, *names: bytes) -> str:
        width = len(self.add("blob", b"")) // 2
        return self.add("tree", b"".join(b"100644 " + name + b"\0" + bytes(width) for name in names))

    def commit(self, *parents: str, text: str = "why", date: int = 1, tree: str = "", signed: bool = True) -> str:
        data = commit(tree or self.tree(), *parents, text=text, date=date)
        return self.add("commit", sealed(data) if signed else data)

    def tag(self, target: str, name: str = "v1", kind: str = "commit", *, signed: bool = True) -> str:
        data = tag(target, name, kind)
        return self.add("tag", sealed(data) if signed else data)

    def ref(self, name: str, value: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")

    def pack(self, entries: list[Entry], name: str = "pack-1") -> None:
        """A pack and its index, of entries as they are given: nothing in it is checked."""
        body = b"PACK" + (2).to_bytes(4, "big") + len(entries).to_bytes(4, "big")
        places: list[tuple[bytes, int]] = []
        for entry in entries:
            places.append((bytes.fromhex(entry.name), len(body)))
            body += entry.encoded(len(body), dict(places))
        body += hashlib.new(self.hash, body).digest()
        (self.folder / "objects" / "pack" / f"{name}.pack").write_bytes(body)
        (self.folder / "objects" / "pack" / f"{name}.idx").write_bytes(index(places, self.hash))


class Entry(NamedTuple):
    """An entry of a pack: whole, or (with a base, by id or by distance) a delta."""

    name: str
    kind: str
    data: bytes
    base: str | int = ""
    size: int | None = None
    stream: bytes | None = None

    def encoded(self, place: int, known: dict[bytes, int]) -> bytes:
        number = NUMBERS.get(self.kind, 0)
        between = b""
        if self.kind == "offset":
            number = 6
            distance = place - known[bytes.fromhex(self.base)] if isinstance(self.base, str) else self.base
            between = bytes([distance & 0x7F])
            distance >>= 7
            while distance:
                distance -= 1
                between = bytes([0x80 | distance & 0x7F]) + between
                distance >>= 7
        elif self.kind == "ref":
            number = 7
            between = bytes.fromhex(str(self.base))
        size = len(self.data) if self.size is None else self.size
        head = [number << 4 | size & 15]
        size >>= 4
        while size:
            head[-1] |= 0x80
            head.append(size & 0x7F)
            size >>= 7
        return bytes(head) + between + (zlib.compress(self.data) if self.stream is None else self.stream)


def index(places: list[tuple[bytes, int]], algorithm: str) -> bytes:
    places = sorted(places)
    counts = [sum(name[0] <= first for name, _ in places) for first in range(256)]
    made = b"\xfftOc" + (2).to_bytes(4, "big") + b"".join(count.to_bytes(4, "big") for count in counts)
    made += b"".join(name for name, _ in places) + bytes(4 * len(places))
    made += b"".join(place.to_bytes(4, "big") for _, place in places)
    return made + bytes(2 * hashlib.new(algorithm).digest_size)


def number(value: int) -> bytes:
    """A size as deltas have it."""
    made = bytearray()
    while True:
        made.append(value & 0x7F | (0x80 if value >> 7 else 0))
        value >>= 7
        if not value:
            return bytes(made)


def delta(source: int, target: int, *commands: bytes) -> bytes:
    return number(source) + number(target) + b"".join(commands)


def copy(offset: int, size: int) -> bytes:
    return b"\xff" + offset.to_bytes(4, "little") + size.to_bytes(3, "little")


def literal(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def commit(tree: str, *parents: str, text: str = "why", date: int = 1) -> bytes:
    heads = "".join(f"parent {parent}\n" for parent in parents)
    who = f"A <a@b.c> {date} +0000\n"
    return f"tree {tree}\n{heads}author {who}committer {who}\n{text}\n".encode()


def tag(target: str, name: str = "v1", kind: str = "commit") -> bytes:
    return f"object {target}\ntype {kind}\ntag {name}\ntagger T <t@b.c> 2 +0000\n\nthe first\n".encode()


def sealed(data: bytes, name: str = "git") -> bytes:
    """The object with a signature by the test key of a format."""
    request = sign.SignRequest(bare_keys.signer(name), (), pki.NOW, SealOptions(), format_name="git")
    artifact = Artifact.from_bytes(data)
    return sign.sign(artifact, request).patch.render(artifact)
