"""Where releases and their lists lie: apt's own folder of lists, where names are flat, or a mirror's tree."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from chopmark.core import folders, limits
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.formats._compressed import streams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.supply.apt.release import Release

_IN, _OUT, _SIGNATURE = "InRelease", "Release", ".gpg"
_SUITE = re.compile(r"_dists_(.+)_\Z").search
_DEPTH = 4
"""Folders below dists/: suites such as bookworm/updates have two names."""


class Place(NamedTuple):
    """A release: its file, the folder, what its lists' names begin with, and the suite that is asked for.

    `suite` is empty for a repository without suites. `flat` says that slashes in names are written as `_`.
    """

    path: str
    signature: str
    folder: str
    prefix: str
    suite: str
    flat: bool

    def candidates(self, name: str, release: Release) -> Iterator[tuple[str, str]]:
        """Paths at which a list may lie, and how it is compressed there."""
        written = name.replace("/", "_") if self.flat else name
        for kind in streams.KINDS:
            suffix = f".{kind}" if kind else ""
            yield os.path.join(self.folder, self.prefix + written + suffix), kind
            listed = release.files.get(name + suffix)
            if listed is not None and not self.flat:
                parent = os.path.join(self.folder, os.path.dirname(name), "by-hash", listed.algorithm.upper())
                yield os.path.join(parent, listed.digest.hex()), kind


def find(folder: str) -> list[Place]:
    """The releases in a folder of apt's, or in a mirror (which has a folder dists). Raises InputError, UsageError."""
    dists = os.path.join(folder, "dists")
    found = list(_mirror(dists) if os.path.isdir(dists) else _lists(folder))
    if len(found) > limits.APT_LISTS_MAX:
        raise UsageError(f"{folder}: more than {limits.APT_LISTS_MAX} releases")
    return found


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise folders.unreadable(folder, error) from None


def _lists(folder: str) -> Iterator[Place]:
    names = set(_names(folder))
    for name in sorted(names):
        for end in (_IN, _OUT):
            if not name.endswith("_" + end) or (end == _OUT and name.removesuffix(_OUT) + _IN in names):
                continue
            prefix = name.removesuffix(end)
            match = _SUITE(prefix)
            signature = name + _SIGNATURE if end == _OUT else ""
            yield Place(
                os.path.join(folder, name),
                os.path.join(folder, signature) if signature else "",
                folder,
                prefix,
                match[1] if match else "",
                flat=True,
            )


def _mirror(dists: str) -> Iterator[Place]:
    for folder, below, names in os.walk(dists):
        suite = os.path.relpath(folder, dists)
        below.sort()
        if suite.count(os.sep) >= _DEPTH:
            below.clear()
        end = _IN if _IN in names else _OUT if _OUT in names and _OUT + _SIGNATURE in names else ""
        if end:
            path = os.path.join(folder, end)
            yield Place(path, path + _SIGNATURE if end == _OUT else "", folder, "", suite, flat=False)
            below.clear()
