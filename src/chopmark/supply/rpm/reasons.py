"""What holding a host against rpm's records can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, UNKNOWN, Reason

_RPM = "rpm(8)"
_AGAIN = "Install it anew, from a package whose signature verifies."

NOT_PROVEN = Reason(
    "rpm_host.not_proven",
    INFO,
    "The record of the package has no signature that a known key made, so that nothing proves its files.",
    "Give the keys of its publisher (--keyring); a package that was never signed proves nothing.",
    _RPM,
)
RECORD_CHANGED = Reason(
    "rpm_host.record_changed",
    NO,
    "The record of the package is not what was signed: somebody changed the database.",
    _AGAIN,
    _RPM,
    ("T1565.001", "T1036.001"),
)
RECORD_BROKEN = Reason(
    "rpm_host.record_broken", NO, "The record of the package breaks the rules of its format.", _AGAIN, _RPM,
    ("T1565.001",),
)  # fmt: skip
WEAK_FILES = Reason(
    "rpm_host.weak_files",
    INFO,
    "The record of the package has MD5 or SHA-1 of its files, which prove nothing any more.",
    "Update it: packages have had SHA-256 since 2009.",
    "NIST SP 800-131A r2 clause 9",
)
PRIVILEGED = Reason(
    "rpm_host.privileged",
    NO,
    "A file has rights that its package does not give: set-user-id, capabilities, or others may write to it.",
    "Find out who changed it; rpm --restore sets files back.",
    "capabilities(7)",
    ("T1548.001", "T1222.002"),
)
UNREADABLE = Reason(
    "rpm_host.unreadable",
    UNKNOWN,
    "A record of the database could not be read.",
    "Run it with the rights to read everything; rpmdb --verifydb tells more.",
    "rpmdb(8)",
)
