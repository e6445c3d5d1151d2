"""The time that is stamped: this machine's clock, as long as it is known how good it is.

The clock is not corrected, but measured. What was measured, how long ago, and how coarse the clock is read go into the
accuracy; beyond a limit nothing is stamped. A clock that is set while it is in use differs from the one that only
counts seconds, and must be measured anew.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import threading
import time
from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core.errors import UnavailableError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.authority.tsa.time_sources import Measurement, TimeSource

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_RESOLUTION = 0.001
"""Seconds: time is stamped in milliseconds."""


class Reading(NamedTuple):
    """A time, and within how many seconds it is right."""

    time: dt.datetime
    accuracy: float


class _Known(NamedTuple):
    """A measurement, with the readings of both clocks at that time (nanoseconds)."""

    measurement: Measurement
    wall: int
    steady: int


def steady_ns() -> int:
    """A clock that nobody can set and that goes on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Timekeeper:
    """Reads the clock and knows how good it is. Several threads may use it at once.

    `wall` and `steady` are clocks in nanoseconds; `limit` is how inaccurate a time may be, in seconds.
    """

    def __init__(
        self,
        source: TimeSource,
        *,
        wall: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = steady_ns,
        limit: float = limits.TSA_INACCURACY_MAX,
    ) -> None:
        self.source = source
        self._wall = wall
        self._steady = steady
        self._limit = limit
        self._known: _Known | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Reading:
        """The time now. Raises UnavailableError when it is not known well enough."""
        known = self._measured()
        wall, steady = self._wall(), self._steady()
        age = (steady - known.steady) / 1e9
        if abs(wall - known.wall - (steady - known.steady)) / 1e9 > limits.CLOCK_STEP:
            known = self._after_step()
            age = 0.0
            wall = self._wall()
        if age > limits.CLOCK_SYNCHRONISED_MAX:
            message = f"the clock was not measured for {age / 3600:.0f} hours (CSBR 6.8)"
            raise UnavailableError(message)
        accuracy = known.measurement.inaccuracy
        if self.source.is_measured:
            accuracy += age * limits.CLOCK_DRIFT + _RESOLUTION
        if accuracy > self._limit:
            message = f"the clock may be wrong by {accuracy:.3f} s, more than {self._limit:g} s"
            raise UnavailableError(message)
        return Reading(_EPOCH + dt.timedelta(milliseconds=wall // 1_000_000), accuracy)

    def _measured(self) -> _Known:
        """The last measurement, or a new one when that is old; one thread measures, the others need not wait for it."""
        known = self._known
        if known is not None and not self._is_old(known):
            return known
        if not self._lock.acquire(blocking=known is None):
            return known  # type: ignore[return-value] # somebody measures, and there is an earlier measurement
        try:
            known = self._known
            if known is None or self._is_old(known):
                known = self._measure(known)
            return known
        finally:
            self._lock.release()

    def _is_old(self, known: _Known) -> bool:
        if not self.source.is_measured:
            return False
        return self.source.is_cheap or self._steady() - known.steady > limits.CLOCK_MEASURED * 1e9

    def _measure(self, before: _Known | None) -> _Known:
        """Measure; what was known before will do for a while where that is not possible, but for a cheap source."""
        try:
            measurement = self.source.measure()
        except UnavailableError:
            if before is None or self.source.is_cheap:
                raise
            return before
        self._known = _Known(measurement, self._wall(), self._steady())
        return self._known

    def _after_step(self) -> _Known:
        """The clock was set: what was known about it counts no more."""
        if not self.source.is_measured:
            message = "the clock was set while it was in use, and nobody measures it: start anew once it is right"
            raise UnavailableError(message)
        with self._lock:
            return self._measure(None)


def unmeasured(read: Callable[[], dt.datetime], accuracy: float) -> Callable[[], Reading]:
    """A clock that is believed as it is; for tests, and for stamps at any time."""
    return lambda: Reading(read(), accuracy)


class Sequence:
    """Times that only grow, over all threads and processes that share a file, and from one start to the next.

    With it tokens say `ordering` (RFC 3161 clause 2.4.2): which of two came first, however accurate the clock is.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def next(self, moment: dt.datetime) -> dt.datetime:
        """The time, or a microsecond after the last one. Raises UnavailableError when that would lead too far."""
        microseconds = (moment - _EPOCH) // dt.timedelta(microseconds=1)
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                last = int.from_bytes(os.pread(descriptor, 8, 0), "big")
                used = max(microseconds, last + 1)
                if used - microseconds > limits.CLOCK_STEP * 1e6:
                    ahead = clock.show(_EPOCH + dt.timedelta(microseconds=last))
                    message = f"the clock went back: the last token is from {ahead}"
                    raise UnavailableError(message)
                os.pwrite(descriptor, used.to_bytes(8, "big"), 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            message = f"{self._path}: the order of tokens cannot be kept ({os.strerror(error.errno or 0)})"
            raise UnavailableError(message) from None
        return _EPOCH + dt.timedelta(microseconds=used)
