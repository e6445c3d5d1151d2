"""What an installed file lets others do that its package does not (inode(7), dpkg-statoverride(1))."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.supply import rights
from chopmark.supply.dpkg import reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.core.finding import Finding
    from chopmark.formats._tar.tarball import Entry

_SHARED = stat.S_ISGID | stat.S_IWGRP
"""Bits for which it matters which group the file belongs to."""


class Rights(NamedTuple):
    """What a host grants: `owner` is whose its tree is (root's, but for an image that somebody unpacked).

    `overrides` are modes by path below the root that its administrator set in place of the packages'.
    """

    owner: int
    overrides: Mapping[bytes, int]

    def finding(self, path: bytes, entry: Entry, names: tuple[bytes, ...]) -> Finding | None:
        """What there is to say of the file at a path, which a package has as `entry`; `names` are its own paths there.

        Fewer rights than the package gives are nobody's gain. Capabilities are told, and prove nothing: packages have
        none, and their scripts set some.
        """
        try:
            state = os.lstat(path)
        except OSError:
            return None  # whoever reads it says so
        if not stat.S_ISREG(state.st_mode):
            return None
        more = rights.beyond(state.st_mode, entry.mode)
        wrong = [rights.told(state.st_mode, entry.mode)] if more else []
        if state.st_uid != (entry.uid or self.owner):
            wrong.append(f"user {state.st_uid} in place of {entry.uid}")
        if state.st_mode & _SHARED and state.st_gid != entry.gid and not more and not self._is_own(entry):
            wrong.append(f"group {state.st_gid} in place of {entry.gid}")
        capable = _has_capabilities(path)
        if not wrong and not capable:
            return None
        granted = next((self.overrides[name] for name in names if name in self.overrides), None)
        usual = more == stat.S_ISGID and len(wrong) == 1 and state.st_gid  # ssh-agent, crontab: their scripts do so
        told = usual or not wrong or (granted is not None and not more & ~granted)
        wrong += ["capabilities"] if capable else []
        reason = reasons.RIGHTS_UNPROVEN if told else reasons.RIGHTS
        return reason.found(", ".join(wrong), subject=names[0].decode("ascii", "backslashreplace"))

    def _is_own(self, entry: Entry) -> bool:
        """Whether the tree is that of an ordinary user, who cannot give files to the groups of packages."""
        return self.owner != 0 and entry.gid == 0


def _has_capabilities(path: bytes) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability", follow_symlinks=False))
    except OSError:
        return False


def overrides(text: bytes) -> dict[bytes, int]:
    """The records of dpkg-statoverride: user, group, mode and path. Lines that are none are passed over."""
    found = {}
    for line in text.split(b"\n"):
        words = line.split(b" ", 3)
        if len(words) > 3 and words[3].startswith(b"/"):  # noqa: PLR2004 - as many as there are
            try:
                found[words[3][1:]] = int(words[2], 8)
            except ValueError:
                continue
    return found
