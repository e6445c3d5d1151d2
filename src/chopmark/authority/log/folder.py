"""A log by itself, in a folder: its settings and key, and what is to be served below `public/`."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from typing import TYPE_CHECKING, Self

from chopmark import keys
from chopmark.authority.log import logs
from chopmark.authority.log.storage import LogForkError, Storage
from chopmark.core import folders, limits, patch, toml
from chopmark.core.artifact import read_small
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UsageError
from chopmark.envelopes.note import VerifierKey
from chopmark.envelopes.tlog import merkle, tiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chopmark.core.contracts import Signer
    from chopmark.envelopes.tlog.checkpoint import Checkpoint

FILE = "log.toml"
PUBLIC = "public"
FOLDER_KEY = "folder:"
"""In front of the name of a key file in the log's own folder, where other keys have a URI."""
_PENDING = "pending"
_BATCH_BYTES = 16 * limits.MIB
_BATCH_ENTRIES = 65_536


class FolderLog(logs.Log):
    """A log in a folder. Entries are in its tree, under a signed checkpoint, when `append` returns.

    Several processes may append at the same time. A process that is killed while it appends leaves either nothing or
    a note of what it was about to do (`pending`), which the next one does first.
    """

    def __init__(self, folder: str, key: VerifierKey, uri: str, passphrase: keys.Passphrase) -> None:
        super().__init__(Storage(os.path.join(folder, PUBLIC)), key)
        self.folder = folder
        self._uri = uri
        self._passphrase = passphrase
        self._signer: Signer | None = None

    @classmethod
    def make(cls, folder: str, origin: str, uri: str, passphrase: keys.Passphrase = keys.nothing) -> Self:
        """Begin an empty log in a folder, which may have its key already. Raises UsageError when it is a log."""
        path = os.path.join(folder, FILE)
        if os.path.lexists(path):
            message = f"{folder}: there is a log already"
            raise UsageError(message)
        signer = keys.open_key(_located(folder, uri), passphrase)
        log = cls(folder, VerifierKey.of(origin, signer.public_key), uri, passphrase)
        log._signer = signer
        settings = {"vkey": str(log.key), "key": uri}
        with folders.made(log.storage.folder):
            log.storage.write_checkpoint(log.sign(0, merkle.EMPTY, signer).note.encode())
            try:
                lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
                patch.write_file(path, "".join(lines).encode())
            except BaseException:
                os.unlink(os.path.join(log.storage.folder, "checkpoint"))  # of no log
                raise
        return log

    @classmethod
    def open(cls, folder: str, passphrase: keys.Passphrase = keys.nothing) -> Self:
        """Open the log in a folder; its key is opened when it is needed. Raises UsageError when there is none."""
        path = os.path.join(folder, FILE)
        if not os.path.isfile(path):
            message = f"{folder}: there is no log (chopmark log init makes one)"
            raise UsageError(message)
        try:
            settings = toml.loads(read_small(path, limits.SETTINGS_MAX))
            vkey, uri = settings["vkey"], settings["key"]
            return cls(folder, VerifierKey.parse(vkey), uri, passphrase)
        except (ValueError, KeyError, TypeError, AttributeError, MalformedError) as error:
            message = f"{path}: not the settings of a log ({error})"
            raise UsageError(message) from None

    def append(self, entries: Iterable[bytes]) -> list[int]:
        """Add entries; their numbers. Raises RefusedError for one that is too long, and then adds none after it."""
        numbers: list[int] = []
        for batch in _batches(entries):
            with logs.locked(os.path.join(self.folder, FILE)):
                old = self._recovered()
                numbers += range(old.size, old.size + len(batch))
                self._begin(old, batch)
                try:
                    self._finish(old, batch)
                except LogForkError:  # nothing was signed, and nothing of this is to be tried again
                    self._forget()
                    raise
        return numbers

    def recover(self) -> None:
        """Finish what a process that was killed had begun."""
        with logs.locked(os.path.join(self.folder, FILE)):
            self._recovered()

    @property
    def signer(self) -> Signer:
        """Its private key, opened once."""
        if self._signer is None:
            self._signer = keys.open_key(_located(self.folder, self._uri), self._passphrase)
        return self._signer

    def _recovered(self) -> Checkpoint:
        """The checkpoint that is published, once nothing is pending any more."""
        old = self.latest().checkpoint
        if os.path.lexists(self._pending):
            begun, batch = _read_pending(self._pending)
            if begun == (old.size, old.root):
                old = self._finish(old, batch)
            elif begun[0] + len(batch) == old.size:
                self._forget()  # it was published, and nothing else
            else:
                message = f"{self._pending}: begun at another checkpoint than the one that is published now"
                raise LogForkError(message)
        return old

    def _begin(self, old: Checkpoint, batch: Sequence[bytes]) -> None:
        """Write down what is going to be appended: from then on it will be, whatever happens."""
        head = f"{old.size} {base64.b64encode(old.root).decode()}\n".encode()
        patch.write_file(self._pending, head + tiles.bundle(batch), 0o600)

    def _finish(self, old: Checkpoint, batch: Sequence[bytes]) -> Checkpoint:
        """Write the tiles, then the checkpoint, if the one that is published is still the same."""
        new, full = logs.grown(self, old, batch, self.signer)
        if self.latest().checkpoint != old:
            message = f"{self.folder}: somebody else wrote to the log without its lock; nothing was signed"
            raise LogForkError(message)
        self.storage.write_checkpoint(new.note.encode())
        self._forget()
        self.storage.drop_partial(full)
        return new.checkpoint

    def _forget(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._pending)

    @property
    def _pending(self) -> str:
        return os.path.join(self.folder, _PENDING)


def _located(folder: str, uri: str) -> str:
    if uri.startswith(FOLDER_KEY):
        return os.path.join(os.path.abspath(folder), uri.removeprefix(FOLDER_KEY))
    return uri


def _batches(entries: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for entry in entries:
        if len(entry) > limits.LOG_ENTRY_MAX:
            message = f"an entry of {len(entry)} bytes: a log takes at most {limits.LOG_ENTRY_MAX}"
            raise RefusedError(message)
        batch.append(entry)
        size += len(entry)
        if size >= _BATCH_BYTES or len(batch) == _BATCH_ENTRIES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _read_pending(path: str) -> tuple[tuple[int, bytes], list[bytes]]:
    try:
        head, _, body = read_small(path, 2 * _BATCH_BYTES).partition(b"\n")
        size, root = head.decode("ascii").split(" ")
        begun = int(size), base64.b64decode(root, validate=True)
        batch = tiles.entries(body, most=_BATCH_ENTRIES)
    except (ValueError, ChopmarkError) as error:
        message = f"{path}: what was about to be appended cannot be read ({error})"
        raise LogForkError(message) from None
    return begun, batch
