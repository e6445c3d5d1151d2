"""What an appended signature of any kind can do wrong."""

from __future__ import annotations

from chopmark.core.reasons import NO, Reason

ARCHIVE = Reason(
    "appended.archive",
    NO,
    "In the signature, where nothing is covered, ends a ZIP archive: Java or Python would run that.",
    "Get an unchanged copy from its publisher.",
    "APPNOTE.TXT clause 4.3.16; RFC 5652 clause 5.1",
    ("T1036.008", "T1027.009", "T1553.002"),
)
