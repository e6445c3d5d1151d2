"""What reading a catalog, and comparing files with one, can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_GET_ANEW = "Get an unchanged copy of the catalog from whoever made it."
_RESTORE = "Restore it from its package or backup; where the change was meant, make and sign a new catalog."
_REVIEW = "Find out where it comes from and remove it; where it belongs there, make and sign a new catalog."
_SPEC = "docs/spec/catalog.md"

# The catalog itself
VERSION = Reason("catalog.version", NO, "This is no catalog of version 1.", _GET_ANEW, _SPEC)
FORM = Reason("catalog.form", NO, "The catalog is not written as the specification says.", _GET_ANEW, _SPEC)
ORDER = Reason(
    "catalog.order",
    NO,
    "The catalog names a file twice, or not in the order of paths.",
    _GET_ANEW,
    _SPEC,
    ("T1036.005",),
)
PATH = Reason(
    "catalog.path", NO, "The catalog has a path that leads out of its tree, or into no folder of it.", _GET_ANEW, _SPEC,
    ("T1036.005",),
)  # fmt: skip
CUT = Reason("catalog.cut", NO, "The catalog is not whole: its end is missing, or lines are.", _GET_ANEW, _SPEC)
BLOCK = Reason(
    "catalog.block", NO, "The signature block is not written as a signer writes it.", _GET_ANEW, _SPEC, ("T1036.001",)
)
SOUND = Reason("catalog.sound", OK, "Every line of the catalog is as the specification says.", cites=_SPEC)

# Files trusted through a catalog
LISTED = Reason("catalog.listed", OK, "A signed catalog lists a file with this very content.")
UNLISTED = Reason("catalog.unlisted", INFO, "No catalog, and no release, that was given has a file with this content.")
MISMATCH = Reason(
    "catalog.mismatch",
    NO,
    "A trusted catalog lists another content for the file at this path.",
    _RESTORE,
    techniques=("T1554", "T1036.005", "T1574"),
)
UNTRUSTED = Reason(
    "catalog.untrusted",
    NO,
    "The catalog that lists this file is not trusted itself.",
    "Have the catalog signed by somebody whom you trust.",
    techniques=("T1036.001", "T1553.002"),
)

# A tree compared with its catalog
SAME = Reason("catalog.same", OK, "The tree is what the catalog says.")
CHANGED = Reason(
    "catalog.changed", NO, "The content of a file was changed.", _RESTORE, techniques=("T1554", "T1565.001")
)
ADDED = Reason(
    "catalog.added", NO, "There is something that the catalog does not list.", _REVIEW,
    techniques=("T1036.005", "T1574", "T1543"),
)  # fmt: skip
MISSING = Reason(
    "catalog.missing", NO, "Something that the catalog lists is not there.", _RESTORE, techniques=("T1070.004", "T1562")
)
ELSEWHERE = Reason(
    "catalog.elsewhere",
    NO,
    "Nothing of what the catalog lists is below this folder.",
    "Name the folder that was listed; if it is this one, get its content back.",
    techniques=("T1070.004",),
)
RENAMED = Reason(
    "catalog.renamed", NO, "A file stands under another path than the catalog says.", _RESTORE,
    techniques=("T1036.003", "T1036.005", "T1574"),
)  # fmt: skip
KIND = Reason(
    "catalog.kind", NO, "It is of another kind: a link, a folder or a device where something else was.", _RESTORE,
    techniques=("T1574", "T1036"),
)  # fmt: skip
TARGET = Reason(
    "catalog.target", NO, "A link or a device points to something else.", _RESTORE, techniques=("T1574", "T1036.005")
)
MODE = Reason("catalog.mode", NO, "The permissions were changed.", _RESTORE, techniques=("T1222.002", "T1548.001"))
OWNER = Reason("catalog.owner", NO, "The owner or group was changed.", _RESTORE, techniques=("T1222.002",))
CAPABILITIES = Reason(
    "catalog.capabilities",
    NO,
    "The capabilities of a program were changed.",
    _RESTORE,
    techniques=("T1548.001", "T1548"),
)
ATTRIBUTES = Reason(
    "catalog.attributes", NO, "Security attributes or access control lists were changed.", _RESTORE,
    techniques=("T1222.002", "T1562"),
)  # fmt: skip

# A catalog compared with another
SCOPE = Reason(
    "catalog.scope", NO, "The two catalogs are not about the same files: what one leaves out, it says nothing of.",
    "Make it anew with the same options, or find out why something was left out.", techniques=("T1562.001", "T1564"),
)  # fmt: skip
ROOT = Reason("catalog.root", INFO, "The two catalogs were made of trees at different places.")

# What could not be seen
UNREADABLE = Reason(
    "catalog.unreadable", UNKNOWN, "Something could not be read.", "Run it with the rights to read everything."
)
RACING = Reason(
    "catalog.racing", UNKNOWN, "Something changed while it was looked at.", "Do it again when nothing writes there.",
    techniques=("T1554",),
)  # fmt: skip
UNVOUCHED = Reason(
    "catalog.unvouched", UNKNOWN, "The catalog lists it, but its content could not be read when it was made.",
    "Make a new catalog with the rights to read everything.",
)  # fmt: skip
OUTSIDE = Reason(
    "catalog.outside", INFO, "There are other files; the catalog is about those that it lists, and vouches for no more."
)
BEYOND = Reason("catalog.beyond", INFO, "Another file system stands there, and was not entered.")
EXCLUDED = Reason("catalog.excluded", INFO, "The catalog says nothing about these paths: they were left out.")

# Files that come from packages, and what shows it
PROVEN = Reason(
    "catalog.proven", OK, "The files are those of their packages, which a trusted release or signature names."
)
ALTERED = Reason(
    "catalog.altered",
    NO,
    "A file has another content than its package gave it, and is no setting: it is left out.",
    "Install the package again (apt-get install --reinstall), and find out who changed the file.",
    techniques=("T1554", "T1036.005", "T1574"),
)
ALTERED_SETTING = Reason(
    "catalog.altered_setting", INFO, "A setting was changed since its package was installed: it is left out."
)
UNPROVEN = Reason(
    "catalog.unproven",
    INFO,
    "Nothing shows where these files come from: they are left out.",
    "Keep the package at hand (apt-get download), or sign a list of these files yourself after review.",
)
ACCEPTED = Reason(
    "catalog.accepted", INFO, "Nothing shows where these files come from; they are listed, because that was asked for."
)
NOTHING_PROVEN = Reason(
    "catalog.nothing_proven",
    UNKNOWN,
    "No file could be shown to come from a trusted package.",
    "Have the packages and the lists of their repository at hand (apt-get update; apt-get download).",
)
