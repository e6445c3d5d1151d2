"""Files of variables as systemd reads them (systemd.exec(5), EnvironmentFile=; environment.d(5)), and lists of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.engine.services.units import specifiers, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_BLANK = " \t\n\r"
_END = "\n\r"
_ESCAPED = '"\\`$'
"""What loses its backslash between double quotes."""


def assignments(data: bytes) -> Iterator[tuple[str, str]]:
    """Names and values in their order; names that can be none are left out (systemd, env-file.c).

    The line behind a comment that ends with a backslash counts here; it does for systemd since version 254.
    """
    text = data.decode("utf-8", "surrogateescape")
    place = 0
    while place < len(text):
        if text[place] in _BLANK:
            place += 1
            continue
        end = _line_end(text, place)
        equals = text.find("=", place + 1, end)  # the first letter is of the name, whatever it is
        if text[place] in "#;" or equals < 0:
            place = end
            continue
        name = text[place:equals].rstrip(_BLANK)
        value, place = _value(text, equals + 1)
        if _NAME(name):
            yield name, value


def listed(value: str, expand: Callable[[str], str], problems: list[str]) -> Iterator[tuple[str, str]]:
    """Names and values of Environment=; what stands before a word that is refused counts (load-fragment.c)."""
    place = 0
    while True:
        try:
            word, place = words.word(value, place)
        except specifiers.LineError as error:
            problems.append(str(error))
            return
        if word is None:
            return
        try:
            name, equals, rest = expand(word).partition("=")
        except specifiers.LineError as error:
            problems.append(str(error))
            continue
        if equals and _NAME(name):
            yield name, rest


def _line_end(text: str, place: int) -> int:
    ends = [at for each in _END if (at := text.find(each, place)) >= 0]
    return min(ends, default=len(text))


def _value(text: str, place: int) -> tuple[str, int]:
    """What follows an equals sign, and where the next line begins: quoted pieces may follow each other."""
    parts: list[str] = []
    while place < len(text):
        letter = text[place]
        if letter in _END:
            return "".join(parts), place
        if letter in _BLANK:
            place += 1
        elif letter == "'":
            end = text.find("'", place + 1)
            end = len(text) if end < 0 else end
            parts.append(text[place + 1 : end])
            place = end + 1
        elif letter == '"':
            piece, place = _quoted(text, place + 1)
            parts.append(piece)
        else:
            piece, place = _plain(text, place)
            return "".join((*parts, piece)), place
    return "".join(parts), place


def _plain(text: str, place: int) -> tuple[str, int]:
    """A piece up to the end of its line, in which no quote begins any more; blanks at its end are left out."""
    parts: list[str] = []
    kept = 0
    while place < len(text) and text[place] not in _END:
        if text[place] == "\\":
            following = text[place + 1 : place + 2]
            if following not in ("", *_END):
                parts.append(following)
            kept = len(parts)
            place += 2
            continue
        parts.append(text[place])
        kept = kept if text[place] in _BLANK else len(parts)
        place += 1
    return "".join(parts[:kept]), place


def _quoted(text: str, place: int) -> tuple[str, int]:
    parts: list[str] = []
    while place < len(text) and text[place] != '"':
        if text[place] == "\\":
            following = text[place + 1 : place + 2]
            if following not in ("", "\n"):
                parts.append(following if following and following in _ESCAPED else "\\" + following)
            place += 2
            continue
        parts.append(text[place])
        place += 1
    return "".join(parts), place + 1
