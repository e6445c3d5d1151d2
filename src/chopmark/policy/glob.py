"""Patterns for paths and names, which are always about all of a text.

`*` stands for anything but a slash, `**` for anything, `?` for one character but a slash, all else for itself.
"""

from __future__ import annotations

import re
from functools import lru_cache

from chopmark.core import limits
from chopmark.core.errors import MalformedError

_PARTS = re.compile(r"\*\*|\*|\?|[^*?]+")
_WILD = ("**", "*", "?")


class Pattern:
    """A pattern, ready to be compared. `literal` is all of it up to its first wildcard; equal patterns are equal."""

    __slots__ = ("_match", "exact", "literal", "text")

    def __init__(self, text: str) -> None:
        """Raises MalformedError for an empty pattern, and for one with more wildcards than anybody needs."""
        parts: list[str] = _PARTS.findall(text)
        wild = [part for part in parts if part in _WILD]
        if not text or "\0" in text or "***" in text:
            raise MalformedError(f"not a pattern: {text!r}")
        if len(wild) > limits.POLICY_GLOB_MAX:
            raise MalformedError(f"{len(wild)} wildcards in a pattern; at most {limits.POLICY_GLOB_MAX}")
        self.text = text
        self.exact = not wild
        self.literal = parts[0] if parts[0] not in _WILD else ""
        self._match = None if self.exact else re.compile(_expression(parts), re.DOTALL).fullmatch

    def matches(self, text: str) -> bool:
        """Whether it is about this text."""
        return text == self.text if self._match is None else self._match(text) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"


def _expression(parts: list[str]) -> str:
    """A regular expression that never tries more places than there are characters for each wildcard.

    What stands between two wildcards may always be taken where it comes first, so all but the last are atomic: whoever
    chooses a path cannot make a comparison long.
    """
    chunks: list[list[str]] = [[]]
    for part in parts:
        if part == "**":
            chunks.append([])
        else:
            chunks[-1].append(part)
    found = [_chunk(chunks[0], last=len(chunks) == 1)]
    found += [f"(?>.*?{_chunk(chunk, last=False)})" for chunk in chunks[1:-1]]
    if len(chunks) > 1:
        found.append(".*" + _chunk(chunks[-1], last=True))
    return "".join(found)


def _chunk(parts: list[str], *, last: bool) -> str:
    """What stands between two `**`; `last` says that it ends with the text."""
    pieces = [""]
    for part in parts:
        if part == "*":
            pieces.append("")
        else:
            pieces[-1] += "[^/]" if part == "?" else re.escape(part)
    found = pieces[0]
    for number, piece in enumerate(pieces[1:], 2):
        found += f"[^/]*{piece}" if last and number == len(pieces) else f"(?>[^/]*?{piece})"
    return found


@lru_cache(maxsize=4096)
def pattern(text: str) -> Pattern:
    """The pattern of a text, made once. Raises MalformedError."""
    return Pattern(text)
