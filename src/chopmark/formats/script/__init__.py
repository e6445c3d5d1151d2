"""Scripts of languages that know line comments: a CMS signature in comments at the end.

The layout is specified in docs/spec/script-signature.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.lazy import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal

_POWERSHELL = (".ps1", ".psm1", ".psd1", ".ps1xml", ".psc1", ".cdxml", ".mof")
_BINARY = (b"MZ", b"PK\x03\x04", b"\x7fELF", b"\xfe\xed\xfa", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\x1bLua")
_MARKUP = (b"<?xml", b"<!doctype")


class ScriptFormat:
    """Shell, Python, Perl, Ruby, JavaScript, Lua and others. The other modules are loaded when needed."""

    name = "script"
    title = "script"
    envelope = "cms"
    options: tuple[str, ...] = ()
    begins = (b"#!",)
    otherwise = 6

    @lazy
    def suffixes(self) -> tuple[str, ...]:
        """Those of all languages."""
        from chopmark.formats.script import languages

        return tuple(languages.BY_SUFFIX)

    def detect(self, head: bytes, name: str) -> int:
        """By the interpreter in the first line, else by the name, if the beginning is text."""
        if head.startswith(_BINARY):
            return 0
        from chopmark.formats.script import languages  # programs are no scripts

        identity = languages.identify(head, name)
        if identity.by_first_line is not None:
            if name.lower().endswith(_POWERSHELL):
                return 3
            return 7 if identity.disagree else 8
        if identity.by_name is None or identity.interpreter:
            return 0
        if b"\x00" in head or head[:64].lstrip().lower().startswith(_MARKUP):
            return 0
        return 6

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """Every signer of the block at the end. Raises MalformedError for a block that is none."""
        from chopmark.formats.script import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """All bytes before the block. Raises RefusedError for scripts that a block would change."""
        from chopmark.formats.script import sealing

        return sealing.recipe(artifact, options)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """The bytes as they are."""
        from chopmark.core.digest import hash_ranges

        return hash_ranges(artifact.view, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """Detached data."""
        from chopmark.formats.script import sealing

        return sealing.content(payload)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """A new block behind the content; with `options.append` it holds the earlier signers too."""
        from chopmark.formats.script import sealing

        return sealing.embed(artifact, envelope, options)

    def strip(self, artifact: Artifact) -> Patch:
        """The content without its block. Raises RefusedError when something follows the block."""
        from chopmark.formats.script import sealing

        return sealing.strip(artifact)


FORMAT = ScriptFormat()
