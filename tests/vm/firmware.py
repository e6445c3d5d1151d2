"""The firmware's side of Secure Boot: its variables, and a volume to start from."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.vm.lab import FIRMWARE, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.vm.identities import Identity

OWNER = "3f1d7c5e-6a0b-4c52-9d55-0c5a3c0f9b17"
"""Who answers for an entry of db or dbx; any GUID will do."""

BOOT = "EFI/BOOT/BOOTX64.EFI"
"""What firmware starts when nobody told it anything else (UEFI 2.10 clause 3.5.1.1)."""


def variables(
    target: Path,
    platform: Identity,
    exchange: Identity,
    *,
    db: Iterable[Identity] = (),
    dbx: Iterable[Identity] = (),
    db_hashes: Sequence[str] = (),
    dbx_hashes: Sequence[str] = (),
    mok: Iterable[Identity] = (),
) -> Path:
    """A store with Secure Boot on, as virt-firmware writes it: with these keys, and nobody else's."""
    command: list[str | Path] = [Path(sys.executable).parent / "virt-fw-vars"]
    command += ["--input", FIRMWARE / "OVMF_VARS_4M.fd", "--output", target, "--secure-boot"]
    command += ["--set-pk", OWNER, platform.certificate, "--add-kek", OWNER, exchange.certificate]
    for option, identities in (("--add-db", db), ("--add-dbx-cert", dbx), ("--add-mok", mok)):
        for identity in identities:
            command += [option, OWNER, identity.certificate]
    for option, digests in (("--add-db-hash", db_hashes), ("--add-dbx-hash", dbx_hashes)):
        for digest in digests:
            command += [option, OWNER, digest]
    run(*command)
    return target


def volume(folder: Path, boot: Path, steps: bytes = b"", files: Iterable[Path] = ()) -> Path:
    """A folder to be a FAT volume: `boot` is what the firmware starts, `files` lie beside it."""
    target = folder / BOOT
    target.parent.mkdir(parents=True)
    shutil.copy(boot, target)
    (folder / "steps").write_bytes(steps)
    for file in files:
        shutil.copy(file, folder / file.name)
    return folder
