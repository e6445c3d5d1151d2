"""What somebody could have meant who mistyped a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def meant(word: str, known: Iterable[str]) -> str:
    """What could have been meant by a word that is not known, in brackets; nothing where that is anybody's guess."""
    from difflib import get_close_matches  # only for mistakes

    words = list(known)
    found = [each for each in words if each.startswith(word)] or get_close_matches(word, words, 2)
    return f" ({' or '.join(found[:3])}?)" if found else ""
