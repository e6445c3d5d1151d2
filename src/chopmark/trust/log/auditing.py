"""Auditing a whole log: is everything there, unchanged, and the same history as before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import ChopmarkError, MalformedError, UnavailableError
from chopmark.core.named import NamedTuple
from chopmark.envelopes.note import Note
from chopmark.envelopes.tlog import merkle, tiles
from chopmark.envelopes.tlog.checkpoint import Checkpoint
from chopmark.envelopes.tlog.edge import Edge
from chopmark.envelopes.tlog.tree import Tree
from chopmark.trust.log import reasons
from chopmark.trust.log.sources import MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from chopmark.core.finding import Finding
    from chopmark.envelopes.tlog.tiles import Tile
    from chopmark.trust.log.keys import Trusted
    from chopmark.trust.log.sources import Source

_SHOWN = 8
"""Changed places that are told one by one."""


class Audit(NamedTuple):
    """What an audit came to; `checkpoint` is None when there is none that can be believed. `note` is it as served."""

    findings: list[Finding]
    checkpoint: Checkpoint | None = None
    note: bytes = b""


def audit(
    source: Source,
    trusted: Trusted,
    seen: Iterable[Checkpoint] = (),
    *,
    entries: bool = True,
    progress: Callable[[Iterable[int], int], Iterable[int]] = lambda items, _: items,
) -> Audit:
    """Look at a log as it is served; never raises for what it finds.

    `seen` are checkpoints of it that are known to be genuine. Without `entries` only what a proof of consistency needs
    is read. `progress` is handed the numbers of the bundles and their count, and passes them through.
    """
    try:
        raw = source.checkpoint()
    except UnavailableError as error:
        return Audit([reasons.UNREACHABLE.found(str(error))])
    except ChopmarkError as error:
        return Audit([reasons.TRUNCATED.found(f"there is no checkpoint ({error})")])
    try:
        note = Note.parse(raw)
        checkpoint = Checkpoint.parse(note.text)
    except MalformedError as error:
        return Audit([reasons.CHECKPOINT_MALFORMED.found(str(error))])
    if not trusted.logs:
        return Audit([reasons.KEY_UNKNOWN.found(checkpoint.origin)])
    findings = trusted.judge(note, checkpoint)
    if any(finding.code == reasons.CHECKPOINT_UNTRUSTED.code for finding in findings):
        return Audit(findings)
    try:
        findings += _history(source, checkpoint, list(seen))
        if entries:
            findings += _Contents(source, checkpoint).findings(progress)
    except UnavailableError as error:
        findings.append(reasons.UNREACHABLE.found(str(error)))
    except MissingError as error:
        findings.append(reasons.TRUNCATED.found(str(error)))
    except ChopmarkError as error:  # unreadable, of the wrong length
        findings.append(reasons.TILE_CHANGED.found(str(error)))
    return Audit(findings, checkpoint, raw)


def _history(source: Source, checkpoint: Checkpoint, seen: list[Checkpoint]) -> list[Finding]:
    """Whether the log goes on from what was seen before."""
    if not seen:
        return [reasons.FIRST_SEEN.found()]
    findings = []
    for before in seen:
        if before.size > checkpoint.size:
            # What there is now may still be the beginning of what was seen, which its tiles could show.
            findings.append(reasons.TRUNCATED.found(f"{checkpoint.size} entries now, {before.size} before"))
            continue
        try:
            _require_beginning(source, before, checkpoint)
        except merkle.ProofError:
            findings.append(reasons.FORKED.found(f"what it said of its first {before.size} entries"))
        else:
            findings.append(reasons.CONTINUED.found(f"{before.size} entries before, {checkpoint.size} now"))
    return findings


def _require_beginning(source: Source, before: Checkpoint, checkpoint: Checkpoint) -> None:
    """Prove from the log's own tiles that a tree is the beginning of the one now. Raises merkle.ProofError."""
    proof: list[bytes] = []
    if 0 < before.size < checkpoint.size:
        proof = Tree(checkpoint.size, source.read).consistency(before.size)
    merkle.check_consistency(before.size, before.root, checkpoint.size, checkpoint.root, proof)


class _Contents:
    """Entries and tiles: the tree is grown anew from the entries, and everything that it makes is compared."""

    def __init__(self, source: Source, checkpoint: Checkpoint) -> None:
        self._source = source
        self._checkpoint = checkpoint
        self._differing: list[str] = []
        self._count = 0

    def findings(self, progress: Callable[[Iterable[int], int], Iterable[int]]) -> list[Finding]:
        size = self._checkpoint.size
        bundles = -(-size // tiles.WIDTH)
        edge = Edge()
        for tile, made in edge.extend(self._entries(progress(range(bundles), bundles))):
            if tile.level != tiles.ENTRIES:
                self._compare(tile, made)
        places = ", ".join(self._differing) + (", ..." if self._count > _SHOWN else "")
        if edge.size == size and edge.root() == self._checkpoint.root:
            return [reasons.TILE_CHANGED.found(places) if self._count else reasons.COMPLETE.found(f"{size} entries")]
        try:
            genuine = Tree(size, self._source.read).root() == self._checkpoint.root
        except ChopmarkError:
            genuine = False
        if genuine:
            return [reasons.ENTRY_CHANGED.found(places)]
        return [reasons.REWRITTEN.found(places or "hashes and entries alike")]

    def _entries(self, numbers: Iterable[int]) -> Iterator[bytes]:
        for number in numbers:
            tile = tiles.tile(tiles.ENTRIES, number, self._checkpoint.size)
            raw = self._source.read(tile)
            try:
                found = tiles.entries(raw)
            except MalformedError:
                found = []
            if len(found) != tile.width:
                # Each gets a hash that it cannot have had, so that the rest stays in its place.
                self._differs(f"{tile.path} is damaged")
                found = [b""] * tile.width
            yield from found

    def _compare(self, tile: Tile, made: bytes) -> None:
        there = self._source.read(tile)
        if there == made:
            return
        span = tiles.WIDTH**tile.level
        for at in range(0, len(made), merkle.HASH_SIZE):
            if there[at : at + merkle.HASH_SIZE] != made[at : at + merkle.HASH_SIZE]:
                first = (tile.number * tiles.WIDTH + at // merkle.HASH_SIZE) * span
                self._differs(f"entry {first}" if span == 1 else f"entries {first} to {first + span - 1}")
        if len(there) > len(made):
            self._differs(f"{tile.path} is too long")

    def _differs(self, where: str) -> None:
        self._count += 1
        if self._count <= _SHOWN:
            self._differing.append(where)
