"""Texts that deceive the eye: lines that look like a signature's marker, characters that hide or reorder others."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.formats._text import reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.finding import Finding

_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2060-\u2065\u3164\ufeff\uffa0\U000e0000-\U000e007f]"
)
_LETTERS = re.compile("[a-z0-9'\"`]")
_LINES_SHOWN = 3

# Characters that are drawn like one of the letters that markers are made of (a selection from Unicode's confusables).
_DRAWN_LIKE = {
    "a": "\u0430\u0410\u0391\u03b1\u0251",
    "b": "\u0412\u0392\u042c\u044c\u0299\u13cf",
    "c": "\u0441\u0421\u03f2\u03f9\u1d04",
    "d": "\u0501\u0257",
    "e": "\u0435\u0415\u0395\u04bd\u212e",
    "g": "\u0261\u0581\u018d\u050c\u050d",
    "h": "\u04bb\u041d\u0397\u043d",
    "i": "l1|\u0456\u0406\u03b9\u0399\u0131\u04cf\u04c0\u01c0\u217c\u2223",
    "k": "\u043a\u041a\u03ba\u039a",
    "m": "\u043c\u041c\u039c",
    "n": "\u0578\u057c\u039d\u0274\u043f",
    "o": "0\u043e\u041e\u03bf\u039f\u0585\u0555\u10ff",
    "p": "\u0440\u0420\u03c1\u03a1",
    "r": "\u0433\u0280\u1d26",
    "s": "5\u0455\u0405\ua731\u0282",
    "t": "\u0442\u0422\u03c4\u03a4",
    "u": "\u03c5\u057d\u0446\u1d1c",
    "#": "\u266f\u2317\u2d4c",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u00af_",
}
_LIKE = {drawn: letter for letter, many in _DRAWN_LIKE.items() for drawn in many}


class _Skeletons(dict[int, str]):
    """Every character as the ASCII one it is drawn like, blanks and invisible ones as nothing; computed when needed."""

    def __missing__(self, point: int) -> str:
        self[point] = shown = "".join(self._one(part) for part in unicodedata.normalize("NFKD", chr(point)))
        return shown

    @staticmethod
    def _one(character: str) -> str:
        if character == "\n":
            return character
        if character.isspace() or unicodedata.category(character) in ("Cf", "Cc", "Mn", "Me"):
            return ""
        lower = character.lower()
        return _LIKE.get(character, _LIKE.get(lower, lower if lower.isascii() else "\ufffd"))


_SKELETONS = _Skeletons()
_DROPPED = bytes(code for code in range(128) if code != 10 and _SKELETONS[code] == "")
_ASCII = bytes(ord(_SKELETONS[code] or "?") if code < 128 else 63 for code in range(256))


def skeleton(text: str) -> str:
    """A text as it looks: lines of lower-case ASCII without blanks, look-alikes replaced by what they look like."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text.encode("ascii").translate(_ASCII, _DROPPED).decode("ascii")
    return text.translate(_SKELETONS)


@lru_cache(maxsize=64)
def _core(marker: str) -> str:
    return skeleton(marker).strip("-")


def lookalikes(text: str, markers: Iterable[str], genuine: Iterable[int]) -> list[int]:
    """Lines, counted from 1, that look like a comment with one of `markers` and nothing else; not `genuine` ones."""
    drawn = skeleton(text)
    found: set[int] = set()
    for marker in markers:
        core = _core(marker)
        number, counted, position = 1, 0, drawn.find(core)
        # Each line is looked at once, and line breaks are counted as they come: hostile texts hold markers only.
        while position >= 0:
            start, stop = drawn.rfind("\n", counted, position) + 1 or counted, drawn.find("\n", position)
            stop = stop if stop >= 0 else len(drawn)
            number += drawn.count("\n", counted, start)
            if not _LETTERS.search(drawn[start:position] + drawn[position + len(core) : stop]):
                found.add(number)
            counted, position = stop, drawn.find(core, stop)
    return sorted(found.difference(genuine))


def line_number(text: str, position: int) -> int:
    """The number of the line that a position is in, counted from 1; CR, LF and both together end a line."""
    return line_numbers(text, [position])[0]


def line_numbers(text: str, positions: Iterable[int]) -> list[int]:
    """The numbers of the lines that positions are in, in ascending order; in one pass, however many there are."""
    found = []
    number, counted = 1, 0
    for position in sorted(positions):
        number += text.count("\n", counted, position) + text.count("\r", counted, position)
        number -= text.count("\r\n", counted, position)
        if 0 < counted < position and text[counted - 1] == "\r" and text[counted] == "\n":
            number -= 1  # the pair that the last position stood in the middle of
        counted = position
        found.append(number)
    return found


def hidden(text: str) -> Iterator[Finding]:
    """Findings about characters that a reader does not see; a byte order mark at the start is not one of them."""
    if text.isascii():
        return
    for pattern, reason in ((_BIDI, reasons.BIDI), (_INVISIBLE, reasons.INVISIBLE)):
        places = [match.start() for match in _some(pattern, text)]
        if places:
            yield reason.found(", ".join(_place(text, place) for place in places[:_LINES_SHOWN]))


def _some(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    for count, match in enumerate(pattern.finditer(text, 1 if text.startswith("\ufeff") else 0)):
        if count == _LINES_SHOWN:
            return
        yield match


def _place(text: str, position: int) -> str:
    return f"U+{ord(text[position]):04X} in line {line_number(text, position)}"
