"""What a tar file can do right or wrong."""

from __future__ import annotations

from chopmark.core.reasons import NO, OK, Reason

_AGAIN = "Have it packed again, by the program that usually does."
_TAR = "tar(5)"
_HIDING = ("T1036.001", "T1027.009")

FORM = Reason(
    "tar.form", NO, "The tar file is not one that all programs read in the same way.", _AGAIN, "tar(5); pax(1)", _HIDING
)
PATH = Reason(
    "tar.path",
    NO,
    "A file in it has a path that leads out of the root, or through a link of the same tar file.",
    _AGAIN,
    _TAR,
    ("T1036.005", "T1574"),
)
DUPLICATE = Reason(
    "tar.duplicate", NO, "It brings a path twice: which of the two is unpacked, is anybody's guess.", _AGAIN, _TAR,
    _HIDING,
)  # fmt: skip
LINK = Reason("tar.link", NO, "A hard link leads to no file that it brought before.", _AGAIN, _TAR, ("T1574",))
DEVICE = Reason(
    "tar.device",
    NO,
    "It brings a device.",
    "Have the device made by a program of the package.",
    "tar(5); Debian Policy 10.6",
    ("T1006",),
)
READ = Reason("tar.read", OK, "The tar file can be read in one way only, and each file is in it once.", cites=_TAR)
