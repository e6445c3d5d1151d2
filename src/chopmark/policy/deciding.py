"""Decisions: deny wins, then the most particular rule, then the policy's mode.

A compiled policy finds the few rules that can be about a file by what it is, however many there are. What follows from
the file alone is a `Ruling`, which can be kept as long as the file stays the same; only rules about users and programs
are asked again each time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.policy import reasons
from chopmark.policy.facts import NOBODY_KNOWN
from chopmark.policy.index import Index
from chopmark.policy.rules import ALLOW, DENY, NO_USERS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from chopmark.core.reasons import Reason
    from chopmark.policy.facts import FileFacts, Process
    from chopmark.policy.rules import Answer, Rule, Unmet


class Mode(StrEnum):
    """What becomes of denials.

    ENFORCE: they hold. AUDIT: none holds, all are told. LEARNING: what a rule denies is denied; what no rule allows is
    let through and told, so that the policy can be completed.
    """

    AUDIT = "audit"
    ENFORCE = "enforce"
    LEARNING = "learning"


class Effect(StrEnum):
    """What is done. AUDIT: it is let through, and told, because the mode says so."""

    ALLOW = "allow"
    DENY = "deny"
    AUDIT = "audit"


class Decision(NamedTuple):
    """What is done with a file and why.

    `rule` decided (None: no rule did); `unmet` are its requirements that are missing. `certain` is False when the file
    is not allowed only because something is not known. `file` has the facts of the verdict.
    """

    effect: Effect
    reason: Reason
    rule: Rule | None
    file: FileFacts
    detail: str = ""
    unmet: tuple[Unmet, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether knowing more could not make it allowed."""
        return self.reason is not reasons.UNDECIDED

    @property
    def allowed(self) -> bool:
        """Whether a rule allows it, whatever the mode."""
        return self.reason is reasons.ALLOWED

    @property
    def place(self) -> str:
        """The file and line of the rule; empty when no rule decided."""
        return str(self.rule.place) if self.rule else ""


class Candidate(NamedTuple):
    """A rule that is, or may be, about a file: its answer, and for one that allows what the file does not bring."""

    rule: Rule
    answer: Answer
    unmet: tuple[Unmet, ...] = ()


class Ruling:
    """What a policy says of a file used in some way, before it is known who uses it.

    `settled` is the decision if that makes no difference. `until` is when it has to be asked anew (None: never),
    `by_place` whether another path of the same file could lead to another answer.
    """

    __slots__ = ("_candidates", "_mode", "by_place", "file", "settled", "until")

    def __init__(
        self,
        mode: Mode,
        file: FileFacts,
        candidates: Sequence[Candidate],
        until: dt.datetime | None,
        *,
        by_place: bool,
        like: Ruling | None = None,
    ) -> None:
        """`like` is what was said of another file for which all of this holds."""
        self._mode = mode
        self.file = file
        self._candidates = tuple(candidates)
        self.until = until
        self.by_place = by_place
        self.settled: Decision | None
        if like is not None:
            same = like.settled
            self.settled = same and Decision(same.effect, same.reason, same.rule, file, same.detail, same.unmet)
            return
        asks = any(each.rule.users != NO_USERS for each in candidates)
        self.settled = None if asks and not file.blocked else self._decided(self._candidates)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The rules that are or may be about the file."""
        return self._candidates

    def decide(self, process: Process = NOBODY_KNOWN) -> Decision:
        """The decision for somebody who uses the file."""
        if self.settled is not None:
            return self.settled
        return self._decided(narrowed(self._candidates, process))

    def of(self, file: FileFacts) -> Ruling:
        """What the policy says of another file that differs only in what no rule names."""
        return Ruling(self._mode, file, self._candidates, self.until, by_place=self.by_place, like=self)

    def _decided(self, candidates: Sequence[Candidate]) -> Decision:
        reason, rule, detail, unmet = _outcome(self.file, candidates)
        return Decision(_effect(self._mode, reason), reason, rule, self.file, detail, unmet)


def narrowed(candidates: Sequence[Candidate], process: Process) -> list[Candidate]:
    """Those that are about this process, too."""
    found = []
    for each in candidates:
        answer = each.rule.users.match(process)
        if answer is not False:
            found.append(each if answer else each._replace(answer=None))
    return found


_Outcome = tuple["Reason", "Rule | None", str, tuple["Unmet", ...]]


def _outcome(file: FileFacts, candidates: Sequence[Candidate]) -> _Outcome:
    if file.blocked:
        return reasons.BLOCKED, None, file.blocked, ()
    if len(candidates) == 1:
        [only] = candidates
        if only.answer and not only.unmet and only.rule.action == ALLOW:  # nearly always
            return reasons.ALLOWED, only.rule, "", ()
    denying = [each for each in candidates if each.rule.action == DENY]
    certain = [each for each in denying if each.answer]
    if certain:
        return reasons.DENIED, _first(certain).rule, "", ()
    allowing = [each for each in candidates if each.rule.action == ALLOW]
    reason, rule, detail, unmet = _allowed(file, allowing)
    if denying and reason is reasons.ALLOWED:
        return reasons.UNDECIDED, _first(denying).rule, _why_unknown(file, denying), ()
    return reason, rule, detail, unmet


def _allowed(file: FileFacts, allowing: Sequence[Candidate]) -> _Outcome:
    """The most particular rules that are about the file speak; one that it satisfies is enough."""
    certain = [each for each in allowing if each.answer]
    possible = [each for each in allowing if each.answer is None]
    rank = max((each.rule.rank for each in certain), default=None)
    speaking = [each for each in certain if each.rule.rank == rank]
    # What is not known matters if it could bind the file to more, or allow it after all.
    binding = [each for each in possible if rank is not None and each.rule.rank > rank and each.unmet]
    satisfied = [each for each in speaking if not each.unmet]
    if satisfied and not binding:
        return reasons.ALLOWED, _first(satisfied).rule, "", ()
    helping = [
        each for each in possible if (rank is None or each.rule.rank >= rank) and all(a is None for _, a in each.unmet)
    ]
    if satisfied:
        return reasons.UNDECIDED, _first(binding).rule, _why_unknown(file, binding), ()
    open_ = [each for each in speaking if all(answer is None for _, answer in each.unmet)]
    if open_:
        best = _first(open_)
        return reasons.UNDECIDED, best.rule, _names(best.unmet), best.unmet
    if helping:
        return reasons.UNDECIDED, _first(helping).rule, _why_unknown(file, helping), ()
    if speaking:
        best = _first(speaking)
        return reasons.UNMET, best.rule, _names(best.unmet), best.unmet
    return reasons.NOTHING, None, "", ()


def _effect(mode: Mode, reason: Reason) -> Effect:
    if reason is reasons.ALLOWED:
        return Effect.ALLOW
    if mode is Mode.ENFORCE:
        return Effect.DENY
    said = reason in (reasons.DENIED, reasons.BLOCKED)
    return Effect.DENY if said and mode is Mode.LEARNING else Effect.AUDIT


def _first(candidates: Sequence[Candidate]) -> Candidate:
    """The most particular; of those, the one that stands first."""
    return min(candidates, key=lambda each: (-each.rule.rank, each.rule.number))


def _names(unmet: Sequence[Unmet]) -> str:
    return ", ".join(name for name, _ in unmet)


def _why_unknown(file: FileFacts, candidates: Sequence[Candidate]) -> str:
    """What is not known."""
    if not file.sha256:
        return "the file could not be read"
    rule = _first(candidates).rule
    if rule.match(file, next(iter(rule.conditions.kinds), "")):
        return "who uses it"
    if rule.conditions.paths and not file.path:
        return "where it lies"
    if rule.conditions.products and not file.release_readable:
        return "its version could not be read"
    if rule.conditions.products and file.release is not None:
        return f"its version is {file.release.version[:80]!r}, which cannot be compared"
    return f"the verdict on its signatures is {file.status}"


class Compiled:
    """Rules, ready to decide."""

    def __init__(self, rules: Sequence[Rule], mode: Mode) -> None:
        self.rules = tuple(rules)
        self.mode = mode
        self._index = Index(self.rules)
        self.by_place = self._index.by_place
        self.by_use = any(rule.conditions.kinds for rule in rules)
        self.digests: frozenset[str] = frozenset().union(*(rule.conditions.digests for rule in rules))
        self.about_users = any(rule.users != NO_USERS for rule in rules)

    def candidates_for(self, file: FileFacts) -> Iterable[Rule]:
        """The rules that have to be looked at for a file: few, however many there are."""
        return self._index.about(file)

    def rule_on(self, file: FileFacts, kind: str, at: dt.datetime) -> Ruling:
        """What the policy says of a file used in some way (a name of facts.KINDS) at a time."""
        candidates = []
        until: dt.datetime | None = None
        by_place = False
        for rule in self.candidates_for(file):
            if not rule.active(at):
                continue
            if rule.expires is not None:
                until = rule.expires if until is None else min(until, rule.expires)
            answer = rule.match(file, kind)
            if answer is False:
                continue
            by_place = by_place or bool(rule.conditions.paths)
            if rule.action == DENY:
                candidates.append(Candidate(rule, answer))
                continue
            candidates.append(Candidate(rule, answer, tuple(rule.unmet(file, at))))
            if rule.require.age is not None:
                ends = [seal.signed_at + rule.require.age for seal in file.seals if seal.signed_at is not None]
                until = min((end for end in (*ends, until) if end is not None and end >= at), default=until)
        return Ruling(self.mode, file, candidates, until, by_place=by_place or self._index.by_place)

    def decide(self, file: FileFacts, kind: str, process: Process, at: dt.datetime) -> Decision:
        """The decision for a file, a use, and whoever makes it."""
        return self.rule_on(file, kind, at).decide(process)
