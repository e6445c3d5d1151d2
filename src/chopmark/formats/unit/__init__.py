"""Seals of units: a list of all files that one systemd unit is made of, with a CMS signature in PEM at the end.

The layout is specified in docs/spec/unit-seal.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal


class UnitFormat:
    """The definition of a unit. The other modules are loaded when needed."""

    name = "unit"
    title = "seal of a systemd unit"
    suffixes: tuple[str, ...] = (".seal",)
    envelope = "cms"
    options: tuple[str, ...] = ()
    begins = (b"chopmark unit ",)

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the contract
        """By the first words, whatever the version."""
        return 9 if head.startswith(self.begins) else 0

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """Every signer of the block at the end. Raises MalformedError for a list or a block that is none."""
        from chopmark.formats.unit import sealing

        yield from sealing.TEXT.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The whole list. Raises RefusedError for one that breaks the rules."""
        from chopmark.formats.unit import sealing

        return sealing.TEXT.recipe(artifact, options)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """The bytes as they are."""
        from chopmark.core.digest import hash_ranges

        return hash_ranges(artifact.view, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """Detached data."""
        from chopmark.formats._block import signed_text

        return signed_text.content(payload)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The block behind the list; with `options.append` it holds the earlier signers too."""
        from chopmark.formats.unit import sealing

        return sealing.TEXT.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:
        """The list alone."""
        from chopmark.formats.unit import sealing

        return sealing.TEXT.strip(artifact)


FORMAT = UnitFormat()
