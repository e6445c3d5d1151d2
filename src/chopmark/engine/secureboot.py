"""Images as firmware and shim see them: where the PE format, its signatures and the databases of a machine meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.digest import hash_ranges
from chopmark.formats.pe import firmware as digesting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import Artifact


def digests(artifact: Artifact, algorithms: Sequence[str]) -> dict[str, bytes]:
    """What firmware digests an image to. Raises MalformedError for what is no image for firmware."""
    payloads = hash_ranges(artifact.view, digesting.recipes(artifact.view, algorithms))
    return {payload.recipe.algorithm: payload.value for payload in payloads}
