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
from collections import OrderedDict, deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from chopmark.agent import crew, fanotify, interpreters, judging, leases, processes, uses
from chopmark.agent.waiting import Waiting
from chopmark.core import limits
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.fanotify import Event
    from chopmark.agent.judging import Examiner, Looked, Task
    from chopmark.agent.kept import Kept, Key
    from chopmark.agent.processes import Program


class Asked(NamedTuple):
    """A question: which thread wants what with which file. `since` is time.monotonic().

    `by` is NOBODY where it makes no difference: who is told of the answer looks, while the thread waits.
    """

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

    def keeps(self, facts: Any, *, for_all: bool) -> float:  # noqa: ANN401 - the examiner's own
        """For how many seconds facts hold; `for_all`: with them everybody is allowed everything."""

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
        self.known = self.looked = self.ahead = self.broken = 0
        self.written = self.failed = self.late = 0

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return dict(vars(self))


@dataclass(slots=True)
class _Looking:
    """A file that is being looked at by a descriptor, and who waits for it; nobody does where it is looked at ahead.

    `writes` is how often somebody had begun to write to it before (None: nobody counts); `done` is called when
    something is known of it. What is found out is `outdated` when the world has become another one meanwhile, and
    `unwanted` where its file system is protected no more. `used` says that somebody who waited too long was let in.
    """

    task: Task
    asked: list[Asked]
    writes: int | None = None
    done: Callable[[], None] | None = None
    outdated: bool = False
    unwanted: bool = False
    used: bool = False

    @property
    def descriptor(self) -> int:
        return self.task.descriptor


class Loop:
    """Answers until it is told to stop."""

    def __init__(
        self,
        group: fanotify.Group,
        kept: Kept,
        bench: Bench,
        second: Second | None = None,
        has_descriptors: Callable[[], bool] = lambda: True,
        is_leased: Callable[[int], bool] = lambda _: False,
    ) -> None:
        """`has_descriptors` says whether another file may be looked at; if not, that is a failure.

        `is_leased` says of a device that leases of its files tell of every writer; of others each file is asked.
        """
        self._group = group
        self._kept = kept
        self._bench = bench
        self._second = second
        self._has_descriptors = has_descriptors
        self._is_leased = is_leased
        self._own: set[int] = set()
        self._breaks = leases.Breaks()
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._lock = threading.Lock()  # held for whatever follows, and for kept files; not while a file is looked at
        self._crew: crew.Crew[Task | Asked] = crew.Crew(self._work_on, self._join)
        self._poll = select.epoll()
        self._examiner: Callable[[], Examiner] | None = None
        self._waiting: OrderedDict[Key, _Looking] = OrderedDict()
        self._naming: dict[int, Asked] = {}
        self._executing: OrderedDict[int, tuple[Key, bool]] = OrderedDict()
        self.interpreters = interpreters.Interpreters(bench.rules)
        self._orders: deque[Callable[[], None]] = deque()
        self.counters = Counters()
        self.running = True

    def attend(self, examiner: Callable[[], Examiner], count: int) -> list[Callable[[], None]]:
        """What so many threads are to do until `running` is False, beside `run`.

        Files are looked at by the examiner as it is then.
        """
        self._examiner = examiner
        return [self._lead, *self._crew.threads(count - 1)]

    def know_own(self) -> None:
        """Take the threads of this process, whose opens are never judged, as they are now. For any thread."""
        self._own = {*map(int, os.listdir("/proc/self/task"))}

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
            self._own |= {thread}

    def _hear(self) -> Task | Asked | None:
        """Answer whom something is known for; what may take a while is the caller's to do."""
        task: Task | Asked | None = None
        for event in self._group.read(limits.GUARD_EVENTS_AT_ONCE):
            with self._lock:
                found = self._event(event)
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
            return partial(self._named, step, uses.of_named(step.thread, step.key))
        assert self._examiner is not None  # noqa: S101 - attend() gave it to whoever is here
        return partial(self._looked, judging.look(step, self._examiner()))

    def _go_on(self, found: Callable[[], Task | None]) -> Task | None:
        with self._lock:
            return found()

    def look_ahead(self, task: Task, done: Callable[[], None]) -> None:
        """Look at a file that somebody may want soon, so that the kernel can answer. In the loop's own thread.

        `done` is called when that is over, from any thread.
        """
        is_known = task.key in self._waiting or self._kept.get(task.key) is not None
        if is_known or not self._kept.has_room or not self._has_descriptors():
            os.close(task.descriptor)
            done()
            return
        self._crew.put(self._begin(task, [], done))

    @property
    def is_stuck(self) -> bool:
        """Whether what takes longer is not done any more, because everybody who does it waits. For any thread."""
        return self._crew.is_stuck

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer. For any thread."""
        return not self._waiting

    @property
    def has_room(self) -> bool:
        """Whether more files may be kept that nobody asked about. For any thread."""
        return self._kept.has_room

    def close(self) -> None:
        """Let everything go; whoever still waits is answered as if it had taken too long."""
        for looking in self._waiting.values():
            for asked in looking.asked:
                self._settle(asked, self._bench.without_facts(asked, "late", "the guard ends"), None, close=False)
            self._close(looking)
        for asked in self._naming.values():
            self._settle(asked, self._bench.without_facts(asked, "late", "the guard ends"), None)
        self._waiting.clear()
        self._naming.clear()
        self._kept.sweep(lambda _: False)
        self._breaks.close()
        self._poll.close()
        os.close(self._wake)
        os.close(self._woken)

    # --- questions

    def _event(self, event: Event) -> Task | Asked | None:
        """Answer a question, or say which file must be looked at first, or who must be."""
        descriptor, mask, thread = event
        try:
            asked = None if thread in self._own else self._asked(descriptor, mask, thread)
        except OSError as error:  # it cannot even be looked at
            asked = Asked(descriptor, (0, 0), uses.EXEC, thread, processes.NOBODY, "", time.monotonic())
            self.counters.failed += 1
            self._settle(asked, self._bench.without_facts(asked, "failed", str(error)), None)
            return None
        if asked is None:
            self._pass(descriptor)
            return None
        if asked.use == uses.IF_NAMED:
            self._naming[descriptor] = asked
            return asked
        return self._known(asked)

    def _named(self, asked: Asked, use: str) -> Task | None:
        """Go on where it is known what somebody wants, unless they were told that it took too long."""
        if self._naming.get(asked.descriptor) is not asked:
            return None
        del self._naming[asked.descriptor]
        if not use:
            self._pass(asked.descriptor)
            return None
        return self._known(asked._replace(use=use))

    def _known(self, asked: Asked) -> Task | None:
        """Answer from what is known of a file, or say that it must be looked at."""
        file = self._kept.get(asked.key)
        if file is not None:
            self.counters.known += 1
            answer = self._decided(file.facts, asked)
            file.used |= answer.allow
            if answer.allow and answer.everybody:
                self._kept.ignore(file)
            self._settle(asked, answer, file.facts, writes=file.writes)
            return None
        return self._look(asked)

    def _asked(self, descriptor: int, mask: int, thread: int) -> Asked | None:
        """The question, or None where there is nothing to judge."""
        if mask & fanotify.OPEN_EXEC_PERM:
            return self._executed(descriptor, thread, os.fstat(descriptor))
        rules = self._bench.rules
        runs = processes.executable(thread)
        # By far the most there are concern nobody. Who they are is looked up each time: execve(2) changes it.
        kind = self.interpreters.kind(thread, runs)
        if not kind and thread not in self._executing and not (rules.strict and uses.is_native(descriptor)):
            return None
        state = os.fstat(descriptor)
        key = (state.st_dev, state.st_ino)
        if self._executing.pop(thread, None) == (key, True):
            # The second event of one execve(2), of which the first was allowed; unless a writer came in between.
            return self._executed(descriptor, thread, state) if self._kept.get(key) is None else None
        by = processes.Program(runs) if runs else processes.NOBODY
        path = judging.path_of(descriptor)
        use = uses.of_open(descriptor, path, thread, by, rules, kind)
        return Asked(descriptor, key, use, thread, by, path, time.monotonic()) if use else None

    def _executed(self, descriptor: int, thread: int, state: os.stat_result) -> Asked:
        key, path = (state.st_dev, state.st_ino), judging.path_of(descriptor)
        return Asked(descriptor, key, uses.EXEC, thread, processes.NOBODY, path, time.monotonic())

    def _look(self, asked: Asked) -> Task | None:
        looking = self._waiting.get(asked.key)
        if looking is not None:
            looking.asked.append(asked)
            return None
        if not self._has_descriptors():  # whoever may still be on the way into others has not been seen to get on
            self.counters.failed += 1
            answer = self._bench.without_facts(asked, "failed", "too many files wait for their users to get on")
            self._settle(asked, answer, None)
            return None
        # A descriptor of its own would be another open file, with another lease: this one is kept as it is.
        return self._begin(judging.Task(asked.key, asked.descriptor, asked.path), [asked])

    def _begin(self, task: Task, asked: list[Asked], done: Callable[[], None] | None = None) -> Task:
        writes = self._second.writes(task.descriptor) if self._second is not None else None  # before the lease
        self._waiting[task.key] = _Looking(task, asked, writes, done)
        return task

    def renewed(self) -> None:
        """What is being found out at this moment counts for nothing: files are judged by another world from now on."""
        for looking in self._waiting.values():
            looking.outdated = True

    def let_go(self, device: int) -> None:
        """Keep no file of a file system, nor one that is being looked at."""
        for looking in self._waiting.values():
            looking.unwanted |= looking.task.key[0] == device
        for key, _ in self._kept.each():
            if key[0] == device:
                self._kept.drop(key)

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

    def _looked(self, looked: Looked) -> None:
        looking = self._waiting.get(looked.key)
        if looking is None:  # everything was let go meanwhile
            return
        if looking.outdated:
            looking.outdated = False
            self._crew.put(looking.task)
            return
        del self._waiting[looked.key]
        self.counters.looked += 1
        kept = self._found(looked, looking)
        self._close(looking, kept=kept)
        if looking.done is not None:
            looking.done()

    def _found(self, looked: Looked, looking: _Looking) -> bool:
        """Answer who waits for a file; whether it is kept."""
        if looked.facts is None:
            self._unknown(looked, looking, "written" if looked.written else "failed", looked.error)
            return False
        self.interpreters.met(looked.key, looked.descriptor, looking.task.path, looked.facts.sha256)
        answers = [(asked, self._decided(looked.facts, asked)) for asked in looking.asked]
        for_all = False
        for _, answer in answers or ((None, self._decided(looked.facts, _for_everybody(looking.task))),):
            for_all = for_all or (answer.allow and answer.everybody)
        kept = looked.leased and leases.held(looked.descriptor)
        if looked.leased and not kept:  # a writer came since: nothing is known any more
            self._unknown(looked, looking, "written", "")
            return False
        is_wanted = kept and (answers or for_all) and not looking.unwanted
        if is_wanted and (self._is_leased(looked.key[0]) or leases.tells(looked.descriptor)):
            until = time.monotonic() + self._bench.keeps(looked.facts, for_all=for_all)
            file = self._kept.keep(looked.key, looked.descriptor, looked.facts, until)
            file.writes = looking.writes or 0
            file.used = for_all or looking.used or any(answer.allow for _, answer in answers)
            if not answers and self._second is not None:  # before the mark: then nobody asks us any more
                self._second.let(_for_everybody(looking.task), looking.writes, everybody=True)
            if for_all:
                self._kept.ignore(file)
        elif kept:  # it is not worth a writer's time
            leases.give_back(looked.descriptor)
            kept = False
        self.counters.ahead += kept and not answers
        for asked, answer in answers:
            self._settle(asked, answer, looked.facts, close=False, writes=looking.writes if kept else None)
        return kept

    def _unknown(self, looked: Looked, looking: _Looking, why: str, detail: str) -> None:
        """Answer who waits for a file of which nothing is known."""
        leases.give_back(looked.descriptor)
        if looking.asked:
            setattr(self.counters, why, getattr(self.counters, why) + 1)
        for asked in looking.asked:
            self._settle(asked, self._bench.without_facts(asked, why, detail), None, close=False)

    def _close(self, looking: _Looking, *, kept: bool = False) -> None:
        """The descriptors of those who waited; the one that was looked at stays open while it is kept."""
        for asked in looking.asked:
            if asked.descriptor != looking.descriptor:
                os.close(asked.descriptor)
        if not kept:
            os.close(looking.descriptor)

    # --- time

    def _broken(self) -> None:
        for descriptor in self._breaks.read():
            if descriptor is None:
                self._kept.all_broken()
            elif self._kept.broken(descriptor):
                self.counters.broken += 1

    def _overdue(self) -> None:
        """Answer who has waited too long; what is found out about the file comes too late for them, not for others."""
        now = time.monotonic()
        for asked in [each for each in self._naming.values() if each.since < now - limits.GUARD_NAMING_SECONDS]:
            task = self._named(asked, uses.SCRIPT)  # who cannot be looked at has named it
            if task is not None:
                self._crew.put(task)
        limit = now - limits.GUARD_ANSWER_SECONDS
        for looking in self._waiting.values():
            if looking.asked and looking.asked[0].since < limit:
                for asked in looking.asked:
                    self.counters.late += 1
                    answer = self._bench.without_facts(asked, "late", "")
                    looking.used |= answer.allow
                    self._settle(asked, answer, None, close=False)
                    if asked.descriptor != looking.descriptor:  # which is still being looked at
                        os.close(asked.descriptor)
                looking.asked.clear()


def _for_everybody(task: Task) -> Asked:
    """The question that stands for everybody's."""
    return Asked(task.descriptor, task.key, uses.EXEC, 0, processes.NOBODY, task.path, time.monotonic())
