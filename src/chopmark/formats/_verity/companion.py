"""Signatures that the kernel takes one of, in a file beside what is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError, RefusedError
from chopmark.core.patch import Patch
from chopmark.envelopes import module

if TYPE_CHECKING:
    from chopmark.core.artifact import Artifact


def embed(artifact: Artifact, envelope: bytes, suffix: str, what: str, *, append: bool) -> Patch:
    """Write the companion of a file; `what` is signed. Raises RefusedError for a second one, or for none."""
    if append and artifact.companion(suffix) is not None:
        message = f"{artifact.name}{suffix}: there is a signature already, and the kernel takes one only"
        raise RefusedError(message)
    try:
        module.envelope_in(envelope)
    except MalformedError as error:
        raise RefusedError(f"no signature for {what}: {error}") from None
    return Patch((envelope,), suffix)
