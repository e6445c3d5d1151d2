"""Two policies side by side, and one policy beside what was decided before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from chopmark.policy.deciding import Compiled, Decision
    from chopmark.policy.events import Event
    from chopmark.policy.rules import Rule


class Simulated(NamedTuple):
    """An event, and what a policy decides about it. Whether that is another effect than `before` (empty: unknown)."""

    event: Event
    before: str
    decision: Decision

    @property
    def changed(self) -> bool:
        """Whether something else happens."""
        return bool(self.before) and self.before != self.decision.effect


def simulate(policy: Compiled, events: Iterable[Event], at: dt.datetime | None = None) -> Iterator[Simulated]:
    """Decide again about what happened, as of when it happened, or as of `at`."""
    for event in events:
        decision = policy.decide(event.file, event.kind, event.process, at or event.at)
        yield Simulated(event, event.effect, decision)


def compare(
    old: Compiled, new: Compiled, events: Iterable[Event], at: dt.datetime | None = None
) -> Iterator[tuple[Decision, Simulated]]:
    """The decisions of two policies about the same events: the old one's, and the new one's beside it."""
    for event in events:
        before = old.decide(event.file, event.kind, event.process, at or event.at)
        after = new.decide(event.file, event.kind, event.process, at or event.at)
        yield before, Simulated(event, str(before.effect), after)


def changes(old: Iterable[Rule], new: Iterable[Rule]) -> tuple[list[Rule], list[Rule]]:
    """The rules that are only in the old policy, and those that are only in the new one, wherever they stand."""
    before, after = list(old), list(new)
    held, holds = {meaning(rule) for rule in before}, {meaning(rule) for rule in after}
    return [rule for rule in before if meaning(rule) not in holds], [
        rule for rule in after if meaning(rule) not in held
    ]


def meaning(rule: Rule) -> object:
    """All of a rule that decides something."""
    return rule.action, rule.conditions, rule.users, rule.require, rule.expires
