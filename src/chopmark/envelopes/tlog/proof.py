"""Proofs that travel with a file: that an entry is in a log, as one text (C2SP tlog-proof)."""

from __future__ import annotations

import base64
from typing import Self

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import note
from chopmark.envelopes.note import Note
from chopmark.envelopes.tlog import merkle
from chopmark.envelopes.tlog.checkpoint import Checkpoint, decimal

SUFFIX = ".tlog-proof"
_FIRST = "c2sp.org/tlog-proof@v1"
_HASHES_MAX = 63
"""More than a tree of LOG_SIZE_MAX entries is high."""


class Proof(NamedTuple):
    """A proof as it was read: nobody has checked it. `note` is the checkpoint with its signatures.

    `extra` is what the application put beside it; here the entry itself, which the leaf hash binds.
    """

    number: int
    hashes: tuple[bytes, ...]
    note: Note
    extra: bytes | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a proof (clause "Format"). Raises MalformedError."""
        if len(raw) > limits.LOG_PROOF_MAX:
            raise MalformedError(f"a proof of more than {limits.LOG_PROOF_MAX} bytes")
        head, blank, checkpoint = raw.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise MalformedError("not a proof from a log: there is no ASCII text before the empty line") from None
        if first != _FIRST or not blank:
            raise MalformedError(f"not a proof from a log: the first line is not {_FIRST}")
        extra = note.decoded(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else None
        if not lines or not lines[0].startswith("index "):
            raise MalformedError("a proof without an index")
        index = decimal(lines[0].removeprefix("index "))
        hashes = tuple(note.decoded(line) for line in lines[1:])
        if len(hashes) > _HASHES_MAX or any(len(value) != merkle.HASH_SIZE for value in hashes):
            raise MalformedError("a proof with too many hashes, or one that is not 32 bytes")
        return cls(index, hashes, Note.parse(checkpoint), extra)

    def encode(self) -> bytes:
        """As text."""
        lines = [_FIRST]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.number}")
        lines += [base64.b64encode(value).decode() for value in self.hashes]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.note.encode()

    def check(self, entry: bytes) -> Checkpoint:
        """Check that the entry is in the tree of its checkpoint, which is returned. Its signatures are another matter.

        Raises merkle.ProofError, MalformedError.
        """
        checkpoint = Checkpoint.parse(self.note.text)
        merkle.check_inclusion(self.number, checkpoint.size, merkle.leaf(entry), self.hashes, checkpoint.root)
        return checkpoint
