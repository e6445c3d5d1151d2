"""Installed files held against the packages that they come from, package by package."""

from __future__ import annotations

import os
import stat
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from chopmark.core.counting import counted
from chopmark.core.named import NamedTuple
from chopmark.engine import batch
from chopmark.engine.catalog import seeing
from chopmark.engine.catalog.importing import DATABASE, RELEASE
from chopmark.formats.catalog import listing
from chopmark.formats.catalog import reasons as catalog_reasons
from chopmark.supply.dpkg import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.engine.catalog.importing import File
    from chopmark.supply.dpkg.provenance import DpkgPackages


class Told(NamedTuple):
    """What became of a package: how many of its files are proven, only known, altered, or not there."""

    package: str
    proven: int
    known: int
    altered: int
    absent: int
    findings: tuple[Finding, ...]


class Counts:
    """Over all packages."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, told: Told) -> None:
        """Take in what was said of one."""
        self._counts.update(packages=1, proven=told.proven, known=told.known, altered=told.altered, absent=told.absent)

    @property
    def proven(self) -> int:
        """Files that a trusted release leads to."""
        return self._counts["proven"]

    def facts(self) -> dict[str, int]:
        """By what they are."""
        return {name: self._counts[name] for name in ("packages", "proven", "known", "altered", "absent")}

    def sentence(self) -> str:
        """For people."""
        return (
            f"{counted(self._counts['packages'], 'package')}: {counted(self.proven, 'file')} proven, "
            f"{self._counts['known']} as dpkg or a package without a release says, "
            f"{self._counts['altered']} altered, {self._counts['absent']} not there"
        )


def compare(packages: DpkgPackages, root: str, jobs: int) -> Iterator[Told]:
    """Each package in turn. Raises WorkerError."""
    return batch.run(packages.names(), partial(_compared, packages=packages, root=os.fsencode(root)), jobs)


def _compared(name: str, packages: DpkgPackages, root: bytes) -> Told:
    looked = packages.look(name)
    counts: Counter[str] = Counter()
    findings = list(looked.findings)
    by_path: dict[bytes, list[File]] = {}
    for file in looked.files:  # an alternative has several links that may stand there
        by_path.setdefault(file.path, []).append(file)
    for path, files in by_path.items():
        try:
            found = [_same(root, file) for file in files]
        except OSError as error:
            findings.append(reasons.UNREADABLE_FILE.found(os.strerror(error.errno or 0), subject=_shown(path)))
            continue
        if any(found):
            counts["proven" if files[0].how == RELEASE else "known"] += 1
        elif None in found:
            counts["absent"] += 1
        else:
            counts["altered"] += 1
            reason = catalog_reasons.ALTERED_SETTING if files[0].setting else catalog_reasons.ALTERED
            findings.append(reason.found(subject=_shown(path)))
    return Told(name, counts["proven"], counts["known"], counts["altered"], counts["absent"], tuple(findings))


def _same(root: bytes, file: File) -> bool | None:
    """Whether what is there is what the package has; None where nothing is (documentation may be left out)."""
    if file.how == DATABASE:
        # It was read to be held against dpkg's sum; a digest that nothing has says that it is another.
        return any(file.content)
    path = os.path.join(root, file.path)
    try:
        state = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if file.kind == b"l":
        return stat.S_ISLNK(state.st_mode) and os.readlink(path) == file.content
    if not stat.S_ISREG(state.st_mode):
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        digest, _ = seeing.hashed(descriptor, os.fstat(descriptor).st_size)
    finally:
        with suppress(OSError):
            os.close(descriptor)
    return bytes.fromhex(digest.decode("ascii")) == file.content


def _shown(path: bytes) -> str:
    return listing.escape(path).decode("ascii")
