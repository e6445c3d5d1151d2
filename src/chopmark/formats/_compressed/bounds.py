"""How much an archive may hold: one rule for what is unpacked as a whole and for what is unpacked file by file."""

from __future__ import annotations

from chopmark.core import limits


def most(stored: int) -> int:
    """Bytes that an archive of `stored` bytes may hold, uncompressed."""
    return min(limits.UNPACKED_MAX, max(limits.UNPACKED_ANYWAY, stored * limits.UNPACKED_RATIO_MAX))
