"""Scripts that comments at their end would change: what they read, print or run would be another thing.

Nothing here parses a language. Each rule knows one way in which a program gets at its own end, and rather refuses a
script that is harmless than sign one that is not; such a script is signed detached.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.formats._text.charset import keeps_ascii
from chopmark.formats.script import heredocs, languages
from chopmark.formats.script.languages import (
    C_SHELL,
    JAVASCRIPT,
    PERL,
    PHP,
    PYTHON,
    RUBY,
    SHELL,
    TYPESCRIPT,
    Language,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.formats.script.languages import Identity

_SHELLS = (SHELL, C_SHELL)
_READERS = (
    "tail|head|sed|g?awk|mawk|dd|cat|tac|[ef]?grep|zgrep|cut|tr|split|csplit|xxd|od|base64|uudecode|openssl|"
    "gunzip|gzip|zcat|xz|xzcat|unxz|bzip2|bzcat|bunzip2|zstd|zstdcat|tar|bsdtar|unzip|cpio|sort|cksum|"
    "(?:md5|sha1|sha224|sha256|sha384|sha512|b2)sum"
)
# How programs name their own file
_SHELL_SELF = re.compile(r"(?<!\\)\$(?:0\b|\{0\b|argv0\b|\{?BASH_SOURCE\b)")
_SELF = re.compile(r"\$0\b|\$PROGRAM_NAME\b|__FILE__|__file__|sys\.argv\[0\]|__filename|process\.argv\[1\]")
_MENTIONS_MAX = 20
_BEFORE_MAX = 400
"""Characters in front of such a name, and how many of them in a line, that are looked at: time stays linear."""


class _Rule(NamedTuple):
    """In these languages, a line with this pattern in it `does` something with the script's own text."""

    languages: tuple[Language, ...]
    pattern: re.Pattern[str]
    does: str


_MARKS = (
    _Rule(_SHELLS, re.compile(r"__[A-Za-z0-9_]+__:?\s*$"), "carries data behind a marker"),
    _Rule(_SHELLS, re.compile(r"#?\s?(?:PAYLOAD|ARCHIVE)(?:_BELOW)?:\s*$"), "carries data behind a marker"),
    _Rule((PERL, RUBY), re.compile(r"__(?:END|DATA)__\s*$"), "carries data behind its end"),
)
"""Of whole lines."""
_ANYWHERE = (
    _Rule((PERL,), re.compile(r"^\s*use\s+(?:encoding|Filter|Acme)\b"), "has its text rewritten before it runs"),
    _Rule((PHP,), re.compile(r"\bdeclare\s*\(\s*encoding"), "declares an encoding"),
    _Rule((PYTHON,), re.compile(r"(?:__file__|sys\.argv\[0\])\)*\.(?:read_text|read_bytes|open)\("), "reads itself"),
    _Rule((PHP,), re.compile(r"(?i:__(?:HALT_COMPILER|COMPILER_HALT_OFFSET))"), "carries data behind its end"),
)
_BEFORE_ITS_NAME = (
    _Rule(_SHELLS, re.compile(rf"(?:^|[\s|;&(`/])(?:{_READERS})\b[^#]*$"), "reads itself"),
    _Rule(_SHELLS, re.compile(r"<\s*[\"']?$"), "reads itself"),
    _Rule((PERL,), re.compile(r"\bopen\b[^#]*$"), "reads itself"),
    _Rule((RUBY,), re.compile(r"\b(?:File|IO)\.(?:read|readlines|foreach|binread|open|new)\b[\s(]*$"), "reads itself"),
    _Rule((PYTHON,), re.compile(r"\bopen\(\s*$"), "reads itself"),
    _Rule((PYTHON,), re.compile(r"\b(?:linecache|fileinput|zipfile|tarfile)\b[^#]*$"), "reads itself"),
    _Rule((PHP,), re.compile(r"\b(?:file_get_contents|fopen|file|readfile)\s*\(\s*$"), "reads itself"),
    _Rule(
        (JAVASCRIPT, TYPESCRIPT),
        re.compile(r"\b(?:readFile|readFileSync|createReadStream|open|openSync)\s*\(\s*$"),
        "reads itself",
    ),
)
"""Of what stands in front of the name of the script's own file."""
_HANDS_OVER = re.compile(r"\bexec\b[\"']?\s+(?:(?:\S*/)?env\s+)?[\"']?(?:\S*/)?(?P<program>[\w.+-]+)[^#]*$")
_ENDS = {0x00: "NUL, as binary data does", 0x04: "an end-of-text character", 0x1A: "an end-of-file character"}
"""Bytes at which some interpreters stop reading, so that data may follow."""
_SINGLE_QUOTED = re.compile("'[^']{0,400}'")


def objection(content: bytes, identity: Identity) -> str:
    """Why comments must not be put behind this script; empty when nothing is known that speaks against it."""
    language = identity.language
    if language is None:
        return "no interpreter is known for it"
    other = identity.by_name
    if identity.disagree and other is not None and other.comment != language.comment:
        return f"its first line says {language.name}, its name {other.name}, whose comments are written differently"
    encoding = languages.declared_encoding(content[: limits.DETECT_HEAD], language)
    if encoding and not keeps_ascii(encoding):
        return f"its encoding is {encoding}, in which comments need not be comments"
    if problem := _bytes(content):
        return problem
    text = content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return next(_objections(text, language), "")


def _bytes(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "it is UTF-16"
    for octet, what in _ENDS.items():
        if octet in content:
            return f"it contains {what}"
    if content.rstrip().endswith(b"\\"):
        return "its last line ends in a backslash, which would continue it into the comments"
    return ""


def _objections(text: str, language: Language) -> Iterator[str]:
    lines = list(enumerate(text.split("\n"), 1))
    if language in heredocs.SYNTAX:
        lines, missing = heredocs.outside(lines, language)
        if missing:
            yield missing
    marks, anywhere, before = (
        [rule for rule in rules if language in rule.languages] for rules in (_MARKS, _ANYWHERE, _BEFORE_ITS_NAME)
    )
    for number, line in lines:
        shown = _SINGLE_QUOTED.sub("''", line) if language in _SHELLS else line
        if _is_comment(shown, language):
            continue
        found = [rule.does for rule in marks if rule.pattern.match(shown)]
        found += [rule.does for rule in anywhere if rule.pattern.search(shown)]
        for prefix in _before_its_name(shown, language):
            found += [rule.does for rule in before if rule.pattern.search(prefix)]
            found += _handed_over(prefix, language)
        yield from (f"it {does} (line {number})" for does in found)
    if language is PERL and _in_pod(lines):
        yield "it ends in documentation (POD without =cut)"
    if language is PHP and text.rfind("?>") >= max(text.rfind("<?php"), text.rfind("<?=")):
        yield "it does not end in PHP code, so that comments would be output"


def _before_its_name(line: str, language: Language) -> Iterator[str]:
    """What stands in front of each mention of the script's own file."""
    pattern = _SHELL_SELF if language in _SHELLS else _SELF
    for match in itertools.islice(pattern.finditer(line), _MENTIONS_MAX):
        yield line[max(0, match.start() - _BEFORE_MAX) : match.start()]


def _handed_over(prefix: str, language: Language) -> list[str]:
    """A shell script that gives itself to an interpreter with other comments (exec node "$0")."""
    match = _HANDS_OVER.search(prefix) if language in _SHELLS else None
    if match is None:
        return []
    other = languages.identify(b"#!" + match["program"].encode(), "").language
    return [] if other and other.comment == languages.HASH else [f"hands itself to {match['program']}"]


def _is_comment(line: str, language: Language) -> bool:
    """A comment is not run; but those that announce data are looked at all the same."""
    return line.lstrip().startswith(language.comment) and not line.rstrip().endswith(":")


def _in_pod(lines: list[tuple[int, str]]) -> bool:
    inside = False
    for _, line in lines:
        if line.startswith("=cut"):
            inside = False
        elif re.match("=[a-zA-Z]", line):
            inside = True
    return inside
