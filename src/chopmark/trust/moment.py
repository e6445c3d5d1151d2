"""The time that counts for a signature, which remembers how far it could have been moved without another answer."""

from __future__ import annotations

import datetime as dt

_INSTANT = dt.timedelta(microseconds=1)
_FIRST = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
"""No certificate is older; comparing with anything before it must not leave the calendar."""
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC)
INACCURACY_MAX = dt.timedelta(days=36525)
"""No time is taken for more inaccurate than this, whatever it says of itself."""


class Moment:
    """A time, and whether a trusted time stamp proves it; `accuracy` is how much later it may have been.

    Every comparison narrows the window [since, until) in which all comparisons made so far have the same answers.
    What was concluded at one moment therefore holds for every moment in that window.
    """

    __slots__ = ("accuracy", "at", "proven", "since", "until")

    def __init__(self, at: dt.datetime, *, proven: bool = False, accuracy: dt.timedelta = dt.timedelta()) -> None:
        self.at = at
        self.proven = proven
        self.accuracy = min(accuracy, INACCURACY_MAX)
        self.since: dt.datetime | None = None
        self.until: dt.datetime | None = None

    def reached(self, when: dt.datetime) -> bool:
        """Whether it is `when` or later."""
        if self.at >= when:
            if self.since is None or when > self.since:
                self.since = when
            return True
        if self.until is None or when < self.until:
            self.until = when
        return False

    def before(self, when: dt.datetime) -> bool:
        """Whether it is strictly before `when`."""
        return not self.reached(when)

    def after(self, when: dt.datetime) -> bool:
        """Whether it is strictly after `when`."""
        return when < _LAST and self.reached(when + _INSTANT)

    def surely_before(self, when: dt.datetime) -> bool:
        """Whether it is proven to be strictly before `when`, however inaccurate the time is."""
        return self.proven and not self.reached(max(when, _FIRST) - self.accuracy)
