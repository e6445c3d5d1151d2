"""Files that are being looked at, and who waits for each: all are answered from what is found out, and it is kept."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.agent import judging, leases, processes, uses
from chopmark.agent.question import Asked
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.answers import Answers
    from chopmark.agent.interpreters import Interpreters
    from chopmark.agent.judging import Looked, Task
    from chopmark.agent.kept import Kept, Key


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


class Pending:
    """Each file is looked at once, however many wait for it. Not safe for threads: it belongs to the loop."""

    def __init__(
        self,
        kept: Kept,
        answers: Answers,
        interpreters: Interpreters,
        put: Callable[[Task], None],
        descriptors: int,
        has_descriptors: Callable[[], bool],
        is_leased: Callable[[int], bool],
    ) -> None:
        """`put` has a file looked at; of the others tells `Loop`."""
        self._kept = kept
        self._answers = answers
        self._second = answers.second
        self._interpreters = interpreters
        self._put = put
        self._descriptors = descriptors
        self._has_descriptors = has_descriptors
        self._is_leased = is_leased
        self._waiting: OrderedDict[Key, _Looking] = OrderedDict()

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer. For any thread."""
        return not self._waiting

    @property
    def has_room(self) -> bool:
        """Whether more files may be kept that nobody asked about. For any thread."""
        return self._kept.has_room

    # --- what is looked at

    def wait(self, asked: Asked) -> Task | None:
        """Have somebody wait until a file was looked at, which the caller is to do if nobody does so already."""
        looking = self._waiting.get(asked.key)
        too_many = ""
        if asked.descriptor >= self._descriptors:
            too_many = "too many wait for an answer"
        elif looking is None and not self._has_descriptors():
            too_many = "too many files wait for their users to get on"  # who may not have been seen to do so
        if too_many:
            self._answers.counters.failed += 1
            self._answers.fail(asked, "failed", too_many)
            return None
        if looking is not None:
            looking.asked.append(asked)
            return None
        # A descriptor of its own would be another open file, with another lease: this one is kept as it is.
        return self._begin(judging.Task(asked.key, asked.descriptor, asked.path), [asked])

    def look_ahead(self, task: Task, done: Callable[[], None]) -> None:
        """Look at a file that somebody may want soon, so that the kernel can answer. In the loop's own thread.

        `done` is called when that is over, from any thread.
        """
        is_known = task.key in self._waiting or self._kept.get(task.key) is not None
        if is_known or not self._kept.has_room or not self._has_descriptors():
            os.close(task.descriptor)
            done()
            return
        self._put(self._begin(task, [], done))

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

    # --- what was found out

    def looked(self, looked: Looked) -> None:
        """Go on where a file was looked at."""
        looking = self._waiting.get(looked.key)
        if looking is None:  # everything was let go meanwhile
            return
        if looking.outdated:
            looking.outdated = False
            self._put(looking.task)
            return
        del self._waiting[looked.key]
        self._answers.counters.looked += 1
        kept = self._found(looked, looking)
        self._close(looking, kept=kept)
        if looking.done is not None:
            looking.done()

    def _found(self, looked: Looked, looking: _Looking) -> bool:
        """Answer who waits for a file; whether it is kept."""
        if looked.facts is None:
            self._unknown(looked, looking, "written" if looked.written else "failed", looked.error)
            return False
        decided = self._answers.decided
        self._interpreters.met(looked.key, looked.descriptor, looking.task.path, looked.facts.sha256)
        answers = [(asked, decided(looked.facts, asked)) for asked in looking.asked]
        for_all = False
        for _, answer in answers or ((None, decided(looked.facts, _for_everybody(looking.task))),):
            for_all = for_all or (answer.allow and answer.everybody)
        kept = looked.leased and leases.held(looked.descriptor)
        if looked.leased and not kept:  # a writer came since: nothing is known any more
            self._unknown(looked, looking, "written", "")
            return False
        is_wanted = kept and (answers or for_all) and not looking.unwanted
        if is_wanted and (self._is_leased(looked.key[0]) or leases.tells(looked.descriptor)):
            until = time.monotonic() + self._answers.bench.keeps(looked.facts, for_all=for_all)
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
        self._answers.counters.ahead += kept and not answers
        for asked, answer in answers:
            self._answers.settle(asked, answer, looked.facts, close=False, writes=looking.writes if kept else None)
        return kept

    def _unknown(self, looked: Looked, looking: _Looking, why: str, detail: str) -> None:
        """Answer who waits for a file of which nothing is known."""
        leases.give_back(looked.descriptor)
        counters = self._answers.counters
        if looking.asked:
            setattr(counters, why, getattr(counters, why) + 1)
        for asked in looking.asked:
            self._answers.fail(asked, why, detail, close=False)

    def _close(self, looking: _Looking, *, kept: bool = False) -> None:
        """The descriptors of those who waited; the one that was looked at stays open while it is kept."""
        for asked in looking.asked:
            if asked.descriptor != looking.descriptor:
                os.close(asked.descriptor)
        if not kept:
            os.close(looking.descriptor)

    # --- time

    def overdue(self, now: float) -> None:
        """Answer who has waited too long; what is found out about the file comes too late for them, not for others."""
        limit = now - limits.GUARD_ANSWER_SECONDS
        for looking in self._waiting.values():
            if looking.asked and looking.asked[0].since < limit:
                for asked in looking.asked:
                    self._answers.counters.late += 1
                    looking.used |= self._answers.fail(asked, "late", "", close=False).allow
                    if asked.descriptor != looking.descriptor:  # which is still being looked at
                        os.close(asked.descriptor)
                looking.asked.clear()

    def close(self) -> None:
        """Answer whoever still waits as if it had taken too long."""
        for looking in self._waiting.values():
            for asked in looking.asked:
                self._answers.fail(asked, "late", "the guard ends", close=False)
            self._close(looking)
        self._waiting.clear()


def _for_everybody(task: Task) -> Asked:
    """The question that stands for everybody's."""
    return Asked(task.descriptor, task.key, uses.EXEC, 0, processes.NOBODY, task.path, time.monotonic())
