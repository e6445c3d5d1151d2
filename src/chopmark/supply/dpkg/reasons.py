"""What holding a host's packages against dpkg's records can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, UNKNOWN, Reason

_DPKG = "dpkg(1)"

NOT_AT_HAND = Reason(
    "dpkg.not_at_hand",
    INFO,
    "The package is not at hand, so that nothing proves its files; dpkg's own sums can be changed with them.",
    "Have it at hand (--download, or apt-get download), or name the folder with --packages.",
)
NO_RELEASE = Reason(
    "dpkg.no_release",
    INFO,
    "The package is at hand, but no trusted release leads to it.",
    "Fetch the lists of its repository (apt-get update); a package that was replaced there has to be updated.",
    "apt-secure(8)",
)
OTHER = Reason(
    "dpkg.other",
    NO,
    "The package at hand calls itself another than its name says.",
    "Remove it, and get it from its repository.",
    techniques=("T1036.005", "T1195.002"),
)
BROKEN = Reason(
    "dpkg.broken", NO, "The package at hand breaks the rules of its format.", "Get it anew from its repository.",
    techniques=("T1036.001",),
)  # fmt: skip
RIGHTS = Reason(
    "dpkg.rights",
    NO,
    "A file lets others do more than its package does: it runs as another user, or others may change it.",
    "Find out who changed it; installing the package anew sets it back.",
    "inode(7)",
    ("T1548.001", "T1222.002"),
)
RIGHTS_UNPROVEN = Reason(
    "dpkg.rights_unproven",
    INFO,
    "A file has more rights than its package gives it: an override on the host, or a package's script, may have.",
    "Look whether that is as it shall be; nothing proves it.",
    "dpkg-statoverride(1)",
    ("T1548.001",),
)
UNREADABLE = Reason(
    "dpkg.unreadable", UNKNOWN, "A record of dpkg's about a package could not be read.",
    "Run it with the rights to read everything; dpkg --audit tells more.", _DPKG,
)  # fmt: skip
UNREADABLE_FILE = Reason(
    "dpkg.unreadable_file",
    UNKNOWN,
    "An installed file could not be read.",
    "Run it with the rights to read everything.",
)
NOT_FETCHED = Reason(
    "dpkg.not_fetched", INFO, "A package could not be fetched with apt-get download.", "See what apt-get says."
)
