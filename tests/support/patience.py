"""Waiting for what must come to hold, on a machine that pauses for seconds and is ten times slower for a minute.

A bound here is there to end what hangs; how long something takes is asserted nowhere.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0
"""Seconds after which what should have come counts as hung; for timeouts of sockets, threads and processes, too."""
_LEAST = 100
"""Looks, however long the machine paused between two of them."""


def eventually(
    holds: Callable[[], bool], seconds: float = PATIENCE, despite: tuple[type[BaseException], ...] = ()
) -> None:
    """Wait until something holds; fail when it does not. `despite` is what may be raised while it does not."""
    until, looks = time.monotonic() + seconds, 0
    while True:
        with suppress(*despite):
            if holds():
                return
        looks += 1
        assert looks < _LEAST or time.monotonic() < until, "it never came to hold"
        time.sleep(0.02)
