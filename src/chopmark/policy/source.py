"""Policy files as text: TOML, and on which line each rule and each of its keys stands.

The standard library reads TOML but does not say where anything stood; the lines of the headers are found by walking
over the text once, strings and comments skipped. Rules stand in tables of their own (`[[rule]]`), so that each has a
line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from chopmark.core import limits, toml
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.policy.rules import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RULE = "rule"
_TOKEN = re.compile(r'"""|\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*|[\[\]{}]')
_HEADER = re.compile(r"""\s*(\[\[?)\s*["']?([A-Za-z0-9_-]+)["']?\s*(?:\.\s*["']?([A-Za-z0-9_.-]+)["']?\s*)?\]""")
_KEY = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*[.=]""")
_AT_LINE = re.compile(r"at line (\d+)")
_ENDS = {'"""': re.compile(r'(?<!\\)(?:\\\\)*"""'), "'''": re.compile(r"'''")}


class Problem(NamedTuple):
    """A mistake and where it stands."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class PolicyError(UsageError):
    """A policy that cannot be used; `problems` are all mistakes that were found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        more = f" (and {len(problems) - 1} more: chopmark policy check)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")
        self.problems = tuple(problems)


class Table(NamedTuple):
    """A table of a file: what is in it, its line, and the line of each key."""

    values: dict[str, Any]
    file: str
    line: int
    lines: dict[str, int]

    def place(self, key: str = "") -> Place:
        """Where a key stands, or the table."""
        return Place(self.file, self.lines.get(key, self.line))


class Document(NamedTuple):
    """A policy file: what stands before the first rule, and the rules."""

    head: Table
    rules: list[Table]


def parse(data: bytes, file: str, array: str = RULE) -> Document:
    """Read the text of a policy; `array` is what its tables are called. Raises PolicyError."""
    try:
        text = data.decode("utf-8")
        values = toml.loads(text)
    except UnicodeDecodeError:
        raise PolicyError([Problem(Place(file, 1), "not UTF-8")]) from None
    except ValueError as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1]) if found else 1
        raise PolicyError([Problem(Place(file, line), f"not TOML: {error}")]) from None
    tables = values.pop(array, [])
    sections = list(_sections(text, array))
    headers = [section for section in sections if section.begins]
    if not isinstance(tables, list) or len(headers) != len(tables):
        raise PolicyError([Problem(Place(file, 1), f"write each {array} in a table of its own: [[{array}]]")])
    if len(tables) > limits.POLICY_RULES_MAX:
        raise PolicyError([Problem(Place(file, 1), f"more than {limits.POLICY_RULES_MAX} rules")])
    head = Table(values, file, 1, {})
    found_rules: list[Table] = []
    current = head
    for section in sections:
        if section.begins:
            current = Table(tables[len(found_rules)], file, section.line, {})
            found_rules.append(current)
        elif section.line and not section.inside:
            current = head
        for key, line in section.keys.items():
            name = f"{section.inside}.{key}" if section.inside else key
            current.lines.setdefault(name, line)
    return Document(head, found_rules)


class _Section(NamedTuple):
    """From a header to the next: its line (0: before the first), whether it begins a rule or lies inside of one."""

    line: int
    begins: bool
    inside: str
    keys: dict[str, int]


def _sections(text: str, array: str) -> Iterator[_Section]:
    current = _Section(0, False, "", {})  # noqa: FBT003 - a record
    for number, line in _top_lines(text):
        header = _HEADER.match(line)
        if header is not None and header[2] == array:
            yield current
            current = _Section(number, header[1] == "[[" and not header[3], header[3] or "", {})
        elif header is not None:
            yield current
            current = _Section(number, False, "", {})  # noqa: FBT003 - a record
        elif (key := _KEY.match(line)) is not None:
            current.keys.setdefault(key[1], number)
    yield current


def _top_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines, numbered, that begin outside of strings and of arrays over several lines."""
    depth, inside = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        at = 0
        if inside:
            end = _ENDS[inside].search(line)
            if end is None:
                continue
            at, inside = end.end(), ""
        elif not depth:
            yield number, line
            if _HEADER.match(line):
                continue
        depth, inside = _after(line, at, depth)


def _after(line: str, at: int, depth: int) -> tuple[int, str]:
    """How many brackets are open at the end of a line, and which string goes on behind it."""
    while (token := _TOKEN.search(line, at)) is not None:
        at = token.end()
        if token[0] in ("[", "{"):
            depth += 1
        elif token[0] in ("]", "}"):
            depth = max(0, depth - 1)
        elif token[0] in _ENDS:
            end = _ENDS[token[0]].search(line, at)
            if end is None:
                return depth, token[0]
            at = end.end()
    return depth, ""
