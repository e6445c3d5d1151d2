"""What a folder holds: each file opened through the descriptor of its folder, never through a link, and read once."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.formats.catalog import reasons
from chopmark.formats.catalog.listing import BEYOND, ROOT, UNREAD, escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chopmark.core.finding import Finding

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_UNSUPPORTED = (errno.ENOTSUP, errno.ENODATA, errno.ENOSYS, errno.EPERM)


class Walk(NamedTuple):
    """How a tree is walked: the root's descriptor and device, what is left out, which devices are never entered.

    `known` are digests of an earlier run, by path (see `kept`); `keeping` says that there shall be such lines.
    """

    root: int
    device: int
    one_file_system: bool
    excluded: frozenset[bytes]
    pseudo: frozenset[int]
    known: Mapping[bytes, bytes]
    keeping: bool = False


class Task(NamedTuple):
    """A folder to look at, and which one it must be. `names` are those in it that are this task's (None: all)."""

    path: bytes
    identity: tuple[int, int]
    names: tuple[tuple[bytes, int], ...] | None = None


class Child(NamedTuple):
    """A folder whose files come here."""

    path: bytes
    identity: tuple[int, int]


class Seen(NamedTuple):
    """What was seen: lines, and children between them, in order; `rest` are names for further tasks.

    `kept` are lines for a run that goes on.
    """

    parts: list[bytes | Child]
    findings: list[Finding]
    files: int
    size: int
    rest: tuple[tuple[bytes, int], ...] = ()
    kept: bytes = b""


def first(walk: Walk) -> tuple[bytes, Child]:
    """The line of the root itself, and the root as a child. Raises OSError."""
    state = os.fstat(walk.root)
    return _line(b"d", state, b"-", b"-", ROOT, _attributes(walk.root)), Child(b"", (state.st_dev, state.st_ino))


def look(walk: Walk, tasks: Sequence[Task]) -> list[Seen]:
    """Look at folders, or parts of them. What goes wrong is a finding."""
    return [_Folder(walk, task).seen() for task in tasks]


def open_below(root: int, path: bytes) -> int:
    """Open a folder below another, name by name, so that no link is followed on the way. Raises OSError."""
    current = os.dup(root) if not path else root
    for name in path.split(b"/") if path else ():
        try:
            following = os.open(name, _FOLDER, dir_fd=current)
        finally:
            if current != root:
                os.close(current)
        current = following
    return current


class _Folder:
    """One task under way."""

    def __init__(self, walk: Walk, task: Task) -> None:
        self._walk = walk
        self._task = task
        self._findings: list[Finding] = []
        self._kept: list[bytes] = []
        self._count = self._size = 0
        self._prefix = task.path + b"/" if task.path else b""
        self._escaped = escape(self._prefix)
        self._now = time.time_ns()
        self._here = -1

    def seen(self) -> Seen:
        rest: tuple[tuple[bytes, int], ...] = ()
        parts: list[bytes | Child] = []
        try:
            self._here = open_below(self._walk.root, self._task.path)
        except OSError as error:
            self._trouble(error, self._task.path)
            return Seen([], self._findings, 0, 0)
        try:
            before = os.fstat(self._here)
            if (before.st_dev, before.st_ino) != self._task.identity:
                self._findings.append(reasons.RACING.found("another folder by now", subject=_name(self._task.path)))
            names = self._task.names
            if names is None:
                names = self._listed()
            mine, rest = names[: limits.CATALOG_UNIT_MAX], names[limits.CATALOG_UNIT_MAX :]
            parts = self._parts(mine)
            after = os.fstat(self._here)
            if (before.st_mtime_ns, before.st_ctime_ns) != (after.st_mtime_ns, after.st_ctime_ns):
                self._findings.append(reasons.RACING.found("names in it", subject=_name(self._task.path)))
        except OSError as error:
            self._trouble(error, self._task.path)
        finally:
            os.close(self._here)
        return Seen(parts, self._findings, self._count, self._size, rest, b"".join(self._kept))

    def _listed(self) -> tuple[tuple[bytes, int], ...]:
        """Names in the order of paths, with their kinds; a folder's own files come behind its name and a slash."""
        found = []
        with os.scandir(self._here) as items:
            for item in items:
                name = os.fsencode(item.name)
                if self._prefix + name in self._walk.excluded:
                    continue
                if item.is_dir(follow_symlinks=False):
                    found += [(name, stat.S_IFDIR), (name + b"/", stat.S_IFDIR)]
                else:
                    found.append((name, stat.S_IFREG if item.is_file(follow_symlinks=False) else 0))
        found.sort()
        return tuple(found)

    def _parts(self, names: Sequence[tuple[bytes, int]]) -> list[bytes | Child]:
        parts: list[bytes | Child] = []
        lines: list[bytes] = []
        for name, kind in names:
            try:
                if name.endswith(b"/"):
                    child = self._child(name[:-1])
                    if child is not None:
                        parts += [b"".join(lines), child]
                        lines = []
                    continue
                lines.append(self._file(name) if kind == stat.S_IFREG else self._other(name))
                self._count += 1
            except OSError as error:
                self._trouble(error, self._prefix + name)
        parts.append(b"".join(lines))
        return parts

    def _child(self, name: bytes) -> Child | None:
        path = self._prefix + name
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=self._here)
        except OSError:
            return None  # its own line says so
        try:
            state = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if self._is_beyond(state) or len(path) > limits.CATALOG_PATH_MAX:
            return None
        return Child(path, (state.st_dev, state.st_ino))

    def _is_beyond(self, state: os.stat_result) -> bool:
        device: int = state.st_dev
        return device != self._walk.device and (self._walk.one_file_system or device in self._walk.pseudo)

    def _file(self, name: bytes) -> bytes:
        """The line of a regular file, which is read."""
        try:
            descriptor = os.open(name, _READ, dir_fd=self._here)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOENT):  # it became another
                self._findings.append(reasons.RACING.found(subject=_name(self._prefix + name)))
                return self._other(name)
            self._trouble(error, self._prefix + name)
            return self._other(name)
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                self._findings.append(reasons.RACING.found(subject=_name(self._prefix + name)))
                return self._other(name)
            path = self._escaped + escape(name)
            if self._is_beyond(state):
                self._findings.append(reasons.BEYOND.found(subject=_name(self._prefix + name)))
                return _line(b"f", state, b"-", BEYOND, path, _attributes(descriptor))
            which = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
            mark = b"%d %d %d %d %d " % which
            known = self._walk.known.get(self._prefix + name, b"") if self._walk.known else b""
            same = known.startswith(mark)
            digest = known[len(mark) :] if same else self._digest(descriptor, name, state)
            attributes = _attributes(descriptor)
        finally:
            os.close(descriptor)
        if not digest:
            return _line(b"f", state, b"-", UNREAD, path, attributes)
        if self._walk.keeping and state.st_ctime_ns < self._now - int(limits.CATALOG_SETTLED * 1e9):
            self._kept.append(mark + digest + b" " + path + b"\n")
        self._size += state.st_size
        return _line(b"f", state, b"%d" % state.st_size, digest, path, attributes)

    def _digest(self, descriptor: int, name: bytes, state: os.stat_result) -> bytes:
        """In hex; empty with a finding where it cannot be read, or changes."""
        try:
            digest, size = hashed(descriptor, state.st_size)
        except OSError as error:
            self._trouble(error, self._prefix + name)
            return b""
        after = os.fstat(descriptor)
        if size != state.st_size or (state.st_mtime_ns, state.st_ctime_ns) != (after.st_mtime_ns, after.st_ctime_ns):
            self._findings.append(reasons.RACING.found(subject=_name(self._prefix + name)))
            return b""
        return digest

    def _other(self, name: bytes) -> bytes:
        """The line of anything else: a folder, a link, a device; or of a file that cannot be opened."""
        state = os.stat(name, dir_fd=self._here, follow_symlinks=False)
        path = self._escaped + escape(name)
        if stat.S_ISDIR(state.st_mode):
            return self._folder(name, path, state)
        where = b"/proc/self/fd/%d/%b" % (self._here, name)
        attributes = _attributes(where)
        if stat.S_ISREG(state.st_mode):
            return _line(b"f", state, b"-", UNREAD, path, attributes)
        if stat.S_ISLNK(state.st_mode):
            target = os.readlink(name, dir_fd=self._here)
            return _line(b"l", state, b"-", escape(target), path, attributes)
        if stat.S_ISCHR(state.st_mode) or stat.S_ISBLK(state.st_mode):
            kind = b"c" if stat.S_ISCHR(state.st_mode) else b"b"
            number = b"%d:%d" % (os.major(state.st_rdev), os.minor(state.st_rdev))
            return _line(kind, state, b"-", number, path, attributes)
        return _line(b"p" if stat.S_ISFIFO(state.st_mode) else b"s", state, b"-", b"-", path, attributes)

    def _folder(self, name: bytes, path: bytes, state: os.stat_result) -> bytes:
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=self._here)
        except OSError as error:
            self._trouble(error, self._prefix + name)
            return _line(b"d", state, b"-", UNREAD, path, b"")
        try:
            state = os.fstat(descriptor)
            attributes = _attributes(descriptor)
        finally:
            os.close(descriptor)
        if self._is_beyond(state):
            self._findings.append(reasons.BEYOND.found(subject=_name(self._prefix + name)))
            return _line(b"d", state, b"-", BEYOND, path, attributes)
        if len(self._prefix) + len(name) > limits.CATALOG_PATH_MAX:
            self._findings.append(reasons.UNREADABLE.found("too deep", subject=_name(self._prefix + name)))
            return _line(b"d", state, b"-", UNREAD, path, attributes)
        return _line(b"d", state, b"-", b"-", path, attributes)

    def _trouble(self, error: OSError, path: bytes) -> None:
        gone = error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
        reason = reasons.RACING if gone else reasons.UNREADABLE
        self._findings.append(reason.found(os.strerror(error.errno or 0), subject=_name(path)))


def hashed(descriptor: int, size: int) -> tuple[bytes, int]:
    """The SHA-256 of a file, in hex, and how many bytes it had. Raises OSError."""
    data = os.read(descriptor, min(size + 1, limits.READ_CHUNK))
    if size < limits.READ_CHUNK and len(data) == size:
        return hashlib.sha256(data, usedforsecurity=False).hexdigest().encode(), size
    hasher = hashlib.sha256(usedforsecurity=False)
    total = 0
    while data and total <= size:
        hasher.update(data)
        total += len(data)
        data = os.read(descriptor, limits.READ_CHUNK)
    return hasher.hexdigest().encode(), total


def _attributes(where: int | bytes) -> bytes:
    """Security attributes and access control lists, as they are written in a line. Raises OSError."""
    try:
        names = os.listxattr(where) if isinstance(where, int) else os.listxattr(where, follow_symlinks=False)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return b""
        raise
    if not names:
        return b""
    found = []
    for name in names:
        if name.startswith(("security.", "system.posix_acl_")):
            try:
                value = os.getxattr(where, name, follow_symlinks=isinstance(where, int))
            except OSError as error:
                if error.errno in _UNSUPPORTED:
                    continue
                raise
            found.append((os.fsencode(name), value.hex().encode()))
    return b"".join(b" " + escape(name).replace(b"=", b"\\x3d") + b"=" + value for name, value in sorted(found))


def _line(kind: bytes, state: os.stat_result, size: bytes, content: bytes, path: bytes, attributes: bytes) -> bytes:
    return b"%b %04o %d %d %b %b %b%b\n" % (
        kind, state.st_mode & 0o7777, state.st_uid, state.st_gid, size, content, path, attributes
    )  # fmt: skip


def _name(path: bytes) -> str:
    return escape(path).decode("ascii") or "."
