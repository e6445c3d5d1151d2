"""What a text can hold that its reader does not see."""

from __future__ import annotations

from chopmark.core.reasons import INFO, Reason

BIDI = Reason(
    "text.bidi",
    INFO,
    "Control characters change the order in which the text is shown: it may do something else than it seems to.",
    "Read it in an editor that shows such characters, and remove them where they are not needed.",
    "CVE-2021-42574",
    ("T1036.002", "T1059"),
)
INVISIBLE = Reason(
    "text.invisible",
    INFO,
    "There are characters without width: two names that look the same may differ.",
    "Read it in an editor that shows such characters, and remove them where they are not needed.",
    "CVE-2021-42694",
    ("T1036", "T1059"),
)
