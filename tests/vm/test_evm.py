"""EVM: portable signatures of chopmark's keep owner, mode and attributes of programs as they were when signed.

The signer's certificate is in the keyrings `_ima` and `_evm`; EVM is turned on, and a policy asks for IMA signatures.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.vm import initramfs, lab
from tests.vm.lab import chopmark, verdict
from tests.vm.machine import Console, Machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.kernels import Kernel

pytestmark = [pytest.mark.vm, pytest.mark.skipif(os.geteuid() != 0, reason="only root may set security.evm")]

UUID = "b9c1d2f0-5a67-4f0e-9c4e-31d5f1a0c003"
RUNS = (42, "exit")
REFUSED = (13, "EACCES")
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service, permitted and effective


def forget_the_signature(path: Path) -> None:
    """A digest where it was, which anybody who can write the file can put there."""
    digest = hashlib.sha256(path.read_bytes()).digest()
    os.setxattr(path, "security.ima", b"\x04\x04" + digest)


class Case(NamedTuple):
    """A program: what becomes of it after it was signed, the kernel's answer, and what `chopmark verify` says."""

    change: Callable[[Path], None] | None
    answer: tuple[int, str]
    chopmark: str


CASES = {
    "signed": Case(None, RUNS, "trusted"),
    "other-owner": Case(lambda path: os.chown(path, 1000, 0), REFUSED, "rejected"),
    "set-user-id": Case(lambda path: path.chmod(0o4755), REFUSED, "rejected"),
    "capability": Case(lambda path: os.setxattr(path, "security.capability", CAPABILITY), REFUSED, "rejected"),
    "other-ima": Case(forget_the_signature, REFUSED, "rejected"),
}


@pytest.fixture(scope="module")
def files(cast: Cast, workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program for each case, one signed for IMA alone and one whose EVM signature is a stranger's."""
    folder = tmp_path_factory.mktemp("evm")
    program = lab.program(workshop / "evm-program").read_bytes()
    for name in (*CASES, "without", "stranger"):
        path = folder / name
        path.write_bytes(program + name.encode().ljust(64))
        path.chmod(0o755)
        chopmark("sign", path, "--format", "ima", *cast.module.options)
        if name != "without":
            by = cast.stranger if name == "stranger" else cast.module
            chopmark("sign", path, "--format", "ima", "--variant", "evm", *by.options)
    for name, case in CASES.items():
        if case.change:
            case.change(folder / name)
    return folder


@pytest.fixture(scope="module")
def judged(
    cast: Cast,
    files: Path,
    kernel: Kernel,
    vmlinux: Path,
    first_process: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Console:
    """One boot: the kernel's answer about each program."""
    folder = tmp_path_factory.mktemp(f"evm-{kernel.name}")
    needed = kernel.with_dependencies("loop")
    wanted = {f"needs-{name}": f"keep|/modules/{name}.ko" for name in needed}
    wanted |= {"loop": "loop|0|/files.img", "mount": "mount|/dev/loop0|/mnt|ext4"}
    for ring in ("_ima", "_evm"):
        wanted |= {f"ring{ring}": f"newring|{ring}", f"key{ring}": f"key|{ring}|/ours.der"}
    wanted |= {"on": "say|2|/sys/kernel/security/evm", "policy": "put|/policy|/sys/kernel/security/ima/policy"}
    wanted |= {path.name: f"run|/mnt/{path.name}" for path in files.iterdir()}
    content = {
        "init": first_process,
        "steps": initramfs.steps(wanted),
        "policy": f"appraise func=BPRM_CHECK fsuuid={UUID} appraise_type=imasig\n".encode(),
        "ours.der": cast.module.der.read_bytes(),
        "files.img": lab.ext4(folder / "files.img", files, identifier=UUID).read_bytes(),
        **{f"modules/{name}.ko": data for name, data in needed.items()},
    }
    initrd = folder / "initrd"
    initrd.write_bytes(initramfs.archive(content))
    return Machine(f"evm-{kernel.name}", 12, kernel=vmlinux, initrd=initrd).boot()


@pytest.mark.parametrize("name", CASES)
def test_program(judged: Console, name: str) -> None:
    assert judged["on"].word == "ok"
    assert judged[name][:2] == CASES[name].answer


def test_others_signature_and_none(judged: Console) -> None:
    assert judged["stranger"][:2] == judged["without"][:2] == REFUSED
    assert "invalid-fail-immutable" in judged["stranger"].log
    assert "missing-HMAC" in judged["without"].log


@pytest.mark.parametrize("name", CASES)
def test_chopmark_beside_it(cast: Cast, files: Path, name: str) -> None:
    assert verdict(files / name, cast.module.certificate) == CASES[name].chopmark
