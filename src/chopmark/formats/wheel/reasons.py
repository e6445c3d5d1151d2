"""What a wheel can do right or wrong."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, Reason

_AGAIN = "Have its publisher build it again."
_UNCHANGED = "Get an unchanged copy from its publisher."
_FORMAT = "Binary distribution format (PyPA; once PEP 427)"
_RECORD = "Recording installed projects (PyPA; once PEP 376, PEP 627)"
_CHANGED = ("T1554", "T1195.001")

DIST_INFO = Reason(
    "wheel.dist_info",
    NO,
    "There is not exactly one folder NAME-VERSION.dist-info of the wheel's own name, with METADATA and WHEEL in it.",
    _AGAIN,
    _FORMAT,
    ("T1036.005",),
)
DATA_FOLDER = Reason(
    "wheel.data_folder",
    NO,
    "A folder .data is of another project, or has something in it for a place that installers do not know.",
    _AGAIN,
    _FORMAT,
)
VERSION = Reason("wheel.version", NO, "The wheel is of a format version that installers refuse.", _AGAIN, _FORMAT)
TAGS = Reason(
    "wheel.tags",
    INFO,
    "The wheel says that it is for other systems than its name does; installers go by the name.",
    "Have it named as it was built (python -m wheel tags).",
    "Platform compatibility tags (PyPA; once PEP 425)",
)
COLLIDES = Reason(
    "wheel.collides",
    NO,
    "Two files are installed to the same place: which one is there afterwards depends on the installer.",
    _AGAIN,
    _FORMAT,
    ("T1195.001", "T1036.005"),
)
RECORD_FORM = Reason(
    "wheel.record_form",
    NO,
    "RECORD, the list of the wheel's files, is missing, or not one that all programs read in the same way.",
    _AGAIN,
    _RECORD,
    _CHANGED,
)
RECORD_WEAK = Reason(
    "wheel.record_weak", NO, "RECORD has a file without a digest, or with one that is weaker than SHA-256.", _AGAIN,
    _FORMAT, _CHANGED,
)  # fmt: skip
RECORD_CHANGED = Reason(
    "wheel.record_changed", NO, "A file is not what RECORD says: it was changed since the wheel was built.", _UNCHANGED,
    _RECORD, _CHANGED,
)  # fmt: skip
RECORD_UNLISTED = Reason(
    "wheel.record_unlisted", NO, "There is a file that RECORD does not list: it was added since the wheel was built.",
    _UNCHANGED, _RECORD, _CHANGED,
)  # fmt: skip
RECORD_MISSING = Reason(
    "wheel.record_missing", NO, "RECORD lists a file that is not there.", _UNCHANGED, _RECORD, ("T1554",)
)
RECORD_HOLDS = Reason(
    "wheel.record_holds",
    OK,
    "Every file is what RECORD lists, and nothing else is there; which says nothing about who made it.",
    cites=_RECORD,
)
RECORD_SIGNED = Reason(
    "wheel.record_signed",
    INFO,
    "There is an old kind of signature in the wheel (RECORD.jws, RECORD.p7s), which nobody looks at; nor was it here.",
    "Have the wheel signed by a file beside it.",
    _FORMAT,
)
