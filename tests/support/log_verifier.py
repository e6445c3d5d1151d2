"""A verifier of logs, written from the C2SP texts (signed-note, tlog-checkpoint, tlog-tiles, tlog-proof) and RFC 6962.

It shares no code with chopmark, on purpose, and is as plain as can be: it reads every entry and hashes the whole tree.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from pathlib import Path


class WrongError(Exception):
    """Something is not as the specifications say."""


def require(condition: object, what: str) -> None:
    if not condition:
        raise WrongError(what)


def opened(note: bytes, vkey: str) -> tuple[str, int, bytes]:
    """The origin, size and root of a checkpoint whose signature by this key holds."""
    name, key_id, key = vkey.split("+", 2)
    material = base64.b64decode(key)
    require(material[0] == 1 and len(material) == 33, "not an Ed25519 key")
    digest = hashlib.sha256(name.encode() + b"\n" + material).digest()
    require(digest[:4].hex() == key_id, "the key ID is not that of the key")
    text, _, signatures = note.decode().rpartition("\n\n")
    text += "\n"
    good = 0
    for line in signatures.splitlines():
        dash, signer, value = line.split(" ")
        require(dash == "\u2014", "no dash")
        raw = base64.b64decode(value)
        if signer == name and raw[:4].hex() == key_id:
            Ed25519PublicKey.from_public_bytes(material[1:]).verify(raw[4:], text.encode())
            good += 1
    require(good, "not signed by the log")
    origin, size, root = text.split("\n")[:3]
    require(origin == name, "another log")
    return origin, int(size), base64.b64decode(root)


def tree_hash(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 clause 2.1, over the hashes of the leaves, a row at a time."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    row = leaves
    while len(row) > 1:
        above = [hashlib.sha256(b"\x01" + row[at] + row[at + 1]).digest() for at in range(0, len(row) - 1, 2)]
        # An odd one moves up as it is, which is what splitting at the largest power of two comes to.
        row = above + row[len(row) & ~1 :]
    return row[0]


def tile_path(level: str, number: int, width: int) -> str:
    digits = f"{number:03d}" if number < 1000 else ""
    if not digits:
        groups = []
        while number:
            groups.append(f"{number % 1000:03d}")
            number //= 1000
        digits = "/".join([f"x{group}" for group in groups[:0:-1]] + groups[:1])
    return f"tile/{level}/{digits}" + (f".p/{width}" if width < 256 else "")


def verify(folder: Path, vkey: str) -> list[bytes]:
    """Check a whole log and return its entries. Raises WrongError, or whatever comes from files that are not there."""
    _, size, root = opened((folder / "checkpoint").read_bytes(), vkey)
    entries: list[bytes] = []
    for number in range(-(-size // 256)):
        width = min(256, size - number * 256)
        raw = (folder / tile_path("entries", number, width)).read_bytes()
        found = []
        while raw:
            (length,) = struct.unpack(">H", raw[:2])
            require(len(raw) >= 2 + length, "a bundle is cut off")
            found.append(raw[2 : 2 + length])
            raw = raw[2 + length :]
        require(len(found) == width, "a bundle has the wrong number of entries")
        entries += found
    hashes = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
    require(tree_hash(hashes) == root, "the entries do not have this root")
    level = 0
    while hashes:
        for number in range(-(-len(hashes) // 256)):
            want = hashes[number * 256 : number * 256 + 256]
            path = folder / tile_path(str(level), number, len(want))
            require(path.read_bytes() == b"".join(want), f"{path} is wrong")
        hashes = [tree_hash(hashes[at : at + 256]) for at in range(0, len(hashes) & ~255, 256)]
        level += 1
    return entries


def inclusion_root(number: int, size: int, leaf: bytes, proof: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to, by the recursion that defines it (RFC 6962 clause 2.1.1)."""
    if size == 1:
        require(not proof, "the proof is too long")
        return leaf
    require(proof, "the proof is too short")
    split = 1
    while split * 2 < size:
        split *= 2
    *rest, last = proof
    if number < split:
        return hashlib.sha256(b"\x01" + inclusion_root(number, split, leaf, rest) + last).digest()
    return hashlib.sha256(b"\x01" + last + inclusion_root(number - split, size - split, leaf, rest)).digest()


def verify_proof(text: bytes, entry: bytes, vkey: str) -> int:
    """Check a .tlog-proof for an entry; its number."""
    head, _, checkpoint = text.partition(b"\n\n")
    lines = head.decode().split("\n")
    require(lines.pop(0) == "c2sp.org/tlog-proof@v1", "not a proof")
    if lines[0].startswith("extra "):
        lines.pop(0)
    word, _, digits = lines.pop(0).partition(" ")
    require(word == "index" and str(int(digits)) == digits, "no index")
    _, size, root = opened(checkpoint, vkey)
    number = int(digits)
    require(number < size, "beyond the tree")
    leaf = hashlib.sha256(b"\x00" + entry).digest()
    found = inclusion_root(number, size, leaf, [base64.b64decode(line) for line in lines])
    require(found == root, "the proof leads elsewhere")
    return number
