"""Which files of a tree come from packages, and how far that is shown: what a database of packages tells a catalog.

A database (dpkg's, RPM's) is a `Packages`: it names its packages, and says of one what its files must be. Packages are
looked at by several processes; what they tell is held against what stands in the tree while the catalog is made.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.engine import batch
from chopmark.formats.catalog import listing, reasons
from chopmark.formats.catalog.listing import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.core.finding import Finding

RELEASE, PACKAGE, DATABASE, GENERATED = b"release", b"package", b"database", b"generated"
"""How it is known: a trusted release or signature leads to the package; a package is at hand that nothing leads to;
the database on the host itself says so, which proves nothing; a program of the host made it."""
ALTERED, NOWHERE = b"altered", b"none"
"""It is another than its package has; no package has it."""
TRUSTED = frozenset({RELEASE})
"""What a catalog vouches for when nobody asks for more."""
_HOWS = (RELEASE, PACKAGE, DATABASE, GENERATED)
_RECORD = 32 + 1 + 4


class File(NamedTuple):
    """What a package has at a path (below the root, as the tree has it): a regular file (`f`) or a link (`l`).

    `content` is the SHA-256 of the file, or the link's target; `setting` says that people may change it.
    """

    path: bytes
    kind: bytes
    content: bytes
    how: bytes
    setting: bool = False


class Looked(NamedTuple):
    """What became of one package: its name and version, its files, and what is to be said of it."""

    package: bytes
    version: bytes
    files: tuple[File, ...] = ()
    findings: tuple[Finding, ...] = ()


class Packages(Protocol):
    """A database of packages."""

    def names(self) -> Sequence[str]:
        """What the installed packages are called there."""

    def look(self, name: str) -> Looked:
        """What is known of the files of one; in a process of its own. Never raises for a bad package."""


class Provenance:
    """What packages tell of the files of a tree: some fifty bytes and its path for each file."""

    def __init__(self, accepted: frozenset[bytes] = TRUSTED) -> None:
        """`accepted` are the ways of knowing that suffice, NOWHERE among them for files of no package."""
        self.accepted = accepted
        self._records: dict[bytes, bytes] = {}
        self._settings: set[bytes] = set()
        self._folders: set[bytes] = set()
        self._packages: list[tuple[bytes, bytes]] = []
        self.counts: Counter[bytes] = Counter()
        self.findings: list[Finding] = []

    def add(self, looked: Looked) -> None:
        """Take in what was said of a package. Raises UsageError for more files than are held in memory."""
        number = len(self._packages).to_bytes(4, "big")
        self._packages.append((looked.package, looked.version))
        self.findings += looked.findings
        for file in looked.files:
            digest = file.content if file.kind == b"f" else _of_target(file.content)
            record = digest + bytes((_HOWS.index(file.how),)) + number
            earlier = self._records.get(file.path, b"")
            if earlier[:32] != digest or len(earlier) > _RECORD:  # a file that several architectures share is one
                self._records[file.path] = earlier + record
            if file.setting:
                self._settings.add(file.path)
            if file.how in self.accepted:
                self._enter(file.path)
        if len(self._records) > limits.PACKAGED_FILES_MAX:
            raise UsageError(f"more than {limits.PACKAGED_FILES_MAX} files of packages")

    def _enter(self, path: bytes) -> None:
        folder = path.rpartition(b"/")[0]
        while folder and folder not in self._folders:
            self._folders.add(folder)
            folder = folder.rpartition(b"/")[0]

    def admitted(self, line: bytes) -> bytes:
        """The line as the catalog has it; empty where it is left out."""
        kind = line[:1]
        fields = line.split(b" ", 7)
        path = listing.path_of(fields[6])
        if kind == b"d":
            return line if not path or path in self._folders or NOWHERE in self.accepted else b""
        origin = self._origin(kind, path, fields[5])
        self.counts[origin.how] += 1
        if origin.how == ALTERED:
            setting = path in self._settings
            reason = reasons.ALTERED_SETTING if setting else reasons.ALTERED
            detail = b" ".join(origin[1:]).decode("utf-8", "replace")
            self.findings.append(reason.found(detail, subject=fields[6].decode("ascii")))
        return listing.with_origin(line, origin) if origin.how in self.accepted else b""

    def _origin(self, kind: bytes, path: bytes, content: bytes) -> Origin:
        records = self._records.get(path)
        if records is None:
            return Origin(NOWHERE)
        if kind == b"f" and len(content) > 1:
            found = bytes.fromhex(content.decode("ascii"))
        elif kind == b"l":
            found = _of_target(listing.unescape(content))
        else:
            found = b""
        each = [records[at : at + _RECORD] for at in range(0, len(records), _RECORD)]
        fitting = min((record for record in each if record[:32] == found), key=lambda record: record[32], default=b"")
        package, version = self._packages[int.from_bytes((fitting or each[0])[33:], "big")]
        return Origin(_HOWS[fitting[32]] if fitting else ALTERED, package, version)


def _of_target(target: bytes) -> bytes:
    """Stands for a link in place of a digest; no file has it, as the first octet is no text."""
    return hashlib.sha256(b"\0link\0" + target).digest()


def gather(packages: Packages, provenance: Provenance, jobs: int, tick: Callable[[int], None] = lambda _: None) -> None:
    """Ask a database for all of its packages. Raises UsageError, WorkerError."""
    names = packages.names()
    for count, looked in enumerate(batch.run(names, packages.look, jobs), 1):
        provenance.add(looked)
        tick(count)


def summary(provenance: Provenance) -> list[Finding]:
    """What was proven, and what was left out."""
    counts = provenance.counts
    found = list(provenance.findings)
    proven = sum(counts[how] for how in TRUSTED)
    if proven:
        found.append(reasons.PROVEN.found(f"{proven} files and links"))
    elif not any(counts[how] for how in provenance.accepted):
        found.append(reasons.NOTHING_PROVEN.found())
    words = {
        PACKAGE: "of packages that no trusted release leads to",
        DATABASE: "only as the database on the host itself says",
        GENERATED: "made by programs of the host",
        NOWHERE: "of no package",
    }
    for how, text in words.items():
        if counts[how]:
            reason = reasons.ACCEPTED if how in provenance.accepted else reasons.UNPROVEN
            found.append(reason.found(f"{counts[how]} {text}"))
    return found
