"""What a PE file can do right or wrong in the way it carries its signatures."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_SPEC = "PE Format (Microsoft), "
_TABLE = _SPEC + "The Attribute Certificate Table"
_PAPER = "Windows Authenticode Portable Executable Signature Format 1.0, "
_HASH = _PAPER + "Calculating the PE Image Hash"
_GET_ANEW = "Get an unchanged copy from its publisher."
_REBUILD = "Have it built anew by its publisher and signed after that."
_HIDING = ("T1036.001", "T1553.002", "T1027.009")

HEADERS = Reason(
    "pe.headers",
    NO,
    "The headers are not those of a PE file, or say two things about one place.",
    "Get an undamaged copy from its publisher.",
    _SPEC + "COFF File Header, Optional Header",
    ("T1036.001",),
)
NOT_FIRMWARE = Reason(
    "pe.not_firmware",
    NO,
    "The image is for an operating system: firmware does not start it.",
    "Check an EFI application (subsystem 10 to 13).",
    _SPEC + "Windows Subsystem",
)
TOO_LARGE = Reason(
    "pe.too_large",
    NO,
    "The file is larger than the 4 GiB that a PE file can address.",
    "Ship the data beside the program, or sign the file detached (FILE.p7s).",
    _TABLE,
)

TABLE = Reason(
    "pe.table", OK, "The certificate table is well formed, padded with zeros only, and ends the file.", cites=_TABLE
)
TABLE_PLACE = Reason(
    "pe.table_place",
    NO,
    "The certificate table is where none can be: outside of the file, in the headers, not aligned, or too large.",
    _GET_ANEW,
    _TABLE,
    _HIDING,
)
TABLE_ENTRIES = Reason(
    "pe.table_entries",
    NO,
    "The entries of the certificate table do not fill it, or are of a kind that is no signature.",
    _GET_ANEW,
    _TABLE,
    _HIDING,
)
TABLE_SEVERAL = Reason(
    "pe.table_several",
    NO,
    "There is more than one entry in the certificate table; only firmware looks at any but the first.",
    "Have it signed anew by its publisher; further signatures are nested.",
    _TABLE + "; UEFI 2.10 clause 32.2.4",
    _HIDING,
)
PADDING = Reason(
    "pe.padding",
    NO,
    "There is something behind the signature in its entry of the certificate table, where no signature covers it.",
    _GET_ANEW,
    "CVE-2013-3900; " + _TABLE,
    _HIDING,
)
TRAILING = Reason(
    "pe.trailing",
    NO,
    "Data was appended behind the certificate table, where no signature covers it.",
    _GET_ANEW,
    _HASH,
    ("T1036.001", "T1553.002", "T1027.001", "T1027.009"),
)

LAYOUT = Reason("pe.layout", OK, "Headers and sections lie one behind the other in what is signed.", cites=_HASH)
SECTION_OUTSIDE = Reason(
    "pe.section_outside",
    NO,
    "A section, or the headers, reach beyond what is signed: into the certificate table or out of the file.",
    _GET_ANEW,
    _SPEC + "Section Table",
    _HIDING,
)
LAYOUT_LOOSE = Reason(
    "pe.layout_loose",
    INFO,
    "There are gaps between headers and sections, or they overlap. All of it is signed, but who digests section by"
    " section gets another digest.",
    _REBUILD,
    _HASH,
    ("T1027.009",),
)
LAYOUT_FIRMWARE = Reason(
    "pe.layout_firmware",
    NO,
    "There are gaps between headers and sections, or they overlap: firmware digests section by section, and what it"
    " would run is not what is signed here.",
    _REBUILD,
    _HASH + "; UEFI 2.10 clause 32.2.4",
    ("T1542.001", "T1027.009"),
)
OVERLAY = Reason(
    "pe.overlay",
    INFO,
    "Data follows the last section, as in self-extracting archives; it is signed.",
    cites=_HASH,
)

SUBJECT_UNUSUAL = Reason(
    "pe.subject_unusual",
    INFO,
    "The signature names the kind of file by another identifier than SPC_PE_IMAGE_DATA, as early pesign did; firmware"
    " does not look at it.",
    cites=_PAPER + "SpcAttributeTypeAndOptionalValue",
)
PAGE_HASHES_IMPOSSIBLE = Reason(
    "pe.page_hashes_impossible",
    UNKNOWN,
    "The signature carries digests of pages, but for this layout nobody has written down what they are taken over.",
    "Have it signed without page hashes, or with SectionAlignment of a page or more.",
    _PAPER + "SpcPeImagePageHashes",
)
