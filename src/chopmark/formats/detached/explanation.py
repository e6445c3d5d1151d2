"""Why the file is not what was signed: conversions of line endings, tried out in one pass over the file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.formats.detached import reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload

_TEXT_HEADER = b"Content-Type: text/plain\r\n\r\n"
"""What openssl cms -text puts in front."""


class Explanation:
    """Looks for one conversion that makes the file what was signed; reads it once more, in pieces."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact

    def __call__(self, payload: Payload, expected: bytes) -> Iterator[Finding]:
        """A finding, if a conversion gives the expected digest. Nobody converts what has a NUL in it."""
        crlf, plain, lf = (hashlib.new(payload.recipe.algorithm, usedforsecurity=False) for _ in range(3))
        plain.update(_TEXT_HEADER)
        for piece in _with_lf(self._artifact.chunks()):
            if b"\0" in piece:
                return
            lf.update(piece)
            wide = piece.replace(b"\n", b"\r\n")
            crlf.update(wide)
            plain.update(wide)
        if expected == plain.digest():
            yield reasons.CHANGED_AS_TEXT.found("with a header for text and CR LF (openssl cms -text)")
        elif expected == crlf.digest():
            detail = "with CR LF for line endings it is what was signed: signed as text (openssl without -binary), or "
            yield reasons.CHANGED_AS_TEXT.found(detail + "converted since")
        elif expected == lf.digest():
            yield reasons.CHANGED_LINE_BREAKS.found("with LF for line endings it is what was signed")


def _with_lf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes with LF for CR LF, also where a piece ends between them."""
    held = b""
    for piece in pieces:
        data = held + piece
        held = b"\r" if data.endswith(b"\r") else b""
        yield data[: len(data) - len(held)].replace(b"\r\n", b"\n")
    yield held
