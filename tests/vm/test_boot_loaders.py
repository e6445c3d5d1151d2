"""Debian's boot loaders and unified kernel images, signed by chopmark: what the firmware starts and what it refuses."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.vm import firmware, initramfs, lab, uki
from tests.vm.lab import altered, chopmark, verdict
from tests.vm.machine import Console, Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.kernels import Kernel

pytestmark = pytest.mark.vm

DENIED = "ACCESS_DENIED"
LOADERS = {"shim": lab.SHIM, "grub": lab.GRUB, "systemd-boot": lab.SYSTEMD / "systemd-bootx64.efi"}
REFUSED = ("unsigned", "stranger", "changed-options", "changed-initrd")
OPTIONS = "console=ttyS0 quiet panic=-1 chopmark.vm=unified"


@pytest.fixture(scope="module")
def images(cast: Cast, kernel: Kernel, first_process: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each loader as it comes, signed and signed beside, and a unified kernel image in several states."""
    folder = tmp_path_factory.mktemp(f"loaders-{kernel.name}")
    for name, path in LOADERS.items():
        shutil.copy(path, folder / f"{name}-original.efi")
        chopmark("sign", path, "-o", folder / f"{name}-ours.efi", *cast.boot.options)
        chopmark("sign", path, "-o", folder / f"{name}-both.efi", "--append", *cast.boot.options)
    steps = {"options": "cat|/proc/cmdline", "lockdown": "cat|/sys/kernel/security/lockdown"}
    initrd = folder / "initrd"
    initrd.write_bytes(initramfs.archive({"init": first_process, "steps": initramfs.steps(steps)}))
    unified = uki.make(folder / "unsigned.efi", kernel.image, initrd, OPTIONS)
    chopmark("sign", unified, "-o", folder / "signed.efi", *cast.boot.options)
    chopmark("sign", unified, "-o", folder / "stranger.efi", *cast.stranger.options)
    data = (folder / "signed.efi").read_bytes()
    for name, content in {"changed-options": b"chopmark.vm=unified", "changed-initrd": initrd.read_bytes()}.items():
        altered(folder / "signed.efi", folder / f"{name}.efi", data.index(content) + len(content) // 2)
    return folder


@pytest.fixture(scope="module")
def judged(
    cast: Cast, harness: Path, images: Path, kernel: Kernel, tmp_path_factory: pytest.TempPathFactory
) -> Console:
    """One boot: the firmware's answer about each, and then the unified kernel image is started."""
    folder = tmp_path_factory.mktemp(f"unified-{kernel.name}")
    boot = folder / "boot.efi"
    chopmark("sign", harness, "-o", boot, *cast.boot.options)
    wanted = {path.stem: f"load|\\{path.name}" for path in images.glob("*.efi") if path.stem != "signed"}
    wanted["signed"] = "start|\\signed.efi"
    disk = firmware.volume(folder / "disk", boot, initramfs.steps(wanted), images.glob("*.efi"))
    variables = firmware.variables(folder / "v.fd", cast.platform, cast.exchange, db=[cast.authority])
    return Machine(f"loaders-{kernel.name}", 30, variables=variables, disk=disk).boot()


@pytest.mark.parametrize("name", LOADERS)
def test_loader(judged: Console, name: str) -> None:
    assert judged[f"{name}-original"].word == DENIED
    assert judged[f"{name}-ours"].word == "ok"
    assert judged[f"{name}-both"].word == "ok"


@pytest.mark.parametrize("name", REFUSED)
def test_unified_kernel_image_that_is_refused(judged: Console, name: str) -> None:
    assert judged[name].word == DENIED


def test_unified_kernel_image(judged: Console, kernel: Kernel) -> None:
    assert f"vm: begin {kernel.release}" in judged.text
    assert OPTIONS in judged["options"].log
    assert "[integrity]" in judged["lockdown"].log


def test_chopmark_beside_it(cast: Cast, images: Path) -> None:
    expected = {"signed": "trusted", "unsigned": "unsigned", "stranger": "rejected", "changed-options": "rejected"}
    store = cast.authority.certificate
    assert {name: verdict(images / f"{name}.efi", store) for name in expected} == expected
