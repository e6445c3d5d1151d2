"""Which file systems are protected: those of the folders, what was mounted below them since, none that was let go."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from chopmark.agent import fanotify, mounts
from chopmark.agent.kept import MASK
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.events import Stream
    from chopmark.agent.fanotify import Group
    from chopmark.agent.mounts import Mount
    from chopmark.agent.settings import Settings


class Protection:
    """Safe for threads: one looks at what is mounted, and others are told what to let go."""

    def __init__(
        self,
        group: Group,
        settings: Settings,
        stream: Stream,
        came: Callable[[Mount], None],
        gone: Callable[[int], None],
    ) -> None:
        """`came` is told of each file system that is protected, also again; `gone` of a device that is not there."""
        self._group = group
        self._folders = settings.folders
        self._new_mounts = settings.new_mounts
        self._mask = MASK if settings.scripts else fanotify.OPEN_EXEC_PERM
        self._stream = stream
        self._came = came
        self._gone = gone
        self._lock = threading.Lock()  # held while marks are made and taken back, and what is marked is written down
        self._protected: dict[int, Mount] = {}
        self._released: set[int] = set()

    def __contains__(self, device: object) -> bool:
        return device in self._protected

    @property
    def mounts(self) -> list[Mount]:
        """The protected file systems."""
        return list(self._protected.values())

    @property
    def devices(self) -> set[int]:
        """Their devices."""
        return {*self._protected}

    @property
    def places(self) -> list[str]:
        """Where they are mounted."""
        return [each.place for each in self.mounts]

    def is_leased(self, device: int) -> bool:
        """Whether leases on a device tell of every writer, as far as its kind says; files of overlays have others."""
        mount = self._protected.get(device)
        return mount is not None and mount.leased

    def of(self, folder: str) -> Mount:
        """The protected file system that a folder is on. Raises UsageError."""
        mount = mounts.of(folder)
        if mount is None or mount.device not in self._protected:
            raise UsageError(f"{folder}: is not protected")
        return mount

    def begin(self) -> None:
        """Protect what the settings say, and what is mounted below it. Raises UsageError."""
        there = mounts.mounted()
        for folder, device in self._folders:
            mount = mounts.of(folder, there)
            if mount is None or mount.device != device:  # another guard before us has seen it
                self._trouble(f"{folder}: what was mounted there is gone; nothing is protected in its place")
                continue
            with self._lock:
                self._protect(mount)
        self.look()

    def look(self) -> None:
        """Protect what has been mounted below our folders since; let go of what is not there any more."""
        with self._lock:
            self._look(mounts.mounted())

    def let_go(self, folder: str) -> Mount:
        """Protect the file system of a folder no more, so that it can be unmounted; which it was. Raises UsageError."""
        mount = self.of(folder)
        with self._lock:
            self._group.release(mount.place, mount.device, self._mask)
            self._protected.pop(mount.device, None)
            self._released.add(mount.device)
        return mount

    def end(self) -> None:
        """Protect nothing any more."""
        with self._lock:
            for mount in self.mounts:
                with contextlib.suppress(OSError):
                    self._group.release(mount.place, mount.device, self._mask)

    def _protect(self, mount: Mount) -> None:
        if mount.device in self._protected or mount.device in self._released:
            return
        try:
            self._group.protect(mount.place, mount.device, self._mask)
        except OSError as error:
            raise UsageError(f"{mount.place}: cannot be protected: {error.strerror}") from None
        self._protected[mount.device] = mount
        self._came(mount)

    def _look(self, there: list[Mount]) -> None:
        devices = {each.device for each in there}
        for device, mount in list(self._protected.items()):
            if device not in devices:
                del self._protected[device]
                self._gone(device)
                self._stream.say("unmounted", detail=mount.place)
            else:
                self._protect_again(device, there)
        self._released &= devices
        if not self._new_mounts:
            return
        for mount in mounts.below([folder for folder, _ in self._folders], there):
            if mount.refused or mount.device in self._protected:
                continue
            try:
                self._protect(mount)
            except UsageError as error:
                self._trouble(str(error))
                continue
            if mount.device in self._protected:
                self._stream.say("protected", detail=mount.place)

    def _protect_again(self, device: int, there: list[Mount]) -> None:
        """Ask about what has a protected device: it may be another file system that was given the number since.

        Nothing of the one before is kept any more then, for as long as a file of it is the number is not given away.
        """
        near = mounts.below([folder for folder, _ in self._folders], there)
        mount = next((each for each in near if each.device == device and not each.refused), None)
        if mount is None or not self._new_mounts:
            return
        self._protected[device] = mount  # first: its kind says what leases there tell
        with contextlib.suppress(OSError):  # something else is mounted over it
            self._group.protect(mount.place, mount.device, self._mask)
            self._came(mount)

    def _trouble(self, what: str) -> None:
        self._stream.say("trouble", detail=what)
