"""A small builder of PE files, for tests that need one with a certain header, and the maker of the samples here.

`python -m tests.vectors.pe.make` writes the samples anew. Every byte comes from this file. The programs are real: they
return 0 to Windows or to firmware, and the library says that it is ready.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

I386, AMD64, ARM64, IA64 = 0x014C, 0x8664, 0xAA64, 0x0200
NATIVE, GUI, CONSOLE, EFI_APPLICATION, EFI_ROM = 1, 2, 3, 10, 13
RETURN_ZERO = b"\x31\xc0\xc3"
RETURN_ONE = b"\xb8\x01\x00\x00\x00\xc3"
DOS_STUB = b"\x0e\x1f\xba\x0e\x00\xb4\x09\xcd\x21\xb8\x01\x4c\xcd\x21This is no program for DOS.\r\n$"


class Section(NamedTuple):
    """A section; `raw_offset` and `raw_size` lie about its place when they are given."""

    name: bytes
    data: bytes
    characteristics: int = 0x60000020
    virtual_size: int | None = None
    raw_offset: int | None = None
    raw_size: int | None = None


@dataclass(frozen=True)
class Pe:
    """What to build; the defaults make a valid program of 1.5 KiB."""

    plus: bool = True
    machine: int = AMD64
    subsystem: int = CONSOLE
    sections: tuple[Section, ...] = (
        Section(b".text", RETURN_ZERO),
        Section(b".rdata", b"What is stamped is silver.\0", 0x40000040),
    )
    lfanew: int = 0x80
    directories: int = 16
    optional_size: int | None = None
    headers_size: int | None = None
    section_alignment: int = 0x1000
    file_alignment: int = 0x200
    security: tuple[int, int] = (0, 0)
    characteristics: int = 0x0022
    checksum: int = 0
    overlay: bytes = b""
    gap: bytes = b""
    extra: dict[str, int] = field(default_factory=dict)

    @property
    def optional_at(self) -> int:
        return self.lfanew + 24

    @property
    def checksum_at(self) -> int:
        return self.optional_at + 64

    @property
    def security_at(self) -> int:
        return self.optional_at + (112 if self.plus else 96) + 8 * 4

    @property
    def sections_at(self) -> int:
        return self.optional_at + self._optional_size

    @property
    def _optional_size(self) -> int:
        if self.optional_size is not None:
            return self.optional_size
        return (112 if self.plus else 96) + 8 * self.directories

    def build(self) -> bytes:
        """The file."""
        headers_end = self.sections_at + 40 * len(self.sections)
        headers_size = self.headers_size
        if headers_size is None:
            headers_size = _up(headers_end, self.file_alignment)
        table, body, address = b"", b"", self.section_alignment
        position = headers_size + len(self.gap)
        for section in self.sections:
            raw = section.data + bytes(-len(section.data) % self.file_alignment)
            size = len(section.data) if section.virtual_size is None else section.virtual_size
            table += struct.pack(
                "<8sIIIIIIHHI",
                section.name,
                size,
                address,
                len(raw) if section.raw_size is None else section.raw_size,
                (position if raw else 0) if section.raw_offset is None else section.raw_offset,
                0,
                0,
                0,
                0,
                section.characteristics,
            )
            body += raw
            position += len(raw)
            address += _up(max(size, 1), self.section_alignment)
        optional = self._optional(headers_size, address)
        dos = struct.pack("<2s58xI", b"MZ", self.lfanew) + DOS_STUB
        headers = dos[: self.lfanew].ljust(self.lfanew, b"\0") if self.lfanew >= 64 else dos[:64]
        coff = struct.pack(
            "<4sHHIIIHH",
            b"PE\0\0",
            self.machine,
            len(self.sections),
            0,
            0,
            0,
            self._optional_size,
            self.characteristics,
        )
        headers = headers[: self.lfanew] + coff + optional[: self._optional_size] + table
        return headers.ljust(headers_size, b"\0") + self.gap + body + self.overlay

    def _optional(self, headers_size: int, image_size: int) -> bytes:
        code = sum(len(section.data) for section in self.sections if section.characteristics & 0x20)
        start = struct.pack("<HBBIIIII", 0x20B if self.plus else 0x10B, 14, 0, code, 0, 0, self.section_alignment, 0x1000)
        base = struct.pack("<Q", 0x140000000) if self.plus else struct.pack("<II", 0x2000, 0x400000)
        middle = struct.pack(
            "<IIHHHHHHIIIIHH",
            self.section_alignment,
            self.file_alignment,
            *(6, 0, 0, 0, 6, 0, 0),
            image_size,
            headers_size,
            self.checksum,
            self.subsystem,
            0x0160 if self.subsystem < EFI_APPLICATION else 0,
        )
        stacks = struct.pack("<QQQQ" if self.plus else "<IIII", 0x100000, 0x1000, 0x100000, 0x1000)
        directories = [(0, 0)] * max(self.directories, 5)
        directories[4] = self.security
        packed = b"".join(struct.pack("<II", *each) for each in directories)[: 8 * self.directories]
        counts = struct.pack("<II", 0, self.extra.get("directory_count", self.directories))
        return start + base + middle + stacks + counts + packed


def _up(number: int, alignment: int) -> int:
    return -(-number // alignment) * alignment


def checksum(data: bytes, at: int) -> int:
    """CheckSum, word by word as the documentation has it: slow, and nothing like the code under test."""
    data = data[:at] + bytes(4) + data[at + 4 :]
    total = 0
    for (word,) in struct.iter_unpack("<H", data + bytes(len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total + len(data)


def with_checksum(image: Pe) -> bytes:
    """The file with CheckSum as a linker writes it."""
    return replace(image, checksum=checksum(image.build(), image.checksum_at)).build()


SAMPLES = {
    "sample-program64.exe": Pe(),
    "sample-program32.exe": Pe(plus=False, machine=I386, characteristics=0x0102),
    "sample-library.dll": Pe(characteristics=0x2022, subsystem=GUI, sections=(Section(b".text", RETURN_ONE),)),
    "sample-boot.efi": Pe(subsystem=EFI_APPLICATION),
    "sample-overlay.exe": Pe(overlay=b"PK\x05\x06" + bytes(18) + b"self-extracting"),
}


def main() -> None:
    """Write the samples beside this file."""
    for name, image in SAMPLES.items():
        (Path(__file__).parent / name).write_bytes(with_checksum(image))


if __name__ == "__main__":
    main()
