"""Logs as they are run: a folder with a key and what is served; checkpoints that never contradict each other."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from chopmark.authority import locking
from chopmark.authority.log.storage import LogForkError, Storage
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import note
from chopmark.envelopes.note import Note, VerifierKey
from chopmark.envelopes.tlog import tiles
from chopmark.envelopes.tlog.checkpoint import Checkpoint
from chopmark.envelopes.tlog.edge import Edge
from chopmark.envelopes.tlog.proof import Proof
from chopmark.envelopes.tlog.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.contracts import Signer

_BUSY_SECONDS = 30
"""How long to wait for another process that is writing to the log."""


class Signed(NamedTuple):
    """A checkpoint and the note that it is the text of; the log's own signature on it was checked."""

    checkpoint: Checkpoint
    note: Note


class Log:
    """A log whose files are here. `key` is its public key, whose name is the log's origin."""

    def __init__(self, storage: Storage, key: VerifierKey) -> None:
        self.storage = storage
        self.key = key

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self.key.name

    def read(self, raw: bytes) -> Signed:
        """A checkpoint of this log. Raises LogForkError for what is none, or not signed by its key."""
        try:
            parsed = Note.parse(raw)
            checkpoint = Checkpoint.parse(parsed.text)
            own = parsed.verify([self.key]) and checkpoint.origin == self.origin
        except ChopmarkError as error:
            message = f"{self.storage.folder}: the log's checkpoint is damaged ({error})"
            raise LogForkError(message) from None
        if not own:
            message = f"{self.storage.folder}: the checkpoint there is not that of {self.origin}"
            raise LogForkError(message)
        return Signed(checkpoint, parsed)

    def published(self) -> Signed | None:
        """The checkpoint that is published; None before the first. Raises LogForkError."""
        raw = self.storage.checkpoint()
        return self.read(raw) if raw else None

    def latest(self) -> Signed:
        """The checkpoint that is published. Raises UsageError when there is none."""
        found = self.published()
        if found is None:
            message = f"{self.storage.folder}: there is no log, or no checkpoint of it yet"
            raise UsageError(message)
        return found

    def sign(self, size: int, root: bytes, signer: Signer) -> Signed:
        """A new checkpoint, signed; nothing is written."""
        checkpoint = Checkpoint(self.origin, size, root)
        return Signed(checkpoint, Note(checkpoint.text, (note.sign(checkpoint.text, self.key, signer),)))

    def entry(self, number: int, size: int) -> bytes:
        """An entry of the log when it has `size` of them. Raises UsageError when there is none of that number."""
        if not 0 <= number < size:
            message = f"the log has no entry {number}: it has {size}, counted from 0"
            raise UsageError(message)
        tile = tiles.tile(tiles.ENTRIES, number // tiles.WIDTH, size)
        return tiles.entries(self.storage.read(tile))[number % tiles.WIDTH]

    def prove(self, number: int) -> Proof:
        """The proof that an entry is in the log, with the entry in it; checked before it is handed out.

        Raises UsageError for an entry that is not in the published tree, MalformedError where the log is damaged.
        """
        return Prover(self).prove(number)


class Prover:
    """Makes many proofs in one checkpoint's tree, and keeps what they have in common."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._signed = log.latest()
        self._tree = Tree(self._signed.checkpoint.size, log.storage.read)

    def prove(self, number: int) -> Proof:
        """As `Log.prove`."""
        entry = self._log.entry(number, self._tree.size)
        proof = Proof(number, tuple(self._tree.inclusion(number)), self._signed.note, entry)
        proof.check(entry)
        return proof


def grown(log: Log, old: Checkpoint, entries: Iterable[bytes], signer: Signer) -> tuple[Signed, list[tiles.Tile]]:
    """Write the tiles of a log with more entries, and sign its checkpoint, which is not published yet.

    The tiles that are full now come second. Raises LogForkError when the log's files contradict `old` or the entries.
    """
    edge = edge_of(log.storage, old)
    full = log.storage.put(edge.extend(entries))
    return log.sign(edge.size, edge.root(), signer), full


def edge_of(storage: Storage, checkpoint: Checkpoint) -> Edge:
    """The right edge of a log under a checkpoint. Raises LogForkError when the files are not its own."""
    try:
        edge = Edge.of(checkpoint.size, storage.read)
    except ChopmarkError as error:
        message = f"{storage.folder}: the log's last tiles cannot be read ({error}); nothing was signed"
        raise LogForkError(message) from None
    if edge.root() != checkpoint.root:
        message = f"{storage.folder}: the log's last tiles are not those of its checkpoint; nothing was signed"
        raise LogForkError(message)
    return edge


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold the right to write to a log, which only one process on this machine has; `path` is made if need be.

    The lock ends with the process, however that ends. Raises UnavailableError when another holds it for long.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        message = f"{path}: {os.strerror(error.errno or 0)}"
        raise UsageError(message) from None
    try:
        busy = f"{path}: another process is writing to the log for more than {_BUSY_SECONDS} s"
        locking.wait(descriptor, _BUSY_SECONDS, busy)
        yield
    finally:
        os.close(descriptor)
