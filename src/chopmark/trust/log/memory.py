"""What was seen of logs before, kept so that a log cannot tell another story later."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from chopmark.core import limits, patch, places
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, MalformedError
from chopmark.envelopes.note import Note
from chopmark.envelopes.tlog.checkpoint import Checkpoint

if TYPE_CHECKING:
    from chopmark.envelopes.note import VerifierKey

_FOLDER = "logs"


def path(key: VerifierKey) -> str:
    """Where the last checkpoint of a log is kept."""
    return os.path.join(places.data(), _FOLDER, f"{hashlib.sha256(str(key).encode()).hexdigest()}.checkpoint")


def last(key: VerifierKey) -> Checkpoint | None:
    """The checkpoint of a log that was seen last; None when there is none.

    Raises InputError when there is something that is none: whoever could change it could hide a fork.
    """
    where = path(key)
    if not os.path.lexists(where):
        return None
    return genuine(read_small(where, limits.NOTE_MAX), key, where)


def genuine(raw: bytes, key: VerifierKey, where: str) -> Checkpoint:
    """A checkpoint that a log signed. Raises InputError."""
    try:
        note = Note.parse(raw)
        checkpoint = Checkpoint.parse(note.text)
        if note.verify([key]) and checkpoint.origin == key.name:
            return checkpoint
        what = f"not signed by {key.name}"
    except MalformedError as error:
        what = str(error)
    message = f"{where}: not a checkpoint of the log ({what})"
    raise InputError(message)


def remember(key: VerifierKey, raw: bytes) -> None:
    """Keep a checkpoint as the one that was seen last. Raises WriteError."""
    where = path(key)
    try:
        os.makedirs(os.path.dirname(where), exist_ok=True)
    except OSError as error:
        message = f"{where}: not written ({os.strerror(error.errno or 0)})"
        raise patch.WriteError(message) from None
    patch.write_file(where, raw)


def keep_conflict(key: VerifierKey, raw: bytes) -> str:
    """Keep a checkpoint that contradicts the one that was seen last, as evidence; where it is."""
    where = f"{path(key).removesuffix('.checkpoint')}.{hashlib.sha256(raw).hexdigest()[:16]}.conflict"
    patch.write_file(where, raw)
    return where
