"""fs-verity: which files Debian's kernels enable it on and which they refuse, of those that chopmark signed.

The signers' certificates are in the keyring `.fs-verity`, and `fs.verity.require_signatures` is on.
"""

from __future__ import annotations

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

SIGNATURE = ".fsv_sig"
SHA256, SHA512 = 1, 2  # FS_VERITY_HASH_ALG_*
MARK = b"these bytes change on the disk, behind the kernel's back"


class Case(NamedTuple):
    """A file: the kernel's answer when fs-verity is enabled on it, and what `chopmark verify` says of it."""

    word: str
    chopmark: str
    parameters: tuple[int, int] = (SHA256, 4096)


CASES = {
    "signed": Case("ok", "trusted"),
    "cms-sha512": Case("ok", "trusted"),
    "tree-sha512": Case("ok", "trusted", (SHA512, 4096)),
    "unsigned": Case("EPERM", "unsigned"),
    "stranger": Case("ENOKEY", "undecided"),
    "tampered": Case("EKEYREJECTED", "rejected"),
    "tampered-signature": Case("EKEYREJECTED", "rejected"),
    "another-files": Case("EKEYREJECTED", "rejected"),
    "other-parameters": Case("EKEYREJECTED", "trusted", (SHA512, 4096)),  # signed for SHA-256, enabled with SHA-512
    "no-signature-at-all": Case("EBADMSG", "rejected"),
}


@pytest.fixture(scope="module")
def elliptic(tmp_path_factory: pytest.TempPathFactory) -> identities.Identity:
    folder = tmp_path_factory.mktemp("elliptic")
    return identities.signer(folder, "P-256 Content Signer", private_key=pki.key("p256", "vm"))


@pytest.fixture(scope="module")
def files(cast: Cast, elliptic: identities.Identity, workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with programs of several blocks, and their signatures beside them."""
    folder = tmp_path_factory.mktemp("files")
    program = lab.program(workshop / "program").read_bytes()
    ours = cast.module.options

    def at(name: str) -> Path:
        path = folder / name
        if not path.exists():
            path.write_bytes(program + bytes(100_000) + MARK + name.encode().ljust(64))
            path.chmod(0o755)
        return path

    def sign(name: str, *options: str | Path) -> Path:
        chopmark("sign", at(name), "--format", "fsverity", *options)
        return folder / f"{name}{SIGNATURE}"

    for name in ("signed", "early", "tampered", "other-parameters"):
        sign(name, *ours)
    sign("cms-sha512", "--digest", "sha512", *ours)
    sign("tree-sha512", "--variant", "sha512", *ours)
    sign("small-blocks", "--variant", "1024", *ours)
    sign("stranger", *cast.stranger.options)
    sign("elliptic", *elliptic.options)
    altered(at("tampered"), at("tampered"), -1)
    signature = sign("tampered-signature", *ours)
    altered(signature, signature, -1)
    at("unsigned")
    shutil.copy(folder / f"signed{SIGNATURE}", folder / f"{at('another-files').name}{SIGNATURE}")
    (folder / f"{at('no-signature-at-all').name}{SIGNATURE}").write_bytes(b"not DER at all")
    return folder


@pytest.fixture(scope="module")
def judged(
    cast: Cast,
    elliptic: identities.Identity,
    files: Path,
    kernel: Kernel,
    vmlinux: Path,
    first_process: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Console:
    """One boot: the kernel's answer about each file."""
    folder = tmp_path_factory.mktemp(f"fs-verity-{kernel.name}")
    image = lab.ext4(folder / "files.img", files, features="verity").read_bytes()
    needed = kernel.with_dependencies("loop", "sha512_generic")

    def enable(name: str, parameters: tuple[int, int] = (SHA256, 4096)) -> str:
        signature = f"/mnt/{name}{SIGNATURE}" if (files / f"{name}{SIGNATURE}").exists() else "/empty"
        return f"verity|/mnt/{name}|{signature}|{parameters[0]}|{parameters[1]}"

    wanted = {f"needs-{name}": f"keep|/modules/{name}.ko" for name in needed}
    wanted |= {"loop": "loop|0|/files.img", "mount": "mount|/dev/loop0|/mnt|ext4"}
    wanted |= {"require": "say|1|/proc/sys/fs/verity/require_signatures", "early": enable("early")}
    wanted |= {"key": "key|.fs-verity|/ours.der", "key-elliptic": "key|.fs-verity|/elliptic.der"}
    wanted |= {name: enable(name, case.parameters) for name, case in CASES.items()}
    wanted |= {"elliptic": enable("elliptic"), "small-blocks": enable("small-blocks", (SHA256, 1024))}
    wanted |= {f"measure-{name}": f"measure|/mnt/{name}" for name in ("signed", "tree-sha512")}
    wanted |= {"run": "run|/mnt/signed", "run-without": "run|/mnt/stranger", "write": "poke|/mnt/signed|0|x"}
    wanted |= {"umount": "umount|/mnt", "change": f"poke|/dev/loop0|{_position(image, 'signed')}|x"}
    wanted |= {"mount-again": "mount|/dev/loop0|/mnt|ext4", "read": "read|/mnt/signed", "read-other": "read|/mnt/early"}
    content = {
        "init": first_process,
        "steps": initramfs.steps(wanted),
        "empty": b"",
        "ours.der": cast.module.der.read_bytes(),
        "elliptic.der": elliptic.der.read_bytes(),
        "files.img": image,
        **{f"modules/{name}.ko": data for name, data in needed.items()},
    }
    initrd = folder / "initrd"
    initrd.write_bytes(initramfs.archive(content))
    return Machine(f"fs-verity-{kernel.name}", 12, kernel=vmlinux, initrd=initrd).boot()


def _position(image: bytes, name: str) -> int:
    """Where in the image a file's MARK stands."""
    return image.index(MARK + name.encode().ljust(64))


@pytest.mark.parametrize("name", CASES)
def test_enabling(judged: Console, name: str) -> None:
    assert judged[name].word == CASES[name].word


def test_without_the_certificate_nothing_is_enabled(judged: Console) -> None:
    assert judged["early"].word == "ENOKEY"


def test_elliptic_keys_count_from_6_12_on(judged: Console, kernel: Kernel) -> None:
    assert judged["elliptic"].word == ("ok" if kernel.version >= (6, 12) else "ENOKEY")


def test_blocks_smaller_than_pages_since_6_3(judged: Console, kernel: Kernel) -> None:
    assert judged["small-blocks"].word == ("ok" if kernel.version >= (6, 3) else "EINVAL")


def test_the_kernel_measures_what_chopmark_computes(judged: Console, files: Path) -> None:
    for name, options in {"signed": (), "tree-sha512": ("--hash", "sha512")}.items():
        ours = chopmark("fsverity", "digest", *options, files / name).split(":")[1].split()[0]
        assert ours in judged[f"measure-{name}"].log


def test_what_is_enabled_runs_and_is_not_written_to(judged: Console) -> None:
    assert judged["run"][:2] == (42, "exit")
    assert judged["write"].word == "EPERM"


def test_by_itself_it_keeps_nothing_from_running(judged: Console) -> None:
    assert judged["run-without"][:2] == (42, "exit")


def test_a_block_changed_on_the_disk_is_not_read(judged: Console) -> None:
    assert judged["change"].word == "ok"
    assert judged["read"].word == "EIO"
    assert "FILE CORRUPTED" in judged["read"].log
    assert judged["read-other"].word == "ok"


@pytest.mark.parametrize("name", CASES)
def test_chopmark_beside_it(cast: Cast, files: Path, name: str) -> None:
    assert verdict(files / name, cast.module.certificate) == CASES[name].chopmark
