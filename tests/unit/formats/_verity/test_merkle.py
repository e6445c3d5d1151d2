"""Trees of digests, against a second way to compute them that has everything in memory."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.artifact import BytesView
from chopmark.core.errors import UsageError
from chopmark.formats._verity import fsverity
from chopmark.formats._verity.merkle import MerkleTree


def plainly(data: bytes, algorithm: str, block: int, prefix: bytes, slot: int) -> bytes:
    """Level by level, as the documentation tells it."""
    size = hashlib.new(algorithm).digest_size
    if not data:
        return bytes(size)
    while True:
        cut = [data[start : start + block].ljust(block, b"\0") for start in range(0, len(data), block)]
        found = [hashlib.new(algorithm, prefix + each).digest() for each in cut]
        if len(found) == 1:
            return found[0]
        each_block = block // slot
        rows = [found[start : start + each_block] for start in range(0, len(found), each_block)]
        filled = (b"".join(each.ljust(slot, b"\0") for each in row).ljust(block, b"\0") for row in rows)
        data = b"".join(filled)


@given(
    st.integers(0, 40_000),
    st.sampled_from([("sha256", 32, 256), ("sha1", 32, 256), ("sha512", 64, 512), ("sha256", 32, 1024)]),
    st.sampled_from([b"", b"salt", bytes(64)]),
    st.lists(st.integers(1, 5000), min_size=1, max_size=8),
)
def test_it_is_the_same_in_pieces_of_any_size(
    size: int, form: tuple[str, int, int], prefix: bytes, cuts: list[int]
) -> None:
    algorithm, slot, block = form
    data = hashlib.shake_128(size.to_bytes(4, "big")).digest(size)
    tree = MerkleTree(algorithm, block, prefix, slot=slot)
    place = 0
    while place < size:
        length = cuts[place % len(cuts)]
        tree.update(data[place : place + length])
        place += length
    assert tree.root() == plainly(data, algorithm, block, prefix, slot)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 128 * 4096, 128 * 4096 + 1, 129 * 4096])
def test_the_edges_of_blocks_and_levels(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    tree = MerkleTree("sha256", 4096)
    tree.update(data[:size])
    assert tree.root() == plainly(data[:size], "sha256", 4096, b"", 32)


# What fsverity 1.5 says of these (fsverity digest, tests/interop has more).
@pytest.mark.parametrize(
    ("data", "parameters", "digest"),
    [
        (
            b"",
            fsverity.Parameters(),
            "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95",
        ),
    ],
)
def test_known_digests(data: bytes, parameters: fsverity.Parameters, digest: str) -> None:
    assert [each.hex() for each in fsverity.digests(BytesView(data), [parameters])] == [digest]


@pytest.mark.parametrize(
    "parameters",
    [
        fsverity.Parameters("sha1"),
        fsverity.Parameters("sha256", 1000),
        fsverity.Parameters("sha256", 1 << 17),
        fsverity.Parameters("sha256", 4096, bytes(33)),
    ],
)
def test_what_the_kernel_cannot_do_is_refused(parameters: fsverity.Parameters) -> None:
    with pytest.raises(UsageError):
        parameters.checked()
