"""A host or an image: its root, its users, and how files with definitions are found and read in it."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import UnreadableError
from chopmark.core.named import NamedTuple
from chopmark.engine.services import reasons
from chopmark.engine.services.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.services.rooted import Root

RUN_PARTS = re.compile(r"[A-Za-z0-9_-]+")
"""Names that Debian's run-parts and cron heed (run-parts(8), cron(8))."""
_CRONIE = re.compile(
    r"(?!\.).*(?<!~)(?<!\.rpmsave)(?<!\.rpmorig)(?<!\.rpmnew)(?<!\.cfsaved)(?<!\.swp)(?<!,v)", re.DOTALL
)
"""Names that those of Fedora, RHEL and SUSE heed: almost all (cronie, crontabs)."""


class User(NamedTuple):
    """Somebody with a home."""

    name: str
    number: int
    home: str


class Line(NamedTuple):
    """A line of a file, without its end, and its number."""

    number: int
    text: str


class Host:
    """What sources look at. `findings` are about the whole, not about one entry."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.findings: list[Finding] = []

    @cached_property
    def users(self) -> tuple[User, ...]:
        """Everybody in /etc/passwd whose home is there, each home once."""
        found: dict[str, User] = {}
        for line in self.lines("/etc/passwd"):
            fields = line.text.split(":")
            if len(fields) < 7 or not fields[2].isdigit() or not fields[5].startswith("/"):  # noqa: PLR2004 - passwd(5)
                continue
            home = fields[5].rstrip("/")
            there = self.root.get(home) if home else None
            if (
                there is not None
                and there.is_folder
                and there.path not in ("/", "/dev", "/bin", "/usr/sbin", "/usr/bin")
            ):
                found.setdefault(there.path, User(fields[0], int(fields[2]), there.path))
            if len(found) >= limits.SERVICE_USERS_MAX:
                self.findings.append(reasons.UNREADABLE.found("too many users", subject="/etc/passwd"))
                break
        return tuple(found.values())

    @cached_property
    def cron_names(self) -> re.Pattern[str]:
        """The names of tables that cron heeds here: cronie is known by what it is called."""
        cronie = any(
            self.root.get(path) for path in ("/usr/sbin/crond", "/usr/bin/crond", "/var/lib/dpkg/info/cronie.list")
        )
        return _CRONIE if cronie else RUN_PARTS

    @cached_property
    def run_parts_names(self) -> re.Pattern[str]:
        """The names of programs that run-parts heeds here: it is a program on Debian, and elsewhere a script."""
        for path in ("/usr/bin/run-parts", "/bin/run-parts"):
            with suppress(UnreadableError):
                return _CRONIE if self.root.read(path, limits.SERVICE_FILE_MAX).startswith(b"#!") else RUN_PARTS
        return RUN_PARTS

    def lines(self, path: str) -> list[Line]:
        """The lines of a text file; none where it is not there, or cannot be read, which is a finding of the whole."""
        found = self.root.get(path)
        if found is None or not found.is_file:
            return []
        try:
            return lines_of(self.root.read(path, limits.SERVICE_FILE_MAX))
        except UnreadableError as error:
            self.findings.append(unreadable(path, error))
            return []

    def text(self, path: str) -> tuple[list[Line], list[Finding]]:
        """The lines of a file that an entry is made of, and what kept them from being read."""
        try:
            return lines_of(self.root.read(path, limits.SERVICE_FILE_MAX)), []
        except UnreadableError as error:
            return [], [unreadable(path, error)]

    def files(self, folder: str) -> Iterator[tuple[str, str]]:
        """(name, path) of everything in a folder that is not itself a folder, ascending by name."""
        try:
            listed = self.root.names(folder)
        except OSError as error:
            self.findings.append(reasons.UNREADABLE.found(os.strerror(error.errno or 0), subject=folder))
            return
        for name, _, is_folder in listed:
            if not is_folder:
                yield name, f"{folder}/{name}"

    def chosen(self, folders: tuple[str, ...], suffix: str) -> Iterator[tuple[str, str]]:
        """(name, path) of the files with a suffix: of those with one name the one in the first folder that has it."""
        found: dict[str, str] = {}
        for folder in folders:
            for name, path in self.files(folder):
                if name.endswith(suffix) and not name.startswith("."):
                    found.setdefault(name, path)
        yield from sorted(found.items())

    def is_masked(self, path: str) -> bool:
        """Whether a file is empty or a link to /dev/null, which takes those of its name elsewhere out of force."""
        try:
            if self.root.link(path) == "/dev/null":
                return True
        except OSError:
            return False
        found = self.root.get(path)
        return found is not None and found.is_file and not found.state.st_size

    def code(self, kind: str, name: str, path: str, *, scope: str = "system", state: str = "") -> Entry:
        """An entry that is one file with code in it, read by a program that is looked at elsewhere."""
        return Entry(kind, name, (path,), state=state, scope=scope)


def lines_of(data: bytes) -> list[Line]:
    """The lines of a text."""
    text = data.decode("utf-8", "surrogateescape")
    return [Line(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1)]


def assembled(lines: Iterable[Line]) -> Iterator[Line]:
    """Lines of PAM's files without comments, each with those that continue it (linux-pam, _pam_assemble_line).

    What is empty or a comment ends no continuation; a line with a comment in it is not continued.
    """
    held: Line | None = None
    for line in lines:
        text, sign, _ = line.text.strip(" \t").partition("#")
        if not text:
            continue
        text = text.rstrip(" \t")
        whole = line._replace(text=text) if held is None else held._replace(text=held.text + text)
        held = None
        if text.endswith("\\") and not sign:
            held = whole._replace(text=whole.text[:-1] + " ")
        else:
            yield whole
    if held is not None:
        yield held


def unreadable(path: str, error: UnreadableError) -> Finding:
    """That a definition could not be read."""
    detail = error.reason.sentence + (f" ({error.detail})" if error.detail else "")
    return reasons.UNREADABLE.found(detail, subject=path)
