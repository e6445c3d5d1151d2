"""A script taken apart: the bytes that are signed, the block behind them, and what is wrong with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core import reasons as core_reasons
from chopmark.core.artifact import UnreadableError
from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.formats._text import comment_block, deception
from chopmark.formats._text.charset import keeps_ascii
from chopmark.formats._text.style import Style
from chopmark.formats.script import languages, reasons

if TYPE_CHECKING:
    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.formats._text.comment_block import Block
    from chopmark.formats.script.languages import Identity

BEGIN = "-----BEGIN CHOPMARK SIGNATURE-----"
END = "-----END CHOPMARK SIGNATURE-----"
STYLES = {comment: Style(comment + " ", "", BEGIN, END) for comment in languages.COMMENTS}
_LINES = tuple((line, style) for style in STYLES.values() for line in (style.begin_line, style.end_line))


class Document(NamedTuple):
    """A file and the signature block in it, if there is one.

    `view` has one character per byte; `end` is where the signed content ends; `envelope` is what the block holds;
    `placement` are the findings about the block, none of which is NO when it is written and placed as it should be.
    """

    raw: bytes
    view: str
    identity: Identity
    end: int
    block: Block | None = None
    envelope: bytes = b""
    placement: tuple[Finding, ...] = ()

    def shown(self) -> str:
        """The text as an editor shows it."""
        return self.view if self.view.isascii() else self.raw.decode("utf-8", "replace")


def read(artifact: Artifact) -> Document:
    """Take a file apart.

    Raises UnreadableError when it exceeds limits.SCRIPT_MAX, BrokenError when there is a block that cannot be read, or
    something that only looks like one.
    """
    if artifact.view.size > limits.SCRIPT_MAX:
        raise UnreadableError(artifact.name, core_reasons.INPUT_TOO_LARGE)
    raw = artifact.view.read(0, limits.SCRIPT_MAX)
    view = raw.decode("latin-1")
    identity = languages.identify(raw[: limits.DETECT_HEAD], artifact.name)
    bare = Document(raw, view, identity, len(raw))
    marked = {place: style for line, style in _LINES for place in comment_block.marker_lines(view, line)}
    genuine = set(deception.line_numbers(view, marked))
    similar = deception.lookalikes(bare.shown(), (BEGIN, END), genuine)
    lookalike = f"line {', '.join(map(str, similar[:3]))}" if similar else ""
    begins = [place for place, style in marked.items() if view.startswith(style.begin_line, place)]
    last = max(begins, default=0)
    block = comment_block.at(view, last, marked[last]) if begins else None
    if block is None and lookalike:
        raise BrokenError(reasons.BLOCK_LOOKALIKE, lookalike)
    if not marked:
        return bare
    if block is None:
        raise BrokenError(reasons.BLOCK_OPEN, f"line {deception.line_number(view, max(marked))}")
    try:
        envelope = comment_block.decode(block)
    except comment_block.BlockError as error:
        raise BrokenError(reasons.BLOCK_BASE64, str(error)) from None
    findings = _comment(identity, block, raw) + _form(view, block, envelope)
    if lookalike:
        findings.append(reasons.BLOCK_LOOKALIKE.found(lookalike))
    placement = findings or [reasons.BLOCK_SOUND.found()]
    if len(begins) > 1:
        lines = ", ".join(str(deception.line_number(view, place)) for place in sorted(begins)[:-1][:3])
        placement.append(reasons.BLOCK_EARLIER.found(f"line {lines}"))
    return Document(raw, view, identity, block.start, block, envelope, tuple(placement))


def newline_of(content: bytes) -> str:
    """The line break for a block behind this content: CR LF if its last line break is one, else LF."""
    last = content.rfind(b"\n")
    return "\r\n" if last > 0 and content[last - 1] == 0x0D else "\n"


def _comment(identity: Identity, block: Block, raw: bytes) -> list[Finding]:
    """Whether the interpreter takes the block for comments."""
    language = identity.language
    if language is None:
        return [reasons.LANGUAGE_UNKNOWN.found(identity.interpreter)]
    if STYLES[language.comment] is not block.style:
        return [reasons.BLOCK_COMMENT.found(f"{block.style.opening.strip()} in {language.name}")]
    encoding = languages.declared_encoding(raw[: limits.DETECT_HEAD], language)
    if encoding and not keeps_ascii(encoding):
        return [reasons.ENCODING.found(encoding)]
    return []


def _form(view: str, block: Block, envelope: bytes) -> list[Finding]:
    """Every character of the block, and of what follows, is as a signer writes it."""
    newline = newline_of(view[: block.start].encode("latin-1"))
    departures = comment_block.departures(block, envelope, newline)
    if departures == [comment_block.LINE_BREAKS]:
        return [reasons.BLOCK_LINE_BREAKS.found()]
    findings = [reasons.BLOCK_FORM.found(departure) for departure in departures]
    if block.tail.strip("\r\n"):
        first = deception.line_number(view, block.end)
        findings.append(reasons.BLOCK_TRAILING.found(f"{len(block.tail)} bytes from line {first} on"))
    elif block.tail != newline:
        findings.append(reasons.BLOCK_FORM.found("it does not end with one line break"))
    return findings
