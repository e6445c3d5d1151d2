"""ELF programs and shared libraries: a signature appended to the file. See docs/reference/formats/elf.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal

_CERTAIN = 8


class ElfFormat:
    """The other modules are loaded when needed."""

    name = "elf"
    title = "ELF program or library"
    suffixes: tuple[str, ...] = (".so", ".elf", ".axf", ".appimage")
    envelope = "cms"
    options: tuple[str, ...] = ()
    begins = (b"\x7fELF",)

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the contract
        """An executable or shared object; relocatable ones are kernel modules, or parts of programs."""
        if not head.startswith(self.begins):
            return 0
        from chopmark.formats._elf import header  # most files are no ELF files

        return _CERTAIN if header.kind(head) in (header.EXECUTABLE, header.SHARED) else 0

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """Every signer of the appended signature. Raises MalformedError where it breaks the rules."""
        from chopmark.formats.elf import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """Everything before the signature. Raises RefusedError for what is no sound ELF file."""
        from chopmark.formats.elf import sealing

        return sealing.recipe(artifact, options.digest_algorithm)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """The bytes as they are, in pieces."""
        from chopmark.core.digest import hash_ranges

        return hash_ranges(artifact.view, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """Detached data."""
        from chopmark.formats.elf import sealing

        return sealing.content(payload)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The file with this signature behind it; with `options.append` the signers that there are stay."""
        from chopmark.formats.elf import sealing

        return sealing.embed(artifact, envelope, append=options.append)

    def strip(self, artifact: Artifact) -> Patch:
        """The very bytes that were there before it was signed."""
        from chopmark.formats.elf import sealing

        return sealing.strip(artifact)


FORMAT = ElfFormat()
