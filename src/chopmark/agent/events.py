"""The event stream: what was denied, or would have been, to whoever wants to know; never on the answering path."""

from __future__ import annotations

import collections
import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from chopmark.agent import alike
from chopmark.core import clock, limits
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.sinks import Sink


class Notice(NamedTuple):
    """What to say on the terminal of somebody who was denied something."""

    terminal: str
    text: str


class Stream(threading.Thread):
    """Events wait in a queue of GUARD_EVENTS_WAITING_MAX; what comes when it is full is counted and not told.

    What is like others that were told of is counted (`alike`). Both counts are told of as well, once a second. The last
    events are kept in memory for whoever asks (`recent`), with how many there were of each kind (`told`).
    """

    def __init__(self, sinks: list[Sink]) -> None:
        super().__init__(name="events", daemon=True)
        self._sinks = sinks
        self._queue: collections.deque[Callable[[], tuple[dict[str, Any], Notice | None]]] = collections.deque()
        self._wake = threading.Event()
        self._ending = False
        self._spoken: dict[str, float] = {}
        self.recent: collections.deque[dict[str, Any]] = collections.deque(maxlen=limits.GUARD_EVENTS_RECENT_MAX)
        self.told: collections.Counter[str] = collections.Counter()
        self.alike = alike.Counting()
        self.lost = 0
        self._said_lost = 0
        self._due = 0.0
        self._refused = 0

    @property
    def unwritten(self) -> int:
        """Events that a sink could not pass on."""
        return self._refused + sum(each.unwritten for each in self._sinks)

    def start(self) -> None:
        """Begin; what sinks need is loaded before."""
        for each in self._sinks:
            each.start(lambda what: self.say("trouble", detail=what))
        super().start()

    def has_room(self) -> bool:
        """Whether another event can wait; if not, it is counted as lost, and need not be made."""
        if len(self._queue) < limits.GUARD_EVENTS_WAITING_MAX:
            return True
        self.lost += 1
        return False

    def add(self, event: Callable[[], tuple[dict[str, Any], Notice | None]]) -> None:
        """Have an event made and passed on later. Does not wait."""
        if not self.has_room():
            return
        self._queue.append(event)
        if not self._wake.is_set():
            self._wake.set()

    def say(self, kind: str, **facts: object) -> None:
        """An event about the guard itself."""
        made = {"at": clock.show(clock.now()), "kind": kind, **facts}
        self.add(lambda: (made, None))

    def end(self) -> None:
        """Pass on what waits, and end."""
        self._ending = True
        self._wake.set()

    def run(self) -> None:
        """Pass on."""
        while not (self._ending and not self._queue):
            is_counting = len(self.alike) or self._said_lost != self.lost
            self._wake.wait(limits.GUARD_ALIKE_SECONDS if is_counting else None)
            if not self._ending:
                time.sleep(limits.GUARD_EVENTS_GATHER_SECONDS)  # several at once: each change of threads costs more
            self._wake.clear()
            self._sum_up()
            while self._queue:
                self._make(self._queue.popleft())
                self._sum_up()
        self._due = 0.0
        self._sum_up()
        for each in self._sinks:
            each.close()

    def _make(self, event: Callable[[], tuple[dict[str, Any], Notice | None]]) -> None:
        try:
            made, notice = event()
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one must not keep the others from being told
            detail = f"an event could not be made: {type(error).__name__}: {error}"
            made, notice = {"at": clock.show(clock.now()), "kind": "trouble", "detail": detail}, None
            self._refused += 1
        self._pass(made)
        if notice is not None:
            self._speak(notice)

    def _pass(self, event: dict[str, Any]) -> None:
        self.recent.append(event)
        self.told[event["kind"]] += 1
        self._write(event)

    def _sum_up(self) -> None:
        """Say how many there were that are not told of one by one, and how many were lost."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + limits.GUARD_ALIKE_SECONDS
        for use, times in self.alike.take():
            self._pass(alike.event(clock.now(), use, times))
        lost, self._said_lost = self.lost - self._said_lost, self.lost
        if lost:
            self._pass({"at": clock.show(clock.now()), "kind": "events-lost", "times": lost,
                        "detail": "too many waited"})  # fmt: skip

    def _write(self, event: dict[str, Any]) -> None:
        for each in self._sinks:
            try:
                each.write(event)
            except Exception:  # noqa: BLE001 - a full disk, a journal that is restarted: the guard goes on
                self._refused += 1

    def _speak(self, notice: Notice) -> None:
        now = time.monotonic()
        if not notice.terminal or now - self._spoken.get(notice.terminal, -limits.GUARD_NOTICE_SECONDS) < (
            limits.GUARD_NOTICE_SECONDS
        ):
            return
        if len(self._spoken) > limits.GUARD_TERMINALS_MAX:
            self._spoken.clear()
        self._spoken[notice.terminal] = now
        with contextlib.suppress(OSError):
            descriptor = os.open(notice.terminal, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                os.write(descriptor, f"\r\n{notice.text}\r\n".encode(errors="replace"))
            finally:
                os.close(descriptor)
