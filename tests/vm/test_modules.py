"""Kernel modules: what Debian's kernels load and what they refuse, of modules that chopmark signed.

The whole chain is under test: the firmware starts a program that chopmark signed, that starts Debian's kernel to which
chopmark added a signature, and the kernel, locked down because Secure Boot is on, is asked about modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support import pki
from tests.vm import firmware, identities, initramfs
from tests.vm.lab import altered, chopmark, verdict
from tests.vm.machine import Console, Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.kernels import Kernel

pytestmark = pytest.mark.vm

MODULE = "dummy"
"""A network device that needs no hardware and nothing else."""

KERNEL_OPTIONS = "console=ttyS0 quiet panic=-1"
COMPRESSED = 4  # MODULE_INIT_COMPRESSED_FILE


class Case(NamedTuple):
    """A module: the kernel's answer, what it logs, and what `chopmark verify` says with the signer in its store."""

    word: str
    logged: str
    chopmark: str


UNAVAILABLE = "Loading of module with unavailable key is rejected"
CASES = {
    "signed": Case("ok", "", "trusted"),
    "sha384": Case("ok", "", "trusted"),
    "sha512": Case("ok", "", "trusted"),
    "unsigned": Case("EKEYREJECTED", "Loading of unsigned module is rejected", "unsigned"),
    "stranger": Case("EKEYREJECTED", UNAVAILABLE, "undecided"),
    "tampered": Case("EKEYREJECTED", "", "rejected"),
    "tampered-signature": Case("EKEYREJECTED", "", "rejected"),
    "trailing-byte": Case("EKEYREJECTED", "Loading of unsigned module is rejected", "rejected"),
    "debians": Case("ok", "", "undecided"),  # the kernel has the certificate of its own build
}


@pytest.fixture(scope="module")
def elliptic(tmp_path_factory: pytest.TempPathFactory) -> identities.Identity:
    folder = tmp_path_factory.mktemp("elliptic")
    return identities.signer(folder, "P-384 Module Signer", private_key=pki.key("p384", "vm"))


@pytest.fixture(scope="module")
def modules(
    cast: Cast, elliptic: identities.Identity, kernel: Kernel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a module for each case."""
    folder = tmp_path_factory.mktemp(f"modules-{kernel.name}")
    ours = cast.module.options

    def at(name: str) -> Path:
        return folder / f"{name}.ko"

    def sign(name: str, *options: str | Path) -> None:
        chopmark("sign", at("debians"), "-o", at(name), *options)

    at("debians").write_bytes(kernel.module(MODULE))
    sign("signed", *ours)
    sign("sha384", "--digest", "sha384", *ours)
    sign("sha512", "--digest", "sha512", *ours)
    sign("stranger", *cast.stranger.options)
    sign("elliptic", *elliptic.options)
    chopmark("strip", at("debians"), "-o", at("unsigned"))
    altered(at("signed"), at("tampered"), at("unsigned").stat().st_size // 2)
    altered(at("signed"), at("tampered-signature"), -60)
    at("trailing-byte").write_bytes(at("signed").read_bytes() + b"\n")
    [packed] = list(kernel.folder.rglob(f"{MODULE}.ko*"))
    if packed.suffix == ".xz":
        chopmark("sign", packed, "-o", folder / "packed.ko.xz", *ours)
    return folder


def contents(first_process: bytes, kernel: Kernel, modules: Path, names: list[str]) -> dict[str, bytes]:
    """What is in the guest. Old kernels have SHA-512 in a module of its own: one case comes before that."""
    hashes = kernel.with_dependencies("sha512_generic")
    wanted = {"early-sha512": f"insmod|/sha512.ko|{MODULE}"} if hashes else {}
    wanted |= {f"needs-{name}": f"keep|/hashes/{name}.ko" for name in hashes}
    wanted |= {name: f"insmod|/{name}.ko|{MODULE}" for name in names}
    if (modules / "packed.ko.xz").exists():
        wanted["packed"] = f"insmod|/packed.ko.xz|{MODULE}|{COMPRESSED}"
    wanted |= {"lockdown": "cat|/sys/kernel/security/lockdown", "keys": "cat|/proc/keys"}
    files = {path.name: path.read_bytes() for path in modules.glob("*.ko*")}
    files |= {f"hashes/{name}.ko": data for name, data in hashes.items()}
    return {"init": first_process, "steps": initramfs.steps(wanted), **files}


@pytest.fixture(scope="module")
def judged(
    cast: Cast,
    elliptic: identities.Identity,
    harness: Path,
    kernel: Kernel,
    modules: Path,
    first_process: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Console:
    """One boot under Secure Boot, with the module signers in db: the kernel's answer about each module."""
    folder = tmp_path_factory.mktemp(f"secure-{kernel.name}")
    boot, linux, initrd = folder / "boot.efi", folder / "linux.efi", folder / "initrd"
    chopmark("sign", harness, "-o", boot, *cast.boot.options)
    chopmark("sign", kernel.image, "-o", linux, "--append", *cast.boot.options)
    initrd.write_bytes(initramfs.archive(contents(first_process, kernel, modules, [*CASES, "elliptic"])))
    steps = initramfs.steps({"kernel": f"start|\\linux.efi|{KERNEL_OPTIONS} initrd=\\initrd"})
    disk = firmware.volume(folder / "disk", boot, steps, [linux, initrd])
    db = [cast.authority, cast.module, elliptic]
    variables = firmware.variables(folder / "variables.fd", cast.platform, cast.exchange, db=db)
    return Machine(f"modules-{kernel.name}", 25, variables=variables, disk=disk).boot()


def test_the_kernel_started_by_secure_boot_is_locked_down(judged: Console, kernel: Kernel) -> None:
    assert "vm: begin firmware SecureBoot=1" in judged.text
    assert f"vm: begin {kernel.release}" in judged.text
    assert "[integrity]" in judged["lockdown"].log


@pytest.mark.parametrize("name", CASES)
def test_module(judged: Console, name: str) -> None:
    assert judged[name].word == CASES[name].word
    assert CASES[name].logged in judged[name].log


def test_elliptic_keys_count_from_6_12_on(judged: Console, kernel: Kernel) -> None:
    answer = judged["elliptic"]
    if kernel.version >= (6, 12):
        assert answer.word == "ok"
    else:
        assert answer.word == "EKEYREJECTED"
        assert UNAVAILABLE in answer.log


def test_long_digests_need_a_module_in_old_kernels(judged: Console, kernel: Kernel) -> None:
    assert ("early-sha512" in judged.answers) == (kernel.version < (6, 12))
    if kernel.version < (6, 12):
        assert judged["early-sha512"].word == "EKEYREJECTED"
        assert "Loading of module with unsupported crypto is rejected" in judged["early-sha512"].log


def test_compressed_module(judged: Console, kernel: Kernel) -> None:
    if kernel.version < (6, 12):
        assert "packed" not in judged.answers  # Debian's older kernels cannot unpack modules
    else:
        assert judged["packed"].word == "ok"


@pytest.mark.parametrize("name", CASES)
def test_chopmark_beside_it(cast: Cast, modules: Path, name: str) -> None:
    assert verdict(modules / f"{name}.ko", cast.module.certificate) == CASES[name].chopmark


@pytest.fixture(scope="module")
def alone(
    kernel: Kernel, vmlinux: Path, modules: Path, first_process: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Console:
    """A boot without firmware: the same modules, module.sig_enforce=1 instead of lockdown, and our key nowhere."""
    initrd = tmp_path_factory.mktemp(f"alone-{kernel.name}") / "initrd"
    initrd.write_bytes(initramfs.archive(contents(first_process, kernel, modules, [*CASES])))
    options = "module.sig_enforce=1"
    return Machine(f"modules-alone-{kernel.name}", 12, kernel=vmlinux, initrd=initrd, options=options).boot()


@pytest.mark.parametrize("name", CASES)
def test_without_our_key_only_debians_own_loads(alone: Console, name: str) -> None:
    assert "[none]" in alone["lockdown"].log
    if name == "debians":
        assert alone[name].word == "ok"
    else:
        assert alone[name].word == "EKEYREJECTED"
        assert ("unsigned module" if name in {"unsigned", "trailing-byte"} else UNAVAILABLE) in alone[name].log
