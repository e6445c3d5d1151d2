"""A host's packages with everything that may prove them: lists, keys, packages in apt's cache, and those to fetch."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.supply import keyrings
from chopmark.supply.apt import chain
from chopmark.supply.dpkg import reasons
from chopmark.supply.dpkg.database import Database
from chopmark.supply.dpkg.provenance import DpkgPackages

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.supply.apt.chain import Repository
    from chopmark.supply.apt.memory import Memory
    from chopmark.supply.dpkg.database import Installed

LISTS, CACHE = "var/lib/apt/lists", "var/cache/apt/archives"
_TOGETHER = 50
"""Packages that one call of apt-get is given."""


class Wish(NamedTuple):
    """Where to look: folders with packages, the lists (empty: the host's own), keyrings (none: as its sources say)."""

    root: str
    at: dt.datetime
    folders: Sequence[str] = ()
    lists: str = ""
    keyrings: Sequence[str] = ()
    memory: Memory | None = None
    digests: bool = True
    """Whether files that only dpkg's sums are known of need a SHA-256, for a list of them."""


class Opened(NamedTuple):
    """The packages, and the repository that was judged."""

    packages: DpkgPackages
    repository: Repository


def opened(wish: Wish) -> Opened:
    """Read the records of dpkg, and judge the lists. Raises InputError and UsageError."""
    database = Database(wish.root)
    repository = judged(wish)
    folders = [*wish.folders, os.path.join(wish.root, CACHE)]
    return Opened(DpkgPackages(database, repository, folders, digests=wish.digests), repository)


def judged(wish: Wish) -> Repository:
    """The repository behind the lists. Raises InputError and UsageError."""
    if wish.keyrings:
        ring = keyrings.keys_in(wish.keyrings)
        return chain.load(wish.lists or os.path.join(wish.root, LISTS), lambda _: ring, wish.at, wish.memory)
    return chain.load(
        wish.lists or os.path.join(wish.root, LISTS), chain.keys_by_source(wish.root), wish.at, wish.memory
    )


def fetch(missing: Sequence[Installed], folder: str) -> list[Finding]:
    """Fetch packages of this host into a folder with apt's own program; what apt-get says against it, by call.

    Nothing of what comes is believed for that: it is held against the lists as everything else. Raises UsageError.
    """
    findings = []
    for start in range(0, len(missing), _TOGETHER):
        findings += _fetch(missing[start : start + _TOGETHER], folder)
    return findings


def _fetch(group: Sequence[Installed], folder: str) -> list[Finding]:
    names = [f"{package.label}={os.fsdecode(package.version)}" for package in group]
    try:
        done = subprocess.run(  # noqa: S603 - the program is apt's, the words are names of installed packages
            ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *names],  # noqa: S607 - as PATH has it
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("--download: there is no apt-get here") from None
    if not done.returncode:
        return []
    if len(group) > 1:  # one that is nowhere any more holds up all others
        return [finding for package in group for finding in _fetch([package], folder)]
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return [reasons.NOT_FETCHED.found(said[-1][:200] if said else "", subject=group[0].label)]
