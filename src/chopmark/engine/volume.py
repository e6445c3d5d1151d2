"""Checking a dm-verity volume: its tree and its data against a root hash, and that against whoever signed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import reasons as common
from chopmark.core.artifact import Artifact, UnreadableError
from chopmark.core.errors import MalformedError
from chopmark.core.verdict import Verdict
from chopmark.engine import check
from chopmark.formats._verity import superblock
from chopmark.formats.dmverity import FORMAT, reasons, sealing, volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.core.finding import Finding
    from chopmark.trust.context import Context


def check_signed(data: str, tree: str, offset: int, root_hash_file: str, context: Context) -> Verdict:
    """Judge the signed root hash in a file, and the volume by it."""
    verdict = check.check_path(root_hash_file, context, FORMAT.name)
    of_hash = [finding for finding in verdict.findings if finding.code != common.FORMAT_DETECTED.code]
    try:
        digits = _digits(root_hash_file)
    except UnreadableError as error:
        named = error.reason.found(f"the root hash, {root_hash_file}")
        of_hash = [named if finding.code == named.code else finding for finding in of_hash]
        return Verdict(data, FORMAT.name, verdict.seals, tuple(of_hash))
    found = check_given(data, tree, offset, bytes.fromhex(digits)) if digits else []
    if not digits and not verdict.seals:
        found = [reasons.ROOT_HASH_WRONG.found(root_hash_file)]
    return Verdict(data, FORMAT.name, verdict.seals, (*of_hash, *found))


def check_given(data: str, tree: str, offset: int, root_hash: bytes) -> list[Finding]:
    """Hold a volume against a root hash. What cannot be opened or read becomes a finding, never an exception."""
    try:
        with Artifact.open(data) as content:
            if tree == data:
                return list(_found(content, content, offset, root_hash))
            with Artifact.open(tree) as digests:
                return list(_found(content, digests, offset, root_hash))
    except UnreadableError as error:
        return [error.reason.found(error.detail or str(error))]


def _found(content: Artifact, digests: Artifact, offset: int, root_hash: bytes) -> Iterable[Finding]:
    try:
        tree = volume.read(digests.view, offset)
    except superblock.UnsupportedTreeError as error:
        yield reasons.UNSUPPORTED.found(str(error))
        return
    except MalformedError as error:
        yield reasons.SUPERBLOCK_WRONG.found(str(error))
        return
    yield from volume.check(content.view, tree, root_hash)
    if content.view.changed() or digests.view.changed():
        yield common.INPUT_CHANGED.found()


def _digits(path: str) -> str:
    with Artifact.open(path) as artifact:
        return sealing.root_hash(artifact)
