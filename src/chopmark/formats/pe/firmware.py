"""How firmware digests an image: header, sections in the order of their offsets, and what lies behind.

EDK II, DxeImageVerificationLib, HashPeImage. Where headers and sections lie one behind the other in the file, that is
the same as the image hash of everybody else (`layout`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError
from chopmark.core.seal import Range, Recipe
from chopmark.formats.pe import image as images
from chopmark.formats.pe import reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import View


def recipes(view: View, algorithms: Sequence[str]) -> list[Recipe]:
    """One for each algorithm. Raises BrokenError where the headers break the rules, or sections lie outside."""
    image = images.read(view)
    if not image.efi:
        raise BrokenError(reasons.NOT_FIRMWARE, f"subsystem {image.subsystem}")
    header = image.covered(image.headers_size)
    if any(part.length < 0 for part in header):
        raise BrokenError(reasons.HEADERS, f"{image.headers_size} bytes of headers")
    sections = sorted((section.raw_offset, section.raw_size) for section in image.sections if section.raw_size)
    done = image.headers_size + sum(size for _, size in sections)
    for offset, size in sections:
        if offset + size > image.size:
            raise BrokenError(reasons.SECTION_OUTSIDE, f"the section at {offset:#x} ends at {offset + size:#x}")
    rest = image.size - image.table.length - done
    if rest < 0:
        raise BrokenError(reasons.SECTION_OUTSIDE, f"{done} bytes of headers and sections in a file of {image.size}")
    ranges = (*header, *(Range(*section) for section in sections), Range(done, rest))
    return [Recipe(algorithm, ranges) for algorithm in algorithms]
