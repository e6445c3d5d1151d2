"""The attribute certificate table: WIN_CERTIFICATE entries at the end of the file, read as strictly as can be."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der
from chopmark.formats.pe import reasons

if TYPE_CHECKING:
    from chopmark.core.artifact import View
    from chopmark.core.finding import Finding
    from chopmark.formats.pe.image import Image

_HEADER = struct.Struct("<IHH")
_REVISION_2 = 0x0200
PKCS_SIGNED_DATA = 0x0002
EFI_GUID = 0x0EF1
EFI_PKCS7 = bytes.fromhex("9dd2af4adf68ee498aa9347d375665a7")
"""EFI_CERT_TYPE_PKCS7_GUID, 4aafd29d-68df-49ee-8aa9-347d375665a7 (UEFI 2.10 clause 32.2.4)."""
ALIGNMENT = 8


class Entry(NamedTuple):
    """One WIN_CERTIFICATE: where it starts, its DER without padding, and what was found about it."""

    offset: int
    envelope: bytes
    findings: tuple[Finding, ...]


def padding(length: int) -> bytes:
    """The zeros that bring `length` bytes to the alignment of entries."""
    return bytes(-length % ALIGNMENT)


def entry(envelope: bytes) -> bytes:
    """A WIN_CERTIFICATE around a DER envelope, padded; the padding counts into its length, as Windows has it."""
    fill = padding(len(envelope))
    return _HEADER.pack(_HEADER.size + len(envelope) + len(fill), _REVISION_2, PKCS_SIGNED_DATA) + envelope + fill


def read(view: View, image: Image) -> tuple[list[Entry], tuple[Finding, ...]]:
    """The entries of a signed image, and findings about the table as a whole.

    Raises BrokenError (a MalformedError) where there is no table to be read.
    """
    offset, size = image.table
    check_place(image)
    raw = view.read(offset, size)
    entries: list[Entry] = []
    position = 0
    while position < len(raw):
        if len(entries) >= limits.SIGNERS_MAX:
            raise BrokenError(reasons.TABLE_ENTRIES, f"more than {limits.SIGNERS_MAX} entries")
        found, position = _entry(raw, position, image)
        entries.append(found)
    findings = []
    if offset + size != image.size:
        findings.append(reasons.TRAILING.found(f"{image.size - offset - size} bytes"))
    if len(entries) > 1 and not image.efi:
        findings.append(reasons.TABLE_SEVERAL.found(f"{len(entries)} entries"))
    if not findings and not any(each.findings for each in entries):
        findings.append(reasons.TABLE.found(f"{size} bytes at {offset:#x}"))
    return entries, tuple(findings)


def check_place(image: Image) -> None:
    """Whether data directory 4 leads to where a certificate table can be; raises BrokenError if not."""
    offset, size = image.table
    wrong = ""
    if offset % ALIGNMENT:
        wrong = "not aligned to 8 bytes"
    elif offset < max(image.headers_end, image.headers_size):
        wrong = "in the headers"
    elif offset + size > image.size:
        wrong = f"{offset + size - image.size} bytes beyond the end of the file"
    elif not _HEADER.size <= size <= limits.ENVELOPE_MAX:
        wrong = "too small" if size < _HEADER.size else f"larger than {limits.ENVELOPE_MAX} bytes"
    if wrong:
        raise BrokenError(reasons.TABLE_PLACE, f"{size} bytes at {offset:#x}: {wrong}")


def _entry(raw: bytes, position: int, image: Image) -> tuple[Entry, int]:
    """The entry at `position` of the table, and where the next one starts."""
    where = f"the entry at {image.table.offset + position:#x}"
    if len(raw) - position < _HEADER.size:
        raise BrokenError(reasons.TABLE_ENTRIES, f"{where} is cut off")
    length, revision, kind = _HEADER.unpack_from(raw, position)
    end = position + length
    start = position + _HEADER.size
    if length < _HEADER.size or end > len(raw):
        raise BrokenError(reasons.TABLE_ENTRIES, f"{where} is {length} bytes long")
    if image.efi and kind == EFI_GUID and raw[start : start + 16] == EFI_PKCS7:
        start += 16
    elif kind != PKCS_SIGNED_DATA:
        raise BrokenError(reasons.TABLE_ENTRIES, f"{where} is of type {kind:#06x}")
    if revision != _REVISION_2:
        raise BrokenError(reasons.TABLE_ENTRIES, f"{where} is of revision {revision:#06x}")
    after = min(end + -end % ALIGNMENT, len(raw))
    try:
        node = der.Node(raw, start, end)
    except MalformedError as error:
        raise BrokenError(reasons.TABLE_ENTRIES, f"{where}: {error}") from None
    fill = raw[node.end : after]
    findings: tuple[Finding, ...] = ()
    if len(fill) >= ALIGNMENT or any(fill):
        findings = (reasons.PADDING.found(f"{len(fill)} bytes behind {node.end - start} of signature"),)
    return Entry(image.table.offset + position, node.raw, findings), after
