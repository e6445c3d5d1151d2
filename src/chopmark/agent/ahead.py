"""Looking at files before somebody wants them: what was just written, and folders that somebody names.

What is allowed for everybody is left to the kernel from then on, so that even the first use of it costs nothing. Nobody
waits for any of this, and it waits for everybody: only one file at a time is looked at, while no question is open, and
then as long a pause is made as that took, several times over.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from chopmark.agent import fanotify, judging, uses
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.agent.loop import Loop
    from chopmark.agent.mounts import Mount

    Look = Callable[[judging.Task, Callable[[], None]], None]

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW


class Ahead(threading.Thread):
    """Files that were written come first; there is no hurry with folders."""

    def __init__(self, look: Look, loop: Loop) -> None:
        """`look` has a task looked at and calls back when that is over; `loop` knows whether there is time and room."""
        super().__init__(name="ahead", daemon=True)
        self._look = look
        self._loop = loop
        self._written: deque[tuple[float, int]] = deque()
        self._folders: deque[Iterator[str]] = deque()
        self._devices: set[int] = set()
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ending = False
        self._group: fanotify.Group | None = None
        with contextlib.suppress(OSError):  # then files are looked at when they are used
            self._group = fanotify.Group.told()

    def protect(self, mount: Mount) -> None:
        """Look at what is written on a file system."""
        self._devices.add(mount.device)
        if self._group is not None:
            with contextlib.suppress(OSError):
                self._group.protect(mount.place, mount.device, fanotify.CLOSE_WRITE)

    def release(self, mount: Mount) -> None:
        """Do so no more."""
        self._devices.discard(mount.device)
        if self._group is not None:
            with contextlib.suppress(OSError):
                self._group.release(mount.place, mount.device, fanotify.CLOSE_WRITE)

    def warm(self, folder: str) -> None:
        """Look at all files below a folder, as far as there is room. For any thread."""
        self._folders.append(_files(folder))
        self._rouse()

    def end(self) -> None:
        """Look at nothing any more."""
        self._ending = True
        self._rouse()
        self.join(limits.GUARD_STOP_SECONDS)

    def _rouse(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._woken, b"\0")

    def run(self) -> None:
        """Look."""
        while not self._ending:
            watched = [self._wake]
            if self._group is not None and len(self._written) < limits.GUARD_AHEAD_MAX:  # others wait in its queue
                watched.append(self._group.descriptor)
            ready, _, _ = select.select(watched, [], [], self._pause())
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 512)
            if self._group is not None and self._group.descriptor in ready:
                due = time.monotonic() + limits.GUARD_SETTLING_SECONDS
                self._written += [(due, event.descriptor) for event in self._group.read()]
            self._next()
        for _, descriptor in self._written:
            os.close(descriptor)
        if self._group is not None:
            self._group.close()

    def _pause(self) -> float | None:
        """In seconds; None: until something happens."""
        if self._written:
            return max(0.0, self._written[0][0] - time.monotonic())
        return 0.0 if self._folders else None

    def _next(self) -> None:
        """Look at one file."""
        if self._written and self._written[0][0] <= time.monotonic():
            _, descriptor = self._written.popleft()
            self._consider(descriptor, is_code=False)
        elif self._folders and not self._written:
            path = next(self._folders[0], None) if self._loop.has_room else None
            if path is None:
                self._folders.popleft()
                return
            with contextlib.suppress(OSError):
                self._consider(os.open(path, _FLAGS), is_code=True)

    def _consider(self, descriptor: int, *, is_code: bool) -> None:
        """Have a file looked at, unless it is nothing that anybody would run (`is_code`: it may be)."""
        path = judging.path_of(descriptor)
        state = os.fstat(descriptor)
        is_wanted = (
            stat.S_ISREG(state.st_mode)
            and state.st_dev in self._devices
            and 0 < state.st_size <= limits.GUARD_AHEAD_SIZE_MAX
            and (is_code or uses.is_code(descriptor, path, state.st_mode))
        )
        if not is_wanted:
            os.close(descriptor)
            return
        while not (self._loop.is_idle or self._ending):
            time.sleep(limits.GUARD_SETTLING_SECONDS)
        began, done = time.monotonic(), threading.Event()
        self._look(judging.Task((state.st_dev, state.st_ino), descriptor, path), done.set)
        done.wait(limits.GUARD_ANSWER_SECONDS)
        time.sleep((time.monotonic() - began) * limits.GUARD_AHEAD_PAUSE)


def _files(folder: str) -> Iterator[str]:
    """The files of a tree, but for those of other file systems."""
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if _device(os.path.join(place, name)) == device]
        yield from (os.path.join(place, name) for name in names)


def _device(path: str) -> int:
    try:
        return os.lstat(path).st_dev
    except OSError:
        return -1
