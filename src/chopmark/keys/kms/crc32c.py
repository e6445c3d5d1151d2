"""CRC-32C (Castagnoli), by which Google's key service lets both sides notice what was damaged on the way."""

from __future__ import annotations

from functools import cache

_POLYNOMIAL = 0x82F63B78


@cache
def _table() -> tuple[int, ...]:
    table = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


def checksum(data: bytes) -> int:
    """The checksum of a few octets."""
    table, value = _table(), 0xFFFFFFFF
    for octet in data:
        value = value >> 8 ^ table[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF
