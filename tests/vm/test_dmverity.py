"""dm-verity: which volumes Debian's kernels open and which they refuse, of those whose root hash chopmark signed.

Trees, root hashes and signatures are chopmark's. The kernel is started through shim: one signer's certificate is a
machine owner key (keyring `.machine`), the other's is in db (`.platform`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vm import initramfs, lab
from tests.vm.lab import altered, chopmark

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast
    from tests.vm.kernels import Kernel
    from tests.vm.machine import Console
    from tests.vm.shim import Start

pytestmark = pytest.mark.vm

SALT = "5a17" * 16
# Newer kernels go on to the certificates of db when those of the owner refuse, and tell what came of that.
REFUSED = {
    "stranger": ("ENOKEY", "ENOKEY"),
    "tampered-signature": ("EKEYREJECTED", "ENOKEY"),
    "other-root": ("EKEYREJECTED", "ENOKEY"),
    "no-signature-at-all": ("EBADMSG", "EBADMSG"),
}
"""By the answers of the old and the new kernel."""


@pytest.fixture(scope="module")
def volume(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image, its tree, its root hash and signatures over that."""
    folder = tmp_path_factory.mktemp("volume")
    content = folder / "content"
    content.mkdir()
    lab.program(content / "program")
    data = lab.ext4(folder / "disk.raw", content)
    root = folder / "disk.roothash"
    chopmark("dmverity", "format", data, folder / "disk.verity", "--salt", SALT, "--root-hash-file", root)
    for name, signer in {"owner": cast.owner, "db": cast.module, "stranger": cast.stranger}.items():
        chopmark("sign", root, *signer.options)
        (folder / "disk.roothash.p7s").rename(folder / f"{name}.p7s")
    altered(folder / "owner.p7s", folder / "tampered-signature.p7s", -1)
    (folder / "no-signature-at-all.p7s").write_bytes(b"not DER at all")
    other = folder / "other.roothash"
    other.write_text(root.read_text()[::-1])
    chopmark("sign", other, *cast.owner.options)
    other.with_suffix(".roothash.p7s").rename(folder / "other-root.p7s")
    program = data.read_bytes().index((content / "program").read_bytes())
    altered(data, folder / "changed.raw", program + 100)
    return folder


@pytest.fixture(scope="module")
def judged(
    start: Start, volume: Path, kernel: Kernel, first_process: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Console:
    """One boot: the kernel's answer about each signature, then about volumes without one, with and without leave."""
    data, root = volume / "disk.raw", (volume / "disk.roothash").read_text()
    needed = kernel.with_dependencies("loop", "dm-verity")
    verity = next(name for name in needed if "verity" in name)

    def opened(device: int, root: str, signature: str = "") -> str:
        words = f"dm|chopmark|/dev/loop{device}|/dev/loop1|{data.stat().st_size // 4096}|{root}|{SALT}"
        return f"{words}|/{signature}.p7s" if signature else words

    wanted = {f"needs-{name}": f"keep|/modules/{name}.ko" for name in needed}
    for number, name in enumerate(("disk.raw", "disk.verity", "changed.raw")):
        wanted[f"loop-{name}"] = f"loop|{number}|/{name}"
    for name in ("owner", "db", *REFUSED):
        wanted |= {name: opened(0, root, name), f"{name}-closed": "dmremove|chopmark"}
    wanted |= {"again": opened(0, root, "owner"), "mount": "mount|/dev/dm-0|/mnt|ext4|ro", "run": "run|/mnt/program"}
    wanted |= {"umount": "umount|/mnt", "again-closed": "dmremove|chopmark"}
    wanted |= {"changed": opened(2, root, "owner"), "changed-mount": "mount|/dev/dm-0|/mnt|ext4|ro"}
    wanted |= {"changed-read": "read|/mnt/program", "changed-umount": "umount|/mnt", "changed-end": "dmremove|chopmark"}
    wanted |= {"unsigned": opened(0, root), "unsigned-closed": "dmremove|chopmark"}
    wanted |= {"unload": "rmmod|dm_verity", "reload": f"keep|/modules/{verity}.ko|require_signatures=1"}
    wanted |= {"required-unsigned": opened(0, root), "required-owner": opened(0, root, "owner")}
    content = {"init": first_process, "steps": initramfs.steps(wanted)}
    content |= {f"modules/{name}.ko": data for name, data in needed.items()}
    content |= {path.name: path.read_bytes() for path in volume.iterdir() if path.is_file()}
    folder = tmp_path_factory.mktemp(f"dm-verity-{kernel.name}")
    return start.linux(f"dm-verity-{kernel.name}", 30, folder, kernel, content)


def test_signed_by_the_machines_owner(judged: Console) -> None:
    assert judged["owner"].word == "ok"
    assert judged["run"][:2] == (42, "exit")


def test_signed_by_a_signer_in_db(judged: Console, kernel: Kernel) -> None:
    assert judged["db"].word == ("ok" if kernel.version >= (6, 12) else "ENOKEY")


@pytest.mark.parametrize("name", REFUSED)
def test_refused(judged: Console, kernel: Kernel, name: str) -> None:
    assert judged[name].word == REFUSED[name][kernel.version >= (6, 12)]


def test_unsigned_volumes_are_refused_where_signatures_are_required(judged: Console) -> None:
    assert judged["unsigned"].word == "ok"
    assert judged["required-unsigned"].word == "ENOKEY"
    assert judged["required-owner"].word == "ok"


def test_a_changed_block_is_not_read(judged: Console) -> None:
    assert judged["changed"].word == "ok"
    assert judged["changed-read"].word == "EIO"
    assert "data block" in judged["changed-read"].log
