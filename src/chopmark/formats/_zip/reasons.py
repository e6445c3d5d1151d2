"""What a ZIP archive can do right or wrong."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, Reason

_AGAIN = "Have it packed again, by the program that usually does."
_HIDING = ("T1036.001", "T1027.009")

END = Reason(
    "zip.end",
    NO,
    "The archive does not end with the record of its end, or that says something else than what there is.",
    _AGAIN,
    "APPNOTE.TXT clauses 4.3.14 to 4.3.16",
    _HIDING,
)
DIRECTORY = Reason(
    "zip.directory", NO, "The list of members is not one that all programs read in the same way.", _AGAIN,
    "APPNOTE.TXT clause 4.3.12", _HIDING,
)  # fmt: skip
GAP = Reason(
    "zip.gap",
    NO,
    "There are bytes in the archive that belong to no member, or to two: what one program finds, another does not.",
    _AGAIN,
    "APPNOTE.TXT clause 4.3.6",
    _HIDING,
)
DIFFERS = Reason(
    "zip.differs",
    NO,
    "A member says of itself something else than the list of members does: one program takes this, another that.",
    _AGAIN,
    "APPNOTE.TXT clauses 4.3.7 and 4.3.12",
    _HIDING,
)
DUPLICATE = Reason(
    "zip.duplicate",
    NO,
    "A name is there twice, or is that of a file and of a folder: one could be checked and the other unpacked.",
    _AGAIN,
    "APPNOTE.TXT clause 4.4.17",
    _HIDING,
)
NAME = Reason(
    "zip.name",
    NO,
    "The name of a member leads elsewhere, or is read in different ways on different systems.",
    _AGAIN,
    "APPNOTE.TXT clause 4.4.17",
    ("T1036.005", "T1574"),
)
ALIKE = Reason(
    "zip.alike",
    INFO,
    "Two names differ only in capitals or in how their letters are composed: some systems keep one of the two files.",
    "Have one of them renamed.",
    techniques=("T1036.005",),
)
KIND = Reason(
    "zip.kind",
    NO,
    "A member is a link or a special file to some programs, and an ordinary file to others.",
    "Have it packed with the file itself.",
    "APPNOTE.TXT clause 4.4.15",
    ("T1574",),
)
ENCRYPTED = Reason("zip.encrypted", NO, "A member is encrypted.", _AGAIN, "APPNOTE.TXT clause 4.4.4", ("T1027.013",))
METHOD = Reason(
    "zip.method", NO, "A member is compressed in a way that not all programs know.", _AGAIN, "APPNOTE.TXT clause 4.4.5"
)
DATA = Reason(
    "zip.data",
    NO,
    "The bytes of a member are not what the archive says: damaged, of another size, or with something behind them.",
    "Get an undamaged copy from its publisher.",
    "APPNOTE.TXT clauses 4.4.7 to 4.4.9",
    _HIDING,
)
READ = Reason(
    "zip.read", OK, "The archive can be read in one way only, from its first byte to its last.",
    cites="APPNOTE.TXT clause 4.3.6",
)  # fmt: skip
