"""Volumes of dm-verity: what was changed is found where it was changed, and what is not covered is said."""

from __future__ import annotations

import errno
import json
import os
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark import cli
from chopmark.core import limits
from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.core.verdict import Status
from chopmark.engine import check, volume
from chopmark.formats._verity import superblock
from chopmark.formats.dmverity import FORMAT
from chopmark.formats.dmverity import volume as volumes
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.contract import laws
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.core.finding import Finding

BLOCK = 512
BLOCKS = 300


def data_of(blocks: int = BLOCKS) -> bytes:
    return b"".join(number.to_bytes(4, "big") * (BLOCK // 4) for number in range(blocks))


def made(data: bytes, **changes: object) -> tuple[bytes, bytes]:
    """A tree over data, and the root hash."""
    wanted = superblock.Volume("sha256", BLOCK, BLOCK, len(data) // BLOCK, b"salt")
    out = bytearray(wanted.end(0))
    root = volumes.make(
        BytesView(data), wanted, lambda place, block: out.__setitem__(slice(place, place + BLOCK), block)
    )
    packed = wanted._replace(**changes).packed()  # type: ignore[arg-type]
    out[: len(packed)] = packed
    return bytes(out), root


def found(data: bytes, tree: bytes, root: bytes) -> dict[str, Finding]:
    try:
        return {each.code: each for each in volumes.check(BytesView(data), volumes.read(BytesView(tree), 0), root)}
    except MalformedError as error:
        pytest.fail(str(error))


def against(findings: dict[str, Finding]) -> set[str]:
    return {code for code, each in findings.items() if each.outcome in ("no", "unknown")}


@pytest.mark.parametrize("blocks", [1, 2, 15, 16, 17, 256, 257])
def test_what_was_made_holds(blocks: int) -> None:
    data = data_of(blocks)
    tree, root = made(data)
    assert against(found(data, tree, root)) == set()


@given(st.integers(0, BLOCKS * BLOCK - 1))
def test_every_changed_block_of_data_is_named(place: int) -> None:
    data = bytearray(data_of())
    tree, root = made(bytes(data))
    data[place] ^= 1
    findings = found(bytes(data), tree, root)
    assert against(findings) == {"dmverity.data_wrong"}
    assert findings["dmverity.data_wrong"].detail == f"1 of {BLOCKS}: number {place // BLOCK}"


@given(st.integers(BLOCK, 21 * BLOCK - 1))
def test_every_changed_block_of_the_tree_is_seen(place: int) -> None:
    data = data_of()
    tree, root = made(data)
    changed = bytearray(tree)
    changed[place] ^= 1
    assert against(found(data, bytes(changed), root)) == {"dmverity.tree_wrong"}


def test_only_so_many_blocks_are_named() -> None:
    data = data_of()
    tree, root = made(data)
    findings = found(bytes(len(data)), tree, root)
    detail = findings["dmverity.data_wrong"].detail
    assert detail.count(",") == limits.DM_VERITY_NAMED_MAX - 1
    assert detail.startswith(f"{BLOCKS - 1} of {BLOCKS}: number 1, ")  # the first block is zeros anyway


@pytest.mark.parametrize("left", [BLOCKS - 1, 288, 257])  # 16 digests to a block: 288 fill 18 blocks
def test_a_superblock_that_says_fewer_blocks_is_seen(left: int) -> None:
    """The root hash does not cover how many blocks there are."""
    data = data_of()
    tree, root = made(data, data_blocks=left)
    assert "dmverity.count_wrong" in against(found(data, tree, root))
    assert "dmverity.count_wrong" in against(found(data[: left * BLOCK], tree, root))


def test_more_blocks_than_there_are_digests_of() -> None:
    data = data_of() + bytes(BLOCK)
    tree, root = made(data_of(), data_blocks=BLOCKS + 1)
    assert against(found(data, tree, root))


def test_what_is_behind_is_said() -> None:
    data = data_of()
    tree, root = made(data)
    assert against(found(data + b"hidden", tree, root)) == {"dmverity.uncovered"}
    findings = found(data, tree + b"behind", root)
    assert against(findings) == set()
    assert "dmverity.behind" in findings
    assert "dmverity.data_wrong" in against(found(data[:-1], tree, root))
    assert against(found(data, tree, root[:-1])) == {"dmverity.tree_wrong"}


@pytest.mark.parametrize(
    ("offset", "raw", "undecided"),
    [
        (0, b"nothing\0", False),
        (8, struct.pack("<I", 2), True),
        (12, struct.pack("<I", 0), True),
        (32, b"whirlpool".ljust(32, b"\0"), True),
        (64, struct.pack("<I", 1000), False),
        (64, struct.pack("<I", 0), False),
        (68, struct.pack("<I", 1 << 30), False),
        (72, struct.pack("<Q", 0), False),
        (72, struct.pack("<Q", 1 << 63), False),
        (72, struct.pack("<Q", 1 << 40), False),
        (80, struct.pack("<H", 257), False),
        (82, b"x", False),
        (88 + 4, b"x", False),
        (511, b"x", False),
    ],
    ids=str,
)
def test_hostile_superblocks(offset: int, raw: bytes, undecided: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    data = data_of()
    tree, root = made(data)
    changed = bytearray(tree)
    changed[offset : offset + len(raw)] = raw
    (tmp_path / "data").write_bytes(data)
    (tmp_path / "tree").write_bytes(changed)
    findings = volume.check_given(str(tmp_path / "data"), str(tmp_path / "tree"), 0, root)
    [code] = {each.code for each in findings}
    assert code == ("dmverity.unsupported" if undecided else "dmverity.superblock_wrong")


@given(st.binary(max_size=600).map(lambda rest: superblock.SIGNATURE + rest) | st.binary(max_size=600))
def test_any_bytes_are_a_superblock_or_malformed(raw: bytes) -> None:
    try:
        seen = superblock.read(raw)
    except MalformedError:
        return
    assert seen.packed() == raw[: superblock.SIZE]


def test_memory_is_bounded() -> None:
    class Watched(BytesView):
        largest = 0

        def read(self, offset: int, length: int) -> bytes:
            type(self).largest = max(type(self).largest, length)
            return super().read(offset, length)

    data = data_of(6000)
    tree, root = made(data)
    list(volumes.check(Watched(data), volumes.read(Watched(tree), 0), root))
    assert Watched.largest <= limits.READ_CHUNK


# The root hash, and the commands


def signer() -> pki.Entity:
    return pki.leaf(None, "Example Image Signer", purposes=())


def knowing(folder: Path, *entities: pki.Entity) -> contexts.Context:
    path = folder / "store.pem"
    path.write_bytes(b"".join(each.pem for each in entities))
    return contexts.Context(store.load([str(path)]), pki.NOW, contexts.OFF, origins.CrlSource(cache=str(folder)))


@pytest.mark.parametrize("text", ["ab" * 32 + "\n", "AB" * 32, "ab" * 20, "ab" * 33, "xy" * 32, ""])
def test_what_the_kernel_is_not_given_is_no_root_hash(text: str, tmp_path: Path) -> None:
    artifact = Artifact.from_bytes(text.encode(), "disk.roothash")
    with pytest.raises(RefusedError):
        FORMAT.recipe(artifact, SealOptions())
    good = laws.signed(laws.State("disk.roothash", b"ab" * 32), signer())
    if text.strip() and len(text) < 129 and "x" not in text:
        verdict = check.check(good.with_part("", text.encode()).artifact(), knowing(tmp_path, signer()))
        assert verdict.status is Status.REJECTED
        assert "dmverity.root_hash_wrong" in {each.code for seal in verdict.seals for each in seal.findings}


def test_a_detached_signature_beside_a_root_hash_is_none_for_the_kernel(tmp_path: Path) -> None:
    state = laws.State("disk.roothash", b"ab" * 32, asked="detached")
    signed = laws.signed(state, pki.world().signer)
    verdict = check.check(signed.artifact(), laws.court(tmp_path))
    assert verdict.format == "dmverity"
    assert verdict.status is Status.REJECTED
    assert check.check(signed.artifact(), laws.court(tmp_path), "detached").status is Status.TRUSTED


def test_a_root_hash_signature_beside_another_file_is_a_detached_one(tmp_path: Path) -> None:
    signed = laws.signed(laws.State("disk.roothash", b"ab" * 32), signer())
    other = laws.State("disk.txt", signed.data, signed.companions)
    verdict = check.check(other.artifact(), knowing(tmp_path, signer()))
    assert verdict.format == "detached"
    assert verdict.status is Status.REJECTED


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entity = signer()
    data, key, certificate = tmp_path / "disk.raw", tmp_path / "key.pem", tmp_path / "certificate.pem"
    data.write_bytes(data_of(64))
    key.write_bytes(entity.private_pem())
    key.chmod(0o600)
    certificate.write_bytes(entity.pem)
    tree, root_hash = str(tmp_path / "disk.verity"), str(tmp_path / "disk.roothash")
    assert cli.main(["dmverity", "format", str(data), tree, "--root-hash-file", root_hash, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(bytes.fromhex(said["salt"])) == 32
    checking = ["dmverity", "verify", str(data)]
    trusting = ["--store", str(certificate), "--revocation", "off", "--at", "2026-07-01"]
    assert cli.main([*checking, *trusting]) == 1  # nobody has signed it
    capsys.readouterr()
    assert cli.main([*checking, *trusting, "--root-hash-file", "nowhere", "--json"]) == 3
    assert [each["code"] for each in json.loads(capsys.readouterr().out)["findings"]] == ["input.missing"]
    assert cli.main([*checking, "--root-hash", said["root_hash"]]) == 0
    capsys.readouterr()
    assert cli.main([*checking, "--root-hash", said["root_hash"], "--json"]) == 0
    assert "dmverity.given" in {each["code"] for each in json.loads(capsys.readouterr().out)["findings"]}
    signing = ["sign", root_hash, "--key", str(key), "--cert", str(certificate), "--signing-time", "2026-07-01"]
    assert cli.main(signing) == 0
    assert cli.main([*checking, *trusting]) == 0
    assert cli.main(["verify", root_hash, *trusting]) == 0
    capsys.readouterr()
    assert cli.main([*checking, *trusting, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "trusted"
    assert cli.main(["dmverity", "dump", tree, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data_blocks"] == 8
    with data.open("r+b") as file:
        file.write(b"x")
    assert cli.main([*checking, *trusting]) == 1
    assert cli.main([*checking, "--root-hash", said["root_hash"], "--json"]) == 1
    (tmp_path / "disk.verity").unlink()
    assert cli.main([*checking, *trusting]) == 3
    assert cli.main(["strip", root_hash]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["format", "DATA", "TREE", "--hash", "sha1"],
        ["format", "DATA", "TREE", "--data-block-size", "1000"],
        ["format", "DATA", "TREE", "--data-block-size", "0"],
        ["format", "DATA", "TREE", "--hash-block-size", "256"],
        ["format", "DATA", "TREE", "--salt", "xyz"],
        ["format", "DATA", "TREE", "--salt", "00" * 257],
        ["format", "DATA", "TREE", "--uuid", "none"],
        ["format", "MISSING", "TREE"],
        ["verify", "DATA", "--root-hash", "xyz"],
        ["verify", "DATA", "--hash-offset", "-1"],
    ],
    ids=" ".join,
)
def test_usage(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "DATA").write_bytes(data_of(8))
    named = [str(tmp_path / word) if word.isupper() else word for word in words]
    assert cli.main(["dmverity", *named]) == 2
    assert not (tmp_path / "TREE").exists()


def test_a_full_disk_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    data, tree = tmp_path / "disk.raw", tmp_path / "disk.verity"
    data.write_bytes(data_of(64))
    tree.write_bytes(b"old")
    monkeypatch.setattr(os, "pwrite", full)
    assert cli.main(["dmverity", "format", str(data), str(tree)]) == 4
    assert "Traceback" not in capsys.readouterr().err
    assert tree.read_bytes() == b"old"
