"""A kernel's first file system (Documentation/driver-api/early-userspace/buffer-format.rst): the "newc" cpio format."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_REGULAR, _FOLDER, _DEVICE = 0o100000, 0o040000, 0o020000


def _entry(number: int, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def archive(files: Mapping[str, bytes]) -> bytes:
    """The files (by path, without a leading slash, each executable) and the folders that they need, compressed."""
    folders = sorted({"/".join(name.split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)})
    entries = [_entry(1, "dev", _FOLDER | 0o755), _entry(2, "dev/console", _DEVICE | 0o600, device=(5, 1))]
    entries += [_entry(10 + number, folder, _FOLDER | 0o755) for number, folder in enumerate(folders)]
    entries += [_entry(1000 + number, name, _REGULAR | 0o755, files[name]) for number, name in enumerate(files)]
    entries.append(_entry(0, "TRAILER!!!", 0))
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(b"".join(entries)) + packer.flush()


def steps(wanted: Mapping[str, str]) -> bytes:
    """The file `steps`: what guest/init.c and guest/harness.c do, by name. Here "|" parts the words of a step."""
    return "".join(f"{name}\t" + words.replace("|", "\t") + "\n" for name, words in wanted.items()).encode()
