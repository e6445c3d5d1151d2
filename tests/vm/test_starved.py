"""A guard without memory under cgroups version 2: Debian's kernels have it, machines with version 1 do not show it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from tests.support import guarding
from tests.vm import initramfs, python_volume
from tests.vm.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.kernels import Kernel

pytestmark = pytest.mark.vm

_ANSWER = re.compile(r"^starved: (\S+) (.*)$", re.MULTILINE)
LARGE = 16 << 20
"""As in guest/starved.py."""


@pytest.fixture(scope="module")
def answers(
    kernel: Kernel, vmlinux: Path, first_process: bytes, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """One boot: every answer by its name."""
    folder = tmp_path_factory.mktemp(f"starved-{kernel.name}")
    good = guarding.program(0).ljust(LARGE, b"\0")
    policy = (
        'chopmark-policy = 1\nname = "vm"\nversion = 1\nmode = "enforce"\n'
        f'[[rule]]\naction = "allow"\ndigest = "sha256:{hashlib.sha256(good).hexdigest()}"\n'
    )
    needed = kernel.with_dependencies("virtio_pci", "virtio_blk")
    beside = {"policy.toml": policy.encode(), "good": guarding.program(0), "evil": guarding.program(7)}
    place = python_volume.PLACE
    wanted = {f"needs-{name}": f"keep|/modules/{name}.ko" for name in needed}
    wanted |= python_volume.steps()
    wanted |= {"groups": f"mount|cgroup2|{place}/sys/fs/cgroup|cgroup2", "files": f"mount|tmpfs|{place}/mnt|tmpfs"}
    wanted |= {f"copy-{name}": f"copy|/{name}|{place}/opt/{name}" for name in beside}
    wanted |= {"starved": python_volume.command("starved")}
    content = {"init": first_process, "steps": initramfs.steps(wanted), **beside}
    content |= {f"modules/{name}.ko": data for name, data in needed.items()}
    initrd = folder / "initrd"
    initrd.write_bytes(initramfs.archive(content))
    volume = python_volume.build(folder)
    console = Machine(f"starved-{kernel.name}", 90, kernel=vmlinux, initrd=initrd, volume=volume).boot()
    assert console["starved"].code == 0, console["starved"].log
    return dict(_ANSWER.findall(console["starved"].log))


def test_a_worker_that_is_killed_for_want_of_memory_is_replaced(answers: dict[str, str]) -> None:
    assert (answers["version"], answers["guard"]) == ("2", "guard ready")
    assert answers["killed"] == "ok"
    assert (answers["guard-again"], answers["another-worker"]) == ("guard ready", "True")
    assert answers["ended"] == "0"


def test_nobody_slips_through_meanwhile(answers: dict[str, str]) -> None:
    assert answers["waiting-evil"] == "9"
    assert answers["waiting-good"] in ("0", "9")  # denied when the dead one had its question
    assert (answers["good"], answers["evil"]) == ("0", "EPERM")
