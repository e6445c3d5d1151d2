"""RPM packages to look at, made of nothing but the standard library and chopmark's own writer of headers."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import hashlib
import lzma
import sqlite3
import struct
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.contracts import SealOptions
from chopmark.engine import sign
from chopmark.envelopes.openpgp import mathematics
from chopmark.formats.rpm import header, package, signatures, tags
from chopmark.formats.rpm.header import Value
from tests.support import bare_keys, rpm_databases
from tests.support.packed import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": zstd,
}
FOLDER, LINK, CONFIG, GHOST = 0o040755, 0o120777, 1, 64


class File(NamedTuple):
    """A file of a package; `inode` tells hard links."""

    path: str
    content: bytes = b""
    mode: int = 0o100644
    target: str = ""
    flags: int = 0
    capabilities: str = ""
    inode: int = 0


def text(tag: int, value: str) -> Value:
    """One string."""
    return Value(tag, tags.STRING, 1, value.encode() + b"\0")


def texts(tag: int, values: Sequence[str | bytes]) -> Value:
    """Several strings."""
    octets = [value.encode() if isinstance(value, str) else value for value in values]
    return Value(tag, tags.STRINGS, len(octets), b"".join(each + b"\0" for each in octets))


def numbers(tag: int, values: Sequence[int], kind: int = tags.INT32) -> Value:
    """Several numbers."""
    letter = {tags.INT16: "H", tags.INT32: "I", tags.INT64: "Q"}[kind]
    return Value(tag, kind, len(values), struct.pack(f">{len(values)}{letter}", *values))


def cpio(files: Sequence[File], *, stripped: bool = False) -> bytes:
    """As rpm writes it: of hard links the last one has the content; ghosts are left out."""
    raw = bytearray()
    last = {each.inode: number for number, each in enumerate(files) if each.inode}
    for number, each in enumerate(files):
        if each.flags & GHOST:
            continue
        data = each.target.encode() or each.content
        if each.inode and last[each.inode] != number:
            data = b""
        raw += b"07070X%08x" % number if stripped else _newc(f".{each.path}", each.mode, len(data))
        raw += bytes(-len(raw) % 4) + data
        raw += bytes(-len(raw) % 4)
    raw += _newc("TRAILER!!!", 0, 0)
    return bytes(raw + bytes(-len(raw) % 4))


def _newc(name: str, mode: int, size: int) -> bytes:
    fields = (1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name.encode()) + 1, 0)
    return b"070701" + b"".join(b"%08x" % each for each in fields) + name.encode() + b"\0"


def file_values(files: Sequence[File], algorithm: str = "sha256") -> list[Value]:
    """What a header says of files."""
    folders = list(dict.fromkeys(each.path.rpartition("/")[0] + "/" for each in files))
    return [
        numbers(tags.FILE_SIZES, [len(each.target or each.content) for each in files]),
        numbers(tags.FILE_MODES, [each.mode for each in files], tags.INT16),
        texts(tags.FILE_DIGESTS, [_digest(each, algorithm) for each in files]),
        texts(tags.FILE_LINKS, [each.target for each in files]),
        numbers(tags.FILE_FLAGS, [each.flags for each in files]),
        numbers(tags.FILE_DEVICES, [1] * len(files)),
        numbers(tags.FILE_INODES, [each.inode or 1000 + number for number, each in enumerate(files)]),
        numbers(tags.DIRECTORY_INDEXES, [folders.index(each.path.rpartition("/")[0] + "/") for each in files]),
        texts(tags.BASE_NAMES, [each.path.rpartition("/")[2] for each in files]),
        texts(tags.DIRECTORIES, folders),
        numbers(tags.FILE_DIGEST_ALGORITHM, [mathematics.DIGEST_NUMBERS[algorithm]]),
        texts(tags.FILE_CAPABILITIES, [each.capabilities for each in files]),
    ]


def _digest(file: File, algorithm: str) -> str:
    if file.mode >> 12 != 0o10 or file.flags & GHOST:
        return ""
    return hashlib.new(algorithm, file.content, usedforsecurity=False).hexdigest()


def values(
    files: Sequence[File] = (),
    payload: bytes = b"",
    *,
    name: str = "tool",
    version: str = "1.0",
    epoch: int | None = None,
    packed: str = "gzip",
    algorithm: str = "sha256",
    unpacked: bytes = b"",
) -> dict[int, Value]:
    """The values of a header, by tag; all of rpmbuild's that are looked at."""
    found = [
        texts(tags.LOCALES, ["C"]),
        text(tags.NAME, name),
        text(tags.VERSION, version),
        text(tags.RELEASE, "1"),
        text(tags.ARCHITECTURE, "noarch"),
        text(tags.SOURCE_RPM, "tool-1.0-1.src.rpm"),
        text(tags.PAYLOAD_FORMAT, "cpio"),
        text(tags.PAYLOAD_COMPRESSOR, packed),
        texts(tags.PAYLOAD_DIGEST, [hashlib.sha256(payload).hexdigest()]),
        numbers(tags.PAYLOAD_DIGEST_ALGORITHM, [8]),
        texts(tags.PAYLOAD_DIGEST_UNPACKED, [hashlib.sha256(unpacked).hexdigest()]),
    ]
    found += file_values(files, algorithm) if files else []
    found += [] if epoch is None else [numbers(tags.EPOCH, [epoch])]
    return {each.tag: each for each in found}


def signature_values(head: bytes, payload: bytes) -> dict[int, Value]:
    """The values of an unsigned signature header of version 4."""
    whole = head + payload
    found = [
        text(tags.SHA1, hashlib.sha1(head, usedforsecurity=False).hexdigest()),
        text(tags.SHA256, hashlib.sha256(head).hexdigest()),
        numbers(tags.SIZE, [len(whole)]),
        Value(tags.MD5, tags.BINARY, 16, hashlib.md5(whole, usedforsecurity=False).digest()),
        numbers(tags.PAYLOAD_SIZE, [1]),
        Value(tags.RESERVED_SPACE, tags.BINARY, 600, bytes(600)),
    ]
    return {each.tag: each for each in found}


def lead(name: str = "tool-1.0-1", kind: int = 0, major: int = 3) -> bytes:
    """A lead as rpmbuild writes it."""
    return b"\xed\xab\xee\xdb" + struct.pack(">BBhh66shh16x", major, 0, kind, 0, name.encode(), 1, 5)


def assembled(signatures: bytes, head: bytes, payload: bytes, front: bytes | None = None) -> bytes:
    """A package of these parts."""
    return b"".join((lead() if front is None else front, signatures, bytes(-len(signatures) % 8), head, payload))


def packed(
    head: Iterable[Value],
    payload: bytes,
    *,
    beside: Mapping[int, Value | None] | None = None,
    front: bytes | None = None,
) -> bytes:
    """A package of this header and payload; `beside` are other values of the signature header (None: left out)."""
    raw = header.written(tags.IMMUTABLE, head)
    found: dict[int, Value | None] = {**signature_values(raw, payload), **(beside or {})}
    signatures = header.written(tags.SIGNATURES, [each for each in found.values() if each is not None])
    return assembled(signatures, raw, payload, front)


def rpm(files: Sequence[File] = (), *, how: str = "gzip", stripped: bool = False, algorithm: str = "sha256",
        name: str = "tool", version: str = "1.0", epoch: int | None = None) -> bytes:  # fmt: skip
    """A whole package with these files."""
    unpacked = cpio(files, stripped=stripped)
    payload = PACK[how](unpacked)
    said = values(files, payload, packed=how, algorithm=algorithm, unpacked=unpacked, name=name, version=version,
                  epoch=epoch)  # fmt: skip
    return packed(said.values(), payload, front=lead(f"{name}-{version}-1"))


def signed(data: bytes, variant: str = "", *, append: bool = False, at: dt.datetime = NOW) -> bytes:
    """With the test key's signature."""
    artifact = Artifact.from_bytes(data, "x.rpm")
    options = SealOptions(digest_algorithm="sha512", variant=variant, append=append)
    request = sign.SignRequest(bare_keys.signer("rpm"), (), at, options, format_name="rpm")
    return sign.sign(artifact, request).patch.render(artifact)


def stored(data: bytes, *added: Value, without: Sequence[int] = ()) -> bytes:
    """The record of an installed package: its header, and behind the region the signatures and what is added."""
    found = package.read(BytesView(data))
    beside = [each for each in header.values(found.signatures) if each.tag < tags.NAME and each.tag not in without]
    beside += [numbers(_INSTALLED, [1_700_000_000]), *added]
    head = data[found.start : found.payload]
    count = int.from_bytes(head[8:12], "big")
    index, octets = head[16 : 16 + 16 * count], bytearray(head[16 + 16 * count :])
    for each in beside:
        octets += bytes(-len(octets) % 8)
        index += struct.pack(">IIiI", each.tag, each.kind, len(octets), each.amount)
        octets += each.octets
    return struct.pack(">II", count + len(beside), len(octets)) + index + octets


_INSTALLED = 1008


def signature_of(data: bytes) -> Value:
    """The signature over the header that a package has, to be put beside another header."""
    found = package.read(BytesView(data)).signatures
    return next(each for each in header.values(found) if each.tag in signatures.HEADER)


class Host(NamedTuple):
    """A tree that looks like a host with packages of rpm's."""

    root: Path

    def write(self, path: str, data: bytes, mode: int = 0o644) -> Path:
        """A file of the host's."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)
        return target

    def record(self, blob: bytes, place: str = "var/lib/rpm") -> None:
        """Put a record into rpm's database, which is SQLite's."""
        folder = self.root / place
        folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(folder / rpm_databases.SQLITE)) as connection, connection:
            connection.execute(rpm_databases.TABLE)
            connection.execute("INSERT INTO Packages (blob) VALUES (?)", (blob,))

    def records(self, *blobs: bytes, form: str, place: str = "var/lib/rpm") -> Path:
        """The database with these records, numbered from 1 on, in one of rpm's forms."""
        return rpm_databases.write(self.root / place, dict(enumerate(blobs, 1)), form)

    def install(self, files: Sequence[File], data: bytes, *added: Value, without: Sequence[int] = ()) -> None:
        """Put a package into the records, and its files in their places."""
        self.record(stored(data, *added, without=without))
        for each in files:
            target = self.root / each.path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if each.mode == LINK:
                target.symlink_to(each.target)
            elif each.mode == FOLDER:
                target.mkdir(exist_ok=True)
            elif not each.flags & GHOST:
                self.write(each.path, each.content, each.mode & 0o7777)
