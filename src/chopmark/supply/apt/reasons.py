"""What following a repository from its signed release to a package can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_UPDATE = "Fetch the lists anew (apt-get update) from a mirror that you trust."
_SECURE = "apt-secure(8)"
_FORMAT = "Debian repository format (wiki.debian.org/DebianRepository/Format)"
_REPLAY = ("T1195.002", "T1601.002")

RELEASE = Reason("apt.release", OK, "The release is signed by a key that its repository is trusted by.", cites=_SECURE)
RELEASE_UNTRUSTED = Reason(
    "apt.release_untrusted",
    NO,
    "The release is not signed by a key that is trusted for this repository, or was changed since.",
    _UPDATE,
    _SECURE,
    ("T1195.002", "T1553.002"),
)
RELEASE_UNDECIDED = Reason(
    "apt.release_undecided",
    UNKNOWN,
    "The keys that are known for this repository do not include the one that signed the release.",
    "Install the distribution's keyring, and name it in Signed-By.",
    _SECURE,
)
RELEASE_UNREADABLE = Reason(
    "apt.release_unreadable", UNKNOWN, "The release, or the signature beside it, could not be read.", _UPDATE, _SECURE
)
KEYRING = Reason(
    "apt.keyring",
    UNKNOWN,
    "There is no keyring for this repository, or it cannot be read.",
    "Name the keyring in Signed-By of the source, or with --keyring.",
    "sources.list(5)",
)
FORM = Reason("apt.form", NO, "The release or list is not written as a repository writes it.", _UPDATE, _FORMAT,
              _REPLAY[:1])  # fmt: skip
EXPIRED = Reason(
    "apt.expired", NO, "The release has expired: newer ones may be withheld.", _UPDATE, _FORMAT + ": Valid-Until",
    _REPLAY,
)  # fmt: skip
FUTURE = Reason(
    "apt.future", NO, "The release is of a time to come.", "Set the clock, or fetch the lists anew.", _FORMAT + ": Date"
)
ROLLBACK = Reason(
    "apt.rollback",
    NO,
    "The release is older than one that was seen here before: somebody serves old lists.",
    _UPDATE,
    _FORMAT + ": Date",
    _REPLAY,
)
FRESH = Reason("apt.fresh", OK, "The release is no older than those seen before, and has not expired.")
NO_END = Reason("apt.no_end", INFO, "The release does not say until when it counts.", cites=_FORMAT + ": Valid-Until")
NOT_REMEMBERED = Reason("apt.not_remembered", INFO, "The date of the release could not be noted for the next time.")
SUITE = Reason(
    "apt.suite",
    NO,
    "The release is of another suite than the source asks for.",
    _UPDATE,
    _FORMAT + ": Suite, Codename",
    _REPLAY,
)
INDEX = Reason("apt.index", OK, "A list of packages is the one that the release names.")
INDEX_MISMATCH = Reason(
    "apt.index_mismatch", NO, "A list of packages is not the one that the release names.", _UPDATE, _FORMAT, _REPLAY[:1]
)
INDEX_WEAK = Reason(
    "apt.index_weak",
    NO,
    "The release names a list of packages by MD5 or SHA-1 alone.",
    "Have the repository published with SHA256.",
    _FORMAT,
    _REPLAY[:1],
)
INDEX_UNREADABLE = Reason(
    "apt.index_unreadable", UNKNOWN, "A list of packages could not be held against the release.", _UPDATE
)
NO_INDEX = Reason("apt.no_index", INFO, "No list of packages of this release is here.")
NO_RELEASE = Reason(
    "apt.no_release", UNKNOWN, "There are no lists of a repository.", "Fetch them (apt-get update), or name the folder."
)
PACKAGE = Reason("apt.package", OK, "A trusted release leads to this very package.", cites=_SECURE)
PACKAGE_UNLISTED = Reason(
    "apt.package_unlisted",
    NO,
    "No trusted release leads to a package with this content.",
    "Get the package from the repository (apt-get download).",
    _SECURE,
    ("T1195.002", "T1554"),
)
PACKAGE_SIZE = Reason("apt.package_size", NO, "The list gives the package another size than it has.", _UPDATE, _FORMAT)
PACKAGE_NAME = Reason(
    "apt.package_name",
    NO,
    "The package says that it is another than the one that the list names.",
    _UPDATE,
    _FORMAT,
    ("T1036.005",),
)
PACKAGE_WEAK = Reason(
    "apt.package_weak", INFO, "The list names packages by MD5 or SHA-1 alone; nothing leads to those.", cites=_FORMAT
)
