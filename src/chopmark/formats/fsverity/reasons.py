"""What checking a file that is signed for fs-verity can find."""

from __future__ import annotations

from chopmark.core.reasons import NO, OK, Reason

_MEASURE = "Linux, Documentation/filesystems/fsverity.rst: FS_IOC_MEASURE_VERITY"

MEASURED = Reason(
    "fsverity.measured",
    OK,
    "The kernel keeps this file unchanged by fs-verity, and measures what is read.",
    cites=_MEASURE,
)
MEASURED_OTHERWISE = Reason(
    "fsverity.measured_otherwise",
    NO,
    "The kernel's own digest of this file is not that of what is read from it.",
    "Check the medium and the file system, then get an unchanged copy from its publisher.",
    _MEASURE,
    ("T1554",),
)
