"""Debian packages: signatures as members of the archive, as debsigs makes and debsig-verify checks them.

See docs/reference/formats/deb.md. The other modules are loaded when needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, Format, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal

_BEGIN = b"!<arch>\ndebian-binary"


class DebFormat:
    """A .deb file."""

    name = "deb"
    title = "Debian package"
    suffixes: tuple[str, ...] = (".deb", ".udeb", ".ddeb")
    envelope = "openpgp"
    options: tuple[str, ...] = ("variant",)
    certified = False
    begins = (_BEGIN[:8],)

    def detect(self, head: bytes, name: str) -> int:
        """An archive that begins as a package does, or any with the name of one."""
        if head.startswith(_BEGIN):
            return 9
        return 6 if head.startswith(_BEGIN[:8]) and name.lower().endswith(self.suffixes) else 0

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """Every signature. Raises BrokenError where the archive breaks a rule."""
        from chopmark.formats.deb import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The three members one behind the other. Raises RefusedError for what is no package."""
        from chopmark.formats.deb import sealing

        return sealing.recipe(artifact, options)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """Digests in one pass; or the content, which must fit into memory to be signed. Raises UnreadableError."""
        from chopmark.formats.deb import sealing

        return sealing.digest(artifact, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """What is signed: the bytes of the members."""
        from chopmark.core.contracts import Content

        return Content(self.name, payload.recipe.algorithm, payload.value)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The package with one more member, in place of all signatures unless `append`. Raises RefusedError."""
        from chopmark.formats.deb import sealing

        return sealing.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:
        """The package alone."""
        from chopmark.formats.deb import sealing

        return sealing.strip(artifact)


FORMAT: Format = DebFormat()
