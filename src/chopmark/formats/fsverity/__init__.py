"""Files signed for fs-verity, the way the kernel takes a signature. See docs/reference/formats/fsverity.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, Format, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal


class FsVerityFormat:
    """Nobody is detected as one: it is asked for by name. The other modules are loaded when needed."""

    name = "fsverity"
    title = "file signed for fs-verity"
    suffixes: tuple[str, ...] = ()
    envelope = "module"
    options: tuple[str, ...] = ("variant",)
    companion = ".fsv_sig"
    begins: tuple[bytes, ...] = ()

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the contract
        """Never: the file itself shows nothing."""
        return 0

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """The signature beside the file, or the one that the kernel keeps with it. Raises MalformedError."""
        from chopmark.formats.fsverity import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The whole file, by its tree; the variant says how that is made."""
        from chopmark.formats.fsverity import sealing

        return sealing.recipe(artifact, options)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """In one pass, whatever trees there are to make."""
        from chopmark.formats.fsverity import sealing

        return sealing.digest(artifact, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """What names the fs-verity digest: a few octets, however large the file is."""
        from chopmark.formats.fsverity import sealing

        return sealing.content(artifact, payload)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """FILE.fsv_sig. Raises RefusedError to append a second one."""
        from chopmark.formats.fsverity import sealing

        return sealing.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:  # noqa: ARG002 - the contract
        """No companion; what the kernel keeps with the file cannot be taken away."""
        from chopmark.core.patch import Patch

        return Patch(None, self.companion)


FORMAT: Format = FsVerityFormat()
