"""Time as a value: every function whose answer depends on time takes it as an argument."""

from __future__ import annotations

import datetime as dt

from chopmark.core.errors import UsageError

UTC = dt.UTC


def now() -> dt.datetime:
    """The present, in UTC, whole seconds: the only place where the machine's clock is read for a judgement."""
    return dt.datetime.now(UTC).replace(microsecond=0)


def parse(text: str) -> dt.datetime:
    """Read an ISO 8601 date or time (`2026-07-01`, `2026-07-01T12:00:00Z`); without a zone it is UTC.

    Raises UsageError when it is neither.
    """
    try:
        moment = dt.datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # a zone can push a time beyond the calendar
        message = f"not a date or time: {text[:64]!r} (expected 2026-07-01 or 2026-07-01T12:00:00Z)"
        raise UsageError(message) from None


def show(moment: dt.datetime) -> str:
    """ISO 8601 in UTC with a Z, as every output writes time (fractions only when there are some)."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    precision = "auto" if utc.microsecond % 1000 or not utc.microsecond else "milliseconds"  # as time stamps state it
    return utc.isoformat(timespec=precision).removesuffix("+00:00") + "Z"
