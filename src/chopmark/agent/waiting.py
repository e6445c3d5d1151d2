"""Waiting for the next question: awake for a moment where it comes at once, and asleep everywhere else.

To wake somebody on another processor takes longer than all the rest of an answer, and the kernel wakes who sleeps on
one that has nothing to do. So whoever was just asked looks for the next question a while longer, if that has been
worth it lately and a processor is to spare; who asks rarely, and machines with much to do, cost nothing.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

_LOAD = "/proc/loadavg"
_LOAD_MAX = 128


class Waiting:
    """For one thread."""

    def __init__(self, descriptor: int) -> None:
        """Wait until there is something to read."""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        self._poll: Callable[[float], list[tuple[int, int]]] = poll.poll
        self._processors = len(os.sched_getaffinity(0))
        self._load = os.open(_LOAD, os.O_RDONLY | os.O_CLOEXEC)
        self._sleeping = self._pause = 1
        self._awake = 0

    def close(self) -> None:
        """Close what says how much the machine has to do."""
        os.close(self._load)

    def ready(self) -> bool:
        """Whether there is something to read, within GUARD_TICK_SECONDS."""
        if self._sleeping:
            self._sleeping -= 1
        elif self._is_worth_it() and self._looks():
            return True
        return bool(self._poll(limits.GUARD_TICK_SECONDS * 1000))

    def _looks(self) -> bool:
        """Stay awake for a while; where that was in vain, sleep for twice as many questions as the last time."""
        poll = self._poll
        for _ in range(limits.GUARD_AWAKE_LOOKS):
            if poll(0):
                self._pause = 1
                self._awake += 1
                return True
        self._rest()
        return False

    def _rest(self) -> None:
        self._sleeping = self._pause = min(2 * self._pause, limits.GUARD_AWAKE_PAUSE_MAX)
        self._awake = 0

    def _is_worth_it(self) -> bool:
        """Whether a processor is to spare; asked before the first look, and now and then."""
        if self._awake % limits.GUARD_AWAKE_QUESTIONS or self._has_spare():
            return True
        self._rest()
        return False

    def _has_spare(self) -> bool:
        """Whether no more threads run, or are ready to, than there are processors (proc_loadavg(5)), with ours.

        On a single one whoever asks could not go on before we sleep.
        """
        try:
            running = int(os.pread(self._load, _LOAD_MAX, 0).split()[3].partition(b"/")[0])
        except (OSError, ValueError, IndexError):
            return False
        return 1 < self._processors >= running
