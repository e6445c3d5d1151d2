"""Why the content is not what was signed: what version control and editors do to files, tried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.formats._text.explanation import conversions
from chopmark.formats.script import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload
    from chopmark.formats.script.document import Document

_BOM = "\xef\xbb\xbf"
"""In a view of one character per byte."""


class Explanation:
    """Looks for one conversion that was done to a document after it was signed."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def __call__(self, payload: Payload, expected: bytes) -> Iterator[Finding]:
        """Findings: the first conversions that, undone, give the expected digest."""
        content = self._document.view[: self._document.end]
        for about_breaks, about_mark, candidate in conversions(content, _BOM):
            if digests.of(candidate.encode("latin-1"), payload.recipe.algorithm) == expected:
                if about_breaks:
                    yield reasons.CHANGED_LINE_BREAKS.found(f"they were {about_breaks}")
                if about_mark:
                    yield reasons.CHANGED_BOM.found(f"it was {about_mark}")
                return
