"""Unified kernel images (UAPI Group specification 1): systemd's stub, with kernel, options and initrd as sections."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.vm.lab import SYSTEMD, run

if TYPE_CHECKING:
    from pathlib import Path

_PAGE = 4096


def make(target: Path, kernel: Path, initrd: Path, options: str) -> Path:
    """The stub with the sections that it looks for, behind its own."""
    stub = SYSTEMD / "linuxx64.efi.stub"
    parts = {".osrel": target.with_suffix(".osrel"), ".cmdline": target.with_suffix(".cmdline")}
    parts[".osrel"].write_text("ID=chopmark\nPRETTY_NAME=chopmark in a virtual machine\n")
    parts[".cmdline"].write_text(options)
    parts |= {".initrd": initrd, ".linux": kernel}
    address = _end(stub.read_bytes())
    command: list[str | Path] = ["objcopy"]
    for name, path in parts.items():
        command += ["--add-section", f"{name}={path}", "--set-section-flags", f"{name}=data,readonly"]
        command += ["--change-section-vma", f"{name}={address:#x}"]
        address = _aligned(address + path.stat().st_size)
    run(*command, stub, target)
    return target


def _aligned(address: int) -> int:
    return -(-address // _PAGE) * _PAGE


def _end(image: bytes) -> int:
    """Where in memory the last section of a PE32+ image ends, its base included (PE Format, "Section Table")."""
    [header] = struct.unpack_from("<I", image, 0x3C)
    sections, optional = struct.unpack_from("<H12xH", image, header + 6)
    [base] = struct.unpack_from("<Q", image, header + 24 + 24)
    table = header + 24 + optional
    places = [struct.unpack_from("<8xII", image, table + 40 * number) for number in range(sections)]
    return _aligned(base + max(address + size for size, address in places))
