"""Where things are: what tools/vm_peers.sh brought, the programs for the guests, what was seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent.parent
LAB = ROOT / "build" / "vm"
LOGS = LAB / "logs"
GUEST = Path(__file__).resolve().parent / "guest"
FIRMWARE = LAB / "ovmf" / "usr" / "share" / "OVMF"
LOADERS = LAB / "loaders" / "usr" / "lib"
SHIM = LOADERS / "shim" / "shimx64.efi.signed"
SYSTEMD = LOADERS / "systemd" / "boot" / "efi"
GRUB = LOADERS / "grub" / "x86_64-efi-signed" / "grubx64.efi.signed"

_LINUX = ("gcc", "-static", "-s")
# What an EFI application is for a compiler: a DLL of subsystem 10 without a C library.
_EFI = ("x86_64-w64-mingw32-gcc", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-mno-red-zone")
_EFI_LINK = ("-mno-stack-arg-probe", "-nostdlib", "-shared", "-Wl,--subsystem,10", "-Wl,-e,efi_main", "-s")


def run(*command: str | Path, timeout: float = 120) -> str:
    """Run a program that has to succeed; what it printed. Raises RuntimeError with its complaint otherwise."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    if done.returncode:
        message = f"{command[0]} ended with {done.returncode}: {done.stderr or done.stdout}"
        raise RuntimeError(message)
    return done.stdout


def chopmark(*arguments: str | Path) -> str:
    """The command line under test, in a process of its own."""
    return run(sys.executable, "-m", "chopmark", *arguments)


def verdict(path: Path, store: Path) -> str:
    """The status that `chopmark verify` gives a file, with the certificates in `store` and without revocation data."""
    command = [sys.executable, "-m", "chopmark", "verify", "--json", "--offline", "--revocation", "off"]
    command += ["--store", str(store), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    status: str = json.loads(done.stdout)["status"]
    return status


def altered(source: Path, target: Path, position: int) -> None:
    """A copy with one bit flipped."""
    data = bytearray(source.read_bytes())
    data[position] ^= 1
    target.write_bytes(data)


def _compile(command: Sequence[str], sources: Sequence[str], target: Path, extra: Sequence[str] = ()) -> Path:
    run(*command, "-Os", "-Wall", "-Wextra", "-Werror", "-o", target, *(GUEST / each for each in sources), *extra)
    return target


def first_process(target: Path) -> Path:
    """The guest's /init."""
    return _compile(_LINUX, ("init.c", "verbs.c", "dm.c"), target)


def program(target: Path) -> Path:
    """A program for Linux that ends with status 42, to be allowed or refused."""
    return _compile(_LINUX, ("program.c",), target, ("-nostdlib", "-ffreestanding"))


def ext4(target: Path, content: Path, *, identifier: str = "", features: str = "", size: str = "16M") -> Path:
    """An ext4 image with a folder's files in it, extended attributes too."""
    command: list[str | Path] = ["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", content, "-E", "root_owner=0:0"]
    command += ["-U", identifier] if identifier else []
    command += ["-O", features] if features else []
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"  # where mke2fs is, which only root has on the path
    done = subprocess.run([*command, target, size], capture_output=True, check=False, env={"PATH": path})
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return target


def harness(target: Path) -> Path:
    """The EFI application that asks the firmware about others."""
    return _compile(_EFI, ("harness.c", "serial.c"), target, _EFI_LINK)


def payload(target: Path, component: str = "") -> Path:
    """An EFI application to be started or refused; shim compares `component`, a name and a generation ("grub,1")."""
    defined = (f'-DCOMPONENT="{component}"',) if component else ()
    return _compile((*_EFI, *defined), ("payload.c", "serial.c"), target, _EFI_LINK)
