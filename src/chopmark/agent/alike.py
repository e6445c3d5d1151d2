"""Uses that are told of again and again: some each by itself, and how many more like them there were.

Who is denied something tries again, and whoever wants to hide what they did tries so often that nobody reads on. What
makes a use another one is found out anew each time; only who exactly tried the same once more is not.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from chopmark.core import clock, limits
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.agent.question import Asked


class Alike(NamedTuple):
    """What uses have in common that are told of together: the file and its name, what became of it, who and with what.

    `owner` is that of the process in proc(5): its effective user, or root where it may not be dumped.
    """

    key: tuple[int, int]
    path: str
    use: str
    program: str
    owner: int | None
    effect: str
    reason: str


def of(asked: Asked, effect: str, reason: str) -> Alike:
    """What a use is told of with; the thread still waits, and who it is is looked up."""
    return Alike(asked.key, asked.path, asked.use, asked.by.path, _owner(asked.thread), effect, reason)


def _owner(thread: int) -> int | None:
    """A quarter of what it costs to read who a process is."""
    try:
        return os.stat(f"/proc/{thread}").st_uid
    except OSError:
        return None


def event(at: dt.datetime, use: Alike, times: int) -> dict[str, Any]:
    """So many more uses like those that were told of, until this time."""
    facts = {name: value for name, value in use._asdict().items() if name != "key" and value is not None}
    return {"at": clock.show(at), "kind": "repeated", **facts, "times": times}


class Counting:
    """How often there was each since they were last taken. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[Alike, int] = {}
        self.left_out = 0
        """Uses that were not told of by themselves, since the beginning."""

    def __len__(self) -> int:
        return len(self._seen)

    def tells(self, use: Alike) -> bool:
        """Whether this one is told of by itself: the first GUARD_ALIKE_MAX are, and those that are like no others.

        When too many differ, those that come anew are told of each time.
        """
        with self._lock:
            count = self._seen.get(use, 0)
            if not count and len(self._seen) >= limits.GUARD_ALIKE_KINDS_MAX:
                return True
            self._seen[use] = count + 1
            if count < limits.GUARD_ALIKE_MAX:
                return True
            self.left_out += 1
            return False

    def take(self) -> list[tuple[Alike, int]]:
        """Those of which more than were told of, with how many more; counting begins again."""
        with self._lock:
            seen, self._seen = self._seen, {}
        return [(use, count - limits.GUARD_ALIKE_MAX) for use, count in seen.items() if count > limits.GUARD_ALIKE_MAX]
