"""From an event to a question: who is never asked about, what somebody wants, and what is known of the file already."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from chopmark.agent import fanotify, judging, processes, uses
from chopmark.agent.question import Asked
from chopmark.core import limits

if TYPE_CHECKING:
    from chopmark.agent.answers import Answers
    from chopmark.agent.fanotify import Event
    from chopmark.agent.interpreters import Interpreters
    from chopmark.agent.judging import Task
    from chopmark.agent.kept import Kept
    from chopmark.agent.pending import Pending


class Hearing:
    """Each event is answered, or somebody waits. Not safe for threads: who hears holds the loop's lock."""

    def __init__(
        self,
        kept: Kept,
        answers: Answers,
        interpreters: Interpreters,
        pending: Pending,
        descriptors: int,
    ) -> None:
        """From the number `descriptors` on nobody waits."""
        self._kept = kept
        self._answers = answers
        self._bench = answers.bench
        self._interpreters = interpreters
        self._pending = pending
        self._executing = answers.executing
        self._descriptors = descriptors
        self._naming: dict[int, Asked] = {}
        self.own: set[int] = set()
        """The threads of this process, whose opens are never judged."""

    def event(self, event: Event) -> Task | Asked | None:
        """Answer a question, or say which file must be looked at first, or who must be."""
        descriptor, mask, thread = event
        try:
            asked = None if thread in self.own else self._asked(descriptor, mask, thread)
        except OSError as error:  # it cannot even be looked at
            asked = Asked(descriptor, (0, 0), uses.EXEC, thread, processes.NOBODY, "", time.monotonic())
            self._answers.counters.failed += 1
            self._answers.fail(asked, "failed", str(error))
            return None
        if asked is None:
            self._answers.let_pass(descriptor)
            return None
        if asked.use == uses.IF_NAMED:
            if descriptor < self._descriptors:
                self._naming[descriptor] = asked
                return asked
            asked = asked._replace(use=uses.SCRIPT)  # as where that cannot be found out
        return self._known(asked)

    def named(self, asked: Asked, use: str) -> Task | None:
        """Go on where it is known what somebody wants, unless they were told that it took too long."""
        if self._naming.get(asked.descriptor) is not asked:
            return None
        del self._naming[asked.descriptor]
        if not use:
            self._answers.let_pass(asked.descriptor)
            return None
        return self._known(asked._replace(use=use))

    def _known(self, asked: Asked) -> Task | None:
        """Answer from what is known of a file, or say that it must be looked at."""
        file = self._kept.get(asked.key)
        if file is None:
            return self._pending.wait(asked)
        answers = self._answers
        answers.counters.known += 1
        answer = answers.decided(file.facts, asked)
        file.used |= answer.allow
        if answer.allow and answer.everybody:
            self._kept.ignore(file)
        answers.settle(asked, answer, file.facts, writes=file.writes)
        return None

    def _asked(self, descriptor: int, mask: int, thread: int) -> Asked | None:
        """The question, or None where there is nothing to judge."""
        if mask & fanotify.OPEN_EXEC_PERM:
            return self._executed(descriptor, thread, os.fstat(descriptor))
        rules = self._bench.rules
        runs = processes.executable(thread)
        # By far the most there are concern nobody. Who they are is looked up each time: execve(2) changes it.
        kind = self._interpreters.kind(thread, runs)
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

    def overdue(self, now: float) -> list[Task]:
        """Who cannot be looked at for so long has named the file; which files must be looked at for that."""
        late = [each for each in self._naming.values() if each.since < now - limits.GUARD_NAMING_SECONDS]
        return [task for asked in late if (task := self.named(asked, uses.SCRIPT)) is not None]

    def close(self) -> None:
        """Answer those of whom it is not known what they want."""
        for asked in self._naming.values():
            self._answers.fail(asked, "late", "the guard ends")
        self._naming.clear()
