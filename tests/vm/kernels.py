"""Debian's kernels, as unpacked by tools/vm_peers.sh: the image, what is compressed in it, the modules."""

from __future__ import annotations

import gzip
import lzma
import struct
import subprocess
from functools import cached_property
from typing import TYPE_CHECKING

from tests.vm.lab import LAB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("linux-old", "linux-new")
"""Debian 12's own kernel (6.1), and the newest among the backports for Debian 13."""

_UNPACKERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4"}


class Kernel:
    """One kernel package."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = LAB / name

    def _only(self, pattern: str) -> Path:
        [found] = self.folder.rglob(pattern)
        return found

    @cached_property
    def image(self) -> Path:
        """The bzImage that Debian signed."""
        return self._only("vmlinuz*")

    @cached_property
    def version(self) -> tuple[int, int]:
        """Major and minor."""
        major, minor, *_ = self.release.split(".")
        return int(major), int(minor)

    @cached_property
    def release(self) -> str:
        """As `uname -r` says it."""
        [modules] = [
            each for each in self.folder.rglob("lib/modules/*") if each.is_dir() and (each / "kernel").is_dir()
        ]
        return modules.name

    def unpacked(self, target: Path) -> Path:
        """The vmlinux in the bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length).

        QEMU starts it in a fraction of the time that unpacking takes without hardware virtualisation.
        """
        data = self.image.read_bytes()
        start = (data[0x1F1] or 4) * 512 + 512
        offset, length = struct.unpack_from("<II", data, 0x248)
        packed = data[start + offset : start + offset + length]
        if packed.startswith(b"\xfd7zXZ"):
            plain = lzma.LZMADecompressor().decompress(packed)
        else:  # its length stands behind it
            command = [_UNPACKERS[packed[:4]], "-dc"]
            plain = subprocess.run(command, input=packed[:-4], capture_output=True, check=True).stdout
        target.write_bytes(plain)
        return target

    def module(self, name: str) -> bytes:
        """A module as it was built and signed, whatever it is compressed with."""
        [path] = self.folder.rglob(f"{name}.ko*")
        data = path.read_bytes()
        return (
            lzma.decompress(data) if path.suffix == ".xz" else gzip.decompress(data) if path.suffix == ".gz" else data
        )

    def with_dependencies(self, *names: str) -> dict[str, bytes]:
        """The modules and what they depend on, in the order in which they load; those built in are left out."""
        found: dict[str, bytes] = {}
        for name in names:
            for each in self._ordered(name.replace("_", "-")):
                if each not in found:
                    found[each] = self.module(each)
        return found

    def _ordered(self, name: str) -> Iterator[str]:
        for spelling in (name, name.replace("-", "_")):
            if any(self.folder.rglob(f"{spelling}.ko*")):
                for needed in _depends(self.module(spelling)):
                    yield from self._ordered(needed.replace("_", "-"))
                yield spelling
                return


def _depends(module: bytes) -> list[str]:
    """What .modinfo says; the kernel calls modules with underscores what files may call with hyphens."""
    start = module.find(b"\0depends=") + 9
    return [name.decode() for name in module[start : module.index(b"\0", start)].split(b",") if name]
