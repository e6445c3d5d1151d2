"""Giving answers: what is told before anybody goes on, and what is counted."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from chopmark.agent import uses
from chopmark.core import limits

if TYPE_CHECKING:
    from chopmark.agent.fanotify import Group
    from chopmark.agent.kept import Key
    from chopmark.agent.question import Answer, Asked, Bench, Second


class Counters:
    """What happened since the start."""

    def __init__(self) -> None:
        self.allowed = self.denied = self.passed = 0
        self.known = self.looked = self.ahead = self.broken = 0
        self.written = self.failed = self.late = 0

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return dict(vars(self))


class Answers:
    """Each question gets one. Not safe for threads: whoever answers holds the loop's lock."""

    def __init__(self, group: Group, bench: Bench, second: Second | None) -> None:
        self._group = group
        self.bench = bench
        self.second = second
        self.counters = Counters()
        self.executing: OrderedDict[int, tuple[Key, bool]] = OrderedDict()
        """The threads that asked to execute, with which file, and whether they may: each asks once more to open it."""

    def decided(self, facts: Any, asked: Asked) -> Answer:  # noqa: ANN401 - the examiner's own
        """What is to be answered, from facts."""
        try:
            return self.bench.decide(facts, asked)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the one who answers
            self.counters.failed += 1
            return self.bench.without_facts(asked, "failed", f"{type(error).__name__}: {error}")

    def let_pass(self, descriptor: int) -> None:
        """Answer one that no policy is about."""
        self._group.answer(descriptor, allow=True)
        os.close(descriptor)
        self.counters.passed += 1

    def unopened(self, error: OSError) -> None:
        """The kernel has answered one itself, for it could not open the file for us."""
        self.counters.failed += 1
        self.bench.unopened(error)

    def fail(self, asked: Asked, why: str, detail: str, *, close: bool = True) -> Answer:
        """Answer where nothing could be found out: why is written, failed or late. What was answered."""
        answer = self.bench.without_facts(asked, why, detail)
        self.settle(asked, answer, None, close=close)
        return answer

    def settle(
        self,
        asked: Asked,
        answer: Answer,
        facts: Any,  # noqa: ANN401 - the examiner's own
        *,
        close: bool = True,
        writes: int | None = None,
    ) -> None:
        """Give an answer. The descriptor is not ours to close with `close` False; `writes` is that of a kept file."""
        try:
            self.bench.told(asked, answer, facts)  # first, while the one who asks still waits and can be looked at
        except Exception as error:  # noqa: BLE001 - as above; what nobody was told of is as if nothing were known
            self.counters.failed += 1
            answer = self.bench.without_facts(asked, "failed", f"{type(error).__name__}: {error}")
        if answer.allow and self.second is not None:
            self.second.let(asked, writes, everybody=answer.everybody and writes is not None)
        self._group.answer(asked.descriptor, allow=answer.allow)
        if close:
            os.close(asked.descriptor)
        if asked.use == uses.EXEC:
            self.executing[asked.thread] = (asked.key, answer.allow)
            while len(self.executing) > limits.GUARD_EXECUTING_MAX:
                self.executing.popitem(last=False)
        if answer.allow:
            self.counters.allowed += 1
        else:
            self.counters.denied += 1
