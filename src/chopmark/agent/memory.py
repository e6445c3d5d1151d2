"""What is known about contents: facts by digest, those used last in memory, the others in the database."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from chopmark.agent.database import Database, Known
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.policy.facts import FileFacts, SealFacts


class Memory:
    """Safe for threads. Keys are those of `records.key`; the file's path is no part of what is kept."""

    def __init__(self, path: str, trouble: Callable[[str], None]) -> None:
        """With the database at a path (empty: one in memory); `trouble` is told of what does not work."""
        self._known: dict[str, Known] = {}
        self._seals: dict[tuple[SealFacts, ...], tuple[SealFacts, ...]] = {}
        self._last: tuple[SealFacts, ...] | None = None
        self._lock = threading.Lock()
        self._database = Database(path, trouble)

    def start(self) -> None:
        """Begin to write what is learnt."""
        self._database.start()

    def close(self) -> None:
        """Write what waits, and close."""
        self._database.close()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> FileFacts | None:
        """The facts that are known, while they hold."""
        with self._lock:
            known = self._known.pop(key, None)
            if known is not None:
                self._known[key] = known  # it was used last
        if known is None:
            known = self._database.get(key)
            if known is not None:
                known = self._remember(key, known)
        # What would hold for longer than anything does was found out before the clock was set back.
        holds = known is not None and 0 < known.until - time.time() <= limits.GUARD_VERDICT_SECONDS
        return known.facts if known is not None and holds else None

    def put(self, key: str, facts: FileFacts, until: float) -> FileFacts:
        """Know facts until then; they share with those of others what they have in common."""
        known = self._remember(key, Known(facts, until))
        self._database.put(key, known)
        return known.facts

    def seen(self, device: int, inode: int, key: str, path: str) -> None:
        """Note which content a file had; for people, never for an answer."""
        self._database.seen(device, inode, key, path)

    def forget(self, touched: Callable[[FileFacts], bool]) -> int:
        """Drop the facts that a change touches, and only those; how many there were."""
        with self._lock:
            gone = {key for key, known in self._known.items() if touched(known.facts)}
            for key in gone:
                del self._known[key]
        gone |= {key for key, known in self._database.everything() if touched(known.facts)}
        self._database.forget(gone)
        return len(gone)

    def inputs(self) -> dict[str, str]:
        """What the facts in the database depended on when they were written."""
        return self._database.inputs()

    def depend(self, inputs: dict[str, str]) -> None:
        """From now on they depend on this."""
        self._database.depend(inputs)

    def _remember(self, key: str, known: Known) -> Known:
        """Have it in memory, with seals that other files have as well only once."""
        seals = known.facts.seals
        with self._lock:
            if seals is not self._last:  # which most have: to find out their hash takes longer than all the rest
                if len(self._seals) >= limits.GUARD_SEALS_MAX:
                    self._seals.clear()
                self._last = shared = self._seals.setdefault(seals, seals)
                if shared is not seals:
                    known = Known(known.facts._replace(seals=shared), known.until)
            self._known.pop(key, None)
            self._known[key] = known
            while len(self._known) > limits.GUARD_KNOWN_MAX:
                del self._known[next(iter(self._known))]
        return known
