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
BOUNDARY = Reason(
    "deb.boundary",
    NO,
    "The end of control.tar is not that of its content: bytes of one member were moved into the other, and the"
    " signature is over both without saying where one ends.",
    "Get an unchanged copy from its publisher; or build it again with dpkg-deb, and have that signed.",
    "deb(5); debsigs(1)",
    _HIDING,
)
SUMS = Reason(
    "deb.sums",
    NO,
    "The list of members that is signed is not written as dpkg-sig does, or is not about the members that there are.",
    "Have the package signed with debsigs or chopmark.",
    "dpkg-sig(1)",
    ("T1036.001",),
)

# What it says of itself
CONTROL = Reason("deb.control", NO, "The control file is not one that dpkg reads.", _AGAIN, "deb-control(5); deb822(5)")
