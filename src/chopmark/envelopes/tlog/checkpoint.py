"""Checkpoints: a log's statement of its size and root, the text of a signed note (C2SP tlog-checkpoint)."""

from __future__ import annotations

import base64
import re
from typing import Self

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import note
from chopmark.envelopes.tlog import merkle

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(NamedTuple):
    """What a checkpoint says: which log, how many entries, the root over them; `extensions` are further lines."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a note (clause "Note text"). Raises MalformedError."""
        lines = text.removesuffix("\n").split("\n")
        if not text.endswith("\n") or len(lines) < 3 or not all(lines):
            raise MalformedError("a checkpoint with an empty line, or with fewer than three")
        origin, number, encoded, *extensions = lines
        size, root = decimal(number), note.decoded(encoded)
        if len(root) != merkle.HASH_SIZE:
            raise MalformedError("a checkpoint whose root is not 32 bytes")
        if size == 0 and root != merkle.EMPTY:
            raise MalformedError("a checkpoint of no entries with a root over some")
        return cls(origin, size, root, tuple(extensions))

    @property
    def text(self) -> str:
        """The note's text."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def decimal(text: str) -> int:
    """A number without leading zeros, as logs can count. Raises MalformedError."""
    if not _DECIMAL.fullmatch(text) or int(text) > limits.LOG_SIZE_MAX:
        raise MalformedError(f"not a number of entries: {text[:32]!r}")
    return int(text)
