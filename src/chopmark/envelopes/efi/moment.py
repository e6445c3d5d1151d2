"""EFI_TIME (UEFI 2.10 clause 8.3): when an update was made, and from when on a certificate counts as revoked."""

from __future__ import annotations

import datetime as dt
import struct

from chopmark.core.errors import BrokenError
from chopmark.envelopes.efi import reasons

_TIME = struct.Struct("<HBBBBBBIhBB")
SIZE = _TIME.size
NEVER = bytes(SIZE)
"""All zeros: in an update the time that is before all others, in a revocation no time at all."""
_UNSPECIFIED = 0x07FF
_DAY = 24 * 60


def encode(moment: dt.datetime) -> bytes:
    """Whole seconds in UTC; all other fields are zero, as clause 8.2.2 wants it in updates."""
    at = moment.astimezone(dt.UTC)
    return _TIME.pack(at.year, at.month, at.day, at.hour, at.minute, at.second, 0, 0, 0, 0, 0)


def read(octets: bytes) -> dt.datetime | None:
    """The time in UTC, None for all zeros. Raises BrokenError for what is no time."""
    if octets == NEVER:
        return None
    year, month, day, hour, minute, second, _, nanosecond, zone, _, _ = _TIME.unpack(octets)
    minutes = 0 if zone == _UNSPECIFIED else zone
    try:
        if nanosecond >= 10**9 or abs(minutes) > _DAY:
            raise ValueError
        local = dt.datetime(year, month, day, hour, minute, second, nanosecond // 1000, dt.UTC)
        return local - dt.timedelta(minutes=minutes)
    except (ValueError, OverflowError):
        raise BrokenError(reasons.TIME, octets.hex()) from None


def is_plain(octets: bytes) -> bool:
    """Whether the fields are zero that have to be so in an update: nanosecond, zone, daylight and both pads."""
    return not any(octets[7:])
