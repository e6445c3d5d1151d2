"""Which programs a line of shell starts, as far as that can be read without running it (POSIX.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.engine.services.units.specifiers import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OPERATORS = ("&&", "||", ";;", ";", "&", "|", "(", ")", "\n")
_REDIRECTION = re.compile(r"[0-9]*(?:<<<|<<-?|<>|<&|>>|>&|>\||<|>|&>>?)")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_OPENING = frozenset(("if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "coproc"))
_CLOSING = frozenset(("fi", "done", "esac", "}"))
_DECLARING = frozenset(("export", "declare", "typeset", "readonly", "local"))
_GLOBS = frozenset("*?[")


def _has_braces(bare: str) -> bool:
    """Whether it has what bash, and not every shell, makes several words of: {a,b} or {a..b}."""
    start, end = bare.find("{"), bare.rfind("}")
    between = bare[start:end] if 0 <= start < end else ""
    return "," in between or ".." in between


class Word(NamedTuple):
    """A word of a command. UNKNOWN stands in it for what is only known when it runs."""

    text: str
    is_quoted: bool = False


class Simple(NamedTuple):
    """A simple command; `problem` says what could not be taken apart.

    `assigned` are the variables that are set with it, or alone; `path` is PATH as it is then, None where it is not set.
    """

    words: tuple[Word, ...] = ()
    problem: str = ""
    assigned: tuple[tuple[str, str], ...] = ()
    path: str | None = None


class _Operator(NamedTuple):
    text: str


def simple_commands(text: str, variables: Mapping[str, str], depth: int = 0) -> Iterator[Simple]:
    """The simple commands of a piece of shell in the order they stand there, substitutions last."""
    if depth > limits.SERVICE_SHELL_DEPTH_MAX:
        yield Simple(problem="shells within shells")
        return
    reader = _Reader(text, dict(variables))
    functions: set[str] = set()
    words: list[Word] = []
    try:
        for item in reader.items():
            if isinstance(item, Word):
                words.append(item)
                continue
            if item.text == "(" and len(words) == 1 and not words[0].is_quoted:
                functions.add(words[0].text)
            else:
                yield from _simple(words, functions, reader.variables)
            words = []
        yield from _simple(words, functions, reader.variables)
    except _UnreadableError as error:
        yield Simple(problem=str(error))
    for inner in reader.substitutions:
        yield from simple_commands(inner, variables, depth + 1)


def _simple(words: list[Word], functions: set[str], variables: dict[str, str]) -> Iterator[Simple]:
    rest = list(words)
    while rest and not rest[0].is_quoted and rest[0].text in _OPENING:
        rest.pop(0)
    if not rest or (not rest[0].is_quoted and rest[0].text in _CLOSING):
        return
    if not rest[0].is_quoted and rest[0].text in ("case", "select", "function", "[[", "(("):
        if rest[0].text != "[[":
            yield Simple(problem=rest[0].text)
        return
    if not rest[0].is_quoted and rest[0].text == "for":
        return
    assigned: list[tuple[str, str]] = []
    while rest and _ASSIGNMENT.match(rest[0].text):
        assigned.append(_assignment(rest.pop(0).text))
    if rest and rest[0].text in _DECLARING:
        assigned += [_assignment(each.text) for each in rest[1:] if _ASSIGNMENT.match(each.text)]
    variables.update(assigned)
    words_ = () if rest and rest[0].text in functions else tuple(rest)
    if words_ or assigned:
        yield Simple(words_, assigned=tuple(assigned), path=variables.get("PATH"))


def _assignment(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.rstrip("+"), UNKNOWN + value if name.endswith("+") else value


class _UnreadableError(Exception):
    """Shell that is not taken apart."""


class _Reader:
    """Words and operators of a text; what stands in substitutions is put aside."""

    def __init__(self, text: str, variables: dict[str, str]) -> None:
        self.variables = variables
        self.substitutions: list[str] = []
        self._text = text
        self._place = 0

    def items(self) -> Iterator[Word | _Operator]:
        while self._place < len(self._text):
            letter = self._text[self._place]
            if letter in " \t\r":
                self._place += 1
            elif self._text.startswith("\\\n", self._place):
                self._place += 2
            elif letter == "#":
                end = self._text.find("\n", self._place)
                self._place = len(self._text) if end < 0 else end
            elif (match := _REDIRECTION.match(self._text, self._place)) is not None:
                self._redirected(match)
            elif (operator := self._operator()) is not None:
                yield operator
            else:
                yield self._word()

    def _redirected(self, match: re.Match[str]) -> None:
        self._place = match.end()
        if match[0].lstrip("0123456789").startswith("<<") and not match[0].endswith("<<<"):
            raise _UnreadableError("a here-document")
        if self._text.startswith("(", self._place):
            raise _UnreadableError("a process substitution")
        while self._text.startswith((" ", "\t"), self._place):
            self._place += 1
        if self._place < len(self._text) and self._operator() is None:
            self._word()

    def _operator(self) -> _Operator | None:
        for each in _OPERATORS:
            if self._text.startswith(each, self._place):
                self._place += len(each)
                return _Operator(each)
        return None

    def _word(self) -> Word:
        parts: list[str] = []
        bare: list[str] = []
        quoted = False
        while self._place < len(self._text):
            letter = self._text[self._place]
            if letter in " \t\r\n;&|()<>":
                break
            if letter == "'":
                quoted = True
                parts.append(self._until("'"))
            elif letter == '"':
                quoted = True
                self._place += 1
                parts.append(self._double())
            elif letter == "\\":
                parts.append(self._text[self._place + 1 : self._place + 2].replace("\n", ""))
                quoted = True
                self._place += 2
            elif letter in "$`":
                parts.append(self._expansion())
            elif letter in _GLOBS or (letter == "~" and not parts):
                parts.append(UNKNOWN if len(self._text) > 1 and letter != "[" else letter)
                self._place += 1
            else:
                parts.append(letter)
                bare.append(letter)
                self._place += 1
        text = "".join(parts)
        if self._text.startswith("(", self._place) and _ASSIGNMENT.fullmatch(text):
            raise _UnreadableError("a list of values")
        return Word(text + UNKNOWN if _has_braces("".join(bare)) else text, quoted)

    def _until(self, quote: str) -> str:
        end = self._text.find(quote, self._place + 1)
        if end < 0:
            raise _UnreadableError("a quote that does not end")
        found = self._text[self._place + 1 : end]
        self._place = end + 1
        return found

    def _double(self) -> str:
        parts: list[str] = []
        while self._place < len(self._text):
            letter = self._text[self._place]
            if letter == '"':
                self._place += 1
                return "".join(parts)
            if letter == "\\" and self._text[self._place + 1 : self._place + 2] in ("$", "`", '"', "\\", "\n"):
                parts.append(self._text[self._place + 1].replace("\n", ""))
                self._place += 2
            elif letter in "$`":
                parts.append(self._expansion())
            else:
                parts.append(letter)
                self._place += 1
        raise _UnreadableError("a quote that does not end")

    def _expansion(self) -> str:
        """The value of a variable that is set in the text itself; UNKNOWN for everything else that is expanded."""
        if (match := _VARIABLE.match(self._text, self._place)) is not None:
            self._place = match.end()
            return self.variables.get(match[1] or match[2], UNKNOWN)
        if self._text[self._place] == "`":
            self.substitutions.append(self._until("`"))
            return UNKNOWN
        if self._text.startswith("$((", self._place):
            self._place = self._closing(self._place + 1)
            return UNKNOWN
        if self._text.startswith("$(", self._place):
            end = self._closing(self._place + 1)
            self.substitutions.append(self._text[self._place + 2 : end - 1])
            self._place = end
            return UNKNOWN
        if self._text.startswith("${", self._place):
            end = self._text.find("}", self._place)
            if end < 0:
                raise _UnreadableError("a brace that does not end")
            self._place = end + 1
            return UNKNOWN
        following = self._text[self._place + 1 : self._place + 2]
        self._place += 2 if following and following in "@*#?-$!0123456789" else 1
        return UNKNOWN if following and (following in "@*#?-$!0123456789'" or following.isalnum()) else "$"

    def _closing(self, place: int) -> int:
        """The place behind the parenthesis that closes the one at `place`."""
        depth = 0
        quote = ""
        while place < len(self._text):
            letter = self._text[place]
            if letter == "\\":
                place += 1
            elif quote:
                quote = "" if letter == quote else quote
            elif letter in "'\"":
                quote = letter
            elif letter == "(":
                depth += 1
            elif letter == ")":
                depth -= 1
                if not depth:
                    return place + 1
            place += 1
        raise _UnreadableError("a parenthesis that does not end")
