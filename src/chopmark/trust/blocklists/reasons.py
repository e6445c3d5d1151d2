"""What blocklists say; loaded when somebody has one."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_BLOCKED = ("T1553.002", "T1588.003", "T1587.002")
_DRIVERS = ("T1543.003", "T1068", "T1014")
BLOCKED_CERTIFICATE = Reason(
    "blocklist.certificate",
    NO,
    "A blocklist names a certificate on the way: nothing that it vouches for is wanted here.",
    "Get a version that is signed with another certificate, or none of this publisher.",
    techniques=_BLOCKED,
)
BLOCKED_KEY = Reason(
    "blocklist.key",
    NO,
    "A blocklist names a key on the way: nothing that it signed is wanted here.",
    "Get a version that is signed with another key, or none of this publisher.",
    techniques=_BLOCKED,
)
BLOCKED_FILE = Reason(
    "blocklist.file",
    NO,
    "A blocklist names this very file: it is known to be malicious or vulnerable.",
    "Remove it; get a version in which its publisher mended what is wrong.",
    "Microsoft recommended driver block rules",
    _DRIVERS,
)
BLOCKED_RULE = Reason(
    "blocklist.rule",
    NO,
    "A rule of a blocklist is about this file: by its signer, its name and its version.",
    "Remove it; get a version in which its publisher mended what is wrong.",
    "Microsoft recommended driver block rules",
    (*_DRIVERS, "T1553.002"),
)
BLOCKLIST_UNDECIDED = Reason(
    "blocklist.undecided",
    UNKNOWN,
    "Whether a rule of a blocklist is about this file could not be found out.",
    "Get an undamaged copy from its publisher.",
    "Microsoft recommended driver block rules",
    _DRIVERS,
)
BLOCKLIST_CLEAR = Reason(
    "blocklist.clear", OK, "No blocklist names the file, or a certificate or key on the way of its signatures."
)
BLOCKLIST_STALE = Reason(
    "blocklist.stale",
    INFO,
    "A blocklist is old: what became known since then is not in it.",
    "Get the list's current issue, and add it with chopmark blocklist add.",
)
