"""Catalogs: a list of the files of a folder tree, with a CMS signature in PEM at the end.

The layout is specified in docs/spec/catalog.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal


class CatalogFormat:
    """A list of files. The other modules are loaded when needed."""

    name = "catalog"
    title = "catalog of files"
    suffixes: tuple[str, ...] = (".catalog",)
    envelope = "cms"
    options: tuple[str, ...] = ()
    begins = (b"chopmark catalog ",)

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the contract
        """By the first words, whatever the version."""
        return 9 if head.startswith(self.begins) else 0

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """Every signer of the block at the end. Raises MalformedError for a list or a block that is none."""
        from chopmark.formats.catalog import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The whole list. Raises RefusedError for one that breaks the rules."""
        from chopmark.formats.catalog import sealing

        return sealing.recipe(artifact, options)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """The bytes as they are."""
        from chopmark.core.digest import hash_ranges

        return hash_ranges(artifact.view, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """Detached data."""
        from chopmark.formats.catalog import sealing

        return sealing.content(payload)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The block behind the list; with `options.append` it holds the earlier signers too."""
        from chopmark.formats.catalog import sealing

        return sealing.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:
        """The list alone."""
        from chopmark.formats.catalog import sealing

        return sealing.strip(artifact)


FORMAT = CatalogFormat()
