"""The text of a seal as a signed text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.formats._block.signed_text import SignedText
from chopmark.formats.unit import definition, reasons

if TYPE_CHECKING:
    from chopmark.core.artifact import Artifact


def read(artifact: Artifact, end: int) -> definition.Definition:
    """What the first `end` bytes say. Raises BrokenError where they break the rules."""
    if end > limits.SERVICE_SEAL_MAX:
        raise BrokenError(reasons.FORM, f"{end} bytes")
    return definition.read(artifact.view.read(0, end))


def _check(artifact: Artifact, end: int) -> None:
    read(artifact, end)


TEXT = SignedText("list of a unit's files", _check, reasons.BLOCK, reasons.SOUND)
