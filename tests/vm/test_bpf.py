"""Verdicts in the kernel (BPF LSM): what they let run, what ends them, and what they outlive, on Debian's kernels.

The guest runs chopmark itself: `guard bpf load`, `allow`, `seal` and so on, and says what each answer was.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from tests.support import guarding
from tests.vm import initramfs, lab, python_volume
from tests.vm.lab import chopmark
from tests.vm.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.kernels import Kernel

pytestmark = pytest.mark.vm

_ANSWER = re.compile(r"^bpf: (\S+) (.*)$", re.MULTILINE)
RUNS = "42"
"""What every program ends with that is known, so that one of another content shows."""
KNOWN = (
    "known",
    "by-write",
    "by-mapping",
    "by-truncate",
    "by-open",
    "by-rename",
    "library",
    "outlives",
    "race",
    "evicted",
    "guarded",
)
SIGNED = ("signed", "changed", "stranger", "unsigned", "another-files")

ANSWERS = {
    "doctor": "ok",
    "load": "0",
    "load-twice": "ok",
    "known-unjudged": "EPERM",
    "allow": "0",
    "known": RUNS,
    "unknown": "EPERM",
    "allow-unknown": "1",
    "unknown-judged": "EPERM",
    "hard-link": RUNS,
    "other-mount": f"{RUNS} EPERM",
    "elsewhere": "43",
    "script-interpreter-unjudged": "EPERM",
    "script": RUNS,
    "script-of-unknown": "EPERM",
    "unknown-script": "EPERM",
    **{f"{name}-before-and-after": f"{RUNS} EPERM" for name in KNOWN if name.startswith("by-")},
    **{f"{name}-again": RUNS for name in KNOWN if name.startswith("by-")},
    "mapping-stays-executed": "ETXTBSY",
    "mapping-stays-allow": "1",
    "library-unjudged": "EPERM",
    "allow-library": "0",
    "library": "ok",
    "library-as-data": "ok",
    "library-writer": "ETXTBSY",
    "library-truncated": "ETXTBSY",
    "data-made-code": "EPERM",
    "guard-killed": f"{RUNS} EPERM",
    "another-policy": "EPERM",
    "known-again": f"{RUNS} {RUNS}",
    "out-of-memory-and-back": "EPERM",
    "audit": "0",
    "audited": "43",
    "enforce": "0",
    "enforced": "EPERM",
    "guard": "guard ready",
    "guarded-known": f"{RUNS} {RUNS}",
    "guarded-for-a-while": "43 43",
    "guarded-unknown": "EPERM",
    "guarded-written": "EPERM",
    "unguarded-known": RUNS,
    "unguarded-for-a-while": "EPERM",
    "unguarded-unknown": "EPERM",
    "unload": "0",
    "unloaded": "43",
}
PROOFS = {
    "signatures": "0",
    "sealed-signed": RUNS,
    "sealed-changed": "EPERM",
    "sealed-stranger": "EPERM",
    "sealed-unsigned": "EPERM",
    "sealed-another-files": "EPERM",
    "sealed-asked": "ok EPERM",
    "sealed-mapped": "ok EPERM",
    "sealed-writer": "ETXTBSY",
    "sealed-and-out-of-memory": RUNS,
    "signature-removed": "EPERM",
    "list": "0",
    "listed-and-out-of-memory": RUNS,
}


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_volume.build(tmp_path_factory.mktemp("python"))


def _program(status: int, name: str) -> bytes:
    return guarding.program(status) + name.encode()


@pytest.fixture(scope="module")
def files(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file system under protection: programs, scripts and what was signed; and the policy beside it."""
    folder = tmp_path_factory.mktemp("files")
    inside = folder / "inside"
    inside.mkdir()
    contents = {name: _program(42, name) for name in (*KNOWN, *SIGNED, "interpreter")}
    contents |= {"unknown": _program(43, "unknown"), "unknown-interpreter": _program(43, "another")}
    contents |= {"script": b"#!/mnt/interpreter\n", "script-of-unknown": b"#!/mnt/unknown-interpreter\n"}
    contents["for-a-while"] = _program(43, "for-a-while")
    contents["unknown-script"] = b"#!/mnt/interpreter\n# nobody knows this one\n"
    for name, content in contents.items():
        (inside / name).write_bytes(content)
        (inside / name).chmod(0o755)
    for name in SIGNED:
        by = cast.stranger if name == "stranger" else cast.module
        if name != "unsigned":
            chopmark("sign", inside / name, "--format", "fsverity", *by.options)
    (inside / "another-files.fsv_sig").write_bytes((inside / "signed.fsv_sig").read_bytes())
    lab.altered(inside / "changed", inside / "changed", -1)
    known = (*KNOWN, "interpreter", "script", "script-of-unknown", "unsigned")
    digests = ", ".join(f'"sha256:{hashlib.sha256(contents[name]).hexdigest()}"' for name in known)
    passing = hashlib.sha256(contents["for-a-while"]).hexdigest()
    (folder / "policy.toml").write_text(
        f'chopmark-policy = 1\nname = "vm"\nversion = 1\nmode = "enforce"\n'
        f'[[rule]]\naction = "allow"\ndigest = [{digests}]\n'
        f'[[rule]]\naction = "allow"\ndigest = "sha256:{passing}"\nexpires = 2099-01-01\n'
    )
    return folder


@pytest.fixture(scope="module")
def answers(
    cast: Cast,
    files: Path,
    kernel: Kernel,
    vmlinux: Path,
    volume: Path,
    first_process: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """One boot: every answer by its name."""
    folder = tmp_path_factory.mktemp(f"bpf-{kernel.name}")
    image = lab.ext4(folder / "files.img", files / "inside", features="verity").read_bytes()
    needed = kernel.with_dependencies("virtio_pci", "virtio_blk", "loop", "sha512_generic")
    beside = {"policy.toml": (files / "policy.toml").read_bytes(), "signer.pem": cast.module.certificate.read_bytes()}
    beside["unknown"] = _program(43, "unknown")
    wanted = {f"needs-{name}": f"keep|/modules/{name}.ko" for name in needed}
    wanted |= python_volume.steps()
    wanted |= {"loop": "loop|0|/files.img", "mount": f"mount|/dev/loop0|{python_volume.PLACE}/mnt|ext4"}
    wanted |= {f"copy-{name}": f"copy|/{name}|{python_volume.PLACE}/opt/{name}" for name in beside}
    wanted |= {"bind": f"mount|tmpfs|{python_volume.PLACE}/opt/bind|tmpfs"}
    wanted |= {"verdicts": python_volume.command("verdicts")}
    content = {"init": first_process, "steps": initramfs.steps(wanted), "files.img": image, **beside}
    content |= {f"modules/{name}.ko": data for name, data in needed.items()}
    initrd = folder / "initrd"
    initrd.write_bytes(initramfs.archive(content))
    machine = Machine(
        f"bpf-{kernel.name}", 130, kernel=vmlinux, initrd=initrd, volume=volume, options="lsm=lockdown,bpf"
    )
    console = machine.boot()
    assert console["verdicts"].code == 0, console["verdicts"].log
    return dict(_ANSWER.findall(console["verdicts"].log))


@pytest.mark.parametrize("name", ANSWERS)
def test_answer(answers: dict[str, str], name: str) -> None:
    assert answers[name] == ANSWERS[name]


def test_interpreters_that_ask_get_the_same_answer(answers: dict[str, str], kernel: Kernel) -> None:
    there = kernel.version >= (6, 14)
    assert answers["asked-known"] == ("ok" if there else "EINVAL")
    assert answers["asked-unknown"] == ("EPERM" if there else "EINVAL")


def test_nothing_unjudged_runs_while_somebody_writes(answers: dict[str, str]) -> None:
    assert RUNS in answers["race"].split()
    assert set(answers["race"].split()) <= {"EPERM", RUNS}


@pytest.mark.parametrize("name", PROOFS)
def test_what_proves_itself(answers: dict[str, str], kernel: Kernel, name: str) -> None:
    if kernel.version >= (6, 8):
        assert answers[name] == PROOFS[name]
    else:
        assert answers.get(name, "3") == "3"


def test_before_it_is_asked_for_signatures_count_for_nothing(answers: dict[str, str]) -> None:
    assert answers["unsealed"] == " ".join(["EPERM"] * len(SIGNED))
