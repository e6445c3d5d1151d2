"""Where programs stand: found by their names, and what speaks against the place."""

from __future__ import annotations

import stat
from functools import cached_property
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.engine.services import reasons
from chopmark.engine.services.entry import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.services.entry import Start
    from chopmark.engine.services.rooted import Found, Root

_COMMANDS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin")
_USUAL = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/etc", "/snap", "/nix/store", "/gnu/store")
_TEMPORARY = ("/tmp", "/var/tmp", "/dev", "/run", "/var/run", "/var/lock", "/proc", "/var/crash")  # noqa: S108 - to be told


class Place(NamedTuple):
    """Where something that is started stands; `found` is None where nothing does, and `path` is what was looked for."""

    path: str
    found: Found | None


class Places:
    """Finds programs below a root; each name is looked for once."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._known: dict[tuple[str, tuple[str, ...], str], Place] = {}

    def locate(self, start: Start) -> list[Place]:
        """Where it stands; for a folder, all programs in it."""
        place = self._place(start)
        if start.role is not Role.FOLDER or place.found is None:
            return [place]
        try:
            listed = self._root.names(place.path)
        except OSError:
            return [place]
        inner = (Place(path, self._root.get(path)) for path in (f"{place.path}/{name}" for name, _, _ in listed))
        return [each for each in inner if each.found is not None and each.found.is_program]

    def _place(self, start: Start) -> Place:
        key = (start.name, start.folders, start.below)
        if key not in self._known:
            self._known[key] = self._looked_for(start)
        return self._known[key]

    def _looked_for(self, start: Start) -> Place:
        below = start.below.rstrip("/")
        if start.name.startswith("/"):
            path = below + start.name
            return Place(path, self._root.get(path))
        for folder in start.folders:
            path = f"{below}{folder}/{start.name}"
            found = self._root.get(path)
            if found is not None and (found.is_program or (start.role is not Role.PROGRAM and found.is_file)):
                return Place(path, found)
        return Place(start.name, None)

    @cached_property
    def _commands(self) -> frozenset[str]:
        return frozenset(name for folder in _COMMANDS for name, _, _ in self._root.names(folder))

    def findings(self, start: Start, place: Place, home: str = "") -> Iterator[Finding]:
        """What speaks against a place, or against what stands there."""
        subject = place.path
        if place.found is None:
            yield from self._missing(start, place)
            return
        found = place.found
        if not found.is_file:
            yield reasons.NOT_EXECUTABLE.found(_kind(found), subject=subject)
            return
        if start.role is Role.PROGRAM and not found.is_program:
            yield reasons.NOT_EXECUTABLE.found(start.where, subject=subject)
        if found.exposed:
            yield reasons.WRITABLE.found(found.exposed[-1], subject=subject)
        if found.escapes:
            yield reasons.ESCAPE.found(subject=subject)
        if start.below:
            return
        yield from self._place_findings(place.path, found.path, home)

    def _place_findings(self, named: str, real: str, home: str) -> Iterator[Finding]:
        odd = False
        if _is_below(real, _TEMPORARY) or _is_below(named, _TEMPORARY) or _is_hidden(real, home):
            odd = True
            yield reasons.TEMPORARY.found(real if real != named else "", subject=named)
        elif not _is_below(real, _USUAL):
            odd = True
            yield reasons.OUTSIDE.found(real if real != named else "", subject=named)
        name = named.rpartition("/")[2]
        if odd and name in self._commands:
            yield reasons.MASQUERADE.found(f"as {name}", subject=named)

    def _missing(self, start: Start, place: Place) -> Iterator[Finding]:
        reason = reasons.MISSING_IGNORED if start.is_optional else reasons.MISSING
        yield reason.found(start.where, subject=place.path)
        folder = place.path.rpartition("/")[0]
        there = self._root.get(folder) if folder else None
        if there is not None and (there.exposed or there.state.st_mode & stat.S_IWOTH):
            yield reasons.WRITABLE.found(there.path, subject=place.path)


def _kind(found: Found) -> str:
    return "a folder" if found.is_folder else "no regular file"


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _is_hidden(path: str, home: str) -> bool:
    """Whether a part of a path begins with a dot; in a home the usual ones are passed over."""
    if home and path.startswith((f"{home}/.local/", f"{home}/.config/", f"{home}/.cargo/", f"{home}/.nvm/")):
        path = path[len(home) :].partition("/")[2].partition("/")[2]
        path = f"/{path}"
    return "/." in path
