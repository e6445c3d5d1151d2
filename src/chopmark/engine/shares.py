"""Which of several processes does what: consecutive files for each, and what is left for whoever is free.

Files that lie side by side are often of one publisher: the process that judged the first has its certificates and its
path at hand. So the files are cut into rounds, a round into one share for each process, and a share into groups that
are small towards the end. A process takes the groups of its own share and then those of others (docs/adr/0227).
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GROUP_MAX = limits.ABREAST_MAX
"""Files taken at once: enough to make taking cheap."""
_SHARE_MAX = 8 * _GROUP_MAX
"""Files of one share. Results that others are still to precede wait, those of two rounds at most."""
_NUMBER = 4
"""Bytes of a group's number in a queue."""


class Plan(NamedTuple):
    """All groups, in the order of the files, and of each round the numbers that are each process's share."""

    groups: Sequence[Sequence[str]]
    rounds: Sequence[Sequence[range]]


def plan(paths: Sequence[str], jobs: int) -> Plan:
    """Cut the paths up for so many processes."""
    count = -(-len(paths) // (jobs * _SHARE_MAX))
    groups: list[Sequence[str]] = []
    rounds: list[list[range]] = []
    parts = count * jobs
    for round_ in range(count):
        shares = []
        for part in range(round_ * jobs, (round_ + 1) * jobs):
            first = len(groups)
            share = paths[len(paths) * part // parts : len(paths) * (part + 1) // parts]
            groups += _groups(share, last=round_ == count - 1)
            shares.append(range(first, len(groups)))
        rounds.append(shares)
    return Plan(groups, rounds)


def _groups(share: Sequence[str], *, last: bool) -> Iterator[Sequence[str]]:
    """After the last round there is nothing else to do: its groups get smaller, so that all are done together."""
    start = 0
    while start < len(share):
        left = len(share) - start
        size = max(1, min(_GROUP_MAX, left // 3 if last else left))
        yield share[start : start + size]
        start += size


class Queues:
    """A pipe for each process with the numbers of the groups of its share; two rounds are in them at a time.

    A pipe takes whole numbers and gives each to one reader only, and its end says that there are no more.
    """

    def __init__(self, rounds: Sequence[Sequence[range]]) -> None:
        """The first two rounds are in them at once. Numbers of two rounds fit into any pipe's buffer (pipe(7))."""
        self._rounds = iter(rounds)
        self._ends = [max(share.stop for share in shares) for shares in rounds]
        pipes = [os.pipe() for _ in rounds[0]]
        self._taking = [taking for taking, _ in pipes]
        self._filling = [filling for _, filling in pipes]
        for taking in self._taking:
            os.set_blocking(taking, False)
        self._fill()
        self._fill()

    def done(self, count: int) -> None:
        """The results of the first `count` groups are through: when these end a round, another one can begin."""
        if self._ends and count >= self._ends[0]:
            del self._ends[0]
            self._fill()

    def _fill(self) -> None:
        shares = next(self._rounds, None)
        if shares is None:
            self.close_filling()
            return
        with suppress(BrokenPipeError):  # all readers died, which whoever waits for their results notices
            for filling, share in zip(self._filling, shares, strict=True):
                os.write(filling, b"".join(number.to_bytes(_NUMBER, "big") for number in share))

    @property
    def filling(self) -> bool:
        """Whether there may be more."""
        return bool(self._filling)

    def close_filling(self) -> None:
        """There will be no more. For the process that takes: it must not keep its own queue open."""
        while self._filling:
            os.close(self._filling.pop())

    def close_taking(self) -> None:
        """For the process that fills."""
        while self._taking:
            os.close(self._taking.pop())

    def take(self, whose: int) -> Iterator[int]:
        """Numbers for this process, until there are no more: first of its own share, then of those that follow."""
        open_ = [*self._taking[whose:], *self._taking[:whose]]
        poll = select.poll()
        for each in open_:
            poll.register(each, select.POLLIN)
        while open_:
            for each in tuple(open_):
                try:
                    number = os.read(each, _NUMBER)
                except BlockingIOError:
                    continue
                if number:
                    yield int.from_bytes(number, "big")
                    break
                poll.unregister(each)
                open_.remove(each)
            else:
                if open_:
                    poll.poll()
