"""PE images: Windows programs, libraries and drivers, and EFI applications, signed with Authenticode."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, Description, Format, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal
    from chopmark.core.versions import Release

_LFANEW = slice(0x3C, 0x40)
_CERTAIN = 9
_BEHIND_THE_HEAD = 6
_LFANEW_LIMIT = 256 * 1024 * 1024
"""Windows looks no further for the headers."""


class PeFormat:
    """PE32 and PE32+ for every machine; not TE. See docs/reference/formats/pe.md."""

    name = "pe"
    title = "PE image (Windows program, library or driver; EFI application)"
    suffixes: tuple[str, ...] = (
        *(".exe", ".dll", ".sys", ".drv", ".ocx", ".cpl", ".scr", ".mui", ".winmd"),
        *(".efi", ".pyd", ".node"),
    )
    envelope = "authenticode"
    options: tuple[str, ...] = ("description", "url", "page_hashes")
    begins = (b"MZ",)

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the content says it all
        """MZ, and PE where e_lfanew points; a little less certain when that is behind the head."""
        if head[:2] != b"MZ" or len(head) < _LFANEW.stop:
            return 0
        start = int.from_bytes(head[_LFANEW], "little")
        if start + 4 > len(head):
            return _BEHIND_THE_HEAD if start < _LFANEW_LIMIT else 0
        return _CERTAIN if head[start : start + 4] == b"PE\0\0" else 0

    def extract(self, artifact: Artifact) -> Iterable[Seal]:
        """Every signature with the findings on its place; raises MalformedError where there is none to be read."""
        from chopmark.formats.pe import extracting

        return extracting.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The image hash; raises RefusedError where a signature would not hold."""
        from chopmark.formats.pe import writing

        return writing.recipe(artifact, options)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """Image hashes and page hashes, in one pass."""
        from chopmark.formats.pe import digesting

        return digesting.digest(artifact, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:
        """SpcIndirectDataContent, with page hashes if they are asked for."""
        from chopmark.formats.pe import writing

        return writing.content(artifact, payload, options)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """Replace the signatures, or append: nested, or side by side in an image for firmware."""
        from chopmark.formats.pe import writing

        return writing.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:
        """Take the certificate table out; zeros that align it stay, and CheckSum is computed anew."""
        from chopmark.formats.pe import writing

        return writing.strip(artifact)

    def describe(self, artifact: Artifact) -> Description:
        """Image hashes, names and version, for lists of files."""
        from chopmark.formats.pe import describing

        return describing.describe(artifact)

    def release(self, artifact: Artifact) -> Release | None:
        """Original file name and file version of the version resource."""
        from chopmark.formats.pe import version

        return version.release(artifact.view)

    def facts(self, artifact: Artifact) -> Sequence[tuple[str, str]]:
        """What an image for firmware is, and what a unified kernel image is made of."""
        from chopmark.formats.pe import facts

        return facts.facts(artifact)


FORMAT: Format = PeFormat()
