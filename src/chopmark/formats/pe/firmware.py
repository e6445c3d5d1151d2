"""How firmware reads an image: its table of certificates, and its digest section by section.

EDK II, DxeImageVerificationLib: DxeImageVerificationHandler, HashPeImage. Where headers and sections lie one behind
the other in the file, the digest is the image hash of everybody else (`layout`).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.seal import Range, Recipe
from chopmark.envelopes import der
from chopmark.formats.pe import image as images
from chopmark.formats.pe import reasons, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import View

_HEADER = struct.Struct("<IHH")


def entries(view: View) -> tuple[list[bytes], list[str]]:
    """The signatures in the certificate table as firmware finds them, and what it passes over.

    It neither looks at revisions nor at what stands behind a signature in its entry (`table.read` does). Raises
    BrokenError where the table cannot be read to its end.
    """
    image = images.read(view)
    if not image.signed:
        return [], []
    table.check_place(image)
    raw = view.read(*image.table)
    found: list[bytes] = []
    skipped: list[str] = []
    position = 0
    while position < len(raw):
        length, kind, start, end = _entry(raw, position)
        if length < _HEADER.size or end > len(raw) or (kind and start >= end) or len(found) >= limits.SIGNERS_MAX:
            raise BrokenError(reasons.TABLE_ENTRIES, f"the entry at {image.table.offset + position:#x}: {length} bytes")
        if kind:
            found.append(_envelope(raw, start, end))
        else:
            skipped.append(f"the entry at {image.table.offset + position:#x} is no signature")
        position = end + -end % table.ALIGNMENT
    return found, skipped[: limits.SIGNERS_MAX]


def _envelope(raw: bytes, start: int, end: int) -> bytes:
    """The DER in an entry; all of it where that is none, for whoever reads it to say so."""
    try:
        return der.Node(raw, start, end).raw
    except MalformedError:
        return raw[start:end]


def _entry(raw: bytes, position: int) -> tuple[int, bool, int, int]:
    """Length of an entry, whether it is a signature, and where that lies."""
    if len(raw) - position < _HEADER.size:
        return 0, False, position, position
    length, _, kind = _HEADER.unpack_from(raw, position)
    start, end = position + _HEADER.size, position + length
    if kind == table.EFI_GUID and raw[start : start + len(table.EFI_PKCS7)] == table.EFI_PKCS7:
        return length, True, start + len(table.EFI_PKCS7), end
    return length, kind == table.PKCS_SIGNED_DATA, start, end


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
