"""IMA appraisal: which programs Debian's kernels run and which they refuse, of those that chopmark signed.

The signer's certificate is in the keyring `_ima`, as root puts it there on Debian, and a policy asks for signatures on
everything that is executed from two file systems: one with `security.ima` over files, one over fs-verity digests.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support import pki
from tests.vm import identities, initramfs, lab
from tests.vm.lab import altered, chopmark, verdict
from tests.vm.machine import Console, Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.kernels import Kernel

pytestmark = pytest.mark.vm

PLAIN, VERITY = "b9c1d2f0-5a67-4f0e-9c4e-31d5f1a0c001", "b9c1d2f0-5a67-4f0e-9c4e-31d5f1a0c002"
"""File systems are told apart by their UUID."""

POLICY = (
    f"appraise func=BPRM_CHECK fsuuid={PLAIN} appraise_type=imasig\n"
    f"appraise func=BPRM_CHECK fsuuid={VERITY} digest_type=verity appraise_type=sigv3\n"
)
RUNS = (42, "exit")
REFUSED = (13, "EACCES")


class Case(NamedTuple):
    """A program: the kernel's answer, why it says so in the audit log, and what `chopmark verify` says."""

    answer: tuple[int, str]
    cause: str
    chopmark: str


CASES = {
    "signed": Case(RUNS, "", "trusted"),
    "sha384": Case(RUNS, "", "trusted"),
    "sha512": Case(RUNS, "", "trusted"),
    "unsigned": Case(REFUSED, "IMA-signature-required", "unsigned"),
    "digest": Case(
        REFUSED, "IMA-signature-required", "unsigned"
    ),  # security.ima with a digest, which anybody can write
    "stranger": Case(REFUSED, "invalid-signature", "undecided"),
    "tampered": Case(REFUSED, "invalid-signature", "rejected"),
    "tampered-signature": Case(REFUSED, "invalid-signature", "rejected"),
    "another-files": Case(REFUSED, "invalid-signature", "rejected"),
}


@pytest.fixture(scope="module")
def elliptic(tmp_path_factory: pytest.TempPathFactory) -> identities.Identity:
    folder = tmp_path_factory.mktemp("elliptic")
    return identities.signer(folder, "P-256 File Signer", private_key=pki.key("p256", "vm"))


class Files(NamedTuple):
    """Programs, with FILE.sig beside them."""

    plain: Path
    verity: Path


@pytest.fixture(scope="module")
def files(cast: Cast, elliptic: identities.Identity, workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The programs that are asked about; each differs from the others by some bytes behind its end."""
    folder = tmp_path_factory.mktemp("ima")
    made = Files(folder / "plain", folder / "verity")
    program = lab.program(workshop / "program").read_bytes()
    ours = ("--format", "ima", *cast.module.options)
    made.plain.mkdir()
    made.verity.mkdir()

    def at(name: str) -> Path:
        path = made.plain / name
        if not path.exists():
            path.write_bytes(program + name.encode().ljust(64))
            path.chmod(0o755)
        return path

    def sign(name: str, *options: str | Path) -> Path:
        chopmark("sign", at(name), "--variant", "file", *options)
        return at(name).with_suffix(".sig")

    for name, options in {"signed": (), "sha384": ("--digest", "sha384"), "sha512": ("--digest", "sha512")}.items():
        sign(name, *ours, *options)
    sign("elliptic", "--format", "ima", *elliptic.options)
    sign("stranger", "--format", "ima", *cast.stranger.options)
    sign("tampered", *ours)
    altered(at("tampered"), at("tampered"), -1)
    signature = sign("tampered-signature", *ours)
    altered(signature, signature, -1)
    shutil.copy(made.plain / "signed.sig", at("another-files").with_suffix(".sig"))
    at("unsigned")
    digest = b"\x04\x04" + hashlib.sha256(at("digest").read_bytes()).digest()  # EVM/IMA digest-ng, SHA-256
    at("digest").with_suffix(".sig").write_bytes(digest)
    script = at("script")
    script.write_text("print('asked')\n")
    sign("script", *ours)
    at("unsigned-script").write_text("print('asked')  # and not signed\n")
    if os.geteuid() == 0:  # the extended attribute itself, as it is on a live system, and over an fs-verity digest
        chopmark("sign", at("attribute"), *ours)
        for name in ("signed", "file-signature", "unsigned"):
            shutil.copy(at("attribute"), made.verity / name)
        chopmark("sign", made.verity / "signed", "--variant", "verity", *ours)
        chopmark("sign", made.verity / "file-signature", *ours)
    return made


@pytest.fixture(scope="module")
def judged(
    cast: Cast,
    elliptic: identities.Identity,
    files: Files,
    kernel: Kernel,
    vmlinux: Path,
    first_process: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Console:
    """One boot: the kernel's answer about each program."""
    folder = tmp_path_factory.mktemp(f"ima-{kernel.name}")
    needed = kernel.with_dependencies("loop", "sha512_generic")
    signatures = {path.stem: path.read_bytes() for path in files.plain.glob("*.sig")}
    wanted = {f"needs-{name}": f"keep|/modules/{name}.ko" for name in needed}
    for number, name in enumerate(("plain", "verity")):
        wanted[f"loop-{name}"] = f"loop|{number}|/{name}.img"
        wanted[f"mount-{name}"] = f"mount|/dev/loop{number}|/{name}|ext4"
    wanted |= {f"xattr-{name}": f"xattr|/plain/{name}|security.ima|/signatures/{name}" for name in signatures}
    wanted |= {f"verity-{path.name}": f"verity|/verity/{path.name}" for path in files.verity.iterdir()}
    wanted["before"] = "run|/plain/unsigned"
    wanted |= {"ring": "newring|_ima", "key": "key|_ima|/ours.der", "key-elliptic": "key|_ima|/elliptic.der"}
    wanted["policy"] = "put|/policy|/sys/kernel/security/ima/policy"
    wanted |= {path.name: f"run|/plain/{path.name}" for path in files.plain.iterdir() if not path.suffix}
    wanted |= {f"v-{path.name}": f"run|/verity/{path.name}" for path in files.verity.iterdir()}
    wanted |= {f"asked-{name}": f"askexec|/plain/{name}" for name in ("script", "unsigned-script")}
    wanted["policy-again"] = "put|/policy|/sys/kernel/security/ima/policy"
    content = {
        "init": first_process,
        "steps": initramfs.steps(wanted),
        "policy": POLICY.encode(),
        "ours.der": cast.module.der.read_bytes(),
        "elliptic.der": elliptic.der.read_bytes(),
        "plain.img": lab.ext4(folder / "plain.img", files.plain, identifier=PLAIN).read_bytes(),
        "verity.img": lab.ext4(folder / "verity.img", files.verity, identifier=VERITY, features="verity").read_bytes(),
        **{f"modules/{name}.ko": data for name, data in needed.items()},
        **{f"signatures/{name}": data for name, data in signatures.items()},
    }
    initrd = folder / "initrd"
    initrd.write_bytes(initramfs.archive(content))
    return Machine(f"ima-{kernel.name}", 12, kernel=vmlinux, initrd=initrd).boot()


@pytest.mark.parametrize("name", CASES)
def test_program(judged: Console, name: str) -> None:
    answer, case = judged[name], CASES[name]
    assert (answer.code, answer.word) == case.answer
    assert case.cause in answer.log


def test_before_the_policy_everything_runs(judged: Console) -> None:
    assert judged["before"][:2] == RUNS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set security.ima")
def test_attribute_as_sign_sets_it(judged: Console) -> None:
    assert judged["attribute"][:2] == RUNS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set security.ima")
def test_fs_verity_digests(judged: Console) -> None:
    assert judged["v-signed"][:2] == RUNS
    for name in ("v-unsigned", "v-file-signature"):
        assert judged[name][:2] == REFUSED
        assert "verity-signature-required" in judged[name].log


def test_elliptic_keys_count_from_6_12_on(judged: Console, kernel: Kernel) -> None:
    assert judged["elliptic"][:2] == (RUNS if kernel.version >= (6, 12) else REFUSED)


def test_interpreters_that_ask_get_the_same_answer(judged: Console, kernel: Kernel) -> None:
    """AT_EXECVE_CHECK, since Linux 6.14."""
    new = kernel.version >= (6, 14)
    assert judged["asked-script"].word == ("ok" if new else "EINVAL")
    assert judged["asked-unsigned-script"].word == ("EACCES" if new else "EINVAL")


def test_the_policy_is_written_once(judged: Console) -> None:
    assert judged["policy-again"].word == "ENOENT"


@pytest.mark.parametrize("name", CASES)
def test_chopmark_beside_it(cast: Cast, files: Files, name: str) -> None:
    assert verdict(files.plain / name, cast.module.certificate) == CASES[name].chopmark
