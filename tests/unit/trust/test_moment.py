"""Moments: what they answer, and how far they may be moved without another answer."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.trust import context
from chopmark.trust.moment import Moment
from chopmark.trust.stores import store
from tests.support import pki

SECOND = dt.timedelta(seconds=1)
BORDER = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
TIMES = st.integers(-5, 5).map(lambda seconds: BORDER + seconds * SECOND)
LAST = dt.datetime.max.replace(tzinfo=dt.UTC)
FIRST = dt.datetime.min.replace(tzinfo=dt.UTC)


def answers(moment: Moment, borders: list[tuple[str, dt.datetime]]) -> list[bool]:
    return [getattr(moment, question)(border) for question, border in borders]


@given(st.lists(st.tuples(st.sampled_from(["before", "after", "reached", "surely_before"]), TIMES)), TIMES, TIMES)
def test_a_moment_in_the_window_has_the_same_answers(
    borders: list[tuple[str, dt.datetime]], first: dt.datetime, second: dt.datetime
) -> None:
    parts = {"proven": True, "accuracy": SECOND}
    one, other = Moment(first, **parts), Moment(second, **parts)  # type: ignore[arg-type]
    expected = answers(one, borders)
    within = (one.since is None or second >= one.since) and (one.until is None or second < one.until)
    assert within or second != first
    if within:
        assert answers(other, borders) == expected


@given(st.lists(st.tuples(st.sampled_from(["before", "after", "reached"]), TIMES), min_size=1), TIMES)
def test_the_window_is_as_wide_as_it_can_be(borders: list[tuple[str, dt.datetime]], at: dt.datetime) -> None:
    moment = Moment(at)
    expected = answers(moment, borders)
    for edge in (moment.since and moment.since - dt.timedelta(microseconds=1), moment.until):
        if edge:
            assert answers(Moment(edge), borders) != expected


@pytest.mark.parametrize("order", [(1, 3, 2), (3, 1, 2), (2, 3, 1)])
def test_the_nearest_comparisons_bound_the_window(order: tuple[int, ...]) -> None:
    """Whatever was compared before or after: else a conclusion would be remembered for times of which it is wrong."""
    moment = Moment(BORDER)
    for seconds in order:
        assert moment.reached(BORDER - seconds * SECOND)
        assert not moment.reached(BORDER + seconds * SECOND)
    assert (moment.since, moment.until) == (BORDER - SECOND, BORDER + SECOND)


def test_before_and_after_are_strict() -> None:
    moment = Moment(BORDER)
    assert not moment.before(BORDER)
    assert not moment.after(BORDER)
    assert moment.after(BORDER - dt.timedelta(microseconds=1))
    assert moment.reached(BORDER)


def test_only_a_proven_time_is_surely_before_anything() -> None:
    assert not Moment(BORDER).surely_before(LAST)
    assert Moment(BORDER, proven=True).surely_before(BORDER + SECOND)
    assert not Moment(BORDER, proven=True).surely_before(BORDER)
    assert not Moment(BORDER, proven=True, accuracy=SECOND).surely_before(BORDER + SECOND)


@pytest.mark.parametrize("when", [FIRST, LAST])
def test_the_ends_of_the_calendar_are_no_trouble(when: dt.datetime) -> None:
    moment = Moment(BORDER, proven=True, accuracy=dt.timedelta(days=99999999))
    assert [moment.before(when), moment.reached(when), moment.after(when)] == [
        when is LAST,
        when is FIRST,
        when is FIRST,
    ]
    assert moment.surely_before(when) in (True, False)


def test_a_context_remembers_for_as_long_as_an_answer_holds() -> None:
    asked = []

    def answer(moment: Moment) -> bool:
        asked.append(moment.at)
        return moment.before(BORDER)

    here = context.Context(store.Store([]), pki.NOW)
    for seconds, expected in ((-1, True), (-5, True), (0, False), (7, False), (-3, True)):
        moment = Moment(BORDER + seconds * SECOND)
        assert here.remembered("key", moment, lambda moment=moment: answer(moment)) is expected  # type: ignore[misc]
    assert len(asked) == 2
    proven = Moment(BORDER - SECOND, proven=True)
    assert here.remembered("key", proven, lambda: "another") == "another"
    assert here.remembered("other", Moment(BORDER), lambda: "another") == "another"
