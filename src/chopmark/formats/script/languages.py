"""Which interpreter runs a script, and how its comments begin: by the first line, else by the name."""

from __future__ import annotations

import re

from chopmark.core.named import NamedTuple
from chopmark.formats._text.first_line import interpreter_of

HASH, SLASHES, DASHES = "#", "//", "--"


class Language(NamedTuple):
    """A family of interpreters that read the same text: what people call it, and what begins a comment line."""

    name: str
    comment: str


SHELL = Language("shell", HASH)
C_SHELL = Language("C shell", HASH)
FISH = Language("fish", HASH)
PYTHON = Language("Python", HASH)
PERL = Language("Perl", HASH)
RUBY = Language("Ruby", HASH)
TCL = Language("Tcl", HASH)
AWK = Language("awk", HASH)
SED = Language("sed", HASH)
R = Language("R", HASH)
JULIA = Language("Julia", HASH)
ELIXIR = Language("Elixir", HASH)
MAKE = Language("make", HASH)
CMAKE = Language("CMake", HASH)
JAVASCRIPT = Language("JavaScript", SLASHES)
TYPESCRIPT = Language("TypeScript", SLASHES)
PHP = Language("PHP", SLASHES)
GROOVY = Language("Groovy", SLASHES)
KOTLIN = Language("Kotlin", SLASHES)
SWIFT = Language("Swift", SLASHES)
DART = Language("Dart", SLASHES)
LUA = Language("Lua", DASHES)
HASKELL = Language("Haskell", DASHES)
APPLESCRIPT = Language("AppleScript", DASHES)

_INTERPRETERS = {
    SHELL: "sh bash dash ash zsh ksh ksh93 mksh pdksh lksh yash posh rbash busybox bats openrc-run",
    C_SHELL: "csh tcsh",
    FISH: "fish",
    PYTHON: "python pythonw pypy micropython jython ipython uv vpython",
    PERL: "perl",
    RUBY: "ruby jruby truffleruby rake",
    TCL: "tclsh wish expect",
    AWK: "awk gawk mawk nawk",
    SED: "sed gsed",
    R: "Rscript r littler",
    JULIA: "julia",
    ELIXIR: "elixir",
    MAKE: "make gmake",
    CMAKE: "cmake",
    JAVASCRIPT: "node nodejs",
    TYPESCRIPT: "deno bun ts-node tsx",
    PHP: "php php-cgi",
    GROOVY: "groovy",
    KOTLIN: "kotlin",
    SWIFT: "swift",
    DART: "dart",
    LUA: "lua luajit texlua",
    HASKELL: "runghc runhaskell",
    APPLESCRIPT: "osascript",
}
_SUFFIXES = {
    SHELL: ".sh .bash .dash .ash .zsh .ksh .bats .command",
    C_SHELL: ".csh .tcsh",
    FISH: ".fish",
    PYTHON: ".py .pyw",
    PERL: ".pl .pm .plx",
    RUBY: ".rb .rbw .rake .gemspec .ru",
    TCL: ".tcl .tk .exp .tm",
    AWK: ".awk",
    SED: ".sed",
    R: ".r",
    JULIA: ".jl",
    ELIXIR: ".exs",
    MAKE: ".mk .mak",
    CMAKE: ".cmake",
    JAVASCRIPT: ".js .mjs .cjs .jsx",
    TYPESCRIPT: ".ts .mts .cts .tsx",
    PHP: ".php .phtml",
    GROOVY: ".groovy .gradle",
    KOTLIN: ".kts",
    SWIFT: ".swift",
    DART: ".dart",
    LUA: ".lua",
    HASKELL: ".hs",
    APPLESCRIPT: ".applescript",
}
_NAMES = {
    SHELL: ".bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zprofile .zshenv .zlogin "
    ".zlogout .kshrc .mkshrc .xinitrc .xprofile .xsession bashrc bash.bashrc profile zshrc configure pkgbuild apkbuild",
    C_SHELL: ".cshrc .tcshrc .login .logout",
    PYTHON: "sconstruct sconscript wscript",
    RUBY: "rakefile gemfile vagrantfile podfile fastfile",
    MAKE: "makefile gnumakefile",
    CMAKE: "cmakelists.txt",
    GROOVY: "jenkinsfile",
}


def _by_word(table: dict[Language, str]) -> dict[str, Language]:
    return {word.lower(): language for language, words in table.items() for word in words.split()}


_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)")

BY_INTERPRETER = _by_word(_INTERPRETERS)
BY_SUFFIX = _by_word(_SUFFIXES)
BY_NAME = _by_word(_NAMES)
COMMENTS = (HASH, SLASHES, DASHES)


class Identity(NamedTuple):
    """What a script is, by its first line and by its name.

    `interpreter` is the program that the first line names, empty without one; the languages are None when not known.
    """

    interpreter: str
    by_first_line: Language | None
    by_name: Language | None

    @property
    def language(self) -> Language | None:
        """The language that counts: that of the first line, else that of the name."""
        return self.by_first_line if self.interpreter else self.by_name

    @property
    def disagree(self) -> bool:
        """Whether first line and name say different things."""
        return self.interpreter != "" and self.by_name is not None and self.by_first_line is not self.by_name


def identify(head: bytes, name: str) -> Identity:
    """What a file with this beginning and path is."""
    interpreter = interpreter_of(head) if head.startswith(b"#!") else ""
    base = name.rsplit("/", 1)[-1].lower()
    dot = base.rfind(".")
    by_name = BY_NAME.get(base) or (BY_SUFFIX.get(base[dot:]) if dot >= 0 else None)
    by_first_line = BY_INTERPRETER.get(_plain(interpreter)) if interpreter else None
    return Identity(interpreter, by_first_line, by_name)


def declared_encoding(head: bytes, language: Language) -> str:
    """The encoding that a script declares for itself in its first two lines; empty when none, or none that counts.

    Only Python reads any encoding that way (PEP 263); Ruby refuses those that are not ASCII where ASCII is meant.
    """
    if language is not PYTHON:
        return ""
    lines = re.split(rb"\r\n|\r|\n", head, maxsplit=2)[:2]
    found = next((match for line in lines if (match := _COOKIE.match(line))), None)
    return found[1].decode("ascii") if found else ""


def _plain(interpreter: str) -> str:
    """Lower case, without a version: python3.11 is python, tclsh8.6 is tclsh."""
    plain = interpreter.lower().removesuffix(".exe")
    return plain if plain in BY_INTERPRETER else plain.rstrip("0123456789.-_")
