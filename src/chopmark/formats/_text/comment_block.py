"""A signature in comments at the end of a text: base64 lines between a begin and an end line, in one canonical form.

A text is looked at as characters of which only ASCII matters here: one per byte for encodings that contain ASCII, one
per code point for UTF-16. All positions are indexes into it. Reading is lenient, so that a person can be told what is
wrong; what was read is then rendered again and compared, so that no byte of an accepted block can differ from what a
signer writes.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from chopmark.formats._text.style import Style

WIDTH = 64
"""Base64 characters in a line, as in PEM."""

_LINES = re.compile(f".{{1,{WIDTH}}}")

LINE_BREAKS = "its line breaks differ"

_LINE_ENDINGS = ("\r\n", "\n", "\r")
_BASE64_MAX = limits.ENVELOPE_MAX * 4 // 3 + 4


class Block(NamedTuple):
    """A block as found: the text before it ends at `start`, the block's own text at `end`, `tail` is what follows.

    The line break in front of the begin line belongs to the block, the one behind the end line to the tail. `newline`
    is the line break of the begin line. `body` holds the lines between the markers with their line breaks.
    """

    style: Style
    start: int
    end: int
    newline: str
    body: str
    text: str
    tail: str


class BlockError(ValueError):
    """The lines between the markers are not base64."""


def render(style: Style, envelope: bytes, newline: str) -> str:
    """The block for an envelope: a line break, the begin line, base64 lines of WIDTH, the end line, a line break."""
    encoded = base64.b64encode(envelope).decode("ascii")
    lines = _LINES.findall(encoded)
    between = style.closing + newline + style.opening
    return newline + style.opening + between.join((style.begin, *lines, style.end)) + style.closing + newline


def marker_lines(view: str, line: str) -> list[int]:
    """Where this very line stands, alone between line breaks or the ends of the text."""
    found = []
    position = view.find(line)
    while position >= 0:
        after = position + len(line)
        starts = position == 0 or view[position - 1] in "\r\n"
        if starts and (after == len(view) or view[after] in "\r\n"):
            found.append(position)
        position = view.find(line, after)
    return found


def at(view: str, begin: int, style: Style) -> Block | None:
    """The block whose begin line stands at `begin`; None when no end line follows."""
    after = begin + len(style.begin_line)
    newline = line_break(view, after)
    stop = next((place for place in marker_lines(view[after:], style.end_line)), None)
    if stop is None:
        return None
    stop += after
    end = stop + len(style.end_line)
    # A block in LF behind text that ends in a lone CR starts with LF.
    before = newline if newline and view.endswith(newline, 0, begin) else _break_before(view, begin)
    start = begin - len(before)
    return Block(style, start, end, newline, view[after + len(newline) : stop], view[start:end], view[end:])


def decode(block: Block) -> bytes:
    """The envelope, read leniently: blanks, line breaks and line widths do not matter. Raises BlockError."""
    if len(block.body) > 2 * _BASE64_MAX:
        raise BlockError(f"a block of {len(block.body)} characters")
    try:
        return binascii.a2b_base64(_as_written(block), strict_mode=True)
    except (binascii.Error, ValueError):
        pass  # it is not as `render` writes it: nearly all are
    try:
        return base64.b64decode(_text_of(block).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BlockError("not base64") from None


def _as_written(block: Block) -> str:
    """What stands in the lines, if they are as `render` writes them; else nothing that is base64."""
    style, body = block.style, block.body
    end = style.closing + block.newline
    if not (block.newline and body.startswith(style.opening) and body.endswith(end)):
        return "?"
    return body[len(style.opening) : -len(end)].replace(end + style.opening, "")


def _text_of(block: Block) -> str:
    opening, closing = block.style.opening.strip(), block.style.closing.strip()
    parts = []
    for line in block.body.splitlines():
        text = line.strip()
        if not text.startswith(opening) or not text.endswith(closing):
            raise BlockError("a line that is no comment")
        parts.append(text[len(opening) : len(text) - len(closing)].strip())
    return "".join(parts)


def departures(block: Block, envelope: bytes, newline: str) -> list[str]:
    """How the block differs from the canonical one, for people; empty when no character does.

    Differing line breaks are the single entry LINE_BREAKS when nothing else differs, because they change in transit.
    """
    wanted = render(block.style, envelope, newline)[: -len(newline)]
    if block.text == wanted:
        return []
    found, canonical = _unified(block.text), _unified(wanted)
    if found == canonical:
        return [LINE_BREAKS]
    if not found.startswith("\n"):
        return ["it does not start on a line of its own"]
    pairs = zip(found.split("\n"), canonical.split("\n"), strict=False)
    number = next((index for index, (line, should) in enumerate(pairs) if line != should), None)
    return [f"line {number} of it is not as it is written" if number else "it has another number of lines"]


def line_break(view: str, position: int) -> str:
    """The line break that stands at `position`, or nothing."""
    return next((each for each in _LINE_ENDINGS if view.startswith(each, position)), "")


def _break_before(view: str, position: int) -> str:
    return next((each for each in _LINE_ENDINGS if view.endswith(each, 0, position)), "")


def _unified(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
