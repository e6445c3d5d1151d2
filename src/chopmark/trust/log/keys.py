"""The keys of logs and witnesses that are trusted, as text or in files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import MalformedError, UsageError
from chopmark.envelopes.note import COSIGNATURE, ED25519, VerifierKey
from chopmark.trust.log import reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.envelopes.note import Note
    from chopmark.envelopes.tlog.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Trusted:
    """Logs that are believed, and the witnesses of which every one must have seen what they say."""

    logs: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()

    def judge(self, note: Note, checkpoint: Checkpoint) -> list[Finding]:
        """Who signed a checkpoint."""
        log = [key for key in self.logs if key.name == checkpoint.origin]
        try:
            signed = note.verify(log)
        except MalformedError as error:
            return [reasons.CHECKPOINT_UNTRUSTED.found(str(error), subject=checkpoint.origin)]
        if not signed:
            return [reasons.CHECKPOINT_UNTRUSTED.found(subject=checkpoint.origin)]
        return [
            reasons.CHECKPOINT_TRUSTED.found(f"{checkpoint.origin}, {checkpoint.size} entries"),
            *(self._witnessed(note, key) for key in self.witnesses),
        ]

    @staticmethod
    def _witnessed(note: Note, key: VerifierKey) -> Finding:
        try:
            signed = note.verify([key])
        except MalformedError as error:
            return reasons.CHECKPOINT_UNTRUSTED.found(str(error), subject=key.name)
        if not signed:
            return reasons.WITNESS_MISSING.found(key.name)
        at = f", {signed[0].at:%Y-%m-%dT%H:%M:%SZ}" if signed[0].at else ""
        return reasons.WITNESSED.found(f"{key.name}{at}")


def trusted(logs: Sequence[str], witnesses: Sequence[str] = ()) -> Trusted:
    """Keys given as `NAME+ID+KEY`, or as files with one on each line. Raises UsageError, InputError."""
    return Trusted(_keys(logs, ED25519, "log"), _keys(witnesses, COSIGNATURE, "witness"))


def _keys(given: Sequence[str], kind: int, what: str) -> tuple[VerifierKey, ...]:
    found: list[VerifierKey] = []
    for text in given:
        for line in _lines(text):
            try:
                key = VerifierKey.parse(line)
            except MalformedError as error:
                where = "" if line == text else f"{text}: "
                message = f"{where}not the key of a {what}: {error}"
                raise UsageError(message) from None
            if key.kind != kind:
                message = f"{key.name}: this key is for {'witnesses' if kind == ED25519 else 'logs'}, not for a {what}"
                raise UsageError(message)
            found.append(key)
    return tuple(dict.fromkeys(found))


def _lines(text: str) -> list[str]:
    if text.count("+") >= 2 and not os.path.exists(text):  # noqa: PLR2004 - name, ID and key
        return [text]
    try:
        lines = read_small(text, limits.SETTINGS_MAX).decode().split("\n")
    except UnicodeDecodeError:
        message = f"{text}: not a file of keys (NAME+ID+KEY on each line)"
        raise UsageError(message) from None
    found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not found:
        message = f"{text}: there is no key in it"
        raise UsageError(message)
    return found
