"""Why the guard answered without a policy's decision."""

from __future__ import annotations

from chopmark.core.finding import Outcome
from chopmark.core.reasons import Reason

NO, UNKNOWN, INFO = Outcome.NO, Outcome.UNKNOWN, Outcome.INFO

WRITTEN = Reason(
    "guard.written",
    NO,
    "Somebody has the file open for writing, or mapped so, and what is in it can change at any time.",
    "Write it under another name, close it, and rename it.",
    techniques=("T1554", "T1036"),
)
FAILED = Reason(
    "guard.failed", UNKNOWN, "The guard could not find out what the file is.", "See its event for the cause."
)
UNREAD = Reason(
    "guard.unread",
    UNKNOWN,
    "Who signed the file could not be found out: it is ambiguous, or a signature beside it cannot be read.",
    "See what `chopmark verify` says of it: a file beside it (FILE.sig and others), its attributes, or the medium.",
    techniques=("T1554",),
)
LATE = Reason(
    "guard.late",
    UNKNOWN,
    "The guard did not find out in time what the file is.",
    "Try again: what was found out since is remembered.",
)
SPARED = Reason("guard.spared", INFO, "The policy does not allow it, but it is on the list of what is never blocked.")
GLASS = Reason(
    "guard.glass", INFO, "The policy does not allow it, but the glass is broken: nothing is denied for a while."
)
