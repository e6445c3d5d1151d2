"""Looking at files before somebody wants them: what was just written, and folders that somebody names.

What is allowed for everybody is left to the kernel from then on, so that even the first use of it costs nothing. Nobody
waits for any of this, and it waits for everybody: only one file at a time is looked at, while no question is open, and
then as long a pause is made as that took, several times over. Who writes without end only fills the kernel's queue.
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

from chopmark.agent import beneath, fanotify, judging, uses
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from chopmark.agent.mounts import Mount
    from chopmark.agent.pending import Pending

    Look = Callable[[judging.Task, Callable[[], None]], None]


class Ahead(threading.Thread):
    """Files that were written come first; there is no hurry with folders."""

    def __init__(self, look: Look, pending: Pending, protects: Callable[[int], bool]) -> None:
        """`look` has a task looked at and calls back when that is over; `pending` knows whether there is time and room.

        `protects` says whether a device is protected (still); no other is looked at.
        """
        super().__init__(name="ahead", daemon=True)
        self._look = look
        self._pending = pending
        self._protects = protects
        self._written: dict[tuple[int, int], int] = {}
        self._folders: deque[Generator[int, None, None]] = deque()
        self._leaving: deque[threading.Event] = deque()
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ending = False
        self._group: fanotify.Group | None = None
        with contextlib.suppress(OSError):  # then files are looked at when they are used
            self._group = fanotify.Group.told()

    def protect(self, mount: Mount) -> None:
        """Look at what is written on a file system."""
        if self._group is not None:
            with contextlib.suppress(OSError):
                self._group.protect(mount.place, mount.device, fanotify.CLOSE_WRITE)

    def release(self, mount: Mount) -> None:
        """Do so no more, and hold no file on it, once it is not protected any more. Waits until that is done."""
        if self._group is not None:
            with contextlib.suppress(OSError):
                self._group.release(mount.place, mount.device, fanotify.CLOSE_WRITE)
        done = threading.Event()
        self._leaving.append(done)
        self._rouse()
        done.wait(limits.GUARD_STOP_SECONDS)

    def warm(self, folder: str) -> None:
        """Look at all files below a folder, as far as there is room. For any thread. Raises OSError."""
        self._folders.append(beneath.files(folder))
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
            has_news = self._wait(0.0 if self._written or self._folders else None)
            if self._leaving:
                self._leave()
            elif has_news:
                # Whoever made it may write once more. And who writes all the time keeps us, and with us those who wait
                # for the interpreter's lock, from working no more than so many times a second.
                self._rest(limits.GUARD_SETTLING_SECONDS)
                self._hear()
            self._next()
        for descriptor in self._written.values():
            os.close(descriptor)
        for each in self._folders:
            each.close()
        if self._group is not None:
            self._group.close()

    def _wait(self, seconds: float | None) -> bool:
        """Wait for something to do; whether files were written that there is room for: others wait in the queue."""
        watched = [self._wake]
        if self._group is not None and len(self._written) < limits.GUARD_AHEAD_MAX:
            watched.append(self._group.descriptor)
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 512)
        return self._group is not None and self._group.descriptor in ready

    def _rest(self, seconds: float) -> None:
        """Do nothing, unless somebody leaves or this ends."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not (self._ending or self._leaving):
            select.select([self._wake], [], [], left)
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 512)

    def _hear(self) -> bool:
        """Take what was written, each file once; whether that was anything."""
        try:
            events = self._group.read() if self._group is not None else []
        except fanotify.UnopenedError:
            return True
        for event in events:
            state = os.fstat(event.descriptor)
            key = (state.st_dev, state.st_ino)
            is_wanted = stat.S_ISREG(state.st_mode) and self._protects(state.st_dev) and key not in self._written
            if is_wanted and len(self._written) < 2 * limits.GUARD_AHEAD_MAX:
                self._written[key] = event.descriptor
            else:
                os.close(event.descriptor)
        return bool(events)

    def _leave(self) -> None:
        """Let go of what is on file systems that are protected no more; also of what waits in the queue."""
        leaving = [self._leaving.popleft() for _ in range(len(self._leaving))]
        while self._hear():
            pass
        for key in [key for key in self._written if not self._protects(key[0])]:
            os.close(self._written.pop(key))
        for done in leaving:
            done.set()

    def _next(self) -> None:
        """Look at what was written, or at one file of a folder."""
        had_any = bool(self._written)
        while self._written and not (self._ending or self._leaving):
            self._consider(self._written.pop(next(iter(self._written))), is_code=False)
        if self._folders and not had_any:
            descriptor = next(self._folders[0], None) if self._pending.has_room else None
            if descriptor is None:
                self._folders.popleft().close()
            else:
                self._consider(descriptor, is_code=True)

    def _consider(self, descriptor: int, *, is_code: bool) -> None:
        """Have a file looked at, unless it is nothing that anybody would run (`is_code`: it may be)."""
        path = judging.path_of(descriptor)
        state = os.fstat(descriptor)
        is_wanted = stat.S_ISREG(state.st_mode) and 0 < state.st_size <= limits.GUARD_AHEAD_SIZE_MAX
        if is_wanted and not is_code:
            try:
                is_wanted = uses.is_code(descriptor, path, state.st_mode)
            except OSError:  # it cannot be read
                is_wanted = False
        while is_wanted and self._protects(state.st_dev) and not (self._pending.is_idle or self._ending):
            time.sleep(limits.GUARD_SETTLING_SECONDS)
        if not is_wanted or self._ending or not self._protects(state.st_dev):
            os.close(descriptor)
            return
        began, done = time.monotonic(), threading.Event()
        self._look(judging.Task((state.st_dev, state.st_ino), descriptor, path), done.set)
        done.wait(limits.GUARD_ANSWER_SECONDS)
        self._rest((time.monotonic() - began) * limits.GUARD_AHEAD_PAUSE)
