"""Signed answers in memory, by the bytes of the question: bounded, and never older than the register."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.authority.ocsp.responder import Answer
    from chopmark.authority.register.status import Changes, Statuses


class Cache:
    """Two halves: when the younger one is full, the older one is dropped, and what is asked for again moves over.

    Reading takes no lock. `version` grows with every change of the register that is noticed; whoever makes an answer
    notes it first, then looks into the register, so that a change in between makes the answer stale.
    """

    def __init__(self, statuses: Statuses, size: int, changed: Callable[[Changes], None]) -> None:
        """`size` are bytes, of requests and answers together; `changed` is told what was done, too."""
        self._statuses = statuses
        self._changed = changed
        self._half = size // 2
        self._lock = threading.Lock()
        self._young: dict[bytes, Answer] = {}
        self._old: dict[bytes, Answer] = {}
        self._filled = 0
        self._touched: dict[tuple[int, str], int] = {}
        self._floor = 0
        self.version = 0

    def look(self) -> int:
        """Notice what was done since the last look; the version then."""
        self._statuses.changes(self._apply)
        return self.version

    def get(self, request: bytes, now: int) -> Answer | None:
        """The answer to a request, if it is fresh (Unix seconds) and nothing was done with the certificate since.

        What was done is what `look` noticed last.
        """
        answer = self._young.get(request)
        if answer is None:
            answer = self._old.get(request)
            if answer is None:
                return None
            if self._current(answer, now):
                self.put(request, answer)
        return answer if self._current(answer, now) else None

    def put(self, request: bytes, answer: Answer) -> None:
        """Keep an answer."""
        size = len(request) + len(answer.body) + _OVERHEAD
        with self._lock:
            if self._filled + size > self._half:
                self._old, self._young, self._filled = self._young, {}, 0
            self._young[request] = answer
            self._filled += size

    def _current(self, answer: Answer, now: int) -> bool:
        if not answer.this_update <= now < answer.fresh_until or answer.version < self._floor:
            return False
        return all(self._touched.get(each, 0) <= answer.version for each in answer.about)

    def _apply(self, changes: Changes) -> None:
        """Take note of what was done; called by one thread at a time."""
        self._changed(changes)
        version = self.version + 1  # of our own: a register that was restored from a backup counts back
        if changes.touched is None or len(self._touched) + len(changes.touched) > limits.OCSP_CHANGES_MAX:
            self._floor = version
            self._touched = {}
        else:
            self._touched.update(dict.fromkeys(changes.touched, version))
        self.version = version


_OVERHEAD = 500
"""Bytes that Python needs for an entry besides what is in it."""
