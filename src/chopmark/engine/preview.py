"""What an artifact will be once a patch is applied, without writing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact

if TYPE_CHECKING:
    from chopmark.core.artifact import View
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Range


class PatchedView:
    """The pieces of a patch, one behind the other, over the view they refer to."""

    def __init__(self, view: View, pieces: tuple[Range | bytes, ...]) -> None:
        """Bytes stay as they are; ranges are read when they are asked for."""
        self._view = view
        self._pieces = [(piece, len(piece) if isinstance(piece, bytes) else piece.length) for piece in pieces]

    @property
    def size(self) -> int:
        """Length in bytes."""
        return sum(length for _, length in self._pieces)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly the bytes that exist in [offset, offset + length)."""
        if offset < 0:
            return b""
        found = []
        for piece, size in self._pieces:
            wanted = min(length, size - offset)
            if wanted > 0:
                if isinstance(piece, bytes):
                    found.append(piece[offset : offset + wanted])
                else:
                    found.append(self._view.read(piece.offset + offset, wanted))
                length -= wanted
            offset = max(0, offset - size)
        return b"".join(found)

    def changed(self) -> bool:
        """Whether what lies below may have changed."""
        return self._view.changed()


def patched(artifact: Artifact, patch: Patch) -> Artifact:
    """The artifact as the patch would leave it; nothing is written.

    Of the files beside it there is only the one that the patch writes. The two share one open file: close `artifact`.
    """
    if patch.companion:
        companions = {} if patch.pieces is None else {patch.companion: patch.render(artifact)}
        return Artifact(artifact.name, artifact.view, artifact.identity, companions)
    return Artifact(artifact.name, PatchedView(artifact.view, patch.pieces or ()), None, {})
