"""From files to facts: what is found out once, for how long it holds, and what another world makes of it."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from chopmark.agent import examining, world
from chopmark.agent.world import Inputs
from chopmark.core import limits
from chopmark.core.artifact import FileView, UnreadableError
from chopmark.core.signer import Authority
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check
from chopmark.engine.policing import facts as facts_of
from chopmark.policy.facts import FileFacts, SealFacts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOT = "ee" * 32
SEAL = SealFacts("detached", Status.TRUSTED, key="aa" * 32, authorities=(Authority("CN=Root", ROOT, "ff" * 32),))
TRUSTED = FileFacts("", "11" * 32, "elf", Status.TRUSTED, (SEAL,))
UNSIGNED = FileFacts("", "22" * 32, "elf")


class Memory:
    """What is asked of it, and what it was told."""

    def __init__(self, inputs: dict[str, str] | None = None) -> None:
        self.known: dict[str, FileFacts] = {}
        self.until: dict[str, float] = {}
        self.forgotten: list[tuple[bool, bool]] = []
        self.depends: dict[str, str] = {}
        self._inputs = inputs or {}

    def get(self, key: str) -> FileFacts | None:
        return self.known.get(key)

    def put(self, key: str, facts: FileFacts, until: float) -> FileFacts:
        self.known[key], self.until[key] = facts, until
        return facts

    def seen(self, *_: object) -> None:
        """Where it lies is nothing to us."""

    def forget(self, touched: Callable[[FileFacts], bool]) -> int:
        self.forgotten.append((touched(TRUSTED), touched(UNSIGNED)))
        return 5

    def inputs(self) -> dict[str, str]:
        return self._inputs

    def depend(self, inputs: dict[str, str]) -> None:
        self.depends = inputs


class Contexts:
    """Worlds that count how often somebody wanted to know the circumstances."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.made = 0

    def context(self, _: object) -> object:
        self.made += 1
        return SimpleNamespace(number=self.made)


def examination(state: Contexts, memory: Memory) -> examining.Examination:
    return examining.Examination(cast("Any", state), cast("Any", memory))


def test_what_was_found_out_when_others_were_trusted_is_dropped_at_the_start() -> None:
    new = Inputs()
    memory = Memory(world.written(Inputs(frozenset({ROOT}))))
    examination(Contexts(new), memory)
    assert memory.forgotten == [(True, False)]
    assert memory.depends == world.written(new)


@pytest.mark.parametrize("inputs", [{}, world.written(Inputs())])
def test_what_depends_on_nothing_else_or_on_nothing_known_is_not(inputs: dict[str, str]) -> None:
    memory = Memory(inputs)
    examination(Contexts(Inputs()), memory)
    assert memory.forgotten == []
    assert memory.depends == world.written(Inputs())


def test_another_world_drops_what_it_touches() -> None:
    old, new = Contexts(Inputs(frozenset({ROOT}))), Contexts(Inputs())
    memory = Memory()
    judge = examination(old, memory)
    judge._current()  # noqa: SLF001 - the circumstances of checks
    forgotten = judge.renew(cast("Any", new))
    assert (memory.forgotten, forgotten.verdicts, judge.world) == ([(True, False)], 5, cast("Any", new))
    assert (forgotten.touched(TRUSTED), forgotten.touched(UNSIGNED)) == (True, False)
    assert memory.depends == world.written(new.inputs)
    judge._current()  # noqa: SLF001
    assert (old.made, new.made) == (1, 1)
    same = judge.renew(cast("Any", Contexts(Inputs())))
    assert (len(memory.forgotten), same.verdicts, same.touched(TRUSTED)) == (1, 0, False)


def test_circumstances_are_made_anew_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    state = Contexts(Inputs())
    judge = examination(state, Memory())
    now = time.monotonic()
    for later, made in ((0, 1), (limits.GUARD_CONTEXT_SECONDS - 1, 1), (limits.GUARD_CONTEXT_SECONDS + 1, 2)):
        monkeypatch.setattr(time, "monotonic", lambda later=later: now + later)
        assert judge._current() is judge._current()  # noqa: SLF001
        assert state.made == made


@pytest.mark.parametrize(
    ("status", "seconds"),
    [
        (Status.TRUSTED, limits.GUARD_VERDICT_SECONDS),
        (Status.UNSIGNED, limits.GUARD_UNTRUSTED_SECONDS),
        (Status.UNDECIDED, limits.GUARD_UNTRUSTED_SECONDS),
        (Status.REJECTED, limits.GUARD_UNTRUSTED_SECONDS),
    ],
)
def test_a_content_is_checked_once_and_trusted_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: Status, seconds: float
) -> None:
    checked: list[str] = []

    def checks(artifact: Any, *_: object) -> Verdict:  # noqa: ANN401
        checked.append(artifact.name)
        return Verdict(artifact.name, "", (), ())

    monkeypatch.setattr(check, "check", checks)
    monkeypatch.setattr(check, "check_as", checks)
    monkeypatch.setattr(facts_of, "of_content", lambda artifact, _: FileFacts("", artifact.name, status=status))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    memory = Memory()
    judge = examination(Contexts(Inputs()), memory)
    for name, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(content)
        descriptor = os.open(tmp_path / name, os.O_RDONLY)
        assert judge.examine(descriptor, str(tmp_path / name)).status is status
        os.close(descriptor)
    assert checked == [str(tmp_path / "a"), str(tmp_path / "c")]
    assert list(memory.until.values()) == [now + seconds] * 2


@pytest.mark.parametrize("known", [False, True])
def test_what_changes_while_it_is_read_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    (tmp_path / "x").write_bytes(b"x")
    monkeypatch.setattr(check, "check_as", lambda artifact, *_: Verdict(artifact.name, "", (), ()))
    memory = Memory()
    judge = examination(Contexts(Inputs()), memory)
    descriptor = os.open(tmp_path / "x", os.O_RDONLY)
    if known:
        judge.examine(descriptor, str(tmp_path / "x"))
    before = dict(memory.known)
    monkeypatch.setattr(FileView, "changed", lambda _: True)
    with pytest.raises(UnreadableError):
        judge.examine(descriptor, str(tmp_path / "x"))
    os.close(descriptor)
    assert memory.known == before
    assert bool(before) is known
