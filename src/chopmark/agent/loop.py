"""Who answers: several threads that take turns, and look at files where nobody knows them yet.

One leads: it hears questions and answers them. Where a file must be looked at, it does so and answers then, so that
nobody waits for one thread to wake another. Only who asks meanwhile is heard by a second one. That one looks at no file
itself, opens nothing and waits for nobody, so that what the others open is answered, writers are let go on, and orders
are done. More threads look at what these two have no time for; where they wait for somebody themselves, which anybody
can bring about (a signature beside a file, a command line), others take their places.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from chopmark.agent import answers, crew, hearing, interpreters, judging, leases, pending, uses
from chopmark.agent.fanotify import UnopenedError
from chopmark.agent.question import Asked
from chopmark.agent.waiting import Waiting
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.fanotify import Group
    from chopmark.agent.judging import Examiner, Task
    from chopmark.agent.kept import Kept
    from chopmark.agent.question import Bench, Second


class Loop:
    """Answers until it is told to stop."""

    def __init__(
        self,
        group: Group,
        kept: Kept,
        bench: Bench,
        second: Second | None = None,
        descriptors: int = limits.GUARD_DESCRIPTORS_MAX,
        has_descriptors: Callable[[], bool] = lambda: True,
        is_leased: Callable[[int], bool] = lambda _: False,
    ) -> None:
        """Nobody waits under a descriptor whose number is as high as `descriptors`: there are no more then.

        `has_descriptors` says whether another file may be looked at; if not, that is a failure as well.

        `is_leased` says of a device that leases of its files tell of every writer; of others each file is asked.
        """
        self._group = group
        self._kept = kept
        self._breaks = leases.Breaks()
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._lock = threading.Lock()  # held for whatever follows, and for kept files; not while a file is looked at
        self._crew: crew.Crew[Task | Asked] = crew.Crew(self._work_on, self._join)
        self._poll = select.epoll()
        self._examiner: Callable[[], Examiner] | None = None
        self._orders: deque[Callable[[], None]] = deque()
        self.interpreters = interpreters.Interpreters(bench.rules)
        self.answers = answers.Answers(group, bench, second)
        self.pending = pending.Pending(
            kept, self.answers, self.interpreters, self._crew.put, descriptors, has_descriptors, is_leased
        )
        self._hearing = hearing.Hearing(kept, self.answers, self.interpreters, self.pending, descriptors)
        self.running = True

    def attend(self, examiner: Callable[[], Examiner], count: int) -> list[Callable[[], None]]:
        """What so many threads are to do until `running` is False, beside `run`.

        Files are looked at by the examiner as it is then.
        """
        self._examiner = examiner
        return [self._lead, *self._crew.threads(count - 1)]

    def know_own(self) -> None:
        """Take the threads of this process, whose opens are never judged, as they are now. For any thread."""
        with self._lock:  # who joins meanwhile is not forgotten
            self._hearing.own = {*map(int, os.listdir("/proc/self/task"))}

    def wake(self) -> None:
        """Look up: there is an order, or the end. For any thread."""
        if not self.running:
            self._crew.end()
        with contextlib.suppress(BlockingIOError):
            os.write(self._woken, b"\0")

    def order(self, work: Callable[[], None]) -> None:
        """Have something done in the loop's own thread. For any thread; `work` must not wait."""
        self._orders.append(work)
        self.wake()

    @property
    def is_stuck(self) -> bool:
        """Whether what takes longer is not done any more, because everybody who does it waits. For any thread."""
        return self._crew.is_stuck

    def close(self) -> None:
        """Let everything go; whoever still waits is answered as if it had taken too long."""
        self.pending.close()
        self._hearing.close()
        self._kept.sweep(lambda _: False)
        self._breaks.close()
        self._poll.close()
        os.close(self._wake)
        os.close(self._woken)

    # --- who stands in

    def run(self) -> None:
        """See to writers, orders and those who wait too long; and hear questions while who leads looks at a file."""
        for each in (self._breaks.descriptor, self._wake):
            self._poll.register(each, select.EPOLLIN)
        while self.running:
            ready = {descriptor for descriptor, _ in self._poll.poll(limits.GUARD_TICK_SECONDS)}
            with self._lock:
                if self._breaks.descriptor in ready:
                    self._broken()
                if self._wake in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake, 4096)
                while self._orders:
                    self._orders.popleft()()
                self._overdue()
                self._crew.relieve()
            task = self._hear() if self._group.descriptor in ready else None
            if task is not None:
                self._crew.put(task)

    def _broken(self) -> None:
        for descriptor in self._breaks.read():
            if descriptor is None:
                self._kept.all_broken()
            elif self._kept.broken(descriptor):
                self.answers.counters.broken += 1

    def _overdue(self) -> None:
        now = time.monotonic()
        for task in self._hearing.overdue(now):
            self._crew.put(task)
        self.pending.overdue(now)

    # --- who leads, and who looks at files

    def _lead(self) -> None:
        """Answer. Where something must be found out, do it first; `run` stands in, which wakes nobody if none asks.

        Not any more when the answer is given: who gets it may ask again at once, and would wake both.
        """
        waiting = Waiting(self._group.descriptor)
        while self.running:
            step = self._hear() if waiting.ready() else None
            while step is not None:
                self._poll.register(self._group.descriptor, select.EPOLLIN)
                found = self._find_out(step)
                if self.running:
                    self._poll.unregister(self._group.descriptor)
                step = self._go_on(found)
        waiting.close()

    def _join(self, thread: int) -> None:
        with self._lock:
            self._hearing.own |= {thread}

    def _hear(self) -> Task | Asked | None:
        """Answer whom something is known for; what may take a while is the caller's to do."""
        task: Task | Asked | None = None
        try:
            events = self._group.read(limits.GUARD_EVENTS_AT_ONCE)
        except UnopenedError as error:
            with self._lock:
                self.answers.unopened(error)
            return None
        for event in events:
            with self._lock:
                found = self._hearing.event(event)
            if found is not None:
                if task is not None:
                    self._crew.put(task)
                task = found
        return task

    def _work_on(self, task: Task | Asked) -> None:
        step: Task | Asked | None = task
        while step is not None:
            step = self._go_on(self._find_out(step))

    def _find_out(self, step: Task | Asked) -> Callable[[], Task | None]:
        """Look at the file, or whether a command line names it; without the lock, for that may take for ever.

        What follows from it is to be done with the lock.
        """
        if isinstance(step, Asked):
            return partial(self._hearing.named, step, uses.of_named(step.thread, step.key))
        assert self._examiner is not None  # noqa: S101 - attend() gave it to whoever is here
        return partial(self.pending.looked, judging.look(step, self._examiner()))

    def _go_on(self, found: Callable[[], Task | None]) -> Task | None:
        with self._lock:
            return found()
