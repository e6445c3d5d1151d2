"""Wheels, sdists and ZIP archives to look at: sound ones, and such as no honest program writes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import struct
import tarfile
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNIX, DOS = 3, 0
NAME = "sample-1.0-py3-none-any.whl"
FOLDER = "sample-1.0.dist-info/"
METADATA = b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
FILES = {"sample.py": b'"""Nothing."""\n', f"{FOLDER}METADATA": METADATA, f"{FOLDER}WHEEL": WHEEL}


@dataclass(frozen=True)
class Member:
    """A member; what begins with `local_` is said in its own header instead of what the list says."""

    name: bytes
    data: bytes = b""
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    made: int = UNIX
    needed: int = 20
    extra: bytes = b""
    comment: bytes = b""
    start: int | None = None
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    local_name: bytes | None = None
    local_needed: int = 20
    local_flags: int | None = None
    local_method: int | None = None
    local_extra: bytes = b""
    local_sizes: tuple[int, int, int] | None = None
    before: bytes = b""
    behind: bytes = b""
    inner: bytes = b""
    """What stands behind the compressed data and counts as such."""

    @property
    def stored(self) -> bytes:
        if self.method != 8:
            return self.data + self.inner
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(self.data) + packer.flush() + self.inner

    @property
    def numbers(self) -> tuple[int, int, int]:
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        packed = len(self.stored) if self.packed is None else self.packed
        return crc, packed, len(self.data) if self.size is None else self.size


def described(member: Member, form: str = "<4s3L") -> Member:
    """The same with its sizes behind it and not before."""
    crc, packed, size = member.numbers
    numbers = (crc, packed, size) if form.endswith("3L") or "Q" in form else ()
    sign = (b"PK\7\x08",) if "4s" in form else ()
    flags = member.flags | 8
    return replace(member, flags=flags, local_sizes=(0, 0, 0), behind=struct.pack(form, *sign, *numbers))


def zipped(
    members: Sequence[Member], *, gap: bytes = b"", comment: bytes = b"", behind: bytes = b"", count: int | None = None,
    list_behind: bytes = b"", end64: bool = False,
) -> bytes:  # fmt: skip
    """An archive of these members; `gap` stands before the list of them, `list_behind` at its end."""
    body, entries = b"", b""
    for each in members:
        body += each.before
        place = len(body) if each.start is None else each.start
        crc, packed, size = each.numbers
        told = each.local_sizes or (crc, packed, size)
        local = each.name if each.local_name is None else each.local_name
        flags = each.flags if each.local_flags is None else each.local_flags
        method = each.method if each.local_method is None else each.local_method
        head = struct.pack("<4s5H", b"PK\3\4", each.local_needed, flags, method, 0, 0x21)
        head += struct.pack("<3L2H", *told, len(local), len(each.local_extra))
        body += head + local + each.local_extra + each.stored + each.behind
        entries += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", each.made << 8 | 20, each.needed, each.flags, each.method, 0, 0x21,
            crc, packed, size,
            len(each.name), len(each.extra), len(each.comment), 0, 0, each.mode << 16, place,
        )  # fmt: skip
        entries += each.name + each.extra + each.comment
    entries += list_behind
    number, start = len(members) if count is None else count, len(body + gap)
    wide = b""
    if end64:
        where = start + len(entries)
        wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, number, number, len(entries), start)
        wide += struct.pack("<4sLQL", b"PK\6\7", 0, where, 1)
        number, start = 0xFFFF, 0xFFFFFFFF
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(entries), start, len(comment))
    return body + gap + entries + wide + end + comment + behind


def row(name: str, data: bytes, algorithm: str = "sha256") -> str:
    """A line of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=").decode()
    return f"{name},{algorithm}={digest},{len(data)}\n"


def record(files: Mapping[str, bytes], folder: str = FOLDER) -> bytes:
    """RECORD for these files."""
    return "".join([*(row(name, data) for name, data in files.items()), f"{folder}RECORD,,\n"]).encode()


def members(files: Mapping[str, bytes]) -> list[Member]:
    """Files as members."""
    return [Member(name.encode(), data) for name, data in files.items()]


def wheel(
    files: Mapping[str, bytes] | None = None, listed: Mapping[str, bytes] | bytes | None = None, folder: str = FOLDER
) -> bytes:
    """A wheel of these files (default FILES), whose RECORD lists them, or `listed`, or is that text."""
    files = FILES if files is None else files
    listed = files if listed is None else listed
    text = listed if isinstance(listed, bytes) else record(listed, folder)
    return zipped(members({**files, f"{folder}RECORD": text}))


class Entry(tarfile.TarInfo):
    """A file of a tar, with what it holds."""

    def __init__(self, name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> None:
        super().__init__(name)
        self.data, self.type, self.linkname, self.size = data, kind, target, len(data)


def tarred(entries: Sequence[Entry], form: int = tarfile.PAX_FORMAT, headers: Mapping[str, str] | None = None) -> bytes:
    """A tar file; `headers` are global ones."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form, pax_headers=headers) as archive:
        for each in entries:
            archive.addfile(each, io.BytesIO(each.data))
    return raw.getvalue()


def with_checksums(data: bytes) -> bytes:
    """The same tar file with checksums that fit every header, as far as the sizes in them lead to the next."""
    mended, place = bytearray(data), 0
    while len(block := mended[place : place + tarfile.BLOCKSIZE]) == tarfile.BLOCKSIZE and any(block):
        block[148:156] = b" " * 8
        mended[place + 148 : place + 156] = b"%06o\0 " % sum(block)
        size = block[124:136].strip(b" \0")
        blocks = -(-int(size, 8) // tarfile.BLOCKSIZE) if size and not size.strip(b"01234567") else 0
        place += tarfile.BLOCKSIZE * (1 + blocks)
    return bytes(mended)


PKG_INFO = Entry("sample-1.0/PKG-INFO", METADATA)
PROJECT = Entry("sample-1.0/pyproject.toml", b"[build-system]\n")


def sdist(entries: Sequence[Entry] = (PKG_INFO, PROJECT)) -> bytes:
    """A source distribution."""
    return gzip.compress(tarred(entries), mtime=0)
