"""Overlays: which files of their layers may be behind a file that somebody runs or has open on one.

Such a file has a device of its own, in a mapping that of the mount, and the inode number of the file behind it; with
`xino` the highest bits say which layer it is from (overlayfs, "Inode properties").
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.agent import mounts
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_INODE = (1 << 56) - 1
"""Without the bits that say which layer."""


def inode_of(inode: int) -> int:
    """The number of the file behind."""
    return inode & _INODE


class Overlay(NamedTuple):
    """Where one is mounted, by which number and device, and what it shows, the folder that hides others first."""

    number: int
    device: int
    place: str
    folders: tuple[str, ...]

    def behind(self, path: str, inode: int) -> set[tuple[int, int]]:
        """Device and inode of what may be behind a file on it.

        It may have been copied to the upper layer since: whoever has it mapped still has that of the lower one. Where
        no layer has it by its name any more, it may be from each of them.
        """
        within = path.removeprefix(self.place.rstrip("/"))  # the place is missing where we do not see the mount
        wanted = inode_of(inode)
        named = {key for folder in self.folders for key in _keys(f"{folder}{within}") if key[1] == wanted}
        return named or {(device, wanted) for folder in self.folders for device, _ in _keys(folder)}


def _keys(path: str) -> Iterator[tuple[int, int]]:
    """Device and inode of what is at a path in our own view, if something is."""
    try:
        state = os.stat(path, follow_symlinks=False)
    except OSError:
        return
    yield state.st_dev, state.st_ino


class Seen:
    """The overlays that processes see: the same for all that see the same mounts."""

    def __init__(self) -> None:
        self._known: dict[int, list[Overlay]] = {}

    def mapped(self, process: int, device: int) -> Overlay | None:
        """The one on whose device a process has something mapped. Raises OSError."""
        if os.major(device):  # an overlay is on no disk
            return None
        return next((each for each in self._all(process) if each.device == device), None)

    def opened(self, process: int, descriptor: str) -> Overlay | None:
        """The one on which a process has a file open. Raises OSError."""
        overlays = self._all(process)
        if not overlays:
            return None
        with open(f"/proc/{process}/fdinfo/{descriptor}", encoding="ascii", errors="replace") as file:
            number = next((int(line.split()[1]) for line in file if line.startswith("mnt_id:")), None)
        return next((each for each in overlays if each.number == number), None)

    def _all(self, process: int) -> list[Overlay]:
        namespace = os.stat(f"/proc/{process}/ns/mnt").st_ino
        if namespace not in self._known:
            self._known[namespace] = [Overlay(*each) for each in mounts.overlays(process)]
        return self._known[namespace]
