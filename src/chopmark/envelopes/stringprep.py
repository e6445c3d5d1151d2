"""Strings of names made ready for comparison (RFC 4518, as RFC 5280 clause 7.1 wants it), with case folded.

A string with characters that the profile prohibits cannot be compared: neither equal nor unequal to any other.
"""

from __future__ import annotations

_SPACE = " "
_WESTERN = frozenset(map(chr, (*range(0x20, 0x7F), *range(0xC0, 0x100)))) - frozenset("\u00d7\u00df\u00f7")
"""Printable ASCII and the letters of Latin-1 but sharp s: prepared by putting them into lower case."""


class ProhibitedError(ValueError):
    """The string has a character that must not be compared."""


def prepare(text: str) -> str:
    """A string as it is compared, without regard to case. Raises ProhibitedError.

    Spaces at the ends do not count, and between words there is one (clause 2.6.1 writes two, which is the same for
    comparison).
    """
    if (text.isascii() and text.isprintable()) or _WESTERN.issuperset(text):  # nearly all of them
        words = text.lower().split()
    else:
        from chopmark.envelopes import stringprep_tables

        normal, prohibited = stringprep_tables.normal(text)
        if prohibited:
            raise ProhibitedError(f"U+{ord(prohibited):04X}")
        words = list(filter(None, normal.split(_SPACE)))
    return _SPACE.join(words)
