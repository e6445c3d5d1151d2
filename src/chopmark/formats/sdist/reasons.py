"""What a source distribution can do right or wrong."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, Reason

_AGAIN = "Have its publisher build it again."
_FORMAT = "Source distribution format (PyPA; once PEP 625, PEP 721)"

OTHER = Reason(
    "sdist.other",
    INFO,
    "It is named as a source distribution of Python's, but holds none: only the signature was looked at.",
    cites=_FORMAT,
)
TOP = Reason(
    "sdist.top",
    NO,
    "There is something beside the one folder, NAME-VERSION, that all of it must be in.",
    _AGAIN,
    _FORMAT,
    ("T1036.005",),
)
LINK = Reason("sdist.link", NO, "A link leads out of the folder.", _AGAIN, _FORMAT, ("T1574",))
SPECIAL = Reason("sdist.special", NO, "There is a pipe among the files.", _AGAIN, _FORMAT)
UNNAMED = Reason(
    "sdist.unnamed",
    INFO,
    "There is no PKG-INFO, so that project and version stand in the name of the file only.",
    "Have it built by a present tool (python -m build).",
    _FORMAT,
)
