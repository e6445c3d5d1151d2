"""What people see: plain lines, colour only on a terminal, no control characters from the files looked at."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO, TypeVar

from chopmark.core import clock
from chopmark.core.finding import Finding, Outcome
from chopmark.core.reasons import CATALOG
from chopmark.core.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.verdict import SealVerdict, Verdict

Item = TypeVar("Item")

_COLOURS = {
    Status.TRUSTED: "32",
    Status.UNSIGNED: "33",
    Status.UNDECIDED: "33",
    Status.REJECTED: "31",
    Outcome.OK: "32",
    Outcome.NO: "31",
    Outcome.UNKNOWN: "33",
    Outcome.INFO: "2",
}
_INDENT = " " * 11
_MANY = 20
"""Fewer files are done before a progress bar could tell anything."""


def prepare() -> None:
    """Names of files may be any bytes: printing them must not fail."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def coloured(stream: TextIO) -> bool:
    """Whether to use colour there: a terminal, and NO_COLOR not set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: Status | Outcome, *, colour: bool) -> str:
    """The text in the colour of a status or outcome."""
    return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if colour else text


def clean(text: str) -> str:
    """Text from elsewhere without what could steer a terminal."""
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)


def width() -> int:
    """Columns to fill: the terminal's, at most 100; 80 when there is none."""
    try:
        return min(os.get_terminal_size(sys.stdout.fileno()).columns, 100)
    except (OSError, ValueError):
        return 80


def show_verdict(verdict: Verdict, *, verbose: bool = False) -> str:
    """A verdict as lines: the word and the path, who signed when, and every reason that spoke against it."""
    colour = coloured(sys.stdout)
    status = verdict.status
    lines = [f"{paint(f'{status:<10}', status, colour=colour)} {clean(verdict.path)}"]
    for seal in verdict.seals:
        lines.append(_wrapped(_seal_line(seal)))
        lines += _findings(seal.findings, colour=colour, verbose=verbose)
    lines += _findings(verdict.findings, colour=colour, verbose=verbose)
    return "\n".join(lines)


def show_summary(counts: dict[Status, int]) -> str:
    """One line for many files."""
    total = sum(counts.values())
    parts = ", ".join(f"{counts[status]} {status}" for status in Status if counts.get(status))
    return f"{total} files: {parts}"


def _seal_line(seal: SealVerdict) -> str:
    signer = clean(seal.signer.subject) if seal.signer else "nobody it names"
    when = f", {clock.show(seal.signed_at)}" if seal.signed_at else ", no trusted time"
    return f"{seal.where} ({seal.scheme}, {seal.digest_algorithm}) by {signer}{when}"


def _findings(findings: Iterable[Finding], *, colour: bool, verbose: bool) -> list[str]:
    lines = []
    for finding in findings:
        against = finding.outcome in (Outcome.NO, Outcome.UNKNOWN)
        if not (verbose or against):
            continue
        reason = CATALOG.get(finding.code)
        sentence = reason.sentence if reason else ""
        detail = f" [{clean(finding.detail)}]" if finding.detail else ""
        mark = paint(f"{finding.outcome:<8}", finding.outcome, colour=colour) if verbose else ""
        lines.append(_INDENT + mark + paint(finding.code, finding.outcome, colour=colour))
        lines.append(_wrapped(sentence + detail, "  "))
        if against and reason and reason.remedy:
            lines.append(_wrapped("-> " + reason.remedy, "  "))
    return lines


def _wrapped(text: str, more: str = "") -> str:
    import textwrap  # not for machines

    indent = _INDENT + more
    return textwrap.fill(text, width(), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Pass the items through; on a terminal, and when there are many, with a bar on standard error."""
    if total < _MANY or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield from items
        return
    from rich.console import Console  # slow to import, and only for long work on a terminal
    from rich.progress import track

    yield from track(items, description=what, total=total, console=Console(stderr=True), transient=True)
