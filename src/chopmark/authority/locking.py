"""One process of this machine at a time."""

from __future__ import annotations

import fcntl
import time

from chopmark.core.errors import UnavailableError

_POLL = 0.005


def wait(descriptor: int, seconds: float, busy: str) -> None:
    """Lock an open file. Raises UnavailableError, with what `busy` says, when another has it for that long.

    The lock ends when the descriptor is closed, at the latest with the process, however that ends.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise UnavailableError(busy) from None
            time.sleep(_POLL)
        else:
            return
