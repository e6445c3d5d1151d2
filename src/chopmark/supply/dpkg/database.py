"""dpkg's records of a host (dpkg(1), deb-conffiles(5)): packages, their files, diversions, alternatives."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import Artifact, UnreadableError, read_small
from chopmark.core.errors import InputError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.formats.deb import deb822
from chopmark.supply.dpkg import rights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ADMIN = "var/lib/dpkg"
_INSTALLED = b"install ok installed"
_SANE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.+~:-]*").fullmatch
"""What names, versions and architectures consist of (Debian Policy 5.6): they become names of files, and words."""


class Installed(NamedTuple):
    """A package that is installed, and the MD5 of its settings as it brought them, by their paths below the root."""

    name: bytes
    version: bytes
    architecture: bytes
    settings: Mapping[bytes, bytes]

    @property
    def label(self) -> str:
        """By which it is told from the same package of another architecture."""
        return f"{os.fsdecode(self.name)}:{os.fsdecode(self.architecture)}"


class Database:
    """The records below a root. Read once; files of single packages when asked for."""

    def __init__(self, root: str) -> None:
        """Raises InputError, and UsageError for records that cannot be read as dpkg's."""
        self.root = root
        self._admin = os.path.join(root, _ADMIN)
        self.packages = {each.label: each for each in self._installed()}
        self.diverted = dict(self._diversions())
        self.overrides = rights.overrides(self._optional("statoverride"))

    def files(self, package: Installed) -> list[bytes]:
        """The paths of a package below the root, as it was shipped. Raises InputError."""
        lines = self._of(package, "list").split(b"\n")
        return [line[1:] for line in lines if line.startswith(b"/") and line != b"/."]

    def sums(self, package: Installed) -> dict[bytes, bytes]:
        """The MD5 of files by their paths; empty where the package has none. Raises InputError."""
        try:
            lines = self._of(package, "md5sums").split(b"\n")
        except UnreadableError:
            return {}
        pairs = (line.split(b"  ", 1) for line in lines if line[32:34] == b"  ")
        return {path.lstrip(b"/"): digest for digest, path in pairs}

    def target(self, path: bytes, package: Installed) -> bytes:
        """Where a file of a package really stands, other packages' diversions heeded."""
        diverted = self.diverted.get(path)
        return path if diverted is None or diverted[1] == package.name else diverted[0]

    def alternatives(self) -> Iterator[tuple[bytes, bytes]]:
        """Links that update-alternatives makes, and what they may lead to. Records that are none are passed over."""
        folder = os.path.join(self._admin, "alternatives")
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            return
        for name in names:
            try:
                lines = read_small(os.path.join(folder, name), limits.DPKG_LIST_MAX).split(b"\n")
            except InputError:
                continue
            yield from _alternative(os.fsencode(name), lines)

    def _of(self, package: Installed, what: str) -> bytes:
        for name in (package.label, os.fsdecode(package.name)):
            try:
                return read_small(os.path.join(self._admin, "info", f"{name}.{what}"), limits.DPKG_LIST_MAX)
            except UnreadableError as error:
                if error.reason.code != "input.missing" or name != package.label:
                    raise
        raise AssertionError

    def _installed(self) -> Iterator[Installed]:
        path = os.path.join(self._admin, "status")
        with Artifact.open(path) as file:
            if file.view.size > limits.DPKG_STATUS_MAX:
                raise UsageError(f"{path}: {file.view.size} bytes; at most {limits.DPKG_STATUS_MAX} are read")
            count = 0
            for paragraph in deb822.paragraphs(file.chunks()):
                try:
                    said = deb822.fields(paragraph)
                    if said[b"status"] != _INSTALLED:
                        continue
                    named = said[b"package"], said[b"version"], said[b"architecture"]
                except (MalformedError, KeyError) as error:
                    raise UsageError(f"{path}: not as dpkg writes it: {error}") from None
                count += 1
                if count > limits.DPKG_PACKAGES_MAX or not all(map(_SANE, named)):
                    raise UsageError(f"{path}: not as dpkg writes it")
                yield Installed(*named, dict(_settings(said.get(b"conffiles", b""))))

    def _diversions(self) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
        lines = self._optional("diversions").split(b"\n")
        for at in range(0, len(lines) - 2, 3):
            path, target, package = lines[at : at + 3]
            yield path.lstrip(b"/"), (target.lstrip(b"/"), package)

    def _optional(self, name: str) -> bytes:
        try:
            return read_small(os.path.join(self._admin, name), limits.DPKG_LIST_MAX)
        except UnreadableError:
            return b""


def _settings(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Path and MD5 of each; those that the package has given up (obsolete) too."""
    for line in block.split(b"\n"):
        words = line.split()
        if len(words) > 1 and words[0].startswith(b"/"):
            yield words[0][1:], words[1]


def _alternative(name: bytes, lines: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """One record of update-alternatives: mode, link, slaves and their links, and then each choice with theirs."""
    if len(lines) < 2:  # noqa: PLR2004 - the mode and the link
        return
    links = {name: lines[1]}
    rest = iter(lines[2:])
    for slave in rest:
        if not slave:
            break
        links[slave] = next(rest, b"")
    for each, link in links.items():
        yield link.lstrip(b"/"), b"/etc/alternatives/" + each
    for choice in rest:
        if not choice:
            break
        next(rest, b"")  # its priority
        for each in links:
            target = choice if each == name else next(rest, b"")
            if target:
                yield b"etc/alternatives/" + each, target
