"""Versions that were allowed to run: an older one of the same product is refused from the moment a newer one runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from chopmark.policy import state

if TYPE_CHECKING:
    from chopmark.policy.facts import FileFacts


class Versions:
    """What is remembered of products, and what is to be written down of it. Safe for threads."""

    def __init__(self) -> None:
        """Read it. Raises StateError."""
        self._lock = threading.Lock()
        self._unwritten: list[FileFacts] = []
        with state.opened(write=False) as known:
            self._state = known

    def newest_of(self, file: FileFacts) -> str:
        """The latest version of a file's product by its signers; empty when none was seen."""
        return self._state.newest_of(file)

    def is_news(self, file: FileFacts) -> bool:
        """Whether a file has a version that is not remembered as it is."""
        return file.release is not None and self._state.newest_of(file) != file.release.version

    def saw(self, file: FileFacts) -> bool:
        """Hold older ones against this version at once, and write it down with the next `write`; whether it is news."""
        if file.release is None:
            return False
        with self._lock:
            self._state.changed = False
            self._state.saw_file(file)
            if self._state.changed:
                self._unwritten.append(file)
            return self._state.changed

    def take_over(self, before: Versions) -> None:
        """Go on from another, which has not written everything."""
        for file in before.unwritten():
            self.saw(file)

    def unwritten(self) -> list[FileFacts]:
        """What is not written down yet."""
        with self._lock:
            return list(self._unwritten)

    def write(self) -> None:
        """Write down what is new beside what others have written since. Raises StateError, WriteError."""
        news = self.unwritten()
        if not news:
            return
        with state.opened(write=True) as known:
            for file in news:
                known.saw_file(file)
        with self._lock:
            del self._unwritten[: len(news)]
