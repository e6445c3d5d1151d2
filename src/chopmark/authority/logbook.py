"""Either kind of log by its folder: one by itself, or that of an authority; events go in, proofs come out."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from chopmark import keys
from chopmark.authority.ca import Authority
from chopmark.authority.log import entry
from chopmark.authority.log.folder import FILE, FolderLog
from chopmark.authority.register import configuration
from chopmark.core import clock as clocks
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from chopmark.authority.log.logs import Log, Signed


class Event(NamedTuple):
    """Something that was done elsewhere and is to be logged: what, a few words, and digests."""

    action: str
    detail: str
    facts: Mapping[str, str | int]


class Logbook(Protocol):
    """A log that can be written to."""

    @property
    def log(self) -> Log:
        """The log, to be read. Raises UsageError when it was never begun."""

    def record(self, events: Sequence[Event]) -> list[int]:
        """Log events; their numbers. They are under a checkpoint when this returns."""

    def settle(self) -> Signed:
        """Finish what was begun, and bring everything under a checkpoint."""


class _FolderBook:
    def __init__(self, log: FolderLog, clock: Callable[[], dt.datetime]) -> None:
        self.log = log
        self._clock = clock

    def record(self, events: Sequence[Event]) -> list[int]:
        now = self._clock()
        return self.log.append(
            entry.encode(event.action, now, {"detail": event.detail, **event.facts}) for event in events
        )

    def settle(self) -> Signed:
        self.log.recover()
        return self.log.latest()


class _AuthorityBook:
    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    @property
    def log(self) -> Log:
        return self._authority.log.log()

    def record(self, events: Sequence[Event]) -> list[int]:
        numbers = self._authority.log.record(events)
        self._authority.log.integrate()
        return numbers

    def settle(self) -> Signed:
        return self._authority.log.integrate()


@contextmanager
def opened(
    folder: str, passphrase: keys.Passphrase = keys.nothing, *, clock: Callable[[], dt.datetime] = clocks.now
) -> Iterator[Logbook]:
    """The log in a folder, its key still closed. Raises UsageError when there is neither a log nor an authority."""
    if os.path.isfile(os.path.join(folder, FILE)):
        yield _FolderBook(FolderLog.open(folder, passphrase), clock)
    elif configuration.exists(folder):
        with Authority.open(folder, passphrase, clock=clock) as authority:
            yield _AuthorityBook(authority)
    else:
        message = f"{folder}: there is neither a log nor an authority (chopmark log init, chopmark ca init)"
        raise UsageError(message)
