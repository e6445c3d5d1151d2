"""kexec: which kernels a running, locked down kernel loads to be started next, of those that chopmark signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vm import firmware, initramfs
from tests.vm.lab import altered, chopmark
from tests.vm.machine import Console, Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.kernels import Kernel

pytestmark = pytest.mark.vm

CASES = {"signed": "ok", "unsigned": "ENODATA", "stranger": "ENOKEY", "tampered": "EKEYREJECTED"}


@pytest.fixture(scope="module")
def judged(
    cast: Cast, harness: Path, kernel: Kernel, first_process: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Console:
    """One boot: firmware, the kernel with our signature added, and its answer about kernels."""
    folder = tmp_path_factory.mktemp(f"kexec-{kernel.name}")
    boot, initrd = folder / "boot.efi", folder / "initrd"
    chopmark("sign", harness, "-o", boot, *cast.boot.options)
    for name, signer in {"signed": cast.boot, "stranger": cast.stranger}.items():
        chopmark("sign", kernel.image, "-o", folder / name, *signer.options)
    chopmark("strip", kernel.image, "-o", folder / "unsigned")
    altered(folder / "signed", folder / "tampered", 0x100000)
    wanted = {name: f"kexec|/{name}" for name in CASES}
    wanted["lockdown"] = "cat|/sys/kernel/security/lockdown"
    content = {"init": first_process, "steps": initramfs.steps(wanted)}
    content |= {name: (folder / name).read_bytes() for name in CASES}
    initrd.write_bytes(initramfs.archive(content))
    steps = {"kernel": "start|\\signed|console=ttyS0 quiet panic=-1 initrd=\\initrd"}
    disk = firmware.volume(folder / "disk", boot, initramfs.steps(steps), [folder / "signed", initrd])
    variables = firmware.variables(folder / "v.fd", cast.platform, cast.exchange, db=[cast.authority, cast.boot])
    return Machine(f"kexec-{kernel.name}", 40, variables=variables, disk=disk, memory=1024).boot()


@pytest.mark.parametrize("name", CASES)
def test_kernel(judged: Console, name: str) -> None:
    assert "[integrity]" in judged["lockdown"].log
    assert judged[name].word == CASES[name]
