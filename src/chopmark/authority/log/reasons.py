"""What running a log can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, Reason

_SUBVERTED = ("T1553", "T1070")

LOG_INTEGRATED = Reason(
    "log.integrated", OK, "What was done is in the log, under its signed checkpoint.", cites="C2SP tlog-tiles"
)
LOG_WAITING = Reason(
    "log.waiting",
    INFO,
    "What was done is in the register's part of the log, and waits for the next signed checkpoint.",
    "Run `chopmark log checkpoint` where the log's key can be opened.",
)
LOG_FORK = Reason(
    "log.fork",
    NO,
    "What the log published and what is here contradict each other: something was restored, damaged or changed.",
    "Find out what was changed, and restore the newest copy of the database and the folder.",
    "C2SP tlog-checkpoint, clause Signatures",
    _SUBVERTED,
)
