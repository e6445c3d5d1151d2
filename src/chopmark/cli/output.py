"""What people see: plain lines, colour only on a terminal, no control characters from the files looked at."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO, TypeVar

from chopmark.core import clock, legible
from chopmark.core.counting import counted
from chopmark.core.finding import AGAINST, Finding, Outcome
from chopmark.core.reasons import CATALOG, INPUT_NOT_A_FILE, SEAL_ELSEWHERE, SEAL_OF_ANOTHER
from chopmark.core.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.verdict import SealVerdict, Verdict

Item = TypeVar("Item")
clean = legible.clean

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
INDENT = " " * 11
"""What stands below a status word begins where the path does."""
_LINE_MAX = 1000
_MANY = 20
"""Fewer files are done before a progress bar could tell anything."""
_HINTS = (SEAL_ELSEWHERE.code, SEAL_OF_ANOTHER.code)
"""What is told of an unsigned file besides: where to go with it."""
_BAR = 30
_REDRAW = 0.1


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


def one_line(text: str) -> str:
    """An error for people: clean, on one line, and no longer than a screen whatever it quotes."""
    return clean(" ".join(text.split()))[:_LINE_MAX]


def complain(error: Exception | str, path: str = "") -> None:
    """One line on standard error, with the path that it is about."""
    text = str(error)
    about = f"{path}: " if path and legible.line(path) not in legible.line(text) else ""
    print("chopmark:", one_line(about + text), file=sys.stderr)


def width() -> int:
    """Columns to fill: the terminal's, at most 100; 80 when there is none."""
    try:
        return max(40, min(os.get_terminal_size(sys.stdout.fileno()).columns, 100))
    except (OSError, ValueError):
        return 80


def row(line: str) -> str:
    """A row of a table: cut to the terminal's columns where there is one; programs get all of it."""
    return line if len(line) <= width() or not sys.stdout.isatty() else line[: width() - 1] + "…"


def show_verdict(verdict: Verdict, *, verbose: bool = False) -> str:
    """A verdict as lines: the word and the path, who signed when, and every reason that spoke against it.

    What there is no more to say of than that it is missing or unsigned has one line.
    """
    colour = coloured(sys.stdout)
    status = verdict.status
    path = clean(verdict.path) or "''"
    first = f"{paint(f'{status:<10}', status, colour=colour)} {path}"
    against = [finding for finding in verdict.findings if _against(finding)]
    if not verbose and not verdict.seals and len(against) == 1 and status is not Status.REJECTED:
        hints = [_clause(finding) for finding in verdict.findings if finding.code in _HINTS]
        if (against[0].code, against[0].detail) == (INPUT_NOT_A_FILE.code, "a directory"):
            hints.append(f"-> {INPUT_NOT_A_FILE.remedy}")
        return "\n".join((f"{first}: {_clause(against[0])}", *map(filled, hints)))
    lines = [first]
    told: set[str] = set()
    lines += _findings(verdict.findings, told, colour=colour, verbose=verbose)
    short = status is Status.TRUSTED and len(verdict.seals) == 1 and not verbose
    for seal in verdict.seals:
        lines.append(filled(_by(seal)) if short else _marked(seal.status, f"{_kind(seal)} {_by(seal)}", colour=colour))
        lines += _findings(seal.findings, told, colour=colour, verbose=verbose)
    return "\n".join(lines)


def show_findings(findings: Iterable[Finding], *, verbose: bool = False) -> list[str]:
    """Lines for the findings that speak against something; for all of them when `verbose`."""
    return _findings(findings, set(), colour=coloured(sys.stdout), verbose=verbose)


def show_summary(counts: dict[Status, int], what: str = "file", several: str = "") -> str:
    """One line for many files, or whatever it is."""
    total = counted(sum(counts.values()), what, several)
    parts = ", ".join(f"{counts[status]} {status}" for status in Status if counts.get(status))
    return f"{total}: {parts}" if parts else total


def filled(text: str, indent: str = INDENT, first: str | None = None) -> str:
    """Text below a status word, filled to the width; `first` stands before its first line instead of the indent.

    (The standard library's textwrap takes longer to load than a small file to check.)
    """
    room = width() - len(indent)
    lines = [""]
    for word in text.split():
        rest = word
        if lines[-1] and len(lines[-1]) + 1 + len(rest) <= room:
            lines[-1] += f" {rest}"
            continue
        if lines[-1]:
            lines.append("")
        while len(rest) > room:
            lines[-1] = rest[:room]
            lines.append("")
            rest = rest[room:]
        lines[-1] = rest
    body = f"\n{indent}".join(lines)
    return (indent if first is None else first) + body


def _against(finding: Finding) -> bool:
    return finding.outcome in AGAINST


def _sentence(code: str) -> str:
    return CATALOG[code].sentence if code in CATALOG else ""


def _clause(finding: Finding) -> str:
    """A finding behind a path: "there is no such file (input.missing)"."""
    sentence = _sentence(finding.code).removesuffix(".")
    detail = f": {clean(finding.detail)}" if finding.detail else ""
    return f"{sentence[:1].lower()}{sentence[1:]} ({finding.code}{detail})"


def _kind(seal: SealVerdict) -> str:
    return f"{seal.where} ({', '.join(part for part in (seal.scheme, seal.digest_algorithm) if part)})"


def _by(seal: SealVerdict) -> str:
    """By whom and when; and that no list of revoked ones was had, which whoever reads "trusted" has to see."""
    from chopmark.trust.reasons import REVOCATION_NOT_CHECKED

    signer = clean(seal.signer.subject) if seal.signer else "nobody it names"
    time = f"at {clock.show(seal.signed_at)}" if seal.signed_at else "no trusted time"
    codes = {finding.code for finding in seal.findings}
    unknown = REVOCATION_NOT_CHECKED.code in codes and not any(
        finding.outcome is Outcome.NO and finding.code.startswith("revocation.") for finding in seal.findings
    )
    return f"by {signer}, {time}{', revocation not checked' if unknown else ''}"


def _findings(findings: Iterable[Finding], told: set[str], *, colour: bool, verbose: bool) -> list[str]:
    """Lines for those that speak against it (all when `verbose`): the outcome below the status, the rest beside it.

    `told` collects remedies: each is told once.
    """
    lines = []
    for finding in findings:
        against = _against(finding)
        if not (verbose or against):
            continue
        detail = f" [{clean(finding.detail)}]" if finding.detail else ""
        text = f"{finding.code}: {_sentence(finding.code)}{detail}"
        lines.append(_marked(finding.outcome, text, colour=colour, paint_also=finding.code))
        remedy = CATALOG[finding.code].remedy if against and finding.code in CATALOG else ""
        if remedy and remedy not in told:
            told.add(remedy)
            lines.append(filled(f"-> {remedy}"))
    return lines


def _marked(mark: Status | Outcome, text: str, *, colour: bool, paint_also: str = "") -> str:
    """Text below a status word with a word of its own in the margin."""
    body = filled(text).removeprefix(INDENT)
    if paint_also:
        body = body.replace(paint_also, paint(paint_also, mark, colour=colour), 1)
    return f" {paint(f'{mark:<9}', mark, colour=colour)} {body}"


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Pass the items through; on a terminal, and when there are many, with a bar on standard error.

    The bar is gone while whoever takes the items prints, and at the end.
    """
    if total < _MANY or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield from items
        return
    import time  # only for long work on a terminal

    drawn = 0.0
    shown = False
    try:
        for count, item in enumerate(items):
            if shown:
                _draw("")
                shown = False
            yield item
            if time.monotonic() - drawn > _REDRAW:
                drawn, shown = time.monotonic(), True
                _draw(_bar(count + 1, total, what))
    finally:
        _draw("")


class Tally:
    """A count on standard error while nobody knows how many there will be; on a terminal only."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shows = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = 0.0

    def __call__(self, count: int) -> None:
        """Show how many there are by now."""
        if not self._shows:
            return
        import time  # only on a terminal

        if time.monotonic() - self._drawn > _REDRAW:
            self._drawn = time.monotonic()
            _draw(f"{self._what} {count}")

    def done(self) -> None:
        """Leave the line as it was."""
        if self._shows:
            _draw("")


def show_finding(finding: Finding) -> str:
    """A finding about one of many things: the outcome, what it is about, and the sentence."""
    detail = f" [{clean(finding.detail)}]" if finding.detail else ""
    text = f"{clean(finding.subject)}: " if finding.subject else ""
    text += f"{finding.code}: {_sentence(finding.code)}{detail}"
    return _marked(finding.outcome, text, colour=coloured(sys.stdout), paint_also=finding.code)


def show_judgement(status: Status, name: str, findings: Iterable[Finding], *, verbose: bool = False) -> None:
    """Print the word for something and what it rests on."""
    print(f"{paint(f'{status:<10}', status, colour=coloured(sys.stdout))} {clean(name)}")
    for line in show_findings(findings, verbose=verbose):
        print(line)


def _bar(done: int, total: int, what: str) -> str:
    full = _BAR * done // total
    return f"{what} {'#' * full}{'.' * (_BAR - full)} {done}/{total}"


def _draw(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()
