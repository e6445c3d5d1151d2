"""Giving leases back: a writer waits until nobody runs what they are about to change, but not for ever."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from chopmark.agent import leases, processes
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.kept import Key


class _Wanted(NamedTuple):
    key: Key
    descriptor: int
    since: float


class Releasing(threading.Thread):
    """Holds on to leases that are wanted back while the file is open elsewhere, or mapped as code.

    Whoever was allowed to open a script may not have read it yet, and the pages of a library are those of its file: a
    writer that came now would change what runs. The kernel takes a lease away after lease-break-time (45 s unless set
    otherwise), so that waiting longer than GUARD_HOLD_SECONDS would be pointless; `changed` is told of those who then
    still use it.
    """

    def __init__(self, changed: Callable[[Key, list[int]], None]) -> None:
        super().__init__(name="releasing", daemon=True)
        self._changed = changed
        self._wanted: list[_Wanted] = []
        self._condition = threading.Condition()
        self._ending = False

    def release(self, key: Key, descriptor: int) -> None:
        """Give a lease back as soon as nobody uses the file. For any thread."""
        with self._condition:
            self._wanted.append(_Wanted(key, descriptor, time.monotonic()))
            self._condition.notify()

    def end(self) -> None:
        """Give everything back and end."""
        with self._condition:
            self._ending = True
            self._condition.notify()

    def run(self) -> None:
        """Look again and again, soon at first and then less often."""
        while True:
            with self._condition:
                while not self._wanted and not self._ending:
                    self._condition.wait()
                wanted, self._wanted = self._wanted, []
                ending = self._ending
            # Somebody whom the kernel let in a moment ago may not have got the descriptor yet that we would see.
            time.sleep(0 if ending else limits.GUARD_GRACE_SECONDS)
            left = [each for each in wanted if not ending and self._must_wait(each)]
            if ending:
                for each in wanted:
                    _give_back(each.descriptor)
                return
            with self._condition:
                self._wanted += left

    def _must_wait(self, wanted: _Wanted) -> bool:
        """Whether to look again; if not, the lease is given back."""
        using = processes.holders(*wanted.key, frozenset({os.getpid()}))
        late = time.monotonic() - wanted.since > limits.GUARD_HOLD_SECONDS
        if using and not late:
            return True
        _give_back(wanted.descriptor)
        if using:
            self._changed(wanted.key, using)
        return False


def _give_back(descriptor: int) -> None:
    leases.give_back(descriptor)
    os.close(descriptor)
