"""Threads for answers that have to wait, so that the event loop never does."""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Pool(Generic[T]):
    """Runs tasks on threads of its own; `wake` is called, on such a thread, when there is something in `done`.

    Not a ThreadPoolExecutor: that waits for its threads when the process ends, and one may be stuck for good.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._tasks: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._threads = 0
        self._under_way = 0
        self.done: deque[T] = deque()

    def submit(self, task: Callable[[], T]) -> bool:
        """Have a task done, which must not raise; False when too many wait. For the event loop's thread alone."""
        if self._under_way >= limits.SERVER_WAITING_MAX:
            return False
        self._under_way += 1
        if self._threads < min(self._under_way, limits.SERVER_THREADS):
            self._threads += 1
            threading.Thread(target=self._work, name=f"chopmark answer {self._threads}", daemon=True).start()
        self._tasks.put(task)
        return True

    def take(self) -> T | None:
        """What one task came to, None when nothing has been done. For the event loop's thread alone."""
        if not self.done:
            return None
        self._under_way -= 1
        return self.done.popleft()

    @property
    def under_way(self) -> int:
        """Tasks that wait or run."""
        return self._under_way

    def close(self) -> None:
        """Let the threads end once they have done what waits."""
        for _ in range(self._threads):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            self.done.append(task())
            self._wake()
