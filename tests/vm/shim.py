"""Debian's shim, which chopmark signs besides: a machine whose firmware starts it, and whose owner has a key (MOK)."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from tests.vm import firmware, initramfs
from tests.vm.lab import chopmark
from tests.vm.machine import Console, Machine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.vm.identities import Identity
    from tests.vm.kernels import Kernel

SECOND = "EFI/BOOT/grubx64.efi"
"""What shim starts."""


class Start(NamedTuple):
    """What such a machine begins with."""

    image: Path
    """shim."""
    variables: Path
    """shim writes to them: each machine gets a copy."""
    owner: Identity
    harness: Path
    """Unsigned."""

    def boot(self, name: str, usual: float, disk: Path, second: Path, until: str = "") -> Console:
        """A machine with this second stage on its disk."""
        shutil.copy(second, disk / SECOND)
        store = disk.with_name("variables.fd")
        shutil.copy(self.variables, store)
        return Machine(name, usual, variables=store, disk=disk).boot(until)

    def linux(
        self,
        name: str,
        usual: float,
        folder: Path,
        kernel: Kernel,
        content: Mapping[str, bytes],
        beside: Mapping[str, Path] | None = None,
    ) -> Console:
        """The harness and then a kernel, both signed by the owner.

        `content` is in the initrd; shim is asked to load what is `beside`, by name.
        """
        second, linux, initrd = folder / "second.efi", folder / "linux.efi", folder / "initrd"
        chopmark("sign", self.harness, "-o", second, *self.owner.options)
        chopmark("sign", kernel.image, "-o", linux, *self.owner.options)
        initrd.write_bytes(initramfs.archive(content))
        images = beside or {}
        asked = {name: f"load|\\{path.name}" for name, path in images.items()}
        asked["kernel"] = "start|\\linux.efi|console=ttyS0 quiet panic=-1 initrd=\\initrd"
        disk = firmware.volume(folder / "disk", self.image, initramfs.steps(asked), [linux, initrd, *images.values()])
        return self.boot(name, usual, disk, second)
