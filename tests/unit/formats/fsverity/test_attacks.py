"""Signatures that are good, over something that is nearly the fs-verity digest of the file: none of them is trusted."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import pytest

from chopmark.core import seal
from chopmark.core.contracts import Content
from chopmark.core.digest import of
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check
from chopmark.envelopes import module
from chopmark.formats._verity import fsverity
from chopmark.formats._verity.fsverity import Parameters
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.contract import laws
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

FILE = bytes(range(251)) * 60
SIGNER = pki.leaf(None, "Example fs-verity Attacks", purposes=())


def struct_of(data: bytes, parameters: Parameters = Parameters(), size: int | None = None) -> bytes:  # noqa: B008 - frozen
    """What a built-in signature is over, for a file that says of itself that it is so long."""
    tree = parameters.tree()
    tree.update(data)
    digest = fsverity.digest_of(tree.root(), len(data) if size is None else size, parameters)
    return fsverity.formatted(digest, parameters.algorithm)


def sealed(message: bytes, entity: pki.Entity = SIGNER) -> bytes:
    plain = Content(seal.DATA, "sha256", of(message, "sha256"), message=message)
    draft = module.draft(plain, entity, entity.certificates, signing_time=pki.NOW)
    return draft.finish(entity.sign(draft.to_be_signed, "sha256"))


def judged(folder: Path, data: bytes, signature: bytes) -> Verdict:
    path = folder / "store.pem"
    path.write_bytes(SIGNER.pem)
    context = contexts.Context(store.load([str(path)]), pki.NOW, contexts.OFF, origins.CrlSource(cache=str(folder)))
    state = laws.State("tool", data, ((".fsv_sig", signature),), asked="fsverity")
    return check.check(state.artifact(), context)


def test_the_signature_of_these_tests_is_good(tmp_path: Path) -> None:
    assert judged(tmp_path, FILE, sealed(struct_of(FILE))).status is Status.TRUSTED


ROOT = hashlib.sha256(FILE[:4096], usedforsecurity=False).digest()
LEVEL = b"".join(hashlib.sha256(FILE[at : at + 4096].ljust(4096, b"\0")).digest() for at in range(0, len(FILE), 4096))
DIGEST = struct_of(FILE)[12:]
NEARLY = {
    "another file": struct_of(FILE[:-1] + b"?"),
    "zeros behind it": struct_of(FILE + bytes(8)),
    "the same tree, and another size": struct_of(FILE, size=len(FILE) + 1),
    "the level above the blocks": struct_of(LEVEL),
    "the root hash alone": fsverity.formatted(hashlib.sha256(LEVEL.ljust(4096, b"\0")).digest(), "sha256"),
    "a salt": struct_of(FILE, Parameters(salt=b"salt")),
    "blocks that nobody tries": struct_of(FILE, Parameters(block_size=8192)),
    "the number of another digest": b"FSVerity" + struct.pack("<HH", 2, 32) + DIGEST,
    "another length": b"FSVerity" + struct.pack("<HH", 1, 33) + DIGEST + b"\0",
    "numbers in the other order": b"FSVerity" + struct.pack(">HH", 1, 32) + DIGEST,
    "no name before it": struct.pack("<HH", 1, 32) + DIGEST,
    "the digest alone": DIGEST,
    "the digest as text": b"sha256:" + DIGEST.hex().encode(),
    "the digest of the whole file": fsverity.formatted(hashlib.sha256(FILE).digest(), "sha256"),
    "the file itself": FILE,
    "something behind": struct_of(FILE) + b"\0",
}


@pytest.mark.parametrize("what", NEARLY)
def test_a_signature_over_something_near_is_wrong(what: str, tmp_path: Path) -> None:
    verdict = judged(tmp_path, FILE, sealed(NEARLY[what]))
    assert verdict.status is Status.REJECTED
    assert "module.signature_wrong" in {each.code for found in verdict.seals for each in found.findings}


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 8192])
def test_zeros_that_fill_up_a_block_are_no_part_of_the_file(length: int, tmp_path: Path) -> None:
    """The tree is the same with and without them."""
    data = FILE[:length]
    signature = sealed(struct_of(data))
    assert judged(tmp_path, data, signature).status is Status.TRUSTED
    assert judged(tmp_path, data + b"\0", signature).status is Status.REJECTED
    assert judged(tmp_path, data + bytes(4096), signature).status is Status.REJECTED


def test_a_key_that_nobody_knows(tmp_path: Path) -> None:
    """Its certificate has the names of the known one."""
    lookalike = pki.leaf(None, "Example fs-verity Attacks", kind="p384", purposes=())
    verdict = judged(tmp_path, FILE, sealed(struct_of(FILE), lookalike))
    assert verdict.status in (Status.REJECTED, Status.UNDECIDED)
