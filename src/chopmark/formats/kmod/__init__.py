"""Kernel modules of Linux, plain or compressed: a signature appended to the module, as the kernel itself checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Content, Format, SealOptions
    from chopmark.core.patch import Patch
    from chopmark.core.seal import Payload, Recipe, Seal
    from chopmark.core.versions import Release

_CERTAIN, _LIKELY = 9, 4
_ELF = b"\x7fELF"
_RELOCATABLE = 1
_PACKED = (b"\x1f\x8b\x08", b"\xfd7zXZ\x00")
_ZSTANDARD = b"\x28\xb5\x2f\xfd"


class ModuleFormat:
    """See docs/reference/formats/kmod.md. The other modules are loaded when needed."""

    name = "kmod"
    title = "Linux kernel module"
    suffixes: tuple[str, ...] = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")
    envelope = "module"
    options: tuple[str, ...] = ()
    begins = (_ELF, *_PACKED, _ZSTANDARD)

    def detect(self, head: bytes, name: str) -> int:
        """A relocatable ELF file, or one compressed; beyond doubt with the name of a module."""
        if head.startswith(_PACKED):
            from chopmark.formats.kmod import container  # most files are not compressed

            head = container.beginning(head)
        elif head.startswith(_ZSTANDARD):
            return _CERTAIN if self._named(name) else 0
        if head[:4] != _ELF or head[5:6] not in (b"\1", b"\2"):
            return 0
        kind = int.from_bytes(head[16:18], "little" if head[5] == 1 else "big")
        return (_CERTAIN if self._named(name) else _LIKELY) if kind == _RELOCATABLE else 0

    def _named(self, name: str) -> bool:
        return name.lower().endswith(self.suffixes)

    def extract(self, artifact: Artifact) -> Iterator[Seal]:
        """The appended signature. Raises MalformedError where it, or the compression around it, breaks the rules."""
        from chopmark.formats.kmod import sealing

        yield from sealing.seals(artifact)

    def recipe(self, artifact: Artifact, options: SealOptions) -> Recipe:
        """Everything before the signature, uncompressed. Raises RefusedError for what is no module."""
        from chopmark.formats.kmod import sealing

        return sealing.recipe(artifact, options.digest_algorithm)

    def digest(self, artifact: Artifact, recipes: Sequence[Recipe]) -> Sequence[Payload]:
        """In pieces where the module is not compressed."""
        from chopmark.formats.kmod import sealing

        return sealing.digest(artifact, recipes)

    def content(self, artifact: Artifact, payload: Payload, options: SealOptions) -> Content:  # noqa: ARG002 - the contract
        """The module itself, which must fit into memory. Raises UnreadableError."""
        from chopmark.formats.kmod import sealing

        return sealing.content(artifact, payload)

    def embed(self, artifact: Artifact, envelope: bytes, options: SealOptions) -> Patch:
        """The module with this signature in place of the one it had. Raises RefusedError to append a second one."""
        from chopmark.formats.kmod import sealing

        return sealing.embed(artifact, envelope, append=options.append)

    def strip(self, artifact: Artifact) -> Patch:
        """The module alone; what was compressed is compressed anew."""
        from chopmark.formats.kmod import sealing

        return sealing.strip(artifact)

    def release(self, artifact: Artifact) -> Release | None:
        """Name and version that the module has in .modinfo."""
        from chopmark.formats.kmod import sealing

        return sealing.release(artifact)


FORMAT: Format = ModuleFormat()
