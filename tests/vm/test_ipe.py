"""Integrity Policy Enforcement: a policy that chopmark signed lets run what chopmark signed, and nothing else.

Only the newer of Debian's kernels has IPE. Programs are vouched for by fs-verity signatures, by a volume's root hash,
or by having been in the initrd that was started. The policies are text in CMS, signed with chopmark's library.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from chopmark.core.contracts import Content
from chopmark.envelopes.cms import building, oids
from tests.vm import initramfs, kernels, lab
from tests.vm.lab import altered, chopmark

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.identities import Identity
    from tests.vm.machine import Console
    from tests.vm.shim import Start

pytestmark = pytest.mark.vm

POLICY = """policy_name=chopmark policy_version={version}
DEFAULT action=ALLOW
DEFAULT op=EXECUTE action=DENY
op=EXECUTE boot_verified=TRUE action=ALLOW
op=EXECUTE fsverity_signature=TRUE action=ALLOW
op=EXECUTE dmverity_signature=TRUE action=ALLOW
"""
IPE = "/sys/kernel/security/ipe"
OURS = f"{IPE}/policies/chopmark"
RUNS = (42, "exit")
REFUSED = (13, "EACCES")
SALT = "5a17" * 16

POLICIES = {"plain": "EBADMSG", "stranger": "ENOKEY", "tampered": "EKEYREJECTED", "signed": "ok"}
ALLOWED = ("signed", "on-signed-volume", "in-initrd")
DENIED = ("plain", "unsigned", "on-unsigned-volume", "on-tmpfs")


def signed(version: str, by: Identity) -> bytes:
    """A policy as the kernel takes it: CMS with the text inside."""
    text = POLICY.format(version=version).encode()
    content = Content(oids.DATA, "sha256", b"", body=text)
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    draft = building.draft(content, by.entity, [by.entity.der], signing_time=now)
    return draft.finish(by.entity.sign(draft.to_be_signed, "sha256"))


@pytest.fixture(scope="module")
def material(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Policies, an ext4 image with programs, a volume with its tree and its signed root hash."""
    folder = tmp_path_factory.mktemp("ipe")
    (folder / "plain.p7b").write_text(POLICY.format(version="0.0.2"))
    for name, version, by in (
        ("signed", "0.0.2", cast.owner),
        ("stranger", "0.0.2", cast.stranger),
        ("older", "0.0.1", cast.owner),
        ("newer", "0.0.3", cast.owner),
    ):
        (folder / f"{name}.p7b").write_bytes(signed(version, by))
    altered(folder / "signed.p7b", folder / "tampered.p7b", (folder / "signed.p7b").read_bytes().index(b"DENY"))
    programs = folder / "programs"
    programs.mkdir()
    for name in ("signed", "unsigned", "plain"):
        lab.program(programs / name)
    chopmark("sign", programs / "signed", "--format", "fsverity", *cast.module.options)
    lab.ext4(folder / "programs.img", programs, features="verity")
    chopmark(
        "dmverity",
        "format",
        lab.ext4(folder / "disk.raw", programs),
        folder / "disk.verity",
        "--salt",
        SALT,
        "--root-hash-file",
        folder / "disk.roothash",
    )
    chopmark("sign", folder / "disk.roothash", *cast.owner.options)
    return folder


@pytest.fixture(scope="module")
def judged(
    cast: Cast, start: Start, material: Path, first_process: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Console:
    """One boot: the kernel's answer about policies, and then, under ours, about programs."""
    kernel = kernels.Kernel("linux-new")
    needed = kernel.with_dependencies("loop", "dm-verity")
    blocks, root = (material / "disk.raw").stat().st_size // 4096, (material / "disk.roothash").read_text()
    verity = f"/dev/loop1|/dev/loop2|{blocks}|{root}|{SALT}"
    wanted = {f"needs-{name}": f"keep|/modules/{name}.ko" for name in needed}
    for number, name in enumerate(("programs.img", "disk.raw", "disk.verity")):
        wanted[f"loop-{name}"] = f"loop|{number}|/{name}"
    wanted |= {"mount": "mount|/dev/loop0|/mnt|ext4", "key": "key|.fs-verity|/ours.der"}
    wanted |= {"verity": "verity|/mnt/signed|/mnt/signed.fsv_sig", "verity-unsigned": "verity|/mnt/unsigned"}
    wanted |= {"dm": f"dm|signed|{verity}|/disk.roothash.p7s", "dm-unsigned": f"dm|unsigned|{verity}"}
    wanted |= {"mount-dm": "mount|/dev/dm-0|/good|ext4|ro", "mount-dm-unsigned": "mount|/dev/dm-1|/bad|ext4|ro"}
    wanted |= {"copy": "copy|/program|/run/program"}
    wanted |= {f"policy-{name}": f"put|/{name}.p7b|{IPE}/new_policy" for name in POLICIES}
    wanted |= {"before": "run|/mnt/plain", "activate": f"say|1|{OURS}/active"}
    places = {"signed": "/mnt/signed", "plain": "/mnt/plain", "unsigned": "/mnt/unsigned", "in-initrd": "/program"}
    places |= {"on-signed-volume": "/good/plain", "on-unsigned-volume": "/bad/plain", "on-tmpfs": "/run/program"}
    wanted |= {name: f"run|{path}" for name, path in places.items()}
    wanted |= {f"asked-{name}": f"askexec|{path}" for name, path in places.items()}
    wanted |= {"older": f"put|/older.p7b|{OURS}/update", "newer": f"put|/newer.p7b|{OURS}/update"}
    wanted |= {"version": f"cat|{OURS}/version"}
    content = {"init": first_process, "steps": initramfs.steps(wanted), "ours.der": cast.module.der.read_bytes()}
    content |= {f"modules/{name}.ko": data for name, data in needed.items()}
    content |= {path.name: path.read_bytes() for path in material.iterdir() if path.is_file()}
    content["program"] = (material / "programs" / "plain").read_bytes()
    return start.linux("ipe", 30, tmp_path_factory.mktemp("ipe-boot"), kernel, content)


@pytest.mark.parametrize("name", POLICIES)
def test_policy(judged: Console, name: str) -> None:
    assert judged[f"policy-{name}"].word == POLICIES[name]


def test_before_the_policy_is_active_everything_runs(judged: Console) -> None:
    assert judged["before"][:2] == RUNS
    assert judged["activate"].word == "ok"


@pytest.mark.parametrize("name", ALLOWED)
def test_what_somebody_vouches_for_runs(judged: Console, name: str) -> None:
    assert judged[name][:2] == RUNS
    assert judged[f"asked-{name}"].word == "ok"


@pytest.mark.parametrize("name", DENIED)
def test_what_nobody_vouches_for_does_not(judged: Console, name: str) -> None:
    assert judged[name][:2] == REFUSED
    assert "type=1420" in judged[name].log
    assert judged[f"asked-{name}"].word == "EACCES"


def test_policies_go_forward_only(judged: Console) -> None:
    assert judged["older"].word == "ESTALE"
    assert judged["newer"].word == "ok"
    assert "0.0.3" in judged["version"].log
