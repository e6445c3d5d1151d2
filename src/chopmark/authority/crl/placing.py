"""Where revocation lists lie, and how all lists of a CA are replaced by newer ones in one step.

    public/crl/NAME.crl             -> NAME.lists/current/NAME.crl      the list about all certificates
    public/crl/NAME.3.crl           -> NAME.lists/current/NAME.3.crl    the list about those of shard 3
    public/crl/NAME.3.delta.crl     -> ...                              what changed since then
    public/crl/NAME.lists/current   -> 12.11                            the publication that counts
    public/crl/NAME.lists/12.11/                                        number 12; its complete lists are those of 11

A publication is a folder, which is made whole beside the others and then takes the name `current`. Whoever reads gets
lists of one publication, the former or the new one; the former stays until the next, for who just opens its files.
A process that dies leaves nothing but a folder that the next one removes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from typing import TYPE_CHECKING

from chopmark.authority import locking
from chopmark.core import limits, patch
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CURRENT = "current"
_LOCK = "lock"
_PUBLICATION = re.compile(r"([1-9][0-9]{0,17})(?:\.([1-9][0-9]{0,17}))?")


def file_name(name: str, shard: int = 0, *, delta: bool = False) -> str:
    """The file of a list: of the CA of this name, about all certificates (0) or one shard."""
    return f"{name}{f'.{shard}' if shard else ''}{'.delta' if delta else ''}.crl"


def list_of(name: str, file: str) -> tuple[int, bool] | None:
    """The shard (0: all certificates) of a file, and whether it is a delta; None for a file that is no list."""
    match = re.fullmatch(re.escape(name) + r"(?:\.([1-9][0-9]{0,5}))?(\.delta)?\.crl", file)
    return (int(match[1] or 0), match[2] is not None) if match else None


def url(whole: str, shard: int = 0, *, delta: bool = False) -> str:
    """The address of a list; `whole` is that of the one about all certificates. Empty when that is."""
    if not whole:
        return ""
    folder, _, last = whole.rpartition("/")
    return f"{folder}/{file_name(last.removesuffix('.crl'), shard, delta=delta)}"


class Publication(NamedTuple):
    """What is published: its number, and the number of its complete lists."""

    number: int
    complete: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return str(self.number) if self.number == self.complete else f"{self.number}.{self.complete}"


class Shelf:
    """The published lists of one CA, in `folder`/NAME.lists. Raises WriteError when files cannot be written."""

    def __init__(self, folder: str, name: str) -> None:
        self._folder = folder
        self._name = name
        self._lists = os.path.join(folder, f"{name}.lists")

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one on this machine to publish lists of this CA. Raises UnavailableError."""
        with _reported(self._lists):
            os.makedirs(self._lists, exist_ok=True)
            descriptor = os.open(os.path.join(self._lists, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            busy = f"{self._lists}: another process has been publishing for too long"
            locking.wait(descriptor, limits.CRL_TURN_SECONDS, busy)
            yield
        finally:
            os.close(descriptor)

    def current(self) -> Publication | None:
        """What is published; None before the first publication."""
        try:
            target = os.readlink(os.path.join(self._lists, _CURRENT))
        except OSError:
            return None
        return _publication(target) if os.path.isdir(os.path.join(self._lists, target)) else None

    def files(self, publication: Publication) -> list[str]:
        """The names of the files of a publication, in order."""
        with _reported(self._lists):
            return sorted(os.listdir(os.path.join(self._lists, publication.folder)))

    def path(self, publication: Publication, file: str) -> str:
        """Where a file of a publication lies."""
        return os.path.join(self._lists, publication.folder, file)

    @contextlib.contextmanager
    def new(self) -> Iterator[Draft]:
        """A folder for a new publication, which goes away when it is not put in place; for the one whose turn it is."""
        with _reported(self._lists):
            self._tidy()
            temporary = os.path.join(self._lists, f".{secrets.token_hex(6)}")
            os.mkdir(temporary, 0o755)
        try:
            yield Draft(self._folder, self._lists, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _tidy(self) -> None:
        """Remove what was left by processes that died, and what was published before the current publication."""
        current = self.current()
        kept = {_LOCK, _CURRENT, current.folder if current else ""}
        for entry in set(os.listdir(self._lists)) - kept:
            path = os.path.join(self._lists, entry)
            if os.path.islink(path):
                os.unlink(path)
            else:
                shutil.rmtree(path, ignore_errors=True)


class Draft:
    """A publication that nobody sees yet."""

    def __init__(self, folder: str, lists: str, temporary: str) -> None:
        self._folder = folder
        self._lists = lists
        self._temporary = temporary

    def write(self, file: str, pieces: Iterable[bytes]) -> None:
        """Put a list in; on the medium when this returns."""
        with _reported(self._lists):
            descriptor = os.open(os.path.join(self._temporary, file), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                for piece in pieces:
                    rest = memoryview(piece)
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def keep(self, publication: Publication, files: Iterable[str]) -> None:
        """Take lists over from the publication before."""
        with _reported(self._lists):
            for file in files:
                source = os.path.join(self._lists, publication.folder, file)
                target = os.path.join(self._temporary, file)
                try:
                    os.link(source, target)
                except OSError as error:
                    if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                        raise
                    shutil.copyfile(source, target)  # a file system without links

    def put_in_place(self, publication: Publication) -> None:
        """Make it the current publication: the one step that counts."""
        with _reported(self._lists):
            files = os.listdir(self._temporary)
            _flush(self._temporary)
            os.rename(self._temporary, os.path.join(self._lists, publication.folder))
            current = os.path.join(self._lists, _CURRENT)
            if os.path.isdir(current) and not os.path.islink(current):  # a copy that followed links was put here
                os.rename(current, os.path.join(self._lists, f".{secrets.token_hex(6)}"))
            _link(publication.folder, current)
            for file in files:  # of a list that is new, or of the time when the file itself was here
                target = os.path.join(os.path.basename(self._lists), _CURRENT, file)
                place = os.path.join(self._folder, file)
                if not os.path.islink(place) or os.readlink(place) != target:
                    _link(target, place)
            _flush(self._folder)


def _publication(folder: str) -> Publication | None:
    match = _PUBLICATION.fullmatch(folder)
    return Publication(int(match[1]), int(match[2] or match[1])) if match else None


def _link(target: str, place: str) -> None:
    """Make a name mean another file, in one step."""
    temporary = os.path.join(os.path.dirname(place), f".{secrets.token_hex(6)}.chopmark")
    os.symlink(target, temporary)
    try:
        os.replace(temporary, place)
    except OSError:
        os.unlink(temporary)
        raise
    _flush(os.path.dirname(place))


def _flush(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _reported(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{place}: not written, what was published stays ({os.strerror(error.errno or 0)})"
        raise patch.WriteError(message) from error
