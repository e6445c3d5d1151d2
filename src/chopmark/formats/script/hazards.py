"""Scripts that comments at their end would change: what they read, print or run would be another thing.

Nothing here parses a language. Each rule knows one way in which a program gets at its own end, and rather refuses a
script that is harmless than sign one that is not; such a script is signed detached.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

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
# Wildcards are bounded everywhere, so that the time is linear in the length of a line.
_SELF = r"(?<!\\)\$(?:0\b|\{0\b|argv0\b|\{?BASH_SOURCE\b)"
_READERS = (
    "tail|head|sed|g?awk|mawk|dd|cat|tac|[ef]?grep|zgrep|cut|tr|split|csplit|xxd|od|base64|uudecode|openssl|"
    "gunzip|gzip|zcat|xz|xzcat|unxz|bzip2|bzcat|bunzip2|zstd|zstdcat|tar|bsdtar|unzip|cpio|sort|cksum|"
    "(?:md5|sha1|sha224|sha256|sha384|sha512|b2)sum"
)


class _Rule(NamedTuple):
    """In these languages, a line that this is found in means that the script `does` something with its own text."""

    languages: tuple[Language, ...]
    pattern: re.Pattern[str]
    does: str


_RULES = (
    _Rule(_SHELLS, re.compile(rf"(?:^|[\s|;&(`/])(?:{_READERS})\b[^#\n]{{0,400}}{_SELF}"), "reads itself"),
    _Rule(_SHELLS, re.compile(rf"<\s{{0,9}}[\"']?{_SELF}"), "reads itself"),
    _Rule(_SHELLS, re.compile(r"^__[A-Za-z0-9_]+__:?\s*$"), "carries data behind a marker"),
    _Rule(_SHELLS, re.compile(r"^#?\s?(?:PAYLOAD|ARCHIVE)(?:_BELOW)?:\s*$"), "carries data behind a marker"),
    _Rule((PERL, RUBY), re.compile(r"^__(?:END|DATA)__\s*$"), "carries data behind its end"),
    _Rule((PERL,), re.compile(r"\bopen\b[^#\n]{0,200}(?:\$0\b|__FILE__)"), "reads itself"),
    _Rule(
        (RUBY,),
        re.compile(r"\b(?:File|IO)\.(?:read|readlines|foreach|binread|open|new)\b[\s(]{0,9}(?:__FILE__|\$0\b)"),
        "reads itself",
    ),
    _Rule((PYTHON,), re.compile(r"\bopen\(\s*(?:__file__|sys\.argv\[0\])"), "reads itself"),
    _Rule((PYTHON,), re.compile(r"(?:__file__|sys\.argv\[0\])\)*\.(?:read_text|read_bytes|open)\("), "reads itself"),
    _Rule((PYTHON,), re.compile(r"\b(?:linecache|fileinput|zipfile|tarfile)\b.{0,200}__file__"), "reads itself"),
    _Rule(
        (PHP,), re.compile(r"__(?:HALT_COMPILER|COMPILER_HALT_OFFSET)", re.IGNORECASE), "carries data behind its end"
    ),
    _Rule((PHP,), re.compile(r"\b(?:file_get_contents|fopen|file|readfile)\s*\(\s*__FILE__"), "reads itself"),
    _Rule(
        (JAVASCRIPT, TYPESCRIPT),
        re.compile(
            r"\b(?:readFile|readFileSync|createReadStream|open|openSync)\s*\(\s*(?:__filename|process\.argv\[1\])"
        ),
        "reads itself",
    ),
)
_HANDS_ITSELF_OVER = re.compile(
    r"\bexec\s{1,9}(?:(?:\S{0,99}/)?env\s{1,9})?[\"']?(?:\S{0,99}/)?(?P<program>[\w.+-]+)[^#\n]{0,400}" + _SELF
)
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
        code, missing = heredocs.outside(lines, language)
        if missing:
            yield missing
        lines = code
    rules = [rule for rule in _RULES if language in rule.languages]
    for number, line in lines:
        shown = _SINGLE_QUOTED.sub("''", line) if language in _SHELLS else line
        if _is_comment(shown, language):
            continue
        yield from (f"it {rule.does} (line {number})" for rule in rules if rule.pattern.search(shown))
        if language in _SHELLS and (match := _HANDS_ITSELF_OVER.search(shown)):
            other = languages.identify(b"#!" + match["program"].encode(), "").language
            if other is None or other.comment != languages.HASH:
                yield f"it hands itself to {match['program']} (line {number})"
    if language is PERL and _in_pod(lines):
        yield "it ends in documentation (POD without =cut)"
    if language is PHP and text.rfind("?>") >= max(text.rfind("<?php"), text.rfind("<?=")):
        yield "it does not end in PHP code, so that comments would be output"


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
