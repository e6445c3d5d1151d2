"""A package taken apart: the lead, the signature header, the header, and where the payload is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.core.seal import Range
from chopmark.formats.rpm import header, reasons, tags

if TYPE_CHECKING:
    from chopmark.core.artifact import View
    from chopmark.core.finding import Finding
    from chopmark.formats.rpm.header import Header

LEAD = 96
_MAGIC = b"\xed\xab\xee\xdb"
_NAME = slice(10, 76)
_HEADER_SIGNATURES = b"\0\5"
"""The one type of signatures that there is in a lead: in a header of their own."""
_BINARY, _SOURCE = b"\0\0", b"\0\1"
V3, V4, V6 = 3, 4, 6
"""Formats; those of version 3 are not told from 4, because later versions of rpm make either."""


class Package(NamedTuple):
    """Where everything is: the signature header up to `end`, the header from `start` to `payload`, the rest behind.

    `head` and `rest` are what signatures and digests are over: the header and the payload.
    """

    lead: bytes
    signatures: Header
    end: int
    header: Header
    start: int
    payload: int
    size: int
    version: int
    head: Range
    rest: Range

    @property
    def parts(self) -> tuple[Range, Range]:
        """The header and the payload."""
        return self.head, self.rest

    @property
    def name(self) -> bytes:
        """Name, version and release."""
        parts = map(self.header.string, (tags.NAME, tags.VERSION, tags.RELEASE))
        return b"-".join(each or b"" for each in parts)


def read(view: View) -> Package:
    """Take a package apart. Raises BrokenError where it breaks a rule."""
    lead = view.read(0, LEAD)
    if len(lead) < LEAD or lead[:4] != _MAGIC:
        raise BrokenError(reasons.LEAD, "it is none")
    signatures, end = header.signatures(view, LEAD, limits.RPM_SIGNATURES_MAX)
    start = end + -end % 8
    if view.read(end, start - end).strip(b"\0"):
        raise BrokenError(reasons.RESERVED, "behind the signature header")
    main, payload = header.read(view, start, limits.RPM_HEADER_MAX)
    version = V6 if (main.number(tags.FORMAT_VERSION) or V4) >= V6 else V4
    _check_lead(lead, main, version)
    _check_name(main)
    for tag in sorted(main.entries)[:2]:  # the first may be the locales, or not
        if tags.LOCALES < tag < tags.NAME:
            raise BrokenError(reasons.TAG, f"tag {tag}, which belongs to signatures, in the header")
    if tags.PAYLOAD_SIZE in signatures.entries and tags.ARCHIVE_SIZE in main.entries:
        raise BrokenError(reasons.SIGNATURE_TAG, "the size of the archive, which the header has itself")
    _check_signatures(signatures, version)
    if version == V6:
        _check_order(signatures, main)
    head, rest = Range(start, payload - start), Range(payload, view.size - payload)
    return Package(lead, signatures, end, main, start, payload, view.size, version, head, rest)


def lead_finding(found: Package) -> Finding | None:
    """What is to be said of the name in the lead."""
    field = found.lead[_NAME]
    if field.rstrip(b"\0") == found.name[: len(field) - 1]:
        return None
    return reasons.LEAD_NAME.found(field.partition(b"\0")[0].decode("utf-8", "replace")[:66])


def size_finding(found: Package) -> Finding | None:
    """Whether the size from the header on is what the signature header says, if it does."""
    said = found.signatures.number(tags.SIZE) or found.signatures.number(tags.LONG_SIZE)
    actual = found.size - found.start
    return None if said in (actual, None) else reasons.SIZE.found(f"{actual} bytes in place of {said}")


def _check_lead(lead: bytes, main: Header, version: int) -> None:
    kind = _BINARY if tags.SOURCE_RPM in main.entries else _SOURCE
    major = (4,) if version == V6 else (3, 4)
    if lead[4] not in major or lead[5]:
        raise BrokenError(reasons.LEAD, f"version {lead[4]}.{lead[5]}")
    if lead[6:8] != kind:
        raise BrokenError(reasons.LEAD, "whether it is source or binary")
    if lead[78:80] != _HEADER_SIGNATURES or lead[80:].strip(b"\0"):
        raise BrokenError(reasons.LEAD, "its end")


def _check_name(main: Header) -> None:
    """Rpm shows a package without them, and does not install it; no rule about products or versions would see it."""
    for tag, what in ((tags.NAME, "name"), (tags.VERSION, "version"), (tags.RELEASE, "release")):
        if not main.string(tag):
            raise BrokenError(reasons.NAME, f"no {what}")


_COMMON = {
    tags.DSA: tags.BINARY,
    tags.RSA: tags.BINARY,
    tags.SHA256: tags.STRING,
    tags.FILE_SIGNATURES: tags.STRINGS,
    tags.FILE_SIGNATURE_LENGTH: tags.INT32,
    tags.VERITY_SIGNATURES: tags.STRINGS,
    tags.VERITY_ALGORITHM: tags.INT32,
    tags.OPENPGP: tags.STRINGS,
    tags.SHA3_256: tags.STRING,
    tags.RESERVED: tags.BINARY,
}
_OLDER = {
    tags.SHA1: tags.STRING,
    tags.LONG_SIZE: tags.INT64,
    tags.LONG_ARCHIVE_SIZE: tags.INT64,
    tags.SIZE: tags.INT32,
    tags.PGP: tags.BINARY,
    tags.MD5: tags.BINARY,
    tags.GPG: tags.BINARY,
    tags.PAYLOAD_SIZE: tags.INT32,
    tags.RESERVED_SPACE: tags.BINARY,
}
"""In packages before version 6 alone (format_v6.md, "Signature")."""
_ALL = _COMMON | _OLDER
_LENGTHS = {tags.SHA1: 41, tags.SHA256: 65, tags.SHA3_256: 65, tags.MD5: 16}
"""Of digests: in hex with a zero behind, but for MD5."""
_ALONE = (tags.INT32, tags.INT64)
"""Types of which there is one value."""
_ROOM = (tags.RESERVED, tags.RESERVED_SPACE)


def _check_signatures(signatures: Header, version: int) -> None:
    """Only what belongs there: some of it would end up beside the signed header when the package is installed."""
    allowed = _COMMON if version == V6 else _ALL
    for tag, (kind, offset, amount, end) in signatures.entries.items():
        if allowed.get(tag) != kind:
            raise BrokenError(reasons.SIGNATURE_TAG, f"tag {tag} of type {kind}")
        if amount != 1 and kind in _ALONE:
            raise BrokenError(reasons.TAG, f"tag {tag} with {amount} values")
        if tag in _LENGTHS and end - offset != _LENGTHS[tag]:
            raise BrokenError(reasons.TAG, f"tag {tag} with {end - offset} octets")
        if tag in _ROOM and signatures.data[offset:end] != bytes(end - offset):
            raise BrokenError(reasons.RESERVED, f"tag {tag}")
    if version == V6 and not {tags.SHA256, tags.SHA3_256} <= signatures.entries.keys():
        raise BrokenError(reasons.SIGNATURE_TAG, "without SHA-256 and SHA3-256 of the header")


def _check_order(*headers: Header) -> None:
    for each in headers:
        if list(each.entries) != sorted(each.entries):
            raise BrokenError(reasons.OVERLAP, "tags that are not in their order")
