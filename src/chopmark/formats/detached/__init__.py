"""Any file: a CMS signature in the file beside it (FILE.p7s), in DER or PEM."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal


class DetachedFormat:
    """What every file is that nothing else knows. The other modules are loaded when needed."""

    name = "detached"
    title = "any other file, its signature beside it"
    suffixes: tuple[str, ...] = ()
    envelope = "cms"
    options: tuple[str, ...] = ("variant",)
    companion = ".p7s"
    begins: tuple[bytes, ...] = ()
    otherwise = 1

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the contract
        """Everything, with the least certainty."""
        return 1

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """Every signer of the companion. Raises MalformedError when that is no CMS signature."""
        from chopmark.formats.detached import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The whole file."""
        from chopmark.core.seal import Range, Recipe

        return Recipe(options.digest_algorithm, (Range(0, artifact.view.size),))

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """The bytes as they are, in pieces."""
        from chopmark.core.digest import hash_ranges

        return hash_ranges(artifact.view, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """Detached data."""
        from chopmark.formats.detached import sealing

        return sealing.content(payload, options)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The companion: DER, or PEM with `options.variant` "pem"; with `options.append` one signer more."""
        from chopmark.formats.detached import sealing

        return sealing.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:  # noqa: ARG002 - the contract
        """No companion."""
        from chopmark.formats.detached import sealing

        return sealing.strip()


FORMAT = DetachedFormat()
