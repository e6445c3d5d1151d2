"""Lists of packages: read in one go while they are hashed, and believed only when the digest is the release's."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.errors import BrokenError, InputError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.formats._compressed import streams
from chopmark.formats.deb import deb822
from chopmark.supply.apt import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.supply.apt.places import Place
    from chopmark.supply.apt.release import Listed, Release

_FIELDS = re.compile(rb"^(package|version|architecture|size|sha256):(.*)$", re.MULTILINE | re.IGNORECASE)
_NEEDED = frozenset((b"package", b"version", b"architecture", b"size", b"sha256"))
_DIGEST = re.compile(rb"[0-9a-f]{64}").fullmatch


class Listing(NamedTuple):
    """A package as a list names it; `release` is the place of the release among those that were read."""

    package: bytes
    version: bytes
    architecture: bytes
    size: int
    release: int


class Read(NamedTuple):
    """What a list holds, by SHA-256; `weak` counts those without it."""

    packages: dict[bytes, Listing]
    weak: int


def load(place: Place, release: Release, number: int) -> tuple[dict[bytes, Listing], list[Finding]]:
    """The packages of all lists of a release that are there and are the ones it names. Raises UsageError."""
    packages: dict[bytes, Listing] = {}
    findings: list[Finding] = []
    for name in release.indexes:
        for path, kind in place.candidates(name, release):
            try:
                with Artifact.open(path) as file:
                    read, finding = _held(file, name, kind, release, number)
            except InputError as error:
                if getattr(error, "reason", None) is not None and error.reason.code == "input.missing":  # type: ignore[attr-defined]
                    continue
                read, finding = None, reasons.INDEX_UNREADABLE.found(str(error), subject=name)
            findings.append(finding)
            if read is not None:
                packages |= read.packages
                if read.weak:
                    findings.append(reasons.PACKAGE_WEAK.found(f"{read.weak} packages", subject=name))
            break
    if not findings:
        findings.append(reasons.NO_INDEX.found(release.name))
    return packages, findings


def _held(file: Artifact, name: str, kind: str, release: Release, number: int) -> tuple[Read | None, Finding]:
    """A list, if its bytes are the release's: those that it holds uncompressed, or else those of the file."""
    plain, stored = release.files.get(name), release.files.get(f"{name}.{kind}" if kind else name)
    listed = plain or stored
    if listed is None:
        weak = {name, f"{name}.{kind}"} & release.weak
        if weak:
            return None, reasons.INDEX_WEAK.found(subject=name)
        return None, reasons.INDEX_UNREADABLE.found("the release has no digest for this form of it", subject=name)
    check = _Check(listed)
    try:
        pieces = file.chunks() if plain else check.through(file.chunks())
        unpacked = streams.unpacked(pieces, kind, limits.PACKAGES_MAX)
        read = _parsed(check.through(unpacked) if plain else unpacked, number)
    except BrokenError as error:
        return None, error.reason.found(error.detail, subject=name)
    except MalformedError as error:
        return None, reasons.FORM.found(str(error), subject=name)
    if not check.holds or file.view.changed():
        return None, reasons.INDEX_MISMATCH.found(f"{check.size} bytes, not {listed.size}", subject=name)
    return read, reasons.INDEX.found(f"{len(read.packages)} packages", subject=name)


class _Check:
    def __init__(self, listed: Listed) -> None:
        self._listed = listed
        self._hasher = hashlib.new(listed.algorithm, usedforsecurity=False)
        self.size = 0

    def through(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._hasher.update(piece)
            self.size += len(piece)
            yield piece

    @property
    def holds(self) -> bool:
        return self.size == self._listed.size and self._hasher.digest() == self._listed.digest


def _parsed(pieces: Iterator[bytes], number: int) -> Read:
    found: dict[bytes, Listing] = {}
    weak = 0
    for paragraph in deb822.paragraphs(pieces):
        pairs = _FIELDS.findall(paragraph)
        said = {name.lower(): value.strip(b" \t") for name, value in pairs}
        if len(said) != len(pairs):
            raise MalformedError("a package with a field twice")
        if b"sha256" not in said and b"package" in said:
            weak += 1
            continue
        if said.keys() != _NEEDED or not _DIGEST(said[b"sha256"]) or not said[b"size"].isdigit():
            raise MalformedError(f"a package that is not wholly told: {said.get(b'package', b'')[:80]!r}")
        listing = Listing(said[b"package"], said[b"version"], said[b"architecture"], int(said[b"size"]), number)
        found[bytes.fromhex(said[b"sha256"].decode("ascii"))] = listing
        if len(found) > limits.APT_PACKAGES_MAX:
            raise UsageError(f"more than {limits.APT_PACKAGES_MAX} packages in a list")
    return Read(found, weak)
