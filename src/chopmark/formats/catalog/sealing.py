"""The seals of a catalog, and what becomes of it when it is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.formats._block.signed_text import Document, SignedText, content
from chopmark.formats.catalog import listing, reasons

if TYPE_CHECKING:
    from chopmark.core.artifact import Artifact

__all__ = ["Document", "check_list", "content", "embed", "read", "recipe", "seals", "strip"]


def check_list(artifact: Artifact, end: int) -> None:
    """Read the list to its end. Raises BrokenError where it breaks the rules."""
    for _ in listing.Listing(artifact.chunks(0, end)).rows():
        pass


_TEXT = SignedText("list of files", check_list, reasons.BLOCK, reasons.SOUND)
read, seals, recipe, embed, strip = _TEXT.read, _TEXT.seals, _TEXT.recipe, _TEXT.embed, _TEXT.strip
