"""Files below a root, as a process sees them that has it for its `/`: no link and no `..` leads out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core import folders, limits, reasons
from chopmark.core.artifact import Artifact, FileView, Identity, UnreadableError
from chopmark.core.closing import Closing
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OTHERS = stat.S_IWOTH


class Found(NamedTuple):
    """Something below the root: its path without links, what fstat says, and what was met on the way.

    `escapes` is a link with more `..` than there are folders above it (a process in the root stays there; one outside
    of it would not), `exposed` the folders and the file itself that everybody may write to.
    """

    path: str
    state: os.stat_result
    escapes: bool = False
    exposed: tuple[str, ...] = ()

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.state.st_mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.state.st_mode)

    @property
    def is_program(self) -> bool:
        """Whether it is a file that somebody may execute."""
        return self.is_file and bool(self.state.st_mode & 0o111)


class Root(Closing):
    """A folder taken for `/`. Paths are absolute, as they are in it; bytes that are no UTF-8 are surrogates.

    Every name is opened by the descriptor of its folder and never through a link, which is followed here instead; so
    what is renamed or linked meanwhile cannot lead out (what RESOLVE_IN_ROOT of openat2(2) does, without needing it).
    Methods raise OSError for what cannot be reached.
    """

    def __init__(self, path: str) -> None:
        """Open it. Raises InputError."""
        try:
            self._descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise folders.unreadable(path, error) from None
        self.path = os.path.realpath(path).rstrip("/")
        self.is_host = os.path.samestat(os.fstat(self._descriptor), os.stat("/"))
        self._listed: dict[str, tuple[tuple[str, bool, bool], ...]] = {}
        self.digests: dict[str, bytes] = {}
        """SHA-256 of what `read` has given, by the path without links: what was understood, to be compared later."""

    def outside(self, path: str) -> str:
        """The path as it is for everybody else."""
        return self.path + path

    def find(self, path: str, *, follow: bool = True) -> Found:
        """What stands at a path; with `follow` unset, a link itself."""
        descriptor, found = self._walk(path, follow=follow)
        os.close(descriptor)
        return found

    def get(self, path: str, *, follow: bool = True) -> Found | None:
        """As `find`; None for what cannot be reached."""
        try:
            return self.find(path, follow=follow)
        except (OSError, ValueError):
            return None

    def link(self, path: str) -> str:
        """The target of a link as it is written; empty for what is none."""
        descriptor, found = self._walk(path, follow=False)
        try:
            return os.readlink("", dir_fd=descriptor) if stat.S_ISLNK(found.state.st_mode) else ""
        finally:
            os.close(descriptor)

    def names(self, folder: str) -> tuple[tuple[str, bool, bool], ...]:
        """(name, is a link, is a folder) of each thing in a folder, ascending; nothing where there is no folder.

        Raises OSError for a folder that is there but cannot be read, or has more than SERVICE_NAMES_MAX names.
        """
        if folder not in self._listed:
            self._listed[folder] = tuple(sorted(self._names(folder)))
        return self._listed[folder]

    def _names(self, folder: str) -> Iterator[tuple[str, bool, bool]]:
        try:
            descriptor, found = self._walk(folder, follow=True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return
            raise
        try:
            if not found.is_folder:
                return
            reading = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        try:
            with os.scandir(reading) as listing:
                for count, each in enumerate(listing):
                    if count == limits.SERVICE_NAMES_MAX:
                        raise OSError(errno.EOVERFLOW, "more names than are looked at")
                    yield each.name, each.is_symlink(), each.is_dir(follow_symlinks=False)
        finally:
            os.close(reading)

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of a regular file. Raises UnreadableError for anything else, and for more than `limit` bytes."""
        with self.artifact(path) as artifact:
            if artifact.view.size > limit:
                raise UnreadableError(path, reasons.INPUT_TOO_LARGE, f"{artifact.view.size} bytes")
            data = artifact.view.read(0, limit)
            if artifact.view.changed():
                raise UnreadableError(path, reasons.INPUT_CHANGED)
            self.digests[artifact.place] = digests.of(data, "sha256")
            return data

    def artifact(self, path: str) -> RootedArtifact:
        """Open a regular file. Raises UnreadableError for anything else; FIFOs and devices are not even opened."""
        try:
            descriptor, found = self._walk(path, follow=True, reading=True)
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
        if not found.is_file:
            os.close(descriptor)
            raise UnreadableError(path, reasons.INPUT_NOT_A_FILE)
        return RootedArtifact(self, found, FileView(descriptor, path))

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)

    def _walk(self, path: str, *, follow: bool, reading: bool = False) -> tuple[int, Found]:
        """A descriptor of what stands there, and what is known of it; with `reading` set, regular files can be read."""
        steps = _Steps(self._descriptor)
        try:
            found = steps.walk(path, follow=follow)
            return steps.opened(found) if reading and found.is_file else steps.here(), found
        finally:
            steps.close()


class _Steps:
    """The folders from the root down to where a walk is: their names, descriptors and states."""

    def __init__(self, root: int) -> None:
        self._names: list[str] = []
        self._open = [os.dup(root)]
        self._states = [os.fstat(root)]
        self._escapes = False

    def walk(self, path: str, *, follow: bool) -> Found:
        if "\0" in path:  # no file is called so, whatever a setting says
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        waiting = deque(path.split("/"))
        links = 0
        while waiting:
            name = waiting.popleft()
            if name in ("", "."):
                continue
            if name == "..":
                self._up()
                continue
            descriptor = os.open(name, _LOOK, dir_fd=self._open[-1])
            state = os.fstat(descriptor)
            if stat.S_ISLNK(state.st_mode) and (follow or any(waiting)):
                try:
                    target = os.readlink("", dir_fd=descriptor)
                finally:
                    os.close(descriptor)
                links += 1
                if links > limits.SERVICE_LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/"):
                    self._back_to_root()
                waiting.extendleft(reversed(target.split("/")))
                continue
            self._names.append(name)
            self._open.append(descriptor)
            self._states.append(state)
        return self._result()

    def here(self) -> int:
        """A descriptor (O_PATH) of what the walk has come to."""
        return os.dup(self._open[-1])

    def opened(self, found: Found) -> int:
        """A descriptor to read it by. Raises OSError, also where another file stands there by now."""
        descriptor = os.open(self._names[-1], _READ, dir_fd=self._open[-2])
        if os.path.samestat(os.fstat(descriptor), found.state):
            return descriptor
        os.close(descriptor)
        raise OSError(errno.ESTALE, "another file stands there by now")

    def _result(self) -> Found:
        state = self._states[-1]
        exposed = tuple(
            "/" + "/".join(self._names[:depth])
            for depth, each in enumerate(self._states)
            if each.st_mode & _OTHERS
            and not stat.S_ISLNK(each.st_mode)
            and not (stat.S_ISDIR(each.st_mode) and each.st_mode & stat.S_ISVTX)
            and not stat.S_ISCHR(each.st_mode)
        )
        return Found("/" + "/".join(self._names), state, self._escapes, exposed)

    def _up(self) -> None:
        if self._names:
            self._names.pop()
            self._states.pop()
            os.close(self._open.pop())
        else:
            self._escapes = True

    def _back_to_root(self) -> None:
        while self._names:
            self._up()

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)


class RootedArtifact(Artifact):
    """A file below a root; the files beside it are looked for there, too. Its name is the path from outside."""

    def __init__(self, root: Root, found: Found, view: FileView) -> None:
        super().__init__(root.outside(found.path), view, Identity(found.state.st_dev, found.state.st_ino))
        self._root = root
        self.place = found.path

    def companion(self, suffix: str, limit: int = limits.ENVELOPE_MAX) -> bytes | None:
        """As every artifact's; None when there is none. Raises UnreadableError."""
        try:
            return self._root.read(self.place + suffix, limit)
        except UnreadableError as error:
            if error.reason is reasons.INPUT_MISSING:
                return None
            raise


def _unreadable(path: str, error: OSError | ValueError) -> UnreadableError:
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG) or number is None:
        return UnreadableError(path, reasons.INPUT_MISSING)
    if number == errno.ESTALE:
        return UnreadableError(path, reasons.INPUT_CHANGED, str(getattr(error, "strerror", "")))
    return UnreadableError(path, reasons.INPUT_UNREADABLE, os.strerror(number))
