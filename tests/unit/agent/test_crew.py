"""Threads in the places of others, who wait for somebody."""

from __future__ import annotations

import threading

import pytest

from chopmark.agent import crew
from chopmark.core import limits
from tests.support.patience import PATIENCE, eventually


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_RELIEF_SECONDS", 0.0)
    monkeypatch.setattr(limits, "GUARD_JUDGES", 2)
    monkeypatch.setattr(limits, "GUARD_JUDGES_MAX", 3)


def test_all_who_wait_for_something_to_do_hear_of_the_end() -> None:
    made: crew.Crew[str] = crew.Crew(lambda _: None, lambda _: None)
    made.put("a")
    made.end()
    assert [made.take(), made.take(), made.take()] == ["a", None, None]
    made.relieve()
    assert not made.is_stuck


def test_others_take_the_places_of_those_who_wait_and_not_for_ever() -> None:
    goes_on = threading.Event()
    did: list[str] = []
    joined: list[int] = []

    def work(task: str) -> None:
        assert task != "waits" or goes_on.wait(PATIENCE)
        did.append(task)

    made = crew.Crew(work, joined.append)
    made.relieve()  # nobody waits for anything
    [first] = made.threads(1)
    threads = [threading.Thread(target=first, daemon=True)]
    threads[0].start()
    for count in (0, 1):
        made.put("waits")
        eventually(made._all.empty)  # noqa: SLF001 - it has begun
        made.put("done")
        made.relieve()
        eventually(lambda count=count: did == ["done"] * (count + 1))  # type: ignore[misc]
        assert len(joined) == count + 1
    made.put("waits")
    eventually(made._all.empty)  # noqa: SLF001 - likewise
    made.relieve()
    assert not made.is_stuck
    made.put("done")
    made.relieve()  # three of three wait
    assert (made.is_stuck, len(joined)) == (True, 2)
    goes_on.set()
    eventually(lambda: sorted(did) == ["done"] * 3 + ["waits"] * 3)
    made.relieve()
    assert not made.is_stuck
    eventually(lambda: made._count == 2)  # noqa: SLF001 - who has nothing to do any more has ended
    made.end()
    threads[0].join(PATIENCE)
