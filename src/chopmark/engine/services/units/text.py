"""The text of a unit file, read as systemd does (systemd.syntax(7)): sections, assignments, and where they stand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.engine.services import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding

BLANK = " \t\n\r"
_END = re.compile(rb"(?:\r\n?|\n\r?)\0?|\0")
"""What ends a line for systemd: LF, CR and NUL, each once, in any order, up to the first NUL."""
_PLAIN_END = re.compile(rb"\r?\n")
_BOM = b"\xef\xbb\xbf"


class Setting(NamedTuple):
    """One assignment and where it begins."""

    section: str
    key: str
    value: str
    path: str
    line: int

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.path}:{self.line}"


class Text(NamedTuple):
    """What a file says. With `is_broken` set it cannot be read to its end: a unit does not start because of that."""

    settings: tuple[Setting, ...]
    findings: tuple[Finding, ...]
    is_broken: bool = False


def read(data: bytes, path: str) -> Text:
    """All assignments of a file, in their order."""
    settings: list[Setting] = []
    findings: list[Finding] = []
    section = ""
    for number, line in _logical(data, path, findings):
        try:
            text = line.decode("utf-8").strip(BLANK)
        except UnicodeDecodeError:
            findings.append(reasons.UNIT_LINE.found("no UTF-8; systemd ignores the line", subject=f"{path}:{number}"))
            continue
        if not text:
            continue
        if text.startswith("["):
            if not text.endswith("]") or not text[1:-1].isprintable():
                findings.append(reasons.UNIT_BROKEN.found(text[:80], subject=f"{path}:{number}"))
                return Text(tuple(settings), tuple(findings), is_broken=True)
            section = text[1:-1]
            continue
        key, equals, value = text.partition("=")
        if not equals or not key:
            findings.append(reasons.UNIT_LINE.found(text[:80], subject=f"{path}:{number}"))
        elif section:
            settings.append(Setting(section, key.strip(BLANK), value.strip(BLANK), path, number))
        if len(settings) > limits.SERVICE_SETTINGS_MAX:
            findings.append(reasons.UNIT_BROKEN.found("too many settings", subject=path))
            return Text(tuple(settings), tuple(findings), is_broken=True)
    return Text(tuple(settings), tuple(findings), any(each.code == reasons.UNIT_BROKEN.code for each in findings))


def _logical(data: bytes, path: str, findings: list[Finding]) -> Iterator[tuple[int, bytes]]:
    """Lines with those that continue them, and the number of their first one, as an editor counts."""
    held: list[bytes] = []
    size = first = 0
    has_mark = False
    for number, line in _physical(data, path, findings):
        if line.lstrip(b" \t")[:1] in (b"#", b";"):
            continue
        if not has_mark and line.startswith(_BOM):
            has_mark, line = True, line[len(_BOM) :]  # noqa: PLW2901 - the same line
        size += len(line)
        if len(line) > limits.SERVICE_LINE_MAX or size > limits.SERVICE_LINE_MAX:
            findings.append(reasons.UNIT_BROKEN.found("a line that is too long", subject=f"{path}:{number}"))
            return
        first = first if held else number
        if _is_continued(line):
            held.append(line[:-1] + b" ")
            continue
        yield first, b"".join((*held, line))
        held, size = [], 0
    if held:
        yield first, b"".join(held)


def _physical(data: bytes, path: str, findings: list[Finding]) -> Iterator[tuple[int, bytes]]:
    """Lines as systemd splits them, with their numbers as editors count."""
    if b"\r" not in data and b"\0" not in data:
        yield from enumerate(data.split(b"\n"), 1)
        return
    number, start, told = 1, 0, False
    for end in _END.finditer(data):
        yield number, data[start : end.start()]
        if not told and not _PLAIN_END.fullmatch(end[0]):
            told = True
            findings.append(reasons.UNIT_HIDDEN_LINE.found(subject=f"{path}:{number}"))
        number += end[0].count(b"\n")
        start = end.end()
    yield number, data[start:]


def _is_continued(line: bytes) -> bool:
    """Whether the last backslash is not itself escaped."""
    return bool((len(line) - len(line.rstrip(b"\\"))) % 2)
