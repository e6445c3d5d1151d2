"""Root hashes of dm-verity, signed as the kernel takes them. See docs/reference/formats/dmverity.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, Format, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal

_CERTAIN = 9
_ROOT_HASH = rb"[0-9A-Fa-f]{32,128}\s{0,8}"


class RootHashFormat:
    """The other modules are loaded when needed."""

    name = "dmverity"
    title = "root hash of a dm-verity volume"
    suffixes: tuple[str, ...] = (".roothash",)
    envelope = "module"
    options: tuple[str, ...] = ()
    companion = ".p7s"
    begins = tuple(bytes((digit,)) for digit in b"0123456789ABCDEFabcdef")

    def detect(self, head: bytes, name: str) -> int:
        """Hexadecimal digits, in a file that is named so."""
        return _CERTAIN if name.lower().endswith(self.suffixes) and re.fullmatch(_ROOT_HASH, head) else 0

    def owns(self, companion: bytes) -> bool:  # noqa: ARG002 - the contract
        """None beside a file that is no root hash: there it is a detached signature."""
        return False

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """The signature in the companion. Raises MalformedError when that is none."""
        from chopmark.formats.dmverity import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The digits. Raises RefusedError for what is no root hash."""
        from chopmark.formats.dmverity import sealing

        return sealing.recipe(artifact, options)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """The bytes as they are."""
        from chopmark.core.digest import hash_ranges

        return hash_ranges(artifact.view, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """The digits themselves."""
        from chopmark.formats.dmverity import sealing

        return sealing.content(artifact, payload)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """FILE.roothash.p7s. Raises RefusedError to append a second one."""
        from chopmark.formats.dmverity import sealing

        return sealing.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:  # noqa: ARG002 - the contract
        """No companion."""
        from chopmark.core.patch import Patch

        return Patch(None, self.companion)


FORMAT: Format = RootHashFormat()
