"""What an RPM package can do right or wrong in its headers, its signatures and its payload."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_AGAIN = "Build it again with a current rpmbuild, and have that signed."
_FORMAT = "RPM package format (docs/manual/format_v4.md, format_v6.md)"
_HEADER = "RPM package format (docs/manual/format_header.md)"
_REGIONS = "RPM package format (docs/manual/hregions.md)"
_HIDING = ("T1036.001", "T1027.009")

LEAD = Reason("rpm.lead", NO, "The lead is not written as rpm writes it.", _GET_ANEW, _FORMAT, _HIDING)
LEAD_NAME = Reason(
    "rpm.lead_name",
    INFO,
    "The lead, which nobody signs and rpm does not use, calls the package by another name than the header.",
    cites=_FORMAT,
    techniques=("T1036.005",),
)
NAME = Reason(
    "rpm.name",
    NO,
    "The header does not say which package it is: name, version and release are needed.",
    _GET_ANEW,
    _FORMAT,
    ("T1036.005",),
)
HEADER = Reason(
    "rpm.header", NO, "A header is missing, cut off, or far larger than any package has.", _GET_ANEW, _HEADER, _HIDING
)
REGION = Reason(
    "rpm.region", NO, "A header is not in one region with its trailer, as it has to be to be signed.", _AGAIN, _REGIONS,
    _HIDING,
)  # fmt: skip
OUTSIDE = Reason(
    "rpm.outside",
    NO,
    "Something stands outside of the region that is signed; it would replace what is inside when it is installed.",
    _GET_ANEW,
    _REGIONS,
    _HIDING,
)
TAG = Reason("rpm.tag", NO, "A tag has a value of another type or number than it can have.", _GET_ANEW, _HEADER,
             _HIDING)  # fmt: skip
DUPLICATE = Reason(
    "rpm.duplicate", NO, "A tag is there twice: one value could be checked and the other used.", _GET_ANEW, _HEADER,
    _HIDING,
)  # fmt: skip
OVERLAP = Reason(
    "rpm.overlap",
    NO,
    "The values in a header overlap, or something is between them that no tag points to.",
    _GET_ANEW,
    _HEADER,
    _HIDING,
)
SIGNATURE_TAG = Reason(
    "rpm.signature_tag",
    NO,
    "The signature header, which nobody signs, has a tag that does not belong there.",
    _GET_ANEW,
    _FORMAT,
    _HIDING,
)
RESERVED = Reason(
    "rpm.reserved",
    NO,
    "Something else than zeros is in the room that is reserved for signatures, or fills up the signature header.",
    _GET_ANEW,
    _FORMAT,
    _HIDING,
)
SIZE = Reason(
    "rpm.size", NO, "The package is longer or shorter than it says: something was put behind it, or it is cut off.",
    _GET_ANEW, _FORMAT, _HIDING,
)  # fmt: skip
FILE_LIST = Reason("rpm.file_list", NO, "The header's list of files contradicts itself.", _AGAIN, _FORMAT, _HIDING)
LAYOUT = Reason(
    "rpm.layout", OK, "Lead, signature header and header are as rpm writes them, and nothing else is with them.",
    cites=_FORMAT,
)  # fmt: skip
PAYLOAD = Reason(
    "rpm.payload", OK, "The signed header has a digest of the payload, so that the signature covers it.", cites=_FORMAT
)
PAYLOAD_UNCOVERED = Reason(
    "rpm.payload_uncovered",
    NO,
    "The signature covers the header alone, which has no strong digest of the payload: any payload would fit.",
    _AGAIN,
    _FORMAT,
    ("T1036.001", "T1195.002"),
)
PAYLOAD_ELSEWHERE = Reason(
    "rpm.payload_elsewhere",
    INFO,
    "This signature covers the header alone; another one in the package covers the payload, too.",
    cites=_FORMAT,
)
WEAK_FILES = Reason(
    "rpm.weak_files",
    INFO,
    "The header has MD5 or SHA-1 of the files: installed files cannot be proven by it.",
    _AGAIN,
    "NIST SP 800-131A r2 clause 9",
)
FILE_SIGNATURES = Reason(
    "rpm.file_signatures",
    INFO,
    "The package brings signatures for its single files (IMA, fs-verity), which the kernel checks when they are used.",
    cites="rpmsign(8)",
)

# The payload
PAYLOAD_FORM = Reason(
    "rpm.payload_form", NO, "The payload is not an archive that rpm unpacks.", _AGAIN, "cpio(5); " + _FORMAT, _HIDING
)
