"""veritysetup and openssl: the same trees and root hashes, each other's signatures; both refuse what was changed."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from chopmark import cli
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import volume
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop

UUID = "11111111-2222-3333-4444-555555555555"


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False)


def image(folder: Path, blocks: int, size: int = 4096) -> Path:
    path = folder / "disk.raw"
    path.write_bytes(b"".join((number * 7919).to_bytes(8, "big") * (size // 8) for number in range(blocks)))
    return path


def theirs(data: Path, tree: Path, *options: str) -> str:
    said = run("veritysetup", "format", data, tree, f"--uuid={UUID}", *options)
    assert said.returncode == 0, said.stderr
    found = re.search(rb"Root hash:\s+([0-9a-f]+)", said.stdout)
    assert found
    return found[1].decode()


def setting(algorithm: str, salt: str, data_block: int, hash_block: int) -> list[str]:
    return [
        f"--hash={algorithm}",
        f"--salt={salt}",
        f"--data-block-size={data_block}",
        f"--hash-block-size={hash_block}",
    ]


@pytest.mark.parametrize("blocks", [2, 128, 129, 300, 17_000])
@pytest.mark.parametrize("sizes", [(4096, 4096), (512, 4096), (4096, 512), (1024, 1024)], ids=str)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("salt", ["-", "0011223344"])
def test_the_trees_are_theirs_to_the_byte(
    blocks: int, sizes: tuple[int, int], algorithm: str, salt: str, tmp_path: Path
) -> None:
    data = image(tmp_path, blocks, sizes[0])
    options = setting(algorithm, salt, *sizes)
    known = theirs(data, tmp_path / "theirs", *options)
    made, written = tmp_path / "disk.verity", tmp_path / "disk.roothash"
    words = ["dmverity", "format", str(data), str(made), "--uuid", UUID, "--root-hash-file", str(written), *options]
    assert cli.main(words) == 0
    assert written.read_text() == known
    assert made.read_bytes() == (tmp_path / "theirs").read_bytes()
    assert run("veritysetup", "verify", data, made, known).returncode == 0
    assert cli.main(["dmverity", "verify", str(data), "--root-hash", known]) == 0


@pytest.mark.parametrize("place", ["data", "tree", "root hash"])
def test_what_was_changed_is_refused_by_both(place: str, tmp_path: Path) -> None:
    data, tree = image(tmp_path, 300), tmp_path / "disk.verity"
    known = theirs(data, tree)
    if place == "root hash":
        known = ("0" if known[0] != "0" else "1") + known[1:]
    else:
        path, offset = (data, 200 * 4096 + 5) if place == "data" else (tree, 2 * 4096 + 100)
        raw = bytearray(path.read_bytes())
        raw[offset] ^= 1
        path.write_bytes(raw)
    assert run("veritysetup", "verify", data, tree, known).returncode != 0
    assert cli.main(["dmverity", "verify", str(data), "--root-hash", known]) == 1


@pytest.mark.parametrize("left", [299, 256])
def test_a_volume_that_was_cut_short_is_refused_by_both(left: int, tmp_path: Path) -> None:
    """The root hash does not cover how many blocks there are; the digests of the others are still there."""
    data, tree = image(tmp_path, 300), tmp_path / "disk.verity"
    known = theirs(data, tree)
    raw = bytearray(tree.read_bytes())
    raw[72:80] = left.to_bytes(8, "little")
    tree.write_bytes(raw)
    os.truncate(data, left * 4096)
    assert run("veritysetup", "verify", data, tree, known).returncode != 0
    assert cli.main(["dmverity", "verify", str(data), "--root-hash", known]) == 1


def test_a_tree_in_the_same_file(tmp_path: Path) -> None:
    data = image(tmp_path, 300)
    offset = data.stat().st_size
    known = theirs(data, data, f"--hash-offset={offset}", "--data-blocks=300")
    words = ["dmverity", "verify", str(data), str(data), "--hash-offset", str(offset), "--root-hash", known]
    assert cli.main(words) == 0
    assert cli.main(["dmverity", "dump", str(data), "--hash-offset", str(offset)]) == 0


@pytest.mark.parametrize("kind", ["rsa2048", "p256"])
def test_signatures_both_ways(kind: str, tmp_path: Path) -> None:
    """As systemd's documentation has them made, and as the kernel looks at them."""
    entity = pki.leaf(None, "Example Image Signer", kind=kind, purposes=())
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key.write_bytes(entity.private_pem())
    key.chmod(0o600)
    certificate.write_bytes(entity.pem)
    data, root_hash = image(tmp_path, 40), tmp_path / "disk.roothash"
    root_hash.write_text(theirs(data, tmp_path / "disk.verity"))
    signature = tmp_path / "disk.roothash.p7s"
    making: list[str | Path] = ["openssl", "smime", "-sign", "-nocerts", "-noattr", "-binary", "-in", root_hash]
    making += ["-inkey", key, "-signer", certificate, "-outform", "der", "-out", signature]
    assert run(*making).returncode == 0
    context = contexts.Context(
        store.load([str(certificate)]), pki.NOW, contexts.OFF, origins.CrlSource(cache=str(tmp_path))
    )

    def judged() -> Verdict:
        return volume.check_signed(str(data), str(tmp_path / "disk.verity"), 0, str(root_hash), context)

    verdict = judged()
    assert verdict.status is Status.TRUSTED, verdict
    signature.unlink()
    assert judged().status is Status.UNSIGNED
    signing = ["sign", str(root_hash), "--key", str(key), "--cert", str(certificate), "--signing-time", "2026-07-01"]
    assert cli.main(signing) == 0
    assert judged().status is Status.TRUSTED
    checking: list[str | Path] = ["openssl", "smime", "-verify", "-binary", "-inform", "der", "-noverify"]
    checking += ["-in", signature, "-certfile", certificate, "-content", root_hash, "-out", "/dev/null"]
    assert run(*checking).returncode == 0
    other = root_hash.read_text()
    root_hash.write_text(("0" if other[0] != "0" else "1") + other[1:])
    assert run(*checking).returncode != 0
    assert judged().status is Status.REJECTED
