"""What a Debian package can do right or wrong in its archive, its signatures and the files that it brings."""

from __future__ import annotations

from chopmark.core.reasons import NO, OK, Reason

_GET_ANEW = "Get an unchanged copy from its publisher."
_AGAIN = "Build it again with dpkg-deb, and have that signed."
_DEB = "deb(5)"
_HIDING = ("T1036.001", "T1027.009")

AR = Reason(
    "deb.ar", NO, "The archive is not written as dpkg-deb and ar write it.", _GET_ANEW, "deb(5); ar(5)", _HIDING
)
DUPLICATE = Reason(
    "deb.duplicate",
    NO,
    "A member is there twice: one could be checked and the other installed.",
    _GET_ANEW,
    _DEB,
    _HIDING,
)
ORDER = Reason(
    "deb.order",
    NO,
    "The members do not stand in their order: debian-binary, control.tar, data.tar, then signatures.",
    _AGAIN,
    _DEB,
    _HIDING,
)
MEMBER = Reason(
    "deb.member", NO, "There is a member that belongs in no package, and that no signature covers.", _GET_ANEW, _DEB,
    _HIDING,
)  # fmt: skip
VERSION = Reason("deb.version", NO, "This is no package of format version 2.0.", _AGAIN, _DEB)
LAYOUT = Reason("deb.layout", OK, "The archive has the three members of a package and signatures, and nothing else.",
                cites=_DEB)  # fmt: skip
SUMS = Reason(
    "deb.sums",
    NO,
    "The list of members that is signed is not written as dpkg-sig does, or is not about the members that there are.",
    "Have the package signed with debsigs or chopmark.",
    "dpkg-sig(1)",
    ("T1036.001",),
)

# The files in it
TAR = Reason("deb.tar", NO, "The archive of files is not one that dpkg reads.", _AGAIN, "deb(5); tar(5)", _HIDING)
TAR_PATH = Reason(
    "deb.tar_path",
    NO,
    "A file in the package has a path that leads out of the root, or through a link of the package.",
    _AGAIN,
    _DEB,
    ("T1036.005", "T1574"),
)
TAR_DUPLICATE = Reason(
    "deb.tar_duplicate", NO, "The package brings a path twice: which of the two is installed, is anybody's guess.",
    _AGAIN, _DEB, _HIDING,
)  # fmt: skip
TAR_LINK = Reason(
    "deb.tar_link", NO, "A hard link leads to no file that the package brought before.", _AGAIN, _DEB, ("T1574",)
)
TAR_DEVICE = Reason(
    "deb.tar_device",
    NO,
    "The package brings a device.",
    "Have the device made by a program of the package.",
    "Debian Policy 10.6",
    ("T1006",),
)
CONTROL = Reason("deb.control", NO, "The control file is not one that dpkg reads.", _AGAIN, "deb-control(5); deb822(5)")
