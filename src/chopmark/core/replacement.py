"""Replacing files: a new one beside the old, whole and on the medium before it takes the old one's name."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.closing import Closing
from chopmark.core.errors import ChopmarkError, MisplacedError, WriteError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_TOGETHER_MAX = 64
"""Pieces in one write; systems take at least 1024 (IOV_MAX)."""


_MISPLACED = {
    errno.ENOENT: "there is no such folder",
    errno.ENOTDIR: "what should be its folder is none",
    errno.EEXIST: "what should be its folder is none",
    errno.EISDIR: "it is a directory",
    errno.ENAMETOOLONG: "no name may be that long",
    errno.ELOOP: "links lead in a circle",
}
"""What says that there can be no such file, whatever stands in it."""


class Replacement(Closing):
    """A new file in the target's folder; nameless until it is committed where the system can do that.

    Use it as a context manager: what is not committed is gone. `confirm` raises, at the last moment, when what it was
    made from is no longer as it was. Raises OSError like the system.
    """

    def __init__(self, path: str, confirm: Callable[[], None] | None = None) -> None:
        folder = os.path.dirname(path) or "."
        # Any name stays within the 255 bytes that file systems allow.
        stem = os.path.join(folder, "." + os.fsdecode(os.fsencode(os.path.basename(path))[:200]))
        self._path = path
        self._temporary = f"{stem}.chopmark"
        self._named = self._flushed = False
        self.size = 0
        self._confirm = confirm
        try:
            self.descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
            self._temporary = f"{stem}.{os.urandom(6).hex()}.chopmark"
            self.descriptor = os.open(self._temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            self._named = True

    def write(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Write pieces one behind the other, several at once: most are a few octets between long ones."""
        waiting: list[memoryview] = []
        size = 0
        for piece in pieces:
            waiting.append(memoryview(piece))
            size += len(piece)
            if size >= limits.READ_CHUNK or len(waiting) == _TOGETHER_MAX:
                self._write(waiting, size)
                waiting, size = [], 0
        self._write(waiting, size)

    def _write(self, waiting: list[memoryview], size: int) -> None:
        self.size += size
        while size:
            written = os.writev(self.descriptor, waiting)
            size -= written
            while size and written:
                first = waiting[0]
                if written < len(first):
                    waiting[0] = first[written:]
                    break
                written -= len(first)
                del waiting[0]

    def begin_flush(self) -> None:
        """Have the system write it to the medium, without waiting for that."""
        with contextlib.suppress(OSError):
            os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def flush(self) -> None:
        """Wait until it is on the medium."""
        os.fsync(self.descriptor)
        self._flushed = True

    def commit(self, *, fresh: bool = False) -> None:
        """The moment at which the new file takes the old one's name. Raises what `confirm` raises.

        When it is to be `fresh` there must be none of that name; raises FileExistsError.
        """
        if not self._flushed:
            self.flush()
        if self._confirm:
            self._confirm()
        if fresh:
            self._appear()
            return
        if not self._named:
            # linkat() cannot replace a name, rename() can: give it a passing name first.
            self._name()
        os.replace(self._temporary, self._path)
        self._named = False

    def _appear(self) -> None:
        """A link takes no name that is taken: of two who want it one gets it, and nobody sees half a file."""
        try:
            if self._named:
                os.link(self._temporary, self._path)
            else:
                self._link(self._path)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS) or not self._named:
                raise
            # There are no links, as on a stick for Windows: take the name, then replace what stands there.
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            os.replace(self._temporary, self._path)
            self._named = False

    def _name(self) -> None:
        try:
            self._link(self._temporary)
        except FileExistsError:  # left by somebody who was killed between the two steps; it was whole
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary)
            self._link(self._temporary)
        self._named = True

    def _link(self, name: str) -> None:
        # Given a folder (which an absolute path does not need), Python calls linkat(); link() would not follow.
        source = f"/proc/self/fd/{self.descriptor}"
        os.link(source, name, src_dir_fd=self.descriptor, follow_symlinks=True)

    def close(self) -> None:
        """Give the descriptor back, and with it a file that did not become another's."""
        os.close(self.descriptor)
        if self._named:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)


class _Waiting(NamedTuple):
    """A replacement that is whole, and what it is called in messages."""

    named: str
    replacement: Replacement


class Group(Closing):
    """Small files that are replaced together: the medium is waited for once, and not for each.

    Each is replaced atomically, by itself. Use it as a context manager: what is not committed at its end is not
    written.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._size = 0
        self._since = 0.0

    @staticmethod
    def takes(replacement: Replacement) -> bool:
        """Whether it is small enough to wait for others; a large one is on its way to the medium already."""
        return replacement.size <= limits.READ_WHOLE_MAX

    def add(self, named: str, replacement: Replacement) -> None:
        """Take over a replacement; what its `confirm` looks at must still be there at the commit."""
        replacement.begin_flush()
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append(_Waiting(named, replacement))

    @property
    def due(self) -> bool:
        """Whether it is time to commit: there are many, or the first one has waited."""
        many = len(self._waiting) >= limits.REPLACED_TOGETHER_MAX
        return many or (bool(self._waiting) and time.monotonic() - self._since > limits.REPLACED_TOGETHER_SECONDS)

    def commit(self) -> dict[str, ChopmarkError]:
        """Replace all that wait; the errors by the names of those that could not be, which are as they were."""
        errors: dict[str, ChopmarkError] = {}
        for named, replacement in self._waiting:
            with _told(named, errors):
                replacement.flush()
        for named, replacement in self._waiting:
            if named not in errors:
                with _told(named, errors):
                    replacement.commit()
        self.close()
        return errors

    def close(self) -> None:
        """Let go of all that wait."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.replacement.close()


def unwritten(path: str, error: OSError, otherwise: str = "") -> WriteError:
    """The error for a file that could not be written; `otherwise` says what that means for it, if it could be there."""
    if error.errno in _MISPLACED:
        return MisplacedError(f"{path}: not written: {_MISPLACED[error.errno]}")
    return WriteError(f"{path}: not written{otherwise} ({os.strerror(error.errno or 0)})")


@contextlib.contextmanager
def writing(named: str) -> Iterator[None]:
    """What the system says while a file is replaced, as a WriteError: the file is as it was."""
    try:
        yield
    except OSError as error:
        raise unwritten(named, error, ", the file is as it was") from error


@contextlib.contextmanager
def _told(named: str, errors: dict[str, ChopmarkError]) -> Iterator[None]:
    try:
        with writing(named):
            yield
    except ChopmarkError as error:
        errors[named] = error
