"""Making a catalog: written in one go beside its place, going on from what an interrupted run had."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from chopmark.core import folders, limits
from chopmark.core import patch as patches
from chopmark.core.errors import InputError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.engine.catalog import walking
from chopmark.formats.catalog import listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from chopmark.core.finding import Finding
    from chopmark.engine.catalog.importing import Provenance

PARTIAL = ".partial"
"""What an unfinished run leaves beside the catalog."""
_KEPT = re.compile(rb"((?:[0-9]+ ){5}[0-9a-f]{64}) (\S+)\n")
_BEGINS = b"chopmark catalog kept "


class Wish(NamedTuple):
    """What is to be listed: a folder, as what path (empty: its own), how far, what is left out."""

    root: str
    target: str
    shown_as: str = ""
    one_file_system: bool = True
    excluded: Sequence[str] = ()
    fresh: bool = False
    provenance: Provenance | None = None
    """What packages tell of the files; only those that it admits are listed."""


class Made(NamedTuple):
    """What came of it: files, bytes, files taken over from an earlier run, what could not be seen."""

    files: int
    size: int
    known: int
    findings: tuple[Finding, ...]


def make(wish: Wish, jobs: int, tick: Callable[[int], None] = lambda _: None) -> Made:
    """Write the catalog of a tree. Raises InputError, UsageError, WriteError; what is seen so far is kept then."""
    root = os.fsencode(os.path.realpath(wish.root))
    target = os.fsencode(os.path.realpath(wish.target))
    excluded = {_below(root, os.fsencode(os.path.join(root, os.fsencode(each)))) for each in wish.excluded}
    if None in excluded:
        raise UsageError(f"--exclude: only paths below {wish.root} can be left out")
    own = _below(root, target)
    if own is not None:
        excluded.add(own)
    left_out = frozenset(path for path in excluded if path is not None)
    if len(left_out) > limits.CATALOG_EXCLUDES_MAX:
        raise UsageError(f"at most {limits.CATALOG_EXCLUDES_MAX} paths can be left out")
    shown = os.fsencode(wish.shown_as) if wish.shown_as else root
    header = listing.Header(
        shown, wish.one_file_system, tuple(sorted(left_out)), only_listed=wish.provenance is not None
    )
    head = listing.head(header)
    listing.Listing([head])  # a path that cannot be written is told before the work
    unlisted = frozenset((*left_out, own + os.fsencode(PARTIAL))) if own is not None else left_out
    with _kept(wish, root) as (known, keep):
        with walking.walk_of(
            wish.root, one_file_system=wish.one_file_system, excluded=unlisted, known=known, keeping=True
        ) as walk:
            walked = walking.Walked(walk, jobs, keep)
            listed = _Listed(head, walked, tick, wish.provenance)
            patches.write_file(wish.target, listed.pieces())
        with suppress(OSError):
            os.unlink(wish.target + PARTIAL)
    return Made(listed.count, walked.size, len(known), tuple(sorted(walked.findings)))


class _Listed:
    """What is written; `count` are the entries so far."""

    def __init__(
        self, head: bytes, walked: walking.Walked, tick: Callable[[int], None], provenance: Provenance | None
    ) -> None:
        self._head, self._walked, self._tick, self._provenance = head, walked, tick, provenance
        self.count = 0

    def pieces(self) -> Iterator[bytes]:
        yield self._head
        for block in self._walked.blocks():
            self._tick(self._walked.count)
            yield block if self._provenance is None else self._admitted(block, self._provenance)
        if self._provenance is None:
            self.count = self._walked.count
        yield listing.tail(self.count)

    def _admitted(self, block: bytes, provenance: Provenance) -> bytes:
        lines = [line for line in map(provenance.admitted, block[:-1].split(b"\n")) if line]
        self.count += len(lines)
        return b"".join(line + b"\n" for line in lines)


def _below(root: bytes, path: bytes) -> bytes | None:
    """The path as seen from the root; None when it does not lie below."""
    start = root.rstrip(b"/") + b"/"
    path = os.path.normpath(path)
    return path[len(start) :] if path.startswith(start) and path != start else None


@contextmanager
def _kept(wish: Wish, root: bytes) -> Iterator[tuple[Mapping[bytes, bytes], Callable[[bytes], None]]]:
    """What an earlier run saw of the same tree, and where to put what this one sees.

    Nobody else may be able to write there: its digests are taken over. Raises InputError and UsageError.
    """
    path = wish.target + PARTIAL
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise InputError(f"{path}: {os.strerror(error.errno or 0)}") from None
    with _closed(os.fdopen(descriptor, "r+b")) as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o022:
            raise UsageError(f"{path}: not ours alone, so it cannot be gone on from; remove it")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            links = os.fstat(descriptor).st_nlink
        except OSError:
            links = 0
        if not links:  # or it was removed by who made the catalog, between our opening it and our turn
            raise UsageError(f"{wish.target}: another process is making it")
        start = os.pread(descriptor, len(_BEGINS), 0)
        if links > 1 or start != _BEGINS[: len(start)]:
            raise UsageError(f"{path}: a file of something else stands there; remove it")
        known = _known(file, _mark(wish.root, root), fresh=wish.fresh)
        try:
            yield known, _keeper(file)
        except BaseException:
            with suppress(OSError):
                if not os.fstat(descriptor).st_size:  # from which nobody could go on
                    os.unlink(path)
            raise


@contextmanager
def _closed(file: BinaryIO) -> Iterator[BinaryIO]:
    """What could not be kept on a full disk is no failure of what was made."""
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


def _mark(root: str, real: bytes) -> bytes:
    """Of which tree these are: the first line."""
    try:
        state = os.stat(root)
    except (OSError, ValueError) as error:
        raise folders.unreadable(root, error) from None
    return _BEGINS + b"2 %d %d %b\n" % (state.st_dev, state.st_ino, listing.escape(real))


def _known(file: BinaryIO, mark: bytes, *, fresh: bool) -> dict[bytes, bytes]:
    """The lines there are, as far as they are whole; the file is ready for more."""
    known: dict[bytes, bytes] = {}
    end = 0
    if not fresh and file.readline(limits.CATALOG_LINE_MAX) == mark:
        end = len(mark)
        for line in file:
            match = _KEPT.fullmatch(line)
            if match is None:
                break
            known[listing.unescape(match[2])] = match[1]
            end += len(line)
    file.truncate(end)
    file.seek(end)
    if not end:
        file.write(mark)
    return known


def _keeper(file: BinaryIO) -> Callable[[bytes], None]:
    def keep(lines: bytes) -> None:
        with suppress(OSError):  # a full disk: then a later run has more to do
            file.write(lines)
            file.flush()

    return keep
