"""One policy, three enforcers: what `chopmark policy export` writes for IMA and IPE is taken by the kernel and holds.

The policy allows what a store vouches for, and denies one of its signers. The kernel gets what was exported and nothing
else: rules, certificates for its rings, and for IPE the policy as chopmark signed it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.vm import identities, initramfs, kernels, lab
from tests.vm.lab import altered, chopmark, verdict
from tests.vm.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.identities import Identity
    from tests.vm.kernels import Kernel
    from tests.vm.machine import Console
    from tests.vm.shim import Start

pytestmark = pytest.mark.vm

POLICY = """chopmark-policy = 1
name = "build hosts"
version = {version}
stores = ["{store}"]

[[rule]]
action = "allow"
store = "{store}"

[[rule]]
name = "left us"
action = "deny"
signer = "sha256:{denied}"
"""
PLAIN = "b9c1d2f0-5a67-4f0e-9c4e-31d5f1a0c003"
RUNS = (42, "exit")
REFUSED = (13, "EACCES")
IPE = "/sys/kernel/security/ipe"
OURS = f"{IPE}/policies/build-hosts"
NAMES = ("signed", "unsigned", "tampered", "stranger", "denied")
USES = ("--use", "exec", "--use", "library")
ALLOWED = ("signed",)


@pytest.fixture(scope="module")
def denied(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identities.signer(tmp_path_factory.mktemp("denied"), "Former Signer")


@pytest.fixture(scope="module")
def store(cast: Cast, denied: Identity, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "signers.pem"
    path.write_bytes(cast.module.certificate.read_bytes() + denied.certificate.read_bytes())
    return path


@pytest.fixture(scope="module")
def policies(store: Path, denied: Identity, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policy in three versions."""
    folder = tmp_path_factory.mktemp("policies")
    key = json.loads(chopmark("key", "show", denied.key, "--json"))["sha256"]
    for version in (1, 2, 3):
        (folder / f"{version}.toml").write_text(POLICY.format(version=version, store=store, denied=key))
    return folder


def exported(policies: Path, store: Path, version: int, target: str, name: str, *options: str | Path) -> Path:
    """The folder of an export."""
    folder = policies / f"{target}-{name}"
    arguments = (policies / f"{version}.toml", "--to", target, "--output", folder, "--signer", store, "--offline")
    chopmark("policy", "export", *arguments, *USES, *options)
    return folder


@pytest.fixture(scope="module")
def programs(cast: Cast, denied: Identity, workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs in two folders: with FILE.sig for security.ima beside them, and with FILE.fsv_sig."""
    folder = tmp_path_factory.mktemp("programs")
    program = lab.program(workshop / "exported").read_bytes()
    by = {"signed": cast.module, "tampered": cast.module, "stranger": cast.stranger, "denied": denied}
    for kind, options in (("ima", ("--format", "ima", "--variant", "file")), ("verity", ("--format", "fsverity"))):
        (folder / kind).mkdir()
        for name in NAMES:
            path = folder / kind / name
            path.write_bytes(program + f"{kind} {name}".encode().ljust(64))
            path.chmod(0o755)
            if name in by:
                chopmark("sign", path, *options, *by[name].options)
            if name == "tampered":
                altered(path, path, -1)
    return folder


@pytest.fixture(scope="module")
def under_ima(
    kernel: Kernel,
    vmlinux: Path,
    policies: Path,
    store: Path,
    programs: Path,
    first_process: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Console:
    """One boot: the exported rules and keys are in force, and each program is asked about."""
    folder = tmp_path_factory.mktemp(f"exported-{kernel.name}")
    export = exported(policies, store, 2, "ima", kernel.name, "--option", f"fsuuid={PLAIN}", "--option", "keyring=_ima")
    needed = kernel.with_dependencies("loop")
    signatures = {path.stem: path.read_bytes() for path in (programs / "ima").glob("*.sig")}
    ring = sorted((export / "keys").iterdir())
    wanted = {f"needs-{name}": f"keep|/modules/{name}.ko" for name in needed}
    wanted |= {"loop": "loop|0|/plain.img", "mount": "mount|/dev/loop0|/plain|ext4"}
    wanted |= {f"xattr-{name}": f"xattr|/plain/{name}|security.ima|/signatures/{name}" for name in signatures}
    wanted |= {"before": "run|/plain/unsigned", "ring": "newring|_ima"}
    wanted |= {f"key-{number}": f"key|_ima|/keys/{path.name}" for number, path in enumerate(ring)}
    wanted["policy"] = "put|/policy|/sys/kernel/security/ima/policy"
    wanted |= {name: f"run|/plain/{name}" for name in NAMES}
    content = {
        "init": first_process,
        "steps": initramfs.steps(wanted),
        "policy": (export / "ima-policy").read_bytes(),
        "plain.img": lab.ext4(folder / "plain.img", programs / "ima", identifier=PLAIN).read_bytes(),
        **{f"keys/{path.name}": path.read_bytes() for path in ring},
        **{f"modules/{name}.ko": data for name, data in needed.items()},
        **{f"signatures/{name}": data for name, data in signatures.items()},
    }
    initrd = folder / "initrd"
    initrd.write_bytes(initramfs.archive(content))
    return Machine(f"exported-ima-{kernel.name}", 12, kernel=vmlinux, initrd=initrd).boot()


def test_ima_takes_what_was_exported(under_ima: Console) -> None:
    assert under_ima["policy"].word == "ok"
    assert under_ima["key-0"].word == "ok"
    assert under_ima["before"][:2] == RUNS


@pytest.mark.parametrize("name", NAMES)
def test_ima_runs_what_the_policy_allows(under_ima: Console, name: str) -> None:
    assert under_ima[name][:2] == (RUNS if name in ALLOWED else REFUSED)


@pytest.fixture(scope="module")
def under_ipe(
    cast: Cast,
    start: Start,
    policies: Path,
    store: Path,
    programs: Path,
    first_process: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Console:
    """One boot: the exported policy as chopmark signed it, then an older and a newer one."""
    kernel = kernels.Kernel("linux-new")
    needed = kernel.with_dependencies("loop")
    content = {"init": first_process}
    for version in (1, 2, 3):
        export = exported(policies, store, version, "ipe", str(version), *cast.owner.options)
        content[f"{version}.p7b"] = (export / "ipe-policy.p7b").read_bytes()
    export = exported(policies, store, 2, "ipe", "stranger", *cast.stranger.options)
    content["stranger.p7b"] = (export / "ipe-policy.p7b").read_bytes()
    ring = sorted((export / "keys").iterdir())
    folder = tmp_path_factory.mktemp("exported-ipe")
    image = lab.ext4(folder / "programs.img", programs / "verity", features="verity")
    wanted = {f"needs-{name}": f"keep|/modules/{name}.ko" for name in needed}
    wanted |= {"loop": "loop|0|/programs.img", "mount": "mount|/dev/loop0|/mnt|ext4"}
    wanted |= {f"key-{number}": f"key|.fs-verity|/keys/{path.name}" for number, path in enumerate(ring)}
    wanted |= {f"verity-{name}": f"verity|/mnt/{name}|/mnt/{name}.fsv_sig" for name in NAMES if name != "unsigned"}
    wanted |= {"verity-unsigned": "verity|/mnt/unsigned", "policy-stranger": f"put|/stranger.p7b|{IPE}/new_policy"}
    wanted |= {"policy": f"put|/2.p7b|{IPE}/new_policy", "activate": f"say|1|{OURS}/active"}
    wanted |= {name: f"run|/mnt/{name}" for name in NAMES}
    wanted |= {"older": f"put|/1.p7b|{OURS}/update", "newer": f"put|/3.p7b|{OURS}/update"}
    wanted |= {"version": f"cat|{OURS}/version"}
    content |= {f"keys/{path.name}": path.read_bytes() for path in ring}
    content |= {f"modules/{name}.ko": data for name, data in needed.items()}
    content |= {"programs.img": image.read_bytes(), "steps": initramfs.steps(wanted)}
    return start.linux("exported-ipe", 30, tmp_path_factory.mktemp("exported-ipe-boot"), kernel, content)


def test_ipe_takes_what_chopmark_signed(under_ipe: Console) -> None:
    assert under_ipe["policy-stranger"].word == "ENOKEY"
    assert under_ipe["policy"].word == "ok"
    assert under_ipe["activate"].word == "ok"


@pytest.mark.parametrize("name", NAMES)
def test_ipe_runs_what_the_policy_allows(under_ipe: Console, name: str) -> None:
    assert under_ipe[name][:2] == (RUNS if name in ALLOWED else REFUSED)


def test_ipe_lets_the_exported_version_rise_alone(under_ipe: Console) -> None:
    assert under_ipe["older"].word == "ESTALE"
    assert under_ipe["newer"].word == "ok"
    assert "0.0.3" in under_ipe["version"].log


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["ima", "verity"])
def test_chopmark_beside_them(policies: Path, programs: Path, store: Path, kind: str, name: str) -> None:
    path = programs / kind / name
    statuses = {"signed": "trusted", "denied": "trusted", "unsigned": "unsigned", "tampered": "rejected"}
    assert verdict(path, store) == statuses.get(name, "undecided")
    arguments = ("--policy", policies / "2.toml", "--offline", "--use", "exec", "--json")
    try:
        said = chopmark("verify", path, *arguments)
    except RuntimeError:
        assert name not in ALLOWED
    else:
        assert name in ALLOWED
        assert json.loads(said)["decision"]["effect"] == "allow"
