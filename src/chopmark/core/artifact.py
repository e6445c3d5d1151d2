"""Artifacts: a file opened once, read in bounded pieces, known by what it is and never by its path."""

from __future__ import annotations

import errno
import os
import stat
from itertools import repeat
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from chopmark.core import limits, reasons
from chopmark.core.closing import Closing
from chopmark.core.errors import InputError, MalformedError, UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from hashlib import _Hash as Hash

    from chopmark.core.reasons import Reason


Thing = TypeVar("Thing")

ATTRIBUTE = "xattr:"
"""How a companion begins that is no file beside the artifact but an extended attribute of it (xattr(7))."""


_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
"""What says that there is no such file. Whatever else goes wrong, a loop of links among it, says that nobody knows."""


class UnreadableError(InputError):
    """The artifact cannot be looked at; `reason` is the catalogue's entry for why."""

    def __init__(self, name: str, reason: Reason, detail: str = "") -> None:
        sentence = reason.sentence[0].lower() + reason.sentence[1:].removesuffix(".")
        super().__init__(f"{name}: {sentence}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail


class Identity(NamedTuple):
    """Which file it is for the kernel; None for bytes in memory."""

    device: int
    inode: int


class Metadata(NamedTuple):
    """Who owns a file, and its mode with its type."""

    uid: int
    gid: int
    mode: int


class View(Protocol):
    """Read-only access to bytes that may be far larger than memory."""

    @property
    def size(self) -> int:
        """Length in bytes when it was opened."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly the bytes that exist in [offset, offset + length): fewer at the end, none beyond it."""

    def changed(self) -> bool:
        """Whether the bytes may have changed since they were opened."""


class BytesView:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        """A slice, with offsets and lengths that may point beyond the end."""
        return self._data[offset : offset + length] if offset >= 0 and length > 0 else b""

    def changed(self) -> bool:
        """Bytes do not change."""
        return False


class FileView:
    """A regular file through one descriptor, which this object owns."""

    def __init__(self, descriptor: int, name: str, state: os.stat_result | None = None) -> None:
        """Take the descriptor; `state` is what fstat says of it, where that is known."""
        self.descriptor = descriptor
        self._name = name
        self._opened = state or os.fstat(descriptor)
        self.size = self._opened.st_size
        """Length in bytes when it was opened."""
        self._whole: bytes | None = None
        self.hashed: dict[str, list[tuple[int, Hash]]] = {}
        """For core.digest: what the bytes up to some places come to, by algorithm."""

    def read(self, offset: int, length: int) -> bytes:
        """Read with pread until the range is full; raises UnreadableError when the medium fails or the file shrank.

        A small file (READ_WHOLE_MAX) is read whole the first time.
        """
        if offset < 0 or length <= 0:
            return b""
        whole = self._whole
        if whole is not None:
            return whole[offset : offset + length]
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        whole = self.whole()
        return self._read(offset, length) if whole is None else whole[offset : offset + length]

    def whole(self) -> bytes | None:
        """All bytes of a small file, the same object each time; None for a large one. Raises UnreadableError."""
        if self._whole is None and self.size <= limits.READ_WHOLE_MAX:
            self._whole = self._read(0, self.size)
        return self._whole

    def _read(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self.descriptor, length, offset)
            while len(data) < length:
                more = os.pread(self.descriptor, length - len(data), offset + len(data))
                if not more:
                    raise UnreadableError(self._name, reasons.INPUT_CHANGED, "it became shorter")
                data += more
        except OSError as error:
            raise UnreadableError(self._name, reasons.INPUT_UNREADABLE, os.strerror(error.errno or 0)) from None
        return data

    def changed(self) -> bool:
        """Compare size and both time stamps with those at opening."""
        return not self.still(os.fstat(self.descriptor))

    def still(self, state: os.stat_result) -> bool:
        """Whether this is the state of the very file that was opened, as it was then."""
        was = self._opened  # compared one by one: somebody waits for each guarded file
        return (
            state.st_mtime_ns == was.st_mtime_ns
            and state.st_ctime_ns == was.st_ctime_ns
            and state.st_size == was.st_size
            and state.st_ino == was.st_ino
            and state.st_dev == was.st_dev
        )

    def close(self) -> None:
        """Give the descriptor back, and the memory, whoever still asks whether it has changed."""
        self._whole = None
        os.close(self.descriptor)


def pieces(view: View, offset: int, end: int) -> Iterator[bytes | memoryview]:
    """The bytes of [offset, end) in pieces of at most READ_CHUNK, not copied where they are in memory."""
    whole = view.whole() if isinstance(view, FileView) else None
    if whole is not None:
        if offset < min(end, len(whole)):
            yield memoryview(whole)[offset:end]
        return
    most = limits.READ_PART if end - offset <= limits.READ_IN_PARTS_MAX else limits.READ_CHUNK
    while offset < end:
        piece = view.read(offset, min(most, end - offset))
        offset += len(piece)
        yield piece


class Artifact(Closing):
    """Something that may carry signatures: its bytes, a name to show, and its identity.

    Use it as a context manager. `companion` reads small files beside it, for formats whose signature lives there.
    """

    def __init__(
        self, name: str, view: View, identity: Identity | None = None, companions: dict[str, bytes] | None = None
    ) -> None:
        self.name = name
        self.view = view
        self.identity = identity
        self._companions = companions
        self._kept: dict[str, bytes | None] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a regular file for reading.

        Raises UnreadableError (an InputError) for anything else. A FIFO or a device is not even opened, because that
        alone can have consequences (for whoever waits to write, for a watchdog), and never waited for.
        """
        name = os.fspath(path)
        try:
            _refuse_special(name, os.stat(name))
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            raise unreadable(name, error) from None
        except ValueError:  # an embedded NUL
            raise UnreadableError(name, reasons.INPUT_MISSING) from None
        state = os.fstat(descriptor)
        try:
            _refuse_special(name, state)  # it may have become another in between
        except UnreadableError:
            os.close(descriptor)
            raise
        return cls(name, FileView(descriptor, name, state), Identity(state.st_dev, state.st_ino))

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "memory", companions: dict[str, bytes] | None = None) -> Self:
        """An artifact in memory; `companions` maps suffixes to the bytes of the files beside it."""
        return cls(name, BytesView(data), None, companions or {})

    def companion(self, suffix: str, limit: int = limits.ENVELOPE_MAX) -> bytes | None:
        """The bytes of the file named like this one plus `suffix`; None when there is none.

        A `suffix` that begins with ATTRIBUTE is an extended attribute of the open file itself; where the file system
        keeps none, there is none. Raises UnreadableError when it exists and cannot be read or exceeds `limit` bytes.
        """
        if self._companions is not None:
            return self._companions.get(suffix)
        if suffix in self._kept:
            return self._kept[suffix]
        attribute = suffix.startswith(ATTRIBUTE)
        return self._attribute(suffix.removeprefix(ATTRIBUTE)) if attribute else self._file(suffix, limit)

    def keep_companions(self, suffixes: Iterable[str]) -> dict[str, bytes]:
        """Read what there is of these now, and have `companion` give the same bytes from then on."""
        wanted = dict.fromkeys(suffixes)
        self._kept = {}
        self._kept = wanted | {suffix: self.companion(suffix) for suffix in self._there(wanted)}
        return {suffix: data for suffix, data in self._kept.items() if data is not None}

    def have_beside(self, suffixes: Iterable[str], suffix: str, data: bytes) -> None:
        """Take `data` for the one file that stands beside with any of these suffixes, whatever does."""
        self._kept = {**{each: None for each in suffixes if not each.startswith(ATTRIBUTE)}, suffix: data}

    def _there(self, suffixes: Iterable[str]) -> list[str]:
        """Those of which there may be something: nearly always none, which is found out as fast as possible."""
        if self._companions is not None:
            return list(suffixes)
        attributes: Sequence[str] | None = None
        found = []
        for suffix in suffixes:
            if suffix.startswith(ATTRIBUTE):
                attributes = self._attributes() if attributes is None else attributes
                if suffix.removeprefix(ATTRIBUTE) in attributes:
                    found.append(suffix)
            elif _may_be(self.name + suffix):  # access(2) is faster, and does not say what went wrong
                found.append(suffix)
        return found

    def lacks(self, suffixes: Iterable[str]) -> bool:
        """Whether `keep_companions` has looked for all of these, and there was none."""
        return set(map(self._kept.get, suffixes, repeat(b""))) <= {None}

    def _file(self, suffix: str, limit: int) -> bytes | None:
        name = self.name + suffix
        if not _may_be(name):
            return None
        try:
            with type(self).open(name) as beside:
                if beside.view.size > limit:
                    raise UnreadableError(name, reasons.INPUT_TOO_LARGE)
                return beside.view.read(0, limit)
        except UnreadableError as error:
            if error.reason is reasons.INPUT_MISSING:
                return None
            raise

    def confirm_unchanged(self) -> None:
        """Raises InputError when the bytes may not be those that were opened any more."""
        if self.view.changed():
            raise self._changed()

    def confirm_unmoved(self) -> None:
        """As `confirm_unchanged`, and the name still means that file; a file may be closed by then."""
        if isinstance(self.view, FileView):
            state = _stat(self.name)
            if state is None or not self.view.still(state):
                raise self._changed()
            return
        self.confirm_unchanged()
        state = _stat(self.name)
        if self.identity is not None and (state is None or Identity(state.st_dev, state.st_ino) != self.identity):
            raise self._changed()

    def _changed(self) -> InputError:
        return InputError(f"{self.name}: it changed while it was being read; nothing was written")

    def metadata(self) -> Metadata:
        """Owner and mode of the open file as they are now; of bytes in memory those of a plain file of root's."""
        if not isinstance(self.view, FileView):
            return Metadata(0, 0, stat.S_IFREG | 0o644)
        state = os.fstat(self.view.descriptor)
        return Metadata(state.st_uid, state.st_gid, state.st_mode)

    def _attributes(self) -> Sequence[str]:
        """The names of the open file's extended attributes (listxattr(2)). Raises UnreadableError."""
        if not isinstance(self.view, FileView):
            return ()
        try:
            return os.listxattr(self.view.descriptor)
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                return ()
            detail = f"extended attributes: {os.strerror(error.errno or 0)}"
            raise UnreadableError(self.name, reasons.INPUT_UNREADABLE, detail) from None

    def _attribute(self, name: str) -> bytes | None:
        if not isinstance(self.view, FileView):
            return None
        try:
            return os.getxattr(self.view.descriptor, name)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.ENOTSUP):
                return None
            detail = f"{name}: {os.strerror(error.errno or 0)}"
            raise UnreadableError(self.name, reasons.INPUT_UNREADABLE, detail) from None

    def head(self) -> bytes:
        """The first bytes, as many as formats may look at to detect themselves."""
        return self.view.read(0, limits.DETECT_HEAD)

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of a range (all from `offset` on by default), in pieces of at most READ_CHUNK."""
        end = self.view.size if length is None else min(offset + length, self.view.size)
        return map(bytes, pieces(self.view, offset, end))

    def close(self) -> None:
        """Close the file, if there is one."""
        if isinstance(self.view, FileView):
            self.view.close()


def read_small(path: str, limit: int) -> bytes:
    """The bytes of a regular file that is no artifact but belongs to the work: certificates, revocation lists.

    Raises UnreadableError as `Artifact.open` does, InputError when it has more than `limit` bytes.
    """
    with Artifact.open(path) as file:
        if file.view.size > limit:
            message = f"{path}: {file.view.size} bytes; at most {limit} are read"
            raise InputError(message)
        return file.view.read(0, limit)


def read_as(path: str, limit: int, parse: Callable[[bytes], Thing]) -> Thing:
    """What `parse` makes of such a file. Raises as `read_small` does.

    What is judged with, and not judged itself, and cannot be used is a wrong call: UsageError, which names the file.
    """
    data = read_small(path, limit)
    try:
        return parse(data)
    except (MalformedError, UsageError) as error:
        message = f"{path}: {error if data else 'the file is empty'}"
        raise UsageError(message) from None


def _may_be(name: str) -> bool:
    """Whether there may be something of this name; nearly always there is nothing."""
    try:
        os.stat(name)
    except OSError as error:
        return error.errno not in _MISSING
    except ValueError:
        return False
    return True


def _stat(name: str) -> os.stat_result | None:
    try:
        return os.stat(name)
    except OSError:
        return None


def kind(mode: int) -> str:
    """What is no regular file, in words."""
    kinds = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    return next((words for test, words in kinds if test(mode)), "a device")


def _refuse_special(name: str, state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise UnreadableError(name, reasons.INPUT_NOT_A_FILE, kind(state.st_mode))


def unreadable(name: str, error: OSError) -> UnreadableError:
    """The error for a file that the system does not open."""
    if error.errno in _MISSING:
        return UnreadableError(name, reasons.INPUT_MISSING)
    if error.errno in (errno.ENXIO, errno.EISDIR):
        return UnreadableError(
            name, reasons.INPUT_NOT_A_FILE, "a socket or device" if error.errno == errno.ENXIO else ""
        )
    return UnreadableError(name, reasons.INPUT_UNREADABLE, os.strerror(error.errno or 0))
