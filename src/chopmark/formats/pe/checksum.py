"""The CheckSum field of the optional header, as imagehlp's CheckSumMappedFile computes it.

It is the sum of all 16-bit little-endian words of the file with the field itself as zero, carries added back in, plus
the length of the file. Drivers and boot files need it; no signature covers it.
"""

from __future__ import annotations

_MODULUS = 0xFFFF
_RUN = 3840
"""Bytes added up as one number: even, and short enough that adding is cheaper than dividing a long one."""


class WordSum:
    """The sum of words, modulo 65535, of pieces of a file in any order."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def feed(self, offset: int, piece: bytes | memoryview) -> None:
        """Add the bytes that stand at `offset`.

        Since 2**16 is 1 modulo 65535, a number made of many bytes has the same remainder as the sum of their words.
        """
        runs = [int.from_bytes(piece[start : start + _RUN], "little") for start in range(0, len(piece), _RUN)]
        rest = sum(runs) % _MODULUS
        self.value = (self.value + (rest << 8 if offset & 1 else rest)) % _MODULUS


def finished(word_sum: int, length: int) -> int:
    """CheckSum of a file of `length` bytes: adding carries back turns no sum but that of zeros into zero."""
    return ((word_sum or _MODULUS) + length) & 0xFFFFFFFF
