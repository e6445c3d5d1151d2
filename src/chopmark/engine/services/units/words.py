"""Command lines in units: words, quotes, escapes, prefixes and several commands in one line (systemd.service(5))."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.engine.services.units.specifiers import UNKNOWN, LineError
from chopmark.engine.services.units.text import BLANK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'",
           "s": " "}  # fmt: skip
_BYTE_MAX = 255
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"'\\]")
_NUMBERS = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-7]{3})", re.ASCII)


class Command(NamedTuple):
    """One command: prefixes as they are written, the program, and its arguments, the name it is called by first."""

    prefixes: str
    program: str
    argv: tuple[str, ...]


def commands(line: str, expand: Callable[[str], str]) -> Iterator[Command]:
    """The commands of one assignment; `expand` resolves specifiers. Raises LineError."""
    place = 0
    while True:
        try:
            first, place = word(line, place)
        except LineError as error:
            raise LineError(str(error), is_ignored=True) from None
        if first is None:
            return
        if first == ";":
            continue
        prefixes, written = _prefixes(first)
        try:
            command, place, more = _command(line, place, prefixes, expand(written), expand)
        except LineError as error:
            raise LineError(str(error), is_ignored="-" in prefixes) from None
        yield command
        if not more:
            return


def _command(
    line: str, place: int, prefixes: str, written: str, expand: Callable[[str], str]
) -> tuple[Command, int, bool]:
    """One command from behind its program on: where the next word begins, and whether that begins another command."""
    program = _program(written)
    arguments = [] if "@" in prefixes else [written]
    more = False
    while place < len(line):
        rest = line[place : place + 3]
        if rest[0] == ";" and rest[1:2] in ("", *BLANK):
            place, more = _skipped(line, place + 1), True
            break
        if rest[:2] == "\\;" and rest[2:3] in ("", *BLANK):
            arguments.append(";")
            place = _skipped(line, place + 2)
            continue
        found, place = word(line, place)
        if found is None:
            break
        arguments.append(expand(found))
    if not arguments:
        raise LineError("no name for the program after @")
    return Command(prefixes, program, tuple(arguments)), place, more


def _prefixes(first: str) -> tuple[str, str]:
    """Prefixes, each once (`!` twice), and what follows; `+`, `!` and `!!` exclude each other."""
    taken = ""
    while first and first[0] in "-@:+!|":
        sign = first[0]
        privileged = "+" in taken or "!" in taken
        allowed = (sign == "!" and taken.count("!") == 1 and "+" not in taken) or (
            sign not in taken and not (sign in "+!" and privileged)
        )
        if not allowed:
            break
        taken, first = taken + sign, first[1:]
    return taken, first


def _program(path: str) -> str:
    if not path or path.endswith("/") or _UNSAFE.search(path.replace(UNKNOWN, "")):
        raise LineError(f"no path of a program: {path[:80]!r}")
    if not path.startswith("/") and ("/" in path or path in (".", "..")):
        raise LineError(f"neither a name nor an absolute path: {path[:80]!r}")
    return simplified(path)


def simplified(path: str) -> str:
    """A path without `//` and `/./`."""
    return re.sub(r"/+(?:\./+|\.\Z)*", "/", path).removesuffix("/") or "/" if "/" in path else path


def word(line: str, place: int) -> tuple[str | None, int]:
    """The next word of a line, and where the one after it begins; None at the end. Raises LineError."""
    place = _skipped(line, place)
    if place >= len(line):
        return None, place
    parts: list[str] = []
    quote = ""
    while place < len(line):
        letter = line[place]
        if letter == "\\":
            text, place = _escape(line, place + 1)
            parts.append(text)
            continue
        place += 1
        if quote:
            if letter == quote:
                quote = ""
            else:
                parts.append(letter)
        elif letter in "'\"":
            quote = letter
        elif letter in BLANK:
            return "".join(parts), _skipped(line, place)
        else:
            parts.append(letter)
    if quote:
        raise LineError("a quote that does not end")
    return "".join(parts), place


def quoted_words(line: str) -> list[str]:
    """Every word of a line in which backslashes are letters, and the last quote need not end (udev(7), RUN)."""
    found: list[str] = []
    parts: list[str] = []
    quote, is_word = "", False
    for letter in f"{line} ":
        if quote and letter != quote:
            parts.append(letter)
        elif quote:
            quote = ""
        elif letter in "'\"":
            quote, is_word = letter, True
        elif letter not in BLANK:
            parts.append(letter)
            is_word = True
        elif is_word:
            found.append("".join(parts))
            parts, is_word = [], False
    return [*found, "".join(parts[:-1])] if quote else found


def unescaped(text: str) -> str:
    """A text without its escapes."""
    parts: list[str] = []
    place = 0
    while place < len(text):
        if text[place] == "\\":
            part, place = _escape(text, place + 1)
            parts.append(part)
        else:
            parts.append(text[place])
            place += 1
    return "".join(parts)


def _escape(line: str, place: int) -> tuple[str, int]:
    """What stands behind a backslash; unknown escapes stay as they are."""
    if place >= len(line):
        return "\\", place
    if (simple := _SIMPLE.get(line[place])) is not None:
        return simple, place + 1
    match = _NUMBERS.match(line, place)
    if match is None:
        return "\\" + line[place], place + 1
    byte, short, long, octal = match.groups()
    number = int(byte or short or long or octal, 8 if octal else 16)
    if number == 0 or number > sys.maxunicode or (octal and number > _BYTE_MAX):
        return "\\" + line[place], place + 1
    return chr(number), match.end()


def _skipped(line: str, place: int) -> int:
    while place < len(line) and line[place] in BLANK:
        place += 1
    return place
