"""Page hashes: a digest for each page of an image, so that pages can be checked when they are loaded.

The paper on Authenticode only names the attribute; the rule is what Windows' tools write and real files hold. The table
has for each page its file offset (u32, little-endian) and the digest of its bytes filled up with zeros to a full page:
first the headers, without CheckSum and data directory 4 (which the fill does not make up for), then the sections' raw
data. It ends with the offset behind the last section and a digest of zeros. A page is the processor's page, whatever
SectionAlignment says: .NET assemblies are aligned to 8192 and have pages of 4096. osslsigncode 2.9 takes the alignment
for the page, and so reports a mismatch for files that Windows accepts.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.digest import ALGORITHMS
from chopmark.core.errors import MalformedError
from chopmark.formats.pe import image as images

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

    from chopmark.core.artifact import View
    from chopmark.formats.pe.image import Image

TRANSFORM = "pe-page-hashes"
"""Recipe.transform of these tables."""
ALGORITHM = "sha256"
"""What new page hashes use; there is no identifier for any other, but SHA-1."""

_PAGE = 4096
_PAGE_BY_MACHINE = {0x0200: 8192, 0x0184: 8192, 0x0284: 8192}
"""Itanium and the two Alphas."""
_OFFSET = struct.Struct("<I")


def page_size(image: Image) -> int:
    """Bytes in a page of the processor that the image is for."""
    return _PAGE_BY_MACHINE.get(image.machine, _PAGE)


def impossible(image: Image, algorithm: str = ALGORITHM) -> str:
    """Why there can be no page hashes for this image; empty when there can."""
    page = page_size(image)
    if image.directory is None or not image.directory + images.DIRECTORY.size <= image.headers_size <= page:
        return f"headers of {image.headers_size} bytes"
    if image.section_alignment < page:
        return f"sections are aligned to {image.section_alignment} bytes, less than a page"
    position = image.headers_size
    rows = 2
    for offset, end in _spans(image):
        if offset < position:
            return "sections overlap, or are not in the order in which they lie in the file"
        position = end
        rows += -(-(end - offset) // page)
    if position > image.end:
        return "a section lies outside of what is signed"
    size = rows * (_OFFSET.size + ALGORITHMS[algorithm].size)
    return f"a table of {size} bytes; {limits.ENVELOPE_MAX} are the limit" if size > limits.ENVELOPE_MAX else ""


def _spans(image: Image) -> list[tuple[int, int]]:
    """Where the raw data of each section starts and ends."""
    return [(each.raw_offset, each.raw_offset + each.raw_size) for each in image.sections if each.raw_size]


class Pages:
    """Collects the table while the file goes by, piece by piece and in order."""

    def __init__(self, view: View, image: Image, algorithm: str) -> None:
        """Prepare for an image; raises MalformedError where page hashes are impossible."""
        if reason := impossible(image, algorithm):
            raise MalformedError(f"page hashes are not possible: {reason}")
        self._algorithm = algorithm
        self._new = getattr(hashlib, algorithm)
        self._page = page_size(image)
        self._image = image
        self._headers = _headers(view, image)
        self._spans = _spans(image)
        self._rows: list[bytes] = []
        self._current = 0
        self._position = self._spans[0][0] if self._spans else 0
        self._begun: Hash | None = None
        self._begun_at = 0

    def feed(self, offset: int, piece: bytes | memoryview) -> None:
        """Take the next piece of the file, which starts at `offset`."""
        view, end = memoryview(piece), offset + len(piece)
        while self._current < len(self._spans) and self._position < end:
            section_end = self._spans[self._current][1]
            if self._begun is None:
                self._whole_pages(view, offset, min(section_end, end))
            if self._position < min(section_end, end):
                self._part_of_page(view, offset, section_end)
            if self._position == section_end:
                self._current += 1
                if self._current < len(self._spans):
                    self._position = self._spans[self._current][0]

    def _whole_pages(self, view: memoryview, offset: int, limit: int) -> None:
        """Digest the pages that lie in this piece as a whole; the position is at the start of a page."""
        rows, page, pack, new = self._rows, self._page, _OFFSET.pack, self._new
        position = self._position
        while position + page <= limit:
            start = position - offset
            rows.append(pack(position) + new(view[start : start + page], usedforsecurity=False).digest())
            position += page
        self._position = position

    def _part_of_page(self, view: memoryview, offset: int, section_end: int) -> None:
        """Digest what there is of a page; fill it up with zeros where the section ends."""
        if self._begun is None:
            self._begun, self._begun_at = self._new(usedforsecurity=False), self._position
        page_end = min(self._begun_at + self._page, section_end)
        until = min(page_end, offset + len(view))
        self._begun.update(view[self._position - offset : until - offset])
        self._position = until
        if until == page_end:
            self._begun.update(bytes(self._begun_at + self._page - page_end))
            self._rows.append(_OFFSET.pack(self._begun_at) + self._begun.digest())
            self._begun = None

    def table(self) -> bytes:
        """The whole table, once all of the file has gone by."""
        fill = bytes(self._page - self._image.headers_size)
        headers = self._new(self._headers + fill, usedforsecurity=False).digest()
        last = self._spans[-1][1] if self._spans else self._image.headers_size
        size = ALGORITHMS[self._algorithm].size
        return b"".join((bytes(_OFFSET.size), headers, *self._rows, _OFFSET.pack(last), bytes(size)))


def _headers(view: View, image: Image) -> bytes:
    covered = image.covered(image.headers_size)
    return b"".join(view.read(part.offset, part.length) for part in covered)
