"""A PowerShell file taken apart: the text that is signed, the block behind it, and what is wrong with its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core import reasons as core_reasons
from chopmark.core.artifact import UnreadableError
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats._text import comment_block, deception
from chopmark.formats._text.charset import keeps_ascii
from chopmark.formats.powershell import kinds, reasons
from chopmark.formats.powershell.text import Text

if TYPE_CHECKING:
    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.formats._text.comment_block import Block
    from chopmark.formats._text.style import Style

NEWLINE = "\r\n"
"""Windows' handler looks for the block behind this, whatever ends the other lines."""
_XML_ENCODING = re.compile(r"\s*<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([\w.-]{1,40})")


class Document(NamedTuple):
    """A file and the signature block in it, if there is one.

    `end` is where the signed text ends, in bytes; `envelope` what the block holds; `placement` the findings about the
    block, none of which is NO when it is written and placed as it should be.
    """

    text: Text
    style: Style
    end: int
    block: Block | None = None
    envelope: bytes = b""
    placement: tuple[Finding, ...] = ()


def read(artifact: Artifact) -> Document:
    """Take a file apart.

    Raises UnreadableError when it exceeds limits.SCRIPT_MAX, BrokenError when there is a block that cannot be read, or
    something that only looks like one.
    """
    if artifact.view.size > limits.SCRIPT_MAX:
        raise UnreadableError(artifact.name, core_reasons.INPUT_TOO_LARGE)
    text = Text(artifact.view.read(0, limits.SCRIPT_MAX))
    style = kinds.style(artifact.name, text.view)
    begins = comment_block.marker_lines(text.view, style.begin_line)
    ends = comment_block.marker_lines(text.view, style.end_line)
    genuine = set(deception.line_numbers(text.view, (*begins, *ends)))
    similar = deception.lookalikes(text.shown(), kinds.MARKERS, genuine)
    lookalike = f"line {', '.join(map(str, similar[:3]))}" if similar else ""
    block = comment_block.at(text.view, begins[0], style) if begins else None
    if block is None and lookalike:
        raise BrokenError(reasons.BLOCK_LOOKALIKE, lookalike)
    if not begins and not ends:
        return Document(text, style, len(text.raw))
    if block is None:
        raise BrokenError(reasons.BLOCK_OPEN, f"line {min(genuine)}")
    try:
        envelope = comment_block.decode(block)
    except comment_block.BlockError as error:
        raise BrokenError(reasons.BLOCK_BASE64, str(error)) from None
    findings = _form(block, envelope) + _declared(text, style)
    if len(begins) != 1 or len(ends) != 1:
        findings.append(reasons.BLOCK_SEVERAL.found(f"lines {', '.join(map(str, sorted(genuine)))}"))
    findings += _tail(text, block)
    if lookalike:
        findings.append(reasons.BLOCK_LOOKALIKE.found(lookalike))
    placement = findings or [reasons.BLOCK_SOUND.found()]
    return Document(text, style, text.offset(block.start), block, envelope, tuple(placement))


def _form(block: Block, envelope: bytes) -> list[Finding]:
    departures = comment_block.departures(block, envelope, NEWLINE)
    if departures == [comment_block.LINE_BREAKS]:
        return [reasons.BLOCK_LINE_BREAKS.found()]
    return [reasons.BLOCK_FORM.found(departure) for departure in departures]


def _declared(text: Text, style: Style) -> list[Finding]:
    encoding = misleading_encoding(text, style)
    return [reasons.ENCODING_DECLARED.found(encoding)] if encoding else []


def misleading_encoding(text: Text, style: Style) -> str:
    """The encoding that an XML file declares for itself, if ASCII does not mean itself in it; else nothing."""
    if style is not kinds.XML:
        return ""
    match = _XML_ENCODING.match(text.view.removeprefix("\xef\xbb\xbf").removeprefix("\ufeff"))
    if match is None or keeps_ascii(match[1]) or (text.wide and match[1].lower() == "utf-16"):
        return ""
    return match[1]


def _tail(text: Text, block: Block) -> list[Finding]:
    """Nothing but one line break may follow."""
    if block.tail == NEWLINE:
        return []
    if block.tail == "\n":
        return [reasons.BLOCK_LAST_BREAK.found("LF instead of CR LF")]
    if not block.tail.strip("\r\n"):
        return [reasons.BLOCK_FORM.found("it does not end with one line break")]
    size = len(text.raw) - text.offset(block.end)
    return [reasons.BLOCK_TRAILING.found(f"{size} bytes from line {deception.line_number(text.view, block.end)} on")]
