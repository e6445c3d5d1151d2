"""A question and its answer; who decides it, and who has to be told of it as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from chopmark.agent import uses
    from chopmark.agent.kept import Key
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

    def unopened(self, error: OSError) -> None:
        """The kernel has denied somebody something without a question, which it could not ask. Must not wait."""


class Second(Protocol):
    """Who has to be told as well before anybody is let through: the kernel's programs, where they are loaded."""

    def writes(self, descriptor: int) -> int:
        """How often somebody began to write to a file; asked before it is looked at."""

    def let(self, asked: Asked, writes: int | None, *, everybody: bool) -> None:
        """A thread, or everybody, is about to be let through; `writes` as it was then (None: nobody looked)."""
