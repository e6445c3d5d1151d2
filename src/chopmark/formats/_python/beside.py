"""Attestations beside a package (PyPI's digital attestations, once PEP 740): told, and not looked into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.artifact import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact

_SUFFIXES = (".publish.attestation", ".provenance")


def facts(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """Which of them are there."""
    found = [suffix for suffix in _SUFFIXES if _is_there(artifact, suffix)]
    if found:
        yield "beside it", f"*{', *'.join(found)} (attestations, not checked)"


def _is_there(artifact: Artifact, suffix: str) -> bool:
    try:
        return artifact.companion(suffix) is not None
    except UnreadableError:
        return True
