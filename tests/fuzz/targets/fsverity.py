"""Signatures for fs-verity, beside a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact
from chopmark.engine import identify
from tests.support import der_trees, probing

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = identify.formats()["fsverity"]


def seeds() -> Iterable[bytes]:
    """A good one."""
    artifact = Artifact.from_bytes(b"content", "file")
    yield probing.signed(FORMAT, artifact).render(artifact)


mutate = der_trees.mutate


def run(data: bytes) -> None:
    """Whatever lies there."""
    probing.interrogate(FORMAT, Artifact.from_bytes(b"content", "file", {".fsv_sig": data}))
