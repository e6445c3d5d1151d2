"""What each installed package must have put where, as its .deb shows, and how far a signed release leads to that."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.errors import InputError, MalformedError
from chopmark.core.finding import Outcome
from chopmark.engine.catalog.importing import DATABASE, GENERATED, PACKAGE, RELEASE, File, Looked
from chopmark.formats.deb import contents
from chopmark.supply.dpkg import reasons
from chopmark.supply.dpkg.rights import Rights
from chopmark.supply.placing import Places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.formats._tar.tarball import Entry
    from chopmark.supply.apt.chain import Repository
    from chopmark.supply.dpkg.database import Database, Installed

ALTERNATIVES = "update-alternatives"
_NOBODY, _SAME = b"\0" * 32, b"\1" * 32
"""In place of a SHA-256 where dpkg's sum is not that of the file (no file has it), or is and nobody asks for more."""


class DpkgPackages:
    """The packages of a host or image, as a catalog asks for them (engine.catalog.importing.Packages)."""

    def __init__(
        self, database: Database, repository: Repository, folders: Sequence[str], *, digests: bool = True
    ) -> None:
        """`folders` may hold the packages as .deb files; without `digests`, files that only dpkg knows have none."""
        self._digests = digests
        self._database = database
        self._repository = repository
        self._folders = tuple(folders)
        self._places = Places(os.fsencode(database.root))
        self._rights = Rights(os.stat(database.root).st_uid, database.overrides)

    def names(self) -> list[str]:
        """All packages, and what update-alternatives made."""
        return [*self._database.packages, ALTERNATIVES]

    def missing(self) -> list[Installed]:
        """The packages that are in no folder."""
        return [package for package in self._database.packages.values() if not self._found(package)]

    def look(self, name: str) -> Looked:
        """The files of a package, from its .deb if it is at hand, else from dpkg's sums."""
        if name == ALTERNATIVES:
            return self._alternatives()
        package = self._database.packages[name]
        label, version = os.fsencode(package.label), package.version
        try:
            owned = frozenset(self._database.files(package))
        except InputError as error:
            return Looked(label, version, (), (reasons.UNREADABLE.found(str(error), subject=name),))
        against: list[Finding] = []
        for path in self._found(package):
            try:
                files, findings = self._from_package(path, package, owned)
            except (MalformedError, InputError) as error:
                against.append(reasons.BROKEN.found(f"{os.path.basename(path)}: {error}", subject=name))
                continue
            if files is not None:
                return Looked(label, version, tuple(files), tuple(findings))
            against += findings
        against = against or [reasons.NOT_AT_HAND.found(os.fsdecode(version), subject=name)]
        return Looked(label, version, tuple(self._from_sums(package)), tuple(against))

    def _found(self, package: Installed) -> list[str]:
        """Where its .deb is, by the names that apt and dpkg-deb give: with the colon of an epoch as %3a, or without."""
        versions = {package.version.replace(b":", b"%3a"), package.version.rpartition(b":")[2], package.version}
        names = [os.fsdecode(b"%b_%b_%b.deb" % (package.name, version, package.architecture)) for version in
                 sorted(versions)]  # fmt: skip
        paths = (os.path.join(folder, name) for folder in self._folders for name in names)
        return [path for path in paths if os.path.isfile(path)]

    def _from_package(
        self, path: str, package: Installed, owned: frozenset[bytes]
    ) -> tuple[list[File] | None, list[Finding]]:
        """The files of a package, and what there is to say of them; None for another package than its name says."""
        with Artifact.open(path) as file:
            digest = _digest(file)
            said = contents.control(file.view)
            named = (package.name, package.version, package.architecture)
            if (said.package, said.version, said.architecture) != named:
                return None, [reasons.OTHER.found(os.path.basename(path), subject=package.label)]
            how = self._how(digest, file.view.size, named)
            settings = said.settings | frozenset(package.settings)
            files = []
            findings = [] if how == RELEASE else [reasons.NO_RELEASE.found(digest.hex(), subject=package.label)]
            for entry in contents.files(file.view):
                if entry.kind in (b"f", b"l") and entry.path in owned:
                    target = self._database.target(entry.path, package)
                    place, content = self._places.real(target), entry.content
                    if entry.kind == b"f" and (finding := self._opened(place, target, entry)):
                        findings.append(finding)
                        content = content if finding.outcome is Outcome.INFO else _NOBODY
                    files.append(File(place, entry.kind, content, how, entry.path in settings))
            if file.view.changed():
                raise MalformedError("it changed while it was being read")
        return files, findings

    def _opened(self, place: bytes, target: bytes, entry: Entry) -> Finding | None:
        return self._rights.finding(os.path.join(os.fsencode(self._database.root), place), entry, (place, target))

    def _how(self, digest: bytes, size: int, named: tuple[bytes, bytes, bytes]) -> bytes:
        """A release proves it when its list has this digest, size and name, and the release itself holds."""
        found = self._repository.listing(digest)
        if found is None or not found[1].proves or (*found[0][:3], found[0].size) != (*named, size):
            return PACKAGE
        return RELEASE

    def _from_sums(self, package: Installed) -> list[File]:
        """Files that are what dpkg's sums say, each read; those that are not have a digest that nothing has."""
        try:
            sums = self._database.sums(package)
        except InputError:
            return []
        found = []
        for path, wanted in {**sums, **package.settings}.items():
            place = self._places.real(self._database.target(path, package))
            with suppress(OSError, InputError):
                digest, other = _sum(os.path.join(os.fsencode(self._database.root), place), strong=self._digests)
                fitting = digest if other == wanted else _NOBODY
                found.append(File(place, b"f", fitting, DATABASE, path in package.settings))
        return found

    def _alternatives(self) -> Looked:
        found = [
            File(self._places.real(path), b"l", target, GENERATED) for path, target in self._database.alternatives()
        ]
        return Looked(ALTERNATIVES.encode(), b"", tuple(found))


def _digest(file: Artifact) -> bytes:
    hasher = hashlib.sha256(usedforsecurity=False)
    for piece in file.chunks():
        hasher.update(piece)
    return hasher.digest()


def _sum(path: bytes, *, strong: bool) -> tuple[bytes, bytes]:
    """SHA-256 (if it is asked for) and, in hex, MD5 of an installed file. Raises OSError."""
    digest, weak = hashlib.sha256(usedforsecurity=False), hashlib.md5(usedforsecurity=False)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        room = min(os.fstat(descriptor).st_size + 1, limits.READ_CHUNK)  # more than needed takes its time
        while data := os.read(descriptor, room):
            weak.update(data)
            if strong:
                digest.update(data)
            if len(data) < room:  # this was the end
                break
    finally:
        os.close(descriptor)
    return digest.digest() if strong else _SAME, weak.hexdigest().encode("ascii")
