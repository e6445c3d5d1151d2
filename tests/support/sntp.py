"""What time servers say (RFC 4330 clause 4)."""

from __future__ import annotations

import struct

PACKET = struct.Struct(">BBbbiI4sQQQQ")
NOW = 1_800_000_000_000_000_000
ERA = 1 << 32


def stamp(nanoseconds: int) -> int:
    return ((nanoseconds + 2_208_988_800 * 10**9) * ERA // 10**9) % (1 << 64)


def packet(
    cookie: int = 7,
    *,
    first: int = 0x24,
    stratum: int = 2,
    offset: float = 0.0,
    root_delay: float = 0.01,
    dispersion: float = 0.001,
    at: int = NOW,
) -> bytes:
    """An answer whose server's clock is ahead by `offset` seconds, 10 ms there and 10 ms back."""
    there = at + 10_000_000 + int(offset * 1e9)
    times = (0, cookie, stamp(there), stamp(there + 1_000_000))
    return PACKET.pack(first, stratum, 6, -20, int(root_delay * 65536), int(dispersion * 65536), b"GPS\0", *times)
