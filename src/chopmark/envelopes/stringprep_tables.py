"""Characters of names beyond printable ASCII (RFC 4518 clauses 2.2 to 2.4).

The tables are Unicode 3.2's, which the standard library has for such profiles. Hardly any name needs them.
"""

from __future__ import annotations

import stringprep
import unicodedata

_NFKC = unicodedata.ucd_3_2_0.normalize
_SPACE, _NOTHING = " ", ""
_TO_SPACE = frozenset("\t\n\v\f\r\x85")
_TO_NOTHING = frozenset("\u00ad\u034f\u06dd\u070f\u1806\u180e\u200b\u2060\ufeff\ufffc\U000e0001")
_SEPARATORS = ("Zs", "Zl", "Zp")
_RANGES_TO_NOTHING = (
    (0x00, 0x08),
    (0x0E, 0x1F),
    (0x7F, 0x84),
    (0x86, 0x9F),
    (0x180B, 0x180D),
    (0x200C, 0x200F),
    (0x202A, 0x202E),
    (0x2061, 0x2063),
    (0x206A, 0x206F),
    (0xFE00, 0xFE0F),
    (0xFFF9, 0xFFFB),
    (0x1D173, 0x1D17A),
    (0xE0020, 0xE007F),
)
"""Control characters and signs that nobody sees (clause 2.2)."""


def normal(text: str) -> tuple[str, str]:
    """The string mapped and normalised, and the first character in it that must not be compared; empty for none."""
    found = _NFKC("NFKC", "".join(map(_mapped, text)))
    return found, next((character for character in found if not character.isascii() and _prohibited(character)), "")


def _mapped(character: str) -> str:
    """Clause 2.2; case folding is table B.2 of RFC 3454, made for what NFKC comes after."""
    if character in _TO_NOTHING or any(first <= ord(character) <= last for first, last in _RANGES_TO_NOTHING):
        return _NOTHING
    if character in _TO_SPACE or unicodedata.category(character) in _SEPARATORS:
        return _SPACE
    return stringprep.map_table_b2(character)


def _prohibited(character: str) -> bool:
    """Clause 2.4: not assigned, private, no character, half a character, what changes display, and U+FFFD."""
    return (
        stringprep.in_table_a1(character)
        or stringprep.in_table_c3(character)
        or stringprep.in_table_c4(character)
        or stringprep.in_table_c5(character)
        or stringprep.in_table_c8(character)
        or character == "\ufffd"
    )
