"""Giving leases back: a writer waits until nobody runs what they are about to change, but not for ever."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from chopmark.agent import leases, processes
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.kept import Key


class _Wanted:
    """A lease to give back. `entering` are threads that may have been let in and do not show yet."""

    __slots__ = ("descriptor", "entering", "key", "since")

    def __init__(self, key: Key, descriptor: int) -> None:
        self.key = key
        self.descriptor = descriptor
        self.since = time.monotonic()
        self.entering: dict[int, int] = {}


class Releasing(threading.Thread):
    """Holds on to leases that are wanted back while the file is open elsewhere, or mapped as code.

    Whoever was allowed to open a script may not have read it yet, and the pages of a library are those of its file: a
    writer that came now would change what runs. The kernel takes a lease away after lease-break-time (45 s unless set
    otherwise), so that waiting longer than GUARD_HOLD_SECONDS would be pointless; `changed` is told of those who then
    still use it.
    """

    def __init__(self, changed: Callable[[Key, list[int]], None], maximum: int = limits.GUARD_RELEASED_MAX) -> None:
        """At most `maximum` leases are to wait for being given back."""
        super().__init__(name="releasing", daemon=True)
        self._changed = changed
        self._new: list[_Wanted] = []
        self._abandoned: list[tuple[int, threading.Event]] = []
        self._condition = threading.Condition()
        self._ending = False
        self._count = 0
        self._maximum = maximum
        self._looking_since = 0.0

    def __len__(self) -> int:
        """How many leases are to be given back; each still has its descriptor. For any thread."""
        return self._count

    @property
    def has_room(self) -> bool:
        """Whether more may wait. For any thread."""
        return self._count < self._maximum

    @property
    def is_stuck(self) -> bool:
        """Whether nothing is given back any more, and no more may wait. For any thread.

        Who looks for users may wait for one of them, who holds their memory (proc_pid_maps(5)), or is in the middle of
        execve(2).
        """
        since = self._looking_since
        return not self.has_room and bool(since) and time.monotonic() - since > limits.GUARD_HOLD_SECONDS

    def release(self, key: Key, descriptor: int) -> None:
        """Give a lease back as soon as nobody uses the file. For any thread."""
        with self._condition:
            self._new.append(_Wanted(key, descriptor))
            self._count += 1
            self._condition.notify()

    def abandon(self, device: int) -> None:
        """Give back what is on a file system that is protected no more, whoever uses it. Waits until that is done."""
        done = threading.Event()
        with self._condition:
            self._abandoned.append((device, done))
            self._condition.notify()
        done.wait(limits.GUARD_STOP_SECONDS)

    def end(self) -> None:
        """Give everything back and end."""
        with self._condition:
            self._ending = True
            self._condition.notify()

    def run(self) -> None:
        """Look again and again: at once where a writer waits, less and less often where none does."""
        pause = limits.GUARD_GRACE_SECONDS
        wanted: list[_Wanted] = []
        while True:
            with self._condition:
                if not self._new and not self._abandoned and not self._ending:
                    self._condition.wait(pause if wanted else None)
                new, self._new = self._new, []
                abandoned, self._abandoned = self._abandoned, []
                ending = self._ending
            before = len(wanted) + len(new)
            for device, done in abandoned:
                for each in wanted + new:
                    if each.key[0] == device:
                        _give_back(each.descriptor)
                wanted = [each for each in wanted if each.key[0] != device]
                new = [each for each in new if each.key[0] != device]
                done.set()
            if ending:
                for each in wanted + new:
                    _give_back(each.descriptor)
                return
            self._looking_since = time.monotonic()
            if new:
                entering = processes.unsettled()
                for each in new:
                    each.entering = entering  # the same for all: who has got through has done so for each
            wanted = self._left(wanted + new)
            self._looking_since = 0.0
            with self._condition:
                self._count -= before - len(wanted)
            waited_for = any(not leases.held(each.descriptor) for each in wanted)
            pause = limits.GUARD_GRACE_SECONDS if new or waited_for else min(pause * 2, limits.GUARD_LOOK_SECONDS)

    def _left(self, wanted: list[_Wanted]) -> list[_Wanted]:
        """Those that must still wait; the leases of the others are given back.

        Whoever was let in before we were asked again is either through, and holds the file for everybody to see, or is
        still on the way: then they are running, or waiting for a processor, or within the system call.
        """
        for entering in {id(each.entering): each.entering for each in wanted}.values():
            for thread, had in list(entering.items()):
                if processes.settled(thread, had, limits.GUARD_ENTERING_NANOSECONDS):
                    del entering[thread]
        used = processes.users({each.key for each in wanted if not each.entering}, frozenset({os.getpid()}))
        left = []
        for each in wanted:
            using = used.get(each.key, [])
            late = time.monotonic() - each.since > limits.GUARD_HOLD_SECONDS and not leases.held(each.descriptor)
            if (using or each.entering) and not late:
                left.append(each)
                continue
            _give_back(each.descriptor)
            if using:
                self._changed(each.key, using)
        return left


def _give_back(descriptor: int) -> None:
    leases.give_back(descriptor)
    os.close(descriptor)
