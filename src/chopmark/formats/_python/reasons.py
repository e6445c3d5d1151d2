"""What Python's packages can say right or wrong of themselves."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, Reason

_AGAIN = "Have its publisher build it again."

METADATA = Reason(
    "python.metadata",
    NO,
    "What the package says of itself cannot be read, or can be read in several ways.",
    _AGAIN,
    "Core metadata specifications (PyPA)",
    ("T1036.005",),
)
FILE_NAME = Reason(
    "python.file_name",
    NO,
    "The file is not named as an installer expects: it would not be installed, or taken for something else.",
    "Give it the name back under which it was published.",
    "Binary distribution format (PyPA; once PEP 427)",
    ("T1036.005",),
)
NAME_DIFFERS = Reason(
    "python.name_differs",
    NO,
    "The name of the file says another project or version than the package itself.",
    "Get it from its publisher under its own name.",
    "Binary distribution format, source distribution format (PyPA; once PEP 427, PEP 625)",
    ("T1036.005", "T1195.001"),
)
NAMED = Reason(
    "python.named", OK, "Project and version are those that the name of the file says.",
    cites="Core metadata specifications (PyPA)",
)  # fmt: skip
START = Reason(
    "python.start_up",
    INFO,
    "Once installed, it has code run whenever Python starts (.pth, .start, sitecustomize), or is Python itself.",
    "Look at that file before you install it.",
    "site: https://docs.python.org/3/library/site.html",
    ("T1546.018",),
)
