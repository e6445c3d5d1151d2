"""Here-documents: which lines of a script are text and not code, and whether one is still open at the end."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.formats.script.languages import C_SHELL, PERL, PHP, RUBY, SHELL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.formats.script.languages import Language

_QUOTED = r"(?P<quote>['\"`])(?P<quoted>[^'\"`\n]{1,80})(?P=quote)"


class _Syntax(NamedTuple):
    """How one language opens a here-document; `dash` in it allows `blanks` before the closing word."""

    opening: re.Pattern[str]
    blanks: str


SYNTAX = {
    SHELL: _Syntax(re.compile(rf"(?<!<)<<(?!<)(?P<dash>-?)[ \t]*(?:{_QUOTED}|\\?(?P<word>[A-Za-z_][\w.!-]*))"), "\t"),
    C_SHELL: _Syntax(re.compile(rf"(?<!<)<<(?!<)(?P<dash>)[ \t]*(?:{_QUOTED}|\\?(?P<word>[A-Za-z_]\w*))"), ""),
    PERL: _Syntax(re.compile(rf"(?<!<)<<(?P<dash>~?)(?:[ \t]*{_QUOTED}|(?P<word>[A-Za-z_]\w*))"), " \t"),
    RUBY: _Syntax(re.compile(rf"(?<![<\w)\]])<<(?P<dash>[~-]?)(?:{_QUOTED}|(?P<word>[A-Z_]\w*))"), " \t"),
    PHP: _Syntax(re.compile(rf"<<<(?P<dash>)[ \t]*(?:{_QUOTED}|(?P<word>[A-Za-z_]\w*))"), ""),
}
_NOT_CODE = {
    SHELL: re.compile(r"\(\([^\n]{0,400}?\)\)|\blet\s[^\n]*|(?:^|\s)#[^\n]*"),
    C_SHELL: re.compile(r"(?:^|\s)#[^\n]*|^\s*@[^\n]*"),
    PERL: re.compile(r"(?:^|\s)#[^\n]*"),
    RUBY: re.compile(r"(?:^|\s)#[^{\n][^\n]*"),
    PHP: re.compile(r"(?:^|\s)(?:#|//)[^\n]*"),
}


def outside(lines: Sequence[tuple[int, str]], language: Language) -> tuple[list[tuple[int, str]], str]:
    """The numbered lines that are not in a here-document, and what is wrong if the last one is not closed."""
    syntax = SYNTAX[language]
    code = []
    opened: deque[tuple[int, str, str]] = deque()
    for number, line in lines:
        if opened:
            _, word, blanks = opened[0]
            if _closes(line, word, blanks, language):
                opened.popleft()
            continue
        code.append((number, line))
        if "<<" in line:
            for match in syntax.opening.finditer(_NOT_CODE[language].sub(" ", line)):
                word = match["quoted"] or match["word"]
                opened.append((number, word, syntax.blanks if match["dash"] else ""))
    if opened:
        number, word, _ = opened[0]
        return code, f"the end of a here-document is missing ({word!a}, opened in line {number})"
    return code, ""


def _closes(line: str, word: str, blanks: str, language: Language) -> bool:
    if language is PHP:  # may be indented, and code may follow
        return re.match(rf"[ \t]*{re.escape(word)}(?!\w)", line) is not None
    return line.lstrip(blanks) == word if blanks else line == word
