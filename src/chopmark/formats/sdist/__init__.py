"""Python's source distributions: signed by a file beside them, and held to the rules for unpacking one.

See docs/reference/formats/sdist.md. The other modules are loaded when needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.formats.detached import DetachedFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.core.versions import Release

_LIKELY = 5


class SdistFormat(DetachedFormat):
    """A .tar.gz file that is named as one: to signatures it is any file."""

    name = "sdist"
    title = "Python source distribution"
    suffixes: tuple[str, ...] = (".tar.gz",)
    begins = (b"\x1f\x8b",)

    def detect(self, head: bytes, name: str) -> int:
        """A gzipped tar file, NAME-VERSION.tar.gz, whose first entry is in a folder NAME-VERSION."""
        if not (head.startswith(self.begins) and name.endswith(self.suffixes)):
            return 0
        from chopmark.formats._python import naming  # most files are something else
        from chopmark.formats.sdist import contents

        return _LIKELY if naming.sdist(name) and contents.begins(head, name) else 0

    def owns(self, companion: bytes) -> bool:  # noqa: ARG002 - the contract
        """None beside a file that is no sdist: there it is a detached signature."""
        return False

    def examine(self, artifact: Artifact) -> Iterator[Finding]:
        """Whether it can be read in one way only, stays in its folder, and is what its name says.

        Raises BrokenError, and MalformedError where the compression is damaged.
        """
        from chopmark.formats.sdist import contents

        yield from contents.examine(artifact)

    def release(self, artifact: Artifact) -> Release | None:
        """Project and version of PKG-INFO. Raises as `examine` does."""
        from chopmark.formats.sdist import contents

        return contents.release(artifact)

    def facts(self, artifact: Artifact) -> list[tuple[str, str]]:
        """What PKG-INFO says, and how much is in it. Raises as `examine` does."""
        from chopmark.formats._python import beside
        from chopmark.formats.sdist import contents

        return [*contents.facts(artifact), *beside.facts(artifact)]


FORMAT = SdistFormat()
