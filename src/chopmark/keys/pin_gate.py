"""One attempt in all: a secret that was refused once is not presented again, by whichever process."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class PinGate:
    """Lets one process at a time log in, and none after one was refused; shared by all that are forked from here."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("chopmark-pin")
        os.write(self._descriptor, b"\0")
        self._depth = 0

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            os.close(self._descriptor)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """A record lock belongs to a process and ends with it; threads are kept apart by their turn."""
        import fcntl

        if not self._depth:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    @property
    def refused(self) -> bool:
        """Whether one of them was."""
        return os.pread(self._descriptor, 1, 0) == b"\1"

    def refuse(self) -> None:
        """Remember it."""
        os.pwrite(self._descriptor, b"\1", 0)
