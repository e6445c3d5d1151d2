"""Checkpoints, tiles, bundles and proofs as bytes."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes.note import Note
from chopmark.envelopes.tlog import merkle, tiles
from chopmark.envelopes.tlog.checkpoint import Checkpoint
from chopmark.envelopes.tlog.edge import Edge
from chopmark.envelopes.tlog.proof import Proof
from chopmark.envelopes.tlog.tree import Tree
from tests.support import log_verifier

ROOT = base64.b64encode(bytes(range(32))).decode()
NOTE = f"example.com/log\n7\n{ROOT}\n\n\u2014 example.com/log AAAAAAAAAAA=\n".encode()
HASH = base64.b64encode(bytes(32)).decode()


def test_a_checkpoint() -> None:
    read = Checkpoint.parse(f"example.com/log\n7\n{ROOT}\nmore\n")
    assert read == Checkpoint("example.com/log", 7, bytes(range(32)), ("more",))
    assert read.text == f"example.com/log\n7\n{ROOT}\nmore\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "example.com/log\n",
        "example.com/log\n7\n",
        f"example.com/log\n7\n{ROOT}",
        f"\n7\n{ROOT}\n",
        f"example.com/log\n\n{ROOT}\n",
        f"example.com/log\n07\n{ROOT}\n",
        f"example.com/log\n-7\n{ROOT}\n",
        f"example.com/log\n+7\n{ROOT}\n",
        f"example.com/log\n7 \n{ROOT}\n",
        f"example.com/log\n\u0667\n{ROOT}\n",
        f"example.com/log\n{limits.LOG_SIZE_MAX + 1}\n{ROOT}\n",
        f"example.com/log\n{'9' * 5000}\n{ROOT}\n",
        f"example.com/log\n7\n{ROOT[:-4]}\n",
        f"example.com/log\n7\n{ROOT[:-1]}\n",
        f"example.com/log\n0\n{ROOT}\n",
        f"example.com/log\n7\n{ROOT}\n\n",
        f"example.com/log\n7\n{ROOT}\n\nmore\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(MalformedError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    ("number", "width", "path"),
    [
        (0, 256, "tile/0/000"),
        (999, 256, "tile/0/999"),
        (1000, 256, "tile/0/x001/000"),
        (1234067, 256, "tile/0/x001/x234/067"),
        (1234067, 5, "tile/0/x001/x234/067.p/5"),
    ],
)
def test_paths_of_tiles(number: int, width: int, path: str) -> None:
    assert tiles.Tile(0, number, width).path == path
    assert tiles.Tile(tiles.ENTRIES, number, width).path == path.replace("/0/", "/entries/", 1)
    assert log_verifier.tile_path("0", number, width) == path


def test_the_specification_s_example_of_a_tree_of_70_000() -> None:
    made = [tile for tile, _ in Edge().extend(b"" for _ in range(70_000))]
    hashes = [tile for tile in made if tile.level != tiles.ENTRIES]
    assert sum(tile.level == 0 and tile.width == 256 for tile in hashes) == 273
    partial = [tile for tile in hashes if tile.width < 256]
    assert partial == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert sum(tile.level == 1 and tile.width == 256 for tile in hashes) == 1


@given(st.lists(st.binary(max_size=20), max_size=256))
def test_bundles_are_read_back(entries: list[bytes]) -> None:
    assert tiles.entries(tiles.bundle(entries)) == entries


@pytest.mark.parametrize("raw", [b"\0", b"\0\1", b"\0\2x", b"\0\0" * 257])
def test_what_is_no_bundle(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        tiles.entries(raw)


def test_a_partial_tile_is_the_beginning_of_the_full_one() -> None:
    entries = [b"%d" % number for number in range(256)]
    assert tiles.cut(tiles.Tile(tiles.ENTRIES, 0, 3), tiles.bundle(entries)) == tiles.bundle(entries[:3])
    assert tiles.cut(tiles.Tile(0, 0, 3), bytes(8192)) == bytes(96)


def test_a_tile_of_the_wrong_length_is_not_used() -> None:
    with pytest.raises(MalformedError):
        Tree(3, lambda _: bytes(95)).root()
    with pytest.raises(MalformedError):
        Edge.of(3, lambda _: bytes(95))


@given(st.integers(1, 70_000), st.data())
def test_proofs_of_any_tree_hold_and_no_others(size: int, data: st.DataObject) -> None:
    """Over leaves that need not be stored: each hash is that of its place."""
    cache: dict[tuple[int, int], bytes] = {}

    def span(begin: int, end: int) -> bytes:
        if (begin, end) not in cache:
            if end - begin == 1:
                cache[begin, end] = hashlib.sha256(b"%d" % begin).digest()
            else:
                half = 1 << (end - begin - 1).bit_length() - 1
                cache[begin, end] = merkle.node(span(begin, begin + half), span(begin + half, end))
        return cache[begin, end]

    def read(tile: tiles.Tile) -> bytes:
        wide = 256**tile.level
        first = tile.number * 256
        return b"".join(span(at * wide, (at + 1) * wide) for at in range(first, first + tile.width))

    size = min(size, 3000)  # hashing more takes too long in Python
    number = data.draw(st.integers(0, size - 1))
    tree = Tree(size, read)
    root = span(0, size)
    assert tree.root() == root
    proof = tree.inclusion(number)
    leaf = span(number, number + 1)
    merkle.check_inclusion(number, size, leaf, proof, root)
    assert log_verifier.inclusion_root(number, size, leaf, proof) == root
    wrong = data.draw(st.integers(0, size - 1).filter(lambda other: other != number) if size > 1 else st.just(size))
    with pytest.raises(merkle.ProofError):
        merkle.check_inclusion(wrong, size, leaf, proof, root)
    for broken in (proof[:-1], [*proof, bytes(32)], [bytes(32), *proof[1:]]):
        if broken != proof:
            with pytest.raises(merkle.ProofError):
                merkle.check_inclusion(number, size, leaf, broken, root)


@pytest.mark.parametrize("size", [-1, 8])
def test_a_tree_that_shrank_is_no_beginning(size: int) -> None:
    with pytest.raises(merkle.ProofError):
        merkle.check_consistency(size, bytes(32), 7, bytes(32), [])


def test_every_tree_grows_from_the_empty_one_without_a_proof() -> None:
    merkle.check_consistency(0, merkle.EMPTY, 7, bytes(32), [])
    for root, proof in ((bytes(32), []), (merkle.EMPTY, [bytes(32)])):
        with pytest.raises(merkle.ProofError):
            merkle.check_consistency(0, root, 7, bytes(32), proof)


def test_two_trees_of_one_size_are_one() -> None:
    merkle.check_consistency(7, bytes(32), 7, bytes(32), [])
    with pytest.raises(merkle.ProofError):
        merkle.check_consistency(7, bytes(32), 7, b"\1" * 32, [])


def test_a_proof_is_read_back() -> None:
    note = Note.parse(NOTE)
    for extra in (None, b"", b"entry"):
        proof = Proof(5, (bytes(32), b"\1" * 32), note, extra)
        assert Proof.parse(proof.encode()) == proof
    alone = Proof(0, (), note)
    assert alone.encode() == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + NOTE
    assert Proof.parse(alone.encode()) == alone


@pytest.mark.parametrize(
    "head",
    [
        "",
        "c2sp.org/tlog-proof@v2\nindex 0\n",
        "c2sp.org/tlog-proof@v1\n",
        "c2sp.org/tlog-proof@v1\nindex\n",
        "c2sp.org/tlog-proof@v1\nindex 00\n",
        "c2sp.org/tlog-proof@v1\nindex -1\n",
        "c2sp.org/tlog-proof@v1\r\nindex 0\r\n",
        "c2sp.org/tlog-proof@v1\nextra !\nindex 0\n",
        "c2sp.org/tlog-proof@v1\nextra AAAA\n",
        "c2sp.org/tlog-proof@v1\nextra AAAA\nextra AAAA\nindex 0\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{HASH} \n",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + f"{HASH}\n" * 64,
        "c2sp.org/tlog-proof@v1\nindex \u0660\n",
    ],
)
def test_what_is_no_proof(head: str) -> None:
    with pytest.raises(MalformedError):
        Proof.parse(head.encode() + b"\n" + NOTE)


def test_a_proof_that_is_cut_off_or_too_long() -> None:
    whole = Proof(5, (bytes(32),), Note.parse(NOTE), b"entry").encode()
    for end in range(len(whole)):
        with pytest.raises(MalformedError):
            Proof.parse(whole[:end])
    with pytest.raises(MalformedError):
        Proof.parse(whole + b"\n" * limits.LOG_PROOF_MAX)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_proof_or_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        Proof.parse(raw)
    with pytest.raises(MalformedError):
        Proof.parse(b"c2sp.org/tlog-proof@v1\nindex 0\n" + raw)
