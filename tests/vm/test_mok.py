"""shim and machine owner keys: Debian's shim, with a signature of chopmark's added, starts what the owner's key signed.

Microsoft's keys are in nobody's db here: the firmware starts shim for chopmark's signature. What shim starts is signed
by a key that only shim knows of (MokList), down to Debian's kernel, which takes the key into its keyring `.machine`.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.vm import firmware, initramfs, lab, shim
from tests.vm.lab import altered, chopmark

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.kernels import Kernel
    from tests.vm.machine import Console

pytestmark = pytest.mark.vm

VIOLATION = "SECURITY_VIOLATION"
IMAGES = {
    "owners": "ok",
    "owners-without-sbat": "ok",
    "in-db": "ok",
    "strangers": VIOLATION,
    "unsigned": VIOLATION,
    "tampered": VIOLATION,
    "old-generation": VIOLATION,
}
MODULES = {"owners": "ok", "strangers": "EKEYREJECTED", "unsigned": "EKEYREJECTED", "tampered": "EKEYREJECTED"}


@pytest.fixture(scope="module")
def images(cast: Cast, payload: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image for each of IMAGES."""
    folder = tmp_path_factory.mktemp("mok-images")
    current = lab.payload(folder / "current.efi", "chopmark-payload,1")
    revoked = lab.payload(folder / "revoked.efi", "grub,1")
    for name, source, signer in (
        ("owners", current, cast.owner),
        ("owners-without-sbat", payload, cast.owner),
        ("in-db", current, cast.boot),
        ("strangers", current, cast.stranger),
        ("old-generation", revoked, cast.owner),
    ):
        chopmark("sign", source, "-o", folder / f"{name}.efi", *signer.options)
    shutil.copy(current, folder / "unsigned.efi")
    altered(folder / "owners.efi", folder / "tampered.efi", 0x420)
    return folder


@pytest.fixture(scope="module")
def modules(cast: Cast, kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module for each of MODULES."""
    folder = tmp_path_factory.mktemp(f"mok-modules-{kernel.name}")
    original = folder / "original"
    original.write_bytes(kernel.module("dummy"))
    chopmark("sign", original, "-o", folder / "owners.ko", *cast.owner.options)
    chopmark("sign", original, "-o", folder / "strangers.ko", *cast.stranger.options)
    chopmark("strip", original, "-o", folder / "unsigned.ko")
    altered(folder / "owners.ko", folder / "tampered.ko", 5000)
    return folder


@pytest.fixture(scope="module")
def judged(
    start: shim.Start,
    images: Path,
    kernel: Kernel,
    modules: Path,
    first_process: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Console:
    """One boot: firmware, shim, a program that asks shim about images, the kernel, and its answer about modules."""
    wanted = {f"module-{name}": f"insmod|/{name}.ko|dummy" for name in MODULES}
    wanted["lockdown"] = "cat|/sys/kernel/security/lockdown"
    content = {"init": first_process, "steps": initramfs.steps(wanted)}
    content |= {f"{name}.ko": (modules / f"{name}.ko").read_bytes() for name in MODULES}
    beside = {name: images / f"{name}.efi" for name in IMAGES}
    folder = tmp_path_factory.mktemp(f"mok-{kernel.name}")
    return start.linux(f"mok-{kernel.name}", 40, folder, kernel, content, beside)


@pytest.mark.parametrize("name", IMAGES)
def test_image(judged: Console, name: str) -> None:
    assert judged[name].word == IMAGES[name]
    assert ("Verification failed" in judged[name].log) == (IMAGES[name] != "ok")


def test_the_kernel_that_the_owner_signed_is_locked_down(judged: Console, kernel: Kernel) -> None:
    assert f"vm: begin {kernel.release}" in judged.text
    assert "[integrity]" in judged["lockdown"].log


@pytest.mark.parametrize("name", MODULES)
def test_module(judged: Console, name: str) -> None:
    assert judged[f"module-{name}"].word == MODULES[name]


@pytest.mark.parametrize("what", ["stranger", "unsigned"])
def test_shim_refuses_what_it_would_start(cast: Cast, start: shim.Start, what: str, tmp_path: Path) -> None:
    second = tmp_path / "second.efi"
    shutil.copy(start.harness, second)
    if what == "stranger":
        chopmark("sign", second, *cast.stranger.options)
    disk = firmware.volume(tmp_path / "disk", start.image)
    seen = start.boot(f"shim-{what}", 15, disk, second, until="Security Violation")
    assert "vm: begin" not in seen.text
