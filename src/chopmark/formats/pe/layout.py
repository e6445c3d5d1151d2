"""Whether headers and sections lie in the file so that every way of digesting it comes to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.formats.pe import reasons

if TYPE_CHECKING:
    from chopmark.core.finding import Finding
    from chopmark.formats.pe.image import Image

_ALIGNMENT_FILL = 8


def check(image: Image) -> list[Finding]:
    """Findings about the layout of a signed image.

    The image hash is over the file from beginning to end, without three fields. Microsoft's paper and UEFI walk the
    sections in the order of their file offsets instead, and then take whatever lies behind as many bytes as they have
    hashed. The two agree where there are neither gaps nor overlaps.
    """
    sections = sorted((section.raw_offset, section.raw_size) for section in image.sections if section.raw_size)
    position = image.headers_size
    loose = []
    if image.headers_end > image.headers_size:
        loose.append(f"the section table ends at {image.headers_end:#x}, behind the headers")
    outside = [f"headers of {position:#x} bytes"] if position > image.end else []
    for offset, size in sections:
        if offset != position and len(loose) < 3:
            loose.append(f"{'a gap' if offset > position else 'an overlap'} before the section at {offset:#x}")
        if offset + size > image.end:
            outside.append(f"the section at {offset:#x} ends at {offset + size:#x}")
        position = max(position, offset + size)
    findings = []
    if outside:
        findings.append(reasons.SECTION_OUTSIDE.found(outside[0]))
    if loose:
        reason = reasons.LAYOUT_FIRMWARE if image.efi else reasons.LAYOUT_LOOSE
        findings.append(reason.found("; ".join(loose)))
    if not findings:
        findings.append(reasons.LAYOUT.found(f"{len(sections)} sections"))
    if image.end - position >= _ALIGNMENT_FILL:
        findings.append(reasons.OVERLAY.found(f"{image.end - position} bytes"))
    return findings
