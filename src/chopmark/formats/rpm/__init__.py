"""RPM packages: signatures of OpenPGP's in the signature header, as rpmsign makes and rpmkeys checks them.

See docs/reference/formats/rpm.md. The other modules are loaded when needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal
    from chopmark.core.versions import Release

_LEAD = b"\xed\xab\xee\xdb"


class RpmFormat:
    """An .rpm file, binary or source."""

    name = "rpm"
    title = "RPM package"
    suffixes: tuple[str, ...] = (".rpm",)
    envelope = "openpgp"
    options: tuple[str, ...] = ("variant",)
    certified = False
    begins = (_LEAD,)

    def detect(self, head: bytes, name: str) -> int:  # noqa: ARG002 - the contract
        """By the first bytes of the lead, which are there for that."""
        return 9 if head.startswith(self.begins) else 0

    def extract(self, artifact: Artifact) -> Sequence[Seal]:
        """Every signature. Raises BrokenError where the package breaks a rule."""
        from chopmark.formats.rpm import sealing

        return sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The header, which has the payload's digest; or both. Raises RefusedError for what is no package."""
        from chopmark.formats.rpm import sealing

        return sealing.recipe(artifact, options)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """Digests in one pass; or the content, which must fit into memory to be signed. Raises UnreadableError."""
        from chopmark.formats.rpm import sealing

        return sealing.digest(artifact, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """What is signed: the bytes themselves."""
        from chopmark.core.contracts import Content

        return Content(self.name, payload.recipe.algorithm, payload.value)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The package with this signature in place of all it had. Raises RefusedError to append one where none fits."""
        from chopmark.formats.rpm import sealing

        return sealing.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:
        """The package without signatures; the room that they took is reserved again."""
        from chopmark.formats.rpm import sealing

        return sealing.strip(artifact)

    def release(self, artifact: Artifact) -> Release | None:
        """Name, and version with epoch and release, as the header has them."""
        from chopmark.formats.rpm import facts

        return facts.release(artifact)

    def facts(self, artifact: Artifact) -> Sequence[tuple[str, str]]:
        """What the package is, its digests, and whether its files are those that the header names."""
        from chopmark.formats.rpm import facts

        return facts.shown(artifact)


FORMAT = RpmFormat()
