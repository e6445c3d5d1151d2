from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chopmark.engine import shares


@pytest.mark.parametrize(("count", "jobs"), [(1, 1), (2, 2), (47, 3), (500, 2), (1025, 2), (10_000, 3)])
def test_a_plan_has_every_file_once_and_in_order(count: int, jobs: int) -> None:
    paths = [str(number) for number in range(count)]
    plan = shares.plan(paths, jobs)
    assert [path for group in plan.groups for path in group] == paths
    assert [number for round_ in plan.rounds for share in round_ for number in share] == list(range(len(plan.groups)))
    assert {len(round_) for round_ in plan.rounds} == {jobs}


def test_shares_are_as_long_as_each_other_and_bounded() -> None:
    plan = shares.plan(["x"] * 10_000, 3)
    lengths = [sum(len(plan.groups[number]) for number in share) for round_ in plan.rounds for share in round_]
    assert max(lengths) <= 256
    assert max(lengths) - min(lengths) <= 1


def test_only_the_last_round_ends_in_small_groups() -> None:
    plan = shares.plan(["x"] * 1024, 2)
    first, last = ([[len(plan.groups[number]) for number in share] for share in round_] for round_ in plan.rounds)
    assert first == [[32] * 8] * 2
    for sizes in last:
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] == 32
        assert sizes[-1] == 1


@contextmanager
def queues(rounds: list[list[range]]) -> Iterator[shares.Queues]:
    made = shares.Queues(rounds)
    try:
        yield made
    finally:
        made.close_filling()
        made.close_taking()


def test_a_process_takes_its_own_share_and_then_that_of_others() -> None:
    with queues([[range(3), range(3, 5)]]) as made:
        assert list(made.take(1)) == [3, 4, 0, 1, 2]
        assert list(made.take(0)) == []


def test_what_one_took_no_other_gets() -> None:
    with queues([[range(3), range(3, 5)]]) as made:
        mine, other = made.take(0), made.take(1)
        assert [next(mine), next(other), next(other), next(other)] == [0, 3, 4, 1]
        assert list(mine) == [2]


def test_a_third_round_begins_when_the_first_is_through() -> None:
    with queues([[range(1)], [range(1, 2)], [range(2, 4)]]) as made:
        taking = made.take(0)
        assert [next(taking), next(taking)] == [0, 1]
        assert made.filling
        made.done(1)
        assert list_of(taking, 2) == [2, 3]
        made.done(2)
        assert list(taking) == []


def list_of(numbers: Iterator[int], count: int) -> list[int]:
    return [next(numbers) for _ in range(count)]


def test_a_round_for_readers_that_are_gone_is_no_error() -> None:
    with queues([[range(1)], [range(1, 2)], [range(2, 3)]]) as made:
        made.close_taking()
        made.done(1)
