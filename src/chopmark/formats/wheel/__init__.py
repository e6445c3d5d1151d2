"""Python's wheels: signed by a file beside them, and held to their own list of files whoever signed.

See docs/reference/formats/wheel.md. The other modules are loaded when needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.formats.detached import DetachedFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.core.versions import Release

_CERTAIN, _NAMED = 8, 3


class WheelFormat(DetachedFormat):
    """A .whl file: to signatures it is any file."""

    name = "wheel"
    title = "Python wheel"
    suffixes: tuple[str, ...] = (".whl",)
    begins = (b"PK",)
    otherwise = _NAMED

    def detect(self, head: bytes, name: str) -> int:
        """An archive with the name of one; the name alone makes it one to installers, which look at its end."""
        if not name.lower().endswith(self.suffixes):
            return 0
        return _CERTAIN if head.startswith((b"PK\3\4", b"PK\5\6")) else _NAMED

    def owns(self, companion: bytes) -> bool:  # noqa: ARG002 - the contract
        """None beside a file that is no wheel: there it is a detached signature."""
        return False

    def examine(self, artifact: Artifact) -> Iterator[Finding]:
        """Whether it can be read in one way only, and is what its RECORD and its name say. Raises BrokenError."""
        from chopmark.formats.wheel import contents

        yield from contents.examine(artifact)

    def release(self, artifact: Artifact) -> Release | None:
        """Project and version of METADATA. Raises BrokenError."""
        from chopmark.formats.wheel import contents

        return contents.release(artifact)

    def facts(self, artifact: Artifact) -> list[tuple[str, str]]:
        """What METADATA and WHEEL say, and how much is in it. Raises BrokenError."""
        from chopmark.formats._python import beside
        from chopmark.formats.wheel import contents

        return [*contents.facts(artifact), *beside.facts(artifact)]


FORMAT = WheelFormat()
