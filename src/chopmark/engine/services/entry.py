"""The nouns: something that starts by itself, what it is made of, and what it starts."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.core.finding import Finding

PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where programs are looked for that are named without a folder, unless something else is said."""


class Role(StrEnum):
    """How something is started: executed, read by an interpreter, loaded into others, or all programs of a folder."""

    PROGRAM = "program"
    SCRIPT = "script"
    LIBRARY = "library"
    FOLDER = "folder"


class Start(NamedTuple):
    """One thing that is started, by the name that is written: absolute, or to be looked for in `folders`.

    `where` is the file and line that says so. `is_optional` where it may be missing. `below` is the folder that the
    program has for its root (systemd's RootDirectory=).
    """

    name: str
    where: str
    role: Role = Role.PROGRAM
    folders: tuple[str, ...] = PATH
    is_optional: bool = False
    below: str = ""


class Call(NamedTuple):
    """Under which circumstances a command is run: where that is written, the search path, variables that are set."""

    where: str
    folders: tuple[str, ...] = PATH
    variables: Mapping[str, str] = {}
    is_optional: bool = False
    below: str = ""

    def inside(self, variables: Mapping[str, str] | None = None) -> Call:
        """For what is started in turn, with further variables: names without a folder are looked for in PATH."""
        together = {**self.variables, **variables} if variables else self.variables
        path = together.get("PATH")
        folders = self.folders if path is None else tuple(each for each in path.split(":") if each.startswith("/"))
        return self._replace(variables=together, folders=folders)

    def start(self, name: str, role: Role = Role.PROGRAM) -> Start:
        """Something that is started so."""
        return Start(name, self.where, role, self.folders, self.is_optional, self.below)


class Entry(NamedTuple):
    """Something that starts by itself: a unit, a line of a crontab, a hook, a profile.

    `files` are all files that say what it does, in the order they are read, absolute; `starts` are what it starts,
    `findings` what is wrong or unknown; `state` is one word (enabled, disabled, static, masked, generated, ...).
    `seals` are the paths at which a signature over all of it may stand, `links` further names and where they lead.
    """

    kind: str
    name: str
    files: tuple[str, ...]
    starts: tuple[Start, ...] = ()
    findings: tuple[Finding, ...] = ()
    state: str = ""
    scope: str = "system"
    seals: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """Kind and name, for people; whose it is, where that is not the system's."""
        return f"{self.kind} {self.name}" + ("" if self.scope == "system" else f" ({self.scope})")
