"""Several tasks taken through their stages side by side.

A stage that was just done for one file is done faster for the next: its code is still near the processor, which has no
room for the code of all stages. Of small files a fifth of the time was waiting for that (docs/adr/0205).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

Result = TypeVar("Result")


def run(tasks: Iterable[Generator[int, None, Result]], most: int = limits.ABREAST_MAX) -> Iterator[Result]:
    """The results of tasks, in their order. A task yields after each stage, first how many bytes it is about.

    So many go side by side as are about ABREAST_BYTES together, at most `most`, and few enough to leave descriptors
    for everything else; a large file goes alone.
    """
    most = min(most, _most())
    group: list[Generator[int, None, Result]] = []
    done: dict[int, Result] = {}
    size = 0
    for task in tasks:
        try:
            size += next(task)
        except StopIteration as end:
            done[len(group)] = end.value
        group.append(task)
        if size >= limits.ABREAST_BYTES or len(group) == most:
            yield from _finished(group, done)
            group, done, size = [], {}, 0
    yield from _finished(group, done)


def _most() -> int:
    """Each task has one file open, and now and then another beside it (OPEN_MAX, sysconf(3); -1 for no limit)."""
    allowed = os.sysconf("SC_OPEN_MAX")
    return limits.ABREAST_MAX if allowed < 0 else max(1, min(limits.ABREAST_MAX, allowed // 4))


def alone(task: Generator[int, None, Result]) -> Result:
    """The result of one task."""
    while True:
        try:
            next(task)
        except StopIteration as end:
            result: Result = end.value
            return result


def _finished(group: list[Generator[int, None, Result]], done: dict[int, Result]) -> Iterator[Result]:
    going = [number for number in range(len(group)) if number not in done]
    while going:
        still = []
        for number in going:
            try:
                next(group[number])
            except StopIteration as end:
                done[number] = end.value
            else:
                still.append(number)
        going = still
    return iter([done[number] for number in range(len(group))])
