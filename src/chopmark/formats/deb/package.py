"""What the archive of a package must hold: three members in their order, and signatures behind them (deb(5))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats.deb import ar, reasons

if TYPE_CHECKING:
    from chopmark.core.artifact import View
    from chopmark.formats.deb.ar import Member

_CONTROL = re.compile(r"control\.tar(?:\.(gz|xz|zst))?").fullmatch
_DATA = re.compile(r"data\.tar(?:\.(gz|xz|zst|bz2))?").fullmatch
_SIGNATURE = re.compile(r"_gpg[a-z0-9]{1,11}").fullmatch
_VERSION = b"2.0\n"


class Package(NamedTuple):
    """A package taken apart; the kinds of compression are suffixes without the dot."""

    version: Member
    control: Member
    data: Member
    signatures: tuple[Member, ...]
    control_packed: str
    data_packed: str

    @property
    def parts(self) -> tuple[Member, Member, Member]:
        """What signatures cover, in order."""
        return self.version, self.control, self.data


def read(view: View) -> Package:
    """Take a package apart. Raises BrokenError where it breaks a rule."""
    found = ar.members(view)
    names = [member.name for member in found]
    if len(set(names)) != len(names):
        raise BrokenError(reasons.DUPLICATE, next(name for name in names if names.count(name) > 1))
    kinds = [sum(match(name) is not None for name in names) for match in (_CONTROL, _DATA)]
    if max(kinds) > 1:
        raise BrokenError(reasons.DUPLICATE, "control.tar or data.tar, compressed in two ways")
    for name in names:
        if not (name == "debian-binary" or _CONTROL(name) or _DATA(name) or _SIGNATURE(name)):
            raise BrokenError(reasons.MEMBER, name)
    control, data = (match(name) for match, name in zip((_CONTROL, _DATA), [*names[1:3], "", ""], strict=False))
    if names[:1] != ["debian-binary"] or control is None or data is None:
        raise BrokenError(reasons.ORDER, ", ".join(names))
    if view.read(found[0].offset, found[0].size) != _VERSION:
        raise BrokenError(reasons.VERSION)
    return Package(found[0], found[1], found[2], tuple(found[3:]), control[1] or "", data[1] or "")
