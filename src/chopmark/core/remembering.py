"""Answers that are remembered, as long as what they are about is small."""

from __future__ import annotations

from functools import lru_cache, wraps
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")


def remembered(count: int, size: int) -> Callable[[Callable[[bytes], Answer]], Callable[[bytes], Answer]]:
    """Remember the answers of a function for `count` inputs of at most `size` bytes.

    Larger ones are looked at anew each time: real certificates and names are small, and many files with enormous ones
    must not fill the memory.
    """

    def decorate(function: Callable[[bytes], Answer]) -> Callable[[bytes], Answer]:
        known = lru_cache(maxsize=count)(function)

        @wraps(function)
        def answer(raw: bytes) -> Answer:
            return known(raw) if len(raw) <= size else function(raw)

        return answer

    return decorate
