"""Files signed for IMA-appraisal: in extended attributes, or in FILE.sig. See docs/reference/formats/ima.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, Format, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal

_MARKS = (b"\3", b"\5", b"\6")


class ImaFormat:
    """Nobody is detected as one: it is asked for by name. The other modules are loaded when needed."""

    name = "ima"
    title = "file signed for Linux IMA"
    suffixes: tuple[str, ...] = ()
    envelope = "ima"
    options: tuple[str, ...] = ("variant",)
    companion = "xattr:security.ima"
    companions = (companion, ".sig", "xattr:security.evm")
    begins: tuple[bytes, ...] = ()

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the contract
        """Never: the file itself shows nothing."""
        return 0

    def owns(self, companion: bytes) -> bool:
        """A signature; the attribute may as well hold a digest, and others use the suffix for texts."""
        return companion.startswith(_MARKS)

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """The signatures there are. Raises MalformedError for what begins like one and is none."""
        from chopmark.formats.ima import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The whole file; by its fs-verity digest with the variant "verity", its metadata with "evm"."""
        from chopmark.formats.ima import sealing

        return sealing.recipe(artifact, options)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """In one pass, and another one for fs-verity digests."""
        from chopmark.formats.ima import sealing

        return sealing.digest(artifact, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:
        """What the key signs: the file, which must fit into memory then, what names its fs-verity digest, metadata."""
        from chopmark.formats.ima import sealing

        return sealing.content(artifact, payload, options)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """One of the attributes, or FILE.sig with the variant "file". Raises RefusedError to append a second one."""
        from chopmark.formats.ima import sealing

        return sealing.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:
        """Without the first of its signatures."""
        return self.strips(artifact)[0]

    def strips(self, artifact: Artifact) -> Sequence[Patch]:
        """Without any of them: a patch for each place that has one."""
        from chopmark.formats.ima import sealing

        return sealing.strips(artifact)


FORMAT: Format = ImaFormat()
