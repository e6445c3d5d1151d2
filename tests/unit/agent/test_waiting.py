"""Whoever waits for questions stays awake where the next one comes at once, and only there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from chopmark.agent import waiting
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOKS = 5


class Poll:
    """Answers as they are told to; a look that does not wait is 0, one that does is 1."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []

    def __call__(self, milliseconds: float) -> list[tuple[int, int]]:
        self.asked.append(int(milliseconds > 0))
        return [(0, 1)] if self.answers.pop(0) else []


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[waiting.Waiting]:
    monkeypatch.setattr(limits, "GUARD_AWAKE_LOOKS", LOOKS)
    monkeypatch.setattr(limits, "GUARD_AWAKE_PAUSE_MAX", 4)
    monkeypatch.setattr(limits, "GUARD_AWAKE_QUESTIONS", 3)
    load(monkeypatch, tmp_path, b"0.10 0.20 0.30 1/123 4567\n")
    reading, writing = os.pipe()
    wait = waiting.Waiting(reading)
    yield wait
    wait.close()
    os.close(reading)
    os.close(writing)


def load(monkeypatch: pytest.MonkeyPatch, folder: Path, text: bytes) -> None:
    (folder / "loadavg").write_bytes(text)
    monkeypatch.setattr(waiting, "_LOAD", str(folder / "loadavg"))


def turns(wait: waiting.Waiting, *answers: int) -> list[int]:
    """What is asked until the answers are used up."""
    wait._poll = poll = Poll(*answers)  # noqa: SLF001 - what is counted
    while poll.answers:
        wait.ready()
    return poll.asked


def test_it_is_told_that_there_is_something_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_TICK_SECONDS", 0.01)
    reading, writing = os.pipe()
    wait = waiting.Waiting(reading)
    assert [wait.ready() for _ in range(4)] == [False] * 4
    os.write(writing, b"x")
    assert [wait.ready() for _ in range(4)] == [True] * 4
    for each in (reading, writing):
        os.close(each)
    wait.close()


def test_who_finds_the_next_question_at_once_stays_awake(made: waiting.Waiting) -> None:
    assert turns(made, 1, 1, 0, 1, *[1] * 10) == [1, 0, 0, 0, *[0] * 10]


def test_what_was_in_vain_is_tried_less_and_less(made: waiting.Waiting) -> None:
    looks = [0] * LOOKS
    in_vain = [*looks, 1]
    expected = [0] * LOOKS + [1]
    asked = turns(made, 1, *in_vain, 1, 1, *in_vain, *[1] * 4, *in_vain, *[1] * 4, *in_vain)
    assert asked == [1, *expected, 1, 1, *expected, *[1] * 4, *expected, *[1] * 4, *expected]
    # What was worth it once is tried again soon.
    assert turns(made, *[1] * 4, 1, *in_vain, 1, 1, 1) == [*[1] * 4, 0, *expected, 1, 1, 0]


@pytest.mark.parametrize(
    ("text", "spare"),
    [
        (b"0.1 0.2 0.3 2/9 1\n", True),
        (b"0.1 0.2 0.3 3/9 1\n", False),
        (b"0.1 0.2 0.3 x/9 1\n", False),
        (b"0.1\n", False),
    ],
)
def test_a_machine_that_has_much_to_do_is_left_alone(
    made: waiting.Waiting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: bytes, *, spare: bool
) -> None:
    made._processors = 2  # noqa: SLF001 - whatever there are here
    load(monkeypatch, tmp_path, text)
    assert turns(made, *[1] * 4) == ([1, 0, 0, 0] if spare else [1] * 4)


def test_it_is_asked_again_now_and_then_whether_a_processor_is_to_spare(
    made: waiting.Waiting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made._processors = 2  # noqa: SLF001 - likewise
    assert turns(made, 1, 1) == [1, 0]
    load(monkeypatch, tmp_path, b"0.1 0.2 0.3 3/9 1\n")
    assert turns(made, *[1] * 5) == [0, 0, 1, 1, 1]


def test_who_has_one_processor_sleeps(made: waiting.Waiting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The thread that asks runs there as soon as it has its answer."""
    made._processors = 1  # noqa: SLF001 - likewise
    assert turns(made, *[1] * 4) == [1] * 4
    load(monkeypatch, tmp_path, b"")
    assert turns(made, *[1] * 8) == [1] * 8
