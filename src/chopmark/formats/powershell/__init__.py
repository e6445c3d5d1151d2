"""PowerShell files and what else Windows signs like them: Authenticode in a block of comments at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.formats._text.first_line import interpreter_of
from chopmark.formats.powershell import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal

_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_BINARY = (b"MZ", b"PK\x03\x04", b"\x7fELF", b"MSCF", b"\xd0\xcf\x11\xe0")
_BEGIN = kinds.MARKERS[0].encode()
_BEGIN_LINES = tuple(style.begin_line.encode() for style in (kinds.HASH, kinds.XML, kinds.C))


class PowerShellFormat:
    """Scripts, modules, manifests, type and format files, DSC schemas. The other modules are loaded when needed."""

    name = "powershell"
    title = "PowerShell file"
    suffixes = tuple(kinds.STYLES)
    envelope = "authenticode"
    options: tuple[str, ...] = ("description", "url", "variant")
    begins = (b"#!",)
    otherwise = 7

    def detect(self, head: bytes, name: str) -> int:
        """By name and text; `pwsh` in the first line settles it, a signature block alone makes it likely."""
        if head.startswith(b"#!") and interpreter_of(head).startswith(kinds.INTERPRETERS):
            return 8
        if kinds.suffix(name):
            text = head.startswith(_MARKS) or (b"\x00" not in head and not head.startswith(_BINARY))
            return 7 if text else 2
        return 5 if _BEGIN in head and any(line in head for line in _BEGIN_LINES) else 0

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """The signature in the block, and those nested in it. Raises MalformedError for a block that is none."""
        from chopmark.formats.powershell import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """The text before the block. `options.variant` names its encoding where nothing else does."""
        from chopmark.formats.powershell import sealing

        return sealing.recipe(artifact, options)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """The text in UTF-16LE, as each recipe reads it."""
        from chopmark.formats.powershell import sealing

        return sealing.digest(artifact, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """What Windows' handler for PowerShell signs."""
        from chopmark.envelopes import authenticode

        return authenticode.sip_content(kinds.HANDLER, payload.recipe.algorithm, payload.value, options)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """A new block behind the text; with `options.append` the signature is nested in the one there is."""
        from chopmark.formats.powershell import sealing

        return sealing.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:
        """The text without its block. Raises RefusedError when something follows the block."""
        from chopmark.formats.powershell import sealing

        return sealing.strip(artifact)


FORMAT = PowerShellFormat()
