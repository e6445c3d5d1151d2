"""rpm's records of a host, in whatever form it keeps them: copied, and read as what a stranger may have made."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import Artifact, UnreadableError
from chopmark.core.errors import InputError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.core.patch import WriteError
from chopmark.engine.services.rooted import Root
from chopmark.supply.rpm.berkeley import Berkeley
from chopmark.supply.rpm.ndb import Ndb
from chopmark.supply.rpm.records import DatabaseError
from chopmark.supply.rpm.sqlite import LOG, Sqlite

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.supply.rpm.records import Records

_FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")
"""Where it is: on newer hosts, on all others, and where /usr is delivered whole (rpm-ostree)."""
_FORMS: dict[str, Callable[[str], Records]] = {
    "rpmdb.sqlite": Sqlite,
    "Packages.db": lambda path: Ndb(Artifact.open(path).view),
    "Packages": lambda path: Berkeley(Artifact.open(path).view),
}
"""What the file is called, and what reads it; rpm itself keeps one, and leaves an older one behind when it converts."""


class _Place(NamedTuple):
    """A file of the database, as it is called below the root, and what it is called by itself."""

    path: str
    name: str


class Database:
    """A copy of the records below a root, in a folder of ours.

    `numbers` are those of all records, in the order in which they were installed.
    """

    def __init__(self, root: str, folder: str) -> None:
        """Raises InputError, and UsageError for records that are not rpm's or change meanwhile."""
        with Root(root) as below:
            place = _place(below)
            named = below.outside(place.path)
            copy = os.path.join(folder, place.name)
            _copy(below, place.path, copy)
            with suppress(UnreadableError):  # nothing was written since all was put into place, or it has no log
                _copy(below, place.path + LOG, copy + LOG)
        try:
            self._records = _FORMS[place.name](copy)
            self.numbers = _numbers(self._records)
        except DatabaseError as error:
            raise UsageError(f"{named}: not a database of rpm's: {error}") from None

    def record(self, number: int) -> bytes:
        """The header of an installed package. Raises DatabaseError."""
        return self._records.record(number)


def _numbers(records: Records) -> list[int]:
    numbers = [number for number in records.numbers if isinstance(number, int)]
    count = len(records.numbers)
    if count > limits.RPM_PACKAGES_MAX or len(set(numbers)) != count:
        raise DatabaseError(f"{count} packages, or some twice")
    return sorted(numbers)


def _place(below: Root) -> _Place:
    for name in _FORMS:
        for folder in _FOLDERS:
            found = below.get(f"{folder}/{name}")
            if found is not None:
                return _Place(found.path, name)
    raise InputError(f"{below.outside(_FOLDERS[1])}: no database of rpm's")


def _copy(below: Root, place: str, target: str) -> None:
    """Copy a file of the database. Raises UnreadableError, UsageError, WriteError."""
    with below.artifact(place) as file:
        if file.view.size > limits.RPM_DATABASE_MAX:
            raise UsageError(f"{file.name}: {file.view.size} bytes; at most {limits.RPM_DATABASE_MAX} are read")
        try:
            with open(target, "wb") as copy:
                copy.writelines(file.chunks())
        except OSError as error:
            raise WriteError(f"{target}: not written ({os.strerror(error.errno or 0)})") from error
        if file.view.changed():
            raise UsageError(f"{file.name}: it changed while it was being read; do so when nothing is being installed")
