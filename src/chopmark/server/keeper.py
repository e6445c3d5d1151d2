"""The process in the background of a served authority: nothing that it does holds up an answer.

One thread does what is due; the other looks how things stand and tells the processes that answer, so that health and
metrics cost them nothing.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core.errors import ChopmarkError
from chopmark.server import due
from chopmark.server.children import LEAVE
from chopmark.server.standing import Standing
from chopmark.server.worker import say

if TYPE_CHECKING:
    from chopmark.server.board import Board
    from chopmark.server.children import Report
    from chopmark.server.site import Served


class Keeper:
    """Does and looks until it is told to end, or its parent has."""

    def __init__(self, served: Served, board: Board, report: Report) -> None:
        self._open = due.Opener(served)
        self._board = board
        self._ended = threading.Event()
        self._report = report
        self._wrong: dict[str, str] = {}
        self._done = dict.fromkeys(due.WORK, 0)
        self._failed = dict.fromkeys(due.WORK, 0)
        self._unreachable = 0
        self._served = served
        self._clock: tuple[float, Standing] | None = None

    def run(self) -> None:
        """Do it."""
        for number in (signal.SIGTERM, LEAVE):
            signal.signal(number, lambda *_: self._ended.set())
        threading.Thread(target=self._look_often, name="chopmark looks", daemon=True).start()
        while not self._over():
            self._do()
            self._ended.wait(limits.SERVER_DUE_SECONDS)

    def _over(self) -> bool:
        return self._ended.is_set() or self._report.orphaned

    def _do(self) -> None:
        for name, work in due.WORK.items():
            if self._over():
                return
            try:
                for line in work(self._open(), clock.now()):
                    self._done[name] += 1
                    say(line)
                self._wrong.pop(name, None)
            except (ChopmarkError, OSError) as error:
                self._failed[name] += 1
                self._tell(name, f"{name}: {error}")

    def _tell(self, name: str, text: str) -> None:
        """Say what is wrong, once."""
        if self._wrong.get(name) != text:
            self._wrong[name] = text
            say(text)

    def _look_often(self) -> None:
        while not self._over():
            try:
                self._board.write(self._look().facts())
            except Exception as error:  # noqa: BLE001 - the next look may succeed; that this one did not, its age tells
                self._tell("look", f"how things stand is not known: {type(error).__name__}: {error}")
            self._ended.wait(limits.SERVER_FACTS_SECONDS)

    def _look(self) -> Standing:
        standing = Standing()
        standing.warnings += [text for name, text in sorted(self._wrong.items()) if name in due.WORK]
        if self._served.stamps():
            self._add_clock(standing)
        try:
            standing.look(self._open(), clock.now())
            self._wrong.pop("register", None)
            standing.put("database_up", 1)
        except (ChopmarkError, OSError) as error:
            self._unreachable += 1
            standing.put("database_up", 0)
            standing.problems.append(str(error))
        standing.put("database_errors", self._unreachable)
        for name in due.WORK:
            standing.put("due_done", self._done[name], work=name)
            standing.put("due_failed", self._failed[name], work=name)
        return standing

    def _add_clock(self, standing: Standing) -> None:
        """What is known about the clock; asked anew every SERVER_CLOCK_SECONDS, since others may have to be asked."""
        now = time.monotonic()
        if self._clock is None or now - self._clock[0] > limits.SERVER_CLOCK_SECONDS:
            looked = Standing()
            looked.look_at_clock(self._served.clock())
            self._clock = now, looked
        standing.numbers.update(self._clock[1].numbers)
        standing.problems += self._clock[1].problems
