"""The thread that answers. It opens nothing, waits for nobody and logs nothing before the answer is out."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from chopmark.agent import fanotify, judging, leases, processes, uses
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.fanotify import Event
    from chopmark.agent.judging import Judges, Looked
    from chopmark.agent.kept import Kept, Key
    from chopmark.agent.processes import Program


class Asked(NamedTuple):
    """A question: which thread wants what with which file. `since` is time.monotonic()."""

    descriptor: int
    key: Key
    use: str
    thread: int
    by: Program
    path: str
    since: float


class Answer(NamedTuple):
    """What is answered. `everybody`: the same for any process, path and use, so that it need not be asked again."""

    allow: bool
    everybody: bool = False
    decision: Any = None


class Bench(Protocol):
    """Who decides, and who is told."""

    @property
    def rules(self) -> uses.Rules:
        """How much is judged."""

    def decide(self, facts: Any, asked: Asked) -> Answer:  # noqa: ANN401 - the examiner's own
        """The answer, from facts; must not open files on protected file systems, or wait."""

    def without_facts(self, asked: Asked, why: str, detail: str) -> Answer:
        """The answer when nothing could be found out: why is written, failed or late."""

    def keeps(self, facts: Any) -> float:  # noqa: ANN401 - the examiner's own
        """For how many seconds facts hold."""

    def told(self, asked: Asked, answer: Answer, facts: Any) -> None:  # noqa: ANN401 - the examiner's own
        """An answer is about to be given. Must not wait."""


class Second(Protocol):
    """Who has to be told as well before anybody is let through: the kernel's programs, where they are loaded."""

    def writes(self, descriptor: int) -> int:
        """How often somebody began to write to a file; asked before it is looked at."""

    def let(self, asked: Asked, writes: int | None, *, everybody: bool) -> None:
        """A thread, or everybody, is about to be let through; `writes` as it was then (None: nobody looked)."""


class Counters:
    """What happened since the start."""

    def __init__(self) -> None:
        self.allowed = self.denied = self.passed = 0
        self.known = self.looked = self.broken = 0
        self.written = self.failed = self.late = 0

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return dict(vars(self))


class Loop:
    """Answers until it is told to stop."""

    def __init__(
        self,
        group: fanotify.Group,
        kept: Kept,
        bench: Bench,
        second: Second | None = None,
        has_descriptors: Callable[[], bool] = lambda: True,
    ) -> None:
        """`has_descriptors` says whether another file may be looked at; if not, that is a failure."""
        self._group = group
        self._kept = kept
        self._bench = bench
        self._second = second
        self._writes: dict[Key, int] = {}
        self._has_descriptors = has_descriptors
        self._own: set[int] = set()
        self._breaks = leases.Breaks()
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._judges: Judges | None = None
        self._waiting: OrderedDict[Key, list[Asked]] = OrderedDict()
        self._executing: OrderedDict[int, tuple[Key, bool]] = OrderedDict()
        self._orders: deque[Callable[[], None]] = deque()
        self.counters = Counters()
        self.running = True

    def attend(self, judges: Judges) -> None:
        """Whom to hand files to that must be looked at."""
        self._judges = judges

    def know_own(self) -> None:
        """Take the threads of this process, whose opens are never judged, as they are now. For any thread."""
        self._own = {*map(int, os.listdir("/proc/self/task"))}

    def wake(self) -> None:
        """Look up: there is a result, or an order. For any thread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._woken, b"\0")

    def order(self, work: Callable[[], None]) -> None:
        """Have something done in the loop's own thread. For any thread; `work` must not wait."""
        self._orders.append(work)
        self.wake()

    def run(self) -> None:
        """Answer."""
        poll = select.poll()
        for each in (self._group.descriptor, self._breaks.descriptor, self._wake):
            poll.register(each, select.POLLIN)
        while self.running:
            ready = {descriptor for descriptor, _ in poll.poll(limits.GUARD_TICK_MS)}
            if self._breaks.descriptor in ready:  # first: what is being changed must not be answered from memory
                self._broken()
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
            self._results()
            while self._orders:
                self._orders.popleft()()
            if self._group.descriptor in ready:
                for event in self._group.read():
                    self._event(event)
            self._overdue()

    def close(self) -> None:
        """Let everything go; whoever still waits is answered as if it had taken too long."""
        for asked in [each for group in self._waiting.values() for each in group]:
            self._settle(asked, self._bench.without_facts(asked, "late", "the guard ends"), None)
        self._waiting.clear()
        self._kept.sweep(lambda _: False)
        self._breaks.close()
        os.close(self._wake)
        os.close(self._woken)

    # --- questions

    def _event(self, event: Event) -> None:
        descriptor, thread = event.descriptor, event.thread
        if thread in self._own:
            self._pass(descriptor)
            return
        try:
            asked = self._asked(event)
        except OSError as error:  # it cannot even be looked at
            asked = Asked(descriptor, (0, 0), uses.EXEC, thread, processes.NOBODY, "", time.monotonic())
            self.counters.failed += 1
            self._settle(asked, self._bench.without_facts(asked, "failed", str(error)), None)
            return
        if asked is None:
            self._pass(descriptor)
            return
        file = self._kept.get(asked.key)
        if file is not None:
            self.counters.known += 1
            answer = self._decided(file.facts, asked)
            if answer.allow and answer.everybody:
                self._kept.ignore(file)
            self._settle(asked, answer, file.facts, writes=file.writes)
            return
        self._look(asked)

    def _asked(self, event: Event) -> Asked | None:
        """The question, or None where there is nothing to judge."""
        rules = self._bench.rules
        by = processes.program(event.thread)
        if not (event.executes or rules.strict or event.thread in self._executing or uses.interpreter(by.name, rules)):
            return None  # by far the most there are
        state = os.fstat(event.descriptor)
        key = (state.st_dev, state.st_ino)
        if event.executes:
            path = judging.path_of(event.descriptor)
            return Asked(event.descriptor, key, uses.EXEC, event.thread, by, path, time.monotonic())
        executing = self._executing.pop(event.thread, None)
        if executing == (key, True):
            # The second event of one execve(2), of which the first was allowed; unless a writer came in between.
            if self._kept.get(key) is not None:
                return None
            return Asked(
                event.descriptor, key, uses.EXEC, event.thread, by, judging.path_of(event.descriptor), time.monotonic()
            )
        path = judging.path_of(event.descriptor)
        use = uses.of_open(event.descriptor, path, event.thread, by, rules)
        return Asked(event.descriptor, key, use, event.thread, by, path, time.monotonic()) if use else None

    def _look(self, asked: Asked) -> None:
        waiting = self._waiting.get(asked.key)
        if waiting is not None:
            waiting.append(asked)
            return
        if not self._has_descriptors():  # whoever may still be on the way into others has not been seen to get on
            self.counters.failed += 1
            answer = self._bench.without_facts(asked, "failed", "too many files wait for their users to get on")
            self._settle(asked, answer, None)
            return
        self._waiting[asked.key] = [asked]
        if self._second is not None:
            self._writes[asked.key] = self._second.writes(asked.descriptor)  # before the lease
        if self._judges is not None:
            # A descriptor of its own would be another open file, with another lease: this one is kept as it is.
            self._judges.submit(judging.Task(asked.key, asked.descriptor, asked.path))

    def _decided(self, facts: Any, asked: Asked) -> Answer:  # noqa: ANN401 - the examiner's own
        try:
            return self._bench.decide(facts, asked)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the one who answers
            self.counters.failed += 1
            return self._bench.without_facts(asked, "failed", f"{type(error).__name__}: {error}")

    # --- answers

    def _pass(self, descriptor: int) -> None:
        self._group.answer(descriptor, allow=True)
        os.close(descriptor)
        self.counters.passed += 1

    def _settle(
        self,
        asked: Asked,
        answer: Answer,
        facts: Any,  # noqa: ANN401 - the examiner's own
        *,
        close: bool = True,
        writes: int | None = None,
    ) -> None:
        self._bench.told(asked, answer, facts)  # first, while the one who asks still waits and can be looked at
        if answer.allow and self._second is not None:
            self._second.let(asked, writes, everybody=answer.everybody and writes is not None)
        self._group.answer(asked.descriptor, allow=answer.allow)
        if close:
            os.close(asked.descriptor)
        if asked.use == uses.EXEC:
            self._executing[asked.thread] = (asked.key, answer.allow)
            while len(self._executing) > limits.GUARD_EXECUTING_MAX:
                self._executing.popitem(last=False)
        if answer.allow:
            self.counters.allowed += 1
        else:
            self.counters.denied += 1

    def _results(self) -> None:
        if self._judges is None:
            return
        while not self._judges.results.empty():
            self._looked(self._judges.results.get())

    def _looked(self, looked: Looked) -> None:
        self.counters.looked += 1
        waiting = self._waiting.pop(looked.key, [])
        writes = self._writes.pop(looked.key, None)
        if looked.facts is None:
            why = "written" if looked.written else "failed"
            setattr(self.counters, why, getattr(self.counters, why) + 1)
            leases.give_back(looked.descriptor)
            for asked in waiting:
                self._settle(asked, self._bench.without_facts(asked, why, looked.error), None, close=False)
            self._close(looked, waiting)
            return
        answers = [(asked, self._decided(looked.facts, asked)) for asked in waiting]
        kept = looked.leased and leases.held(looked.descriptor)
        if looked.leased and not kept:  # a writer came since: nothing is known any more
            self.counters.written += 1
            leases.give_back(looked.descriptor)
            for asked in waiting:
                self._settle(asked, self._bench.without_facts(asked, "written", ""), None, close=False)
            self._close(looked, waiting)
            return
        if kept:
            until = time.monotonic() + self._bench.keeps(looked.facts)
            file = self._kept.keep(looked.key, looked.descriptor, looked.facts, until)
            file.writes = writes or 0
            if any(answer.allow and answer.everybody for _, answer in answers):
                with contextlib.suppress(OSError):  # a file system without: it is asked again, that is all
                    self._kept.ignore(file)
        for asked, answer in answers:
            self._settle(asked, answer, looked.facts, close=False, writes=writes if kept else None)
        self._close(looked, waiting, kept=kept)

    def _close(self, looked: Looked, waiting: list[Asked], *, kept: bool = False) -> None:
        """The descriptors of those who waited; the one that was looked at stays open while it is kept."""
        for asked in waiting:
            if asked.descriptor != looked.descriptor:
                os.close(asked.descriptor)
        if not kept:
            os.close(looked.descriptor)

    # --- time

    def _broken(self) -> None:
        for descriptor in self._breaks.read():
            if descriptor is None:
                self._kept.all_broken()
            elif self._kept.broken(descriptor):
                self.counters.broken += 1

    def _overdue(self) -> None:
        """Answer who has waited too long; what is found out about the file comes too late for them, not for others."""
        if not self._waiting:
            return
        limit = time.monotonic() - limits.GUARD_ANSWER_SECONDS
        for key, waiting in self._waiting.items():
            if waiting and waiting[0].since < limit:
                for asked in waiting:
                    self.counters.late += 1
                    self._settle(asked, self._bench.without_facts(asked, "late", ""), None, close=False)
                self._close_but_first(waiting)
                self._waiting[key] = []

    def _close_but_first(self, waiting: list[Asked]) -> None:
        for asked in waiting[1:]:  # the first one's is being looked at
            os.close(asked.descriptor)
