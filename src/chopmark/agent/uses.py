"""What somebody wants with a file that they open: run it, interpret it, load it, or just read it."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.agent import processes
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from chopmark.agent.processes import Program

EXEC, SCRIPT, LIBRARY = "exec", "script", "library"
"""Kinds of use, as a policy names them. A file that is only read has none."""
IF_NAMED = "if named"
"""It is a script where the command line names it (`of_named`), and else only read."""

_ELF = b"\x7fELF"
_HEAD = 64

_SHELL = re.compile(
    r"(?:ba|da|a|k|mk|z|c|tc|fi|r|rba|pdk|yash|o)?sh(?:[-.]?\d[\d.]*)?|busybox|toybox|ksh93|lksh|yash|elvish|nu|xonsh"
)
_LANGUAGE = re.compile(
    r"(?:python|pypy|perl|ruby|jruby|lua|luajit|node|nodejs|deno|bun|php|php-cgi|php-fpm|tclsh|wish|expect|guile|pwsh|"
    r"java|mono|dotnet|Rscript|R|julia|octave|gawk|mawk|awk|sed|make|gmake|scheme|racket|groovy|erl|escript|osascript|"
    r"systemd|cron|crond|env|m4|gdb|vim|emacs|irb|qjs|d8)(?:[-.]?\d[\w.]*)?(?:-config)?"
)
_LOADER = re.compile(r"ld-linux[\w-]*\.so\.\d|ld-musl-[\w-]+\.so\.\d|ld-[\d.]+\.so|ld\.so(?:\.\d)?|ld64\.so\.\d")
_SUFFIXES = frozenset(
    [
        *(".sh", ".bash", ".zsh", ".ksh", ".csh", ".fish"),
        *(".py", ".pyc", ".pyw", ".pyz", ".pth", ".whl", ".egg"),
        *(".pl", ".pm", ".ph", ".t", ".rb", ".lua", ".tcl", ".awk", ".php", ".phar", ".ps1", ".psm1", ".psd1"),
        *(".js", ".mjs", ".cjs", ".ts", ".node", ".wasm"),
        *(".r", ".jl", ".jar", ".class", ".groovy", ".scm", ".el", ".elc", ".vim", ".mk"),
    ]
)
"""Names of what interpreters load by themselves: `import x` opens x.py, and nobody sees x on a command line."""


_EXTENSION = re.compile(r"\.so(?:\.[\w.]+)?$|\.node$")
"""Names of native code that interpreters load."""


class Rules(NamedTuple):
    """How much is judged.

    With `strict` every file that an interpreter opens is code, and so is every ELF file that anybody opens.
    `interpreters` are more names of programs that take any text for code, as shells do.
    """

    strict: bool = False
    interpreters: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def interpreter(name: str, rules: Rules) -> str:
    """What kind of interpreter a program of this name is: shell, language or loader; empty for none."""
    if name in rules.interpreters or _SHELL.fullmatch(name):
        return "shell"
    if _LOADER.fullmatch(name):
        return "loader"
    return "language" if _LANGUAGE.fullmatch(name) else ""


def is_native(descriptor: int) -> bool:
    """Whether it is code that the processor runs, which no interpreter is needed for."""
    return os.pread(descriptor, 4, 0) == _ELF


def is_code(descriptor: int, path: str, mode: int) -> bool:
    """Whether a file looks as if somebody may run it."""
    return bool(mode & 0o111) or os.pread(descriptor, len(_ELF), 0).startswith((_ELF, b"#!")) or _suffix(path)


def of_open(descriptor: int, path: str, thread: int, by: Program, rules: Rules, kind: str = "") -> str:
    """The use of a file that is opened and not executed; `kind` is that of the program, where its name does not say it.

    A shell takes anything for a script, also from where its input was redirected, so all that a shell opens for reading
    is one. Other interpreters also read data: what counts is what begins or is called like a script, or is named on the
    command line (IF_NAMED); what they open for writing they do not run. The dynamic loader, run as a program, runs what
    it opens. Native code that others load is judged where it is called so, or with `strict`.
    """
    kind = kind or interpreter(by.name, rules)
    if not kind and not rules.strict:
        return ""
    use = _of_content(descriptor, path, kind, rules)
    if use in ("", IF_NAMED):
        return use
    access = processes.access(thread)
    writes = access == os.O_WRONLY or (access == os.O_RDWR and kind == "language")
    return "" if writes else use


def of_named(thread: int, key: tuple[int, int]) -> str:
    """The use of a file that is one IF_NAMED. May wait for the process that asks, and for whatever it names."""
    is_script = processes.names(thread, *key) and processes.access(thread) not in (os.O_WRONLY, os.O_RDWR)
    return SCRIPT if is_script else ""


def _of_content(descriptor: int, path: str, kind: str, rules: Rules) -> str:
    head = os.pread(descriptor, _HEAD, 0)
    if head.startswith(_ELF):
        if kind == "loader":
            return EXEC
        return LIBRARY if rules.strict or (kind == "language" and _EXTENSION.search(path)) else ""
    if not kind:
        return ""
    is_script = kind == "shell" or rules.strict or head.startswith(b"#!") or _suffix(path)
    return SCRIPT if is_script else IF_NAMED


def _suffix(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in _SUFFIXES
