"""The kernel's programs behind a guard: what they are told, and when."""

from __future__ import annotations

import errno
import time

import pytest

from chopmark.agent import processes
from chopmark.agent.bpf import behind, pinned, programs, support
from chopmark.agent.question import Asked
from chopmark.core import limits
from chopmark.core.errors import UnavailableError
from chopmark.core.finding import Outcome


class Held:
    """What is pinned, as a list of what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.fails = False

    def _tell(self, *what: object) -> None:
        if self.fails:
            raise OSError(errno.ENOMEM, "no room")
        self.told.append(what)

    def writes(self, descriptor: int) -> int:
        self._tell("writes", descriptor)
        return 5

    def allow(self, descriptor: int, writes: int) -> None:
        self._tell("allow", descriptor, writes)

    def let(self, thread: int, descriptor: int, writes: int, until: int) -> None:
        self._tell("let", thread, descriptor, writes)
        assert 0 < until - time.monotonic_ns() <= limits.GUARD_ANSWER_SECONDS * 1e9

    def renew(self) -> None:
        self._tell("renew")

    def protect(self, device: int, flags: int) -> None:
        self._tell("protect", device, flags)

    def release(self, device: int) -> None:
        self._tell("release", device)


ASKED = Asked(9, (1, 2), "exec", 77, processes.NOBODY, "/x", 0.0)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    found = Held()
    monkeypatch.setattr(pinned, "attached", lambda _: ["file_open"])
    monkeypatch.setattr(pinned, "open_pinned", lambda _: found)
    return found


@pytest.fixture
def trouble() -> list[str]:
    return []


@pytest.fixture
def second(held: Held, trouble: list[str]) -> behind.Behind:
    assert not held.told
    return behind.Behind("/pins", trouble.append, strict=True)


def test_what_holds_for_everybody_is_a_verdict(second: behind.Behind, held: Held) -> None:
    second.let(ASKED, 3, everybody=True)
    assert held.told == [("allow", 9, 3)]


def test_anything_else_is_for_the_one_who_asked(second: behind.Behind, held: Held) -> None:
    second.let(ASKED, 3, everybody=False)
    second.let(ASKED, None, everybody=False)  # nobody looked: as it is now
    assert held.told == [("let", 77, 9, 3), ("writes", 9), ("let", 77, 9, 5)]


def test_what_is_protected_is_told_when_it_changes(second: behind.Behind, held: Held) -> None:
    strict, both = programs.STRICT, programs.STRICT | programs.ENFORCE
    second.protect([1, 2], enforce=True)
    second.protect([1, 2], enforce=True)
    assert held.told == [("protect", 1, both), ("protect", 2, both)]
    second.protect([2], enforce=False)
    assert held.told[2:] == [("release", 1), ("protect", 2, strict)]


def test_a_kernel_that_does_not_listen_is_trouble_and_no_more(
    second: behind.Behind, held: Held, trouble: list[str]
) -> None:
    held.fails = True
    second.let(ASKED, 3, everybody=True)
    second.protect([1], enforce=True)
    second.renew()
    assert second.writes(9) == behind.NEVER
    assert len(trouble) == 4
    held.fails = False
    second.protect([1], enforce=True)
    assert held.told == [("protect", 1, 3)]


def test_where_it_cannot_work_no_guard_begins(monkeypatch: pytest.MonkeyPatch, trouble: list[str]) -> None:
    for outcome in (Outcome.INFO, Outcome.UNKNOWN):
        monkeypatch.setattr(support, "of_host", lambda found=outcome: support.Support(found, "no"))
        with pytest.raises(UnavailableError):
            behind.Behind("/no/such/pins", trouble.append, strict=False)
