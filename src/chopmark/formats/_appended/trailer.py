"""What is appended: CMS, struct module_signature, and a line of text (Linux, include/linux/module_signature.h)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError

if TYPE_CHECKING:
    from chopmark.core.artifact import View
    from chopmark.core.reasons import Reason

MARK = b"~Module signature appended~\n"
_FIELDS = struct.Struct(">BBB5sI")
"""struct module_signature: algo, hash, id_type, signer_len, key_id_len and padding, sig_len (big-endian)."""
_PKCS7 = 2
_UNUSED = bytes(5)
_END = _FIELDS.size + len(MARK)
_NEAR = 4096
"""How far from the end a signature is looked for that something was appended to."""


class Trailer:
    """Finds appended signatures; a format brings reasons for a wrong one, for what stands behind one, for many."""

    def __init__(self, wrong: Reason, trailing: Reason, twice: Reason) -> None:
        self._wrong, self._trailing, self._twice = wrong, trailing, twice

    def bare(self, view: View) -> int:
        """How long a file is without all of its signatures. Raises BrokenError where there are very many."""
        end = view.size
        for _ in range(limits.SIGNERS_MAX):
            start = self.below(view, end)
            if start is None:
                return end
            end = start
        raise BrokenError(self._twice, f"more than {limits.SIGNERS_MAX}")

    def below(self, view: View, size: int) -> int | None:
        """Where the signature begins that ends at `size`; None when there is none.

        Raises BrokenError for a signature of another kind or size than mod_check_sig permits, and for one that
        something was appended to.
        """
        tail = view.read(max(0, size - _NEAR), min(size, _NEAR))
        if not tail.endswith(MARK):
            if MARK in tail:
                raise BrokenError(self._trailing, f"{len(tail) - tail.rindex(MARK) - len(MARK)} bytes")
            return None
        if size < _END:
            raise BrokenError(self._wrong, "cut off")
        length: int
        algorithm, digest, kind, unused, length = _FIELDS.unpack(view.read(size - _END, _FIELDS.size))
        if kind != _PKCS7:
            raise BrokenError(self._wrong, f"id_type {kind}")
        if algorithm or digest or unused != _UNUSED:
            raise BrokenError(self._wrong, "fields in use that PKCS #7 does not need")
        if not 0 < length <= min(size - _END, limits.ENVELOPE_MAX):
            raise BrokenError(self._wrong, f"a signature of {length} bytes")
        return size - _END - length


def appended(envelope: bytes) -> bytes:
    """What is appended to sign something."""
    return envelope + _FIELDS.pack(0, 0, _PKCS7, _UNUSED, len(envelope)) + MARK


def envelope(view: View, start: int, size: int) -> bytes:
    """The CMS of the signature that `below` found."""
    return view.read(start, size - _END - start)
