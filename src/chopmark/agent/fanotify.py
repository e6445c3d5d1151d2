"""Permission events of fanotify(7): groups, marks, events and answers, by system call.

Python's standard library has none of it, and the bindings on the package index cannot deny.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import partial
from typing import Self

from chopmark.core.named import NamedTuple

# Of a group, fanotify_init
CLASS_CONTENT = 0x00000004
CLOEXEC = 0x00000001
NONBLOCK = 0x00000002
UNLIMITED_QUEUE = 0x00000010
UNLIMITED_MARKS = 0x00000020
REPORT_TID = 0x00000100

# Of marks, fanotify_mark
MARK_ADD = 0x00000001
MARK_REMOVE = 0x00000002
MARK_IGNORED_MASK = 0x00000020
MARK_FLUSH = 0x00000080
MARK_FILESYSTEM = 0x00000100
MARK_EVICTABLE = 0x00000200

# Events
CLOSE_WRITE = 0x00000008
OPEN_PERM = 0x00010000
OPEN_EXEC_PERM = 0x00040000
QUEUE_OVERFLOW = 0x00004000

# Answers
ALLOW = 0x01
DENY = 0x02

_HEADER = struct.Struct("=IBBHQii")
"""struct fanotify_event_metadata: length, version, reserved, its own length, mask, descriptor, thread."""
_LENGTH = _HEADER.size
_VERSION = 3
_ANSWER = struct.Struct("=iI")
_MOST = 256
"""Events in one read: more open descriptors than that at once help nobody."""

_libc = ctypes.CDLL(None, use_errno=True)
_init = _libc.fanotify_init
_init.argtypes = (ctypes.c_uint, ctypes.c_uint)
_mark = _libc.fanotify_mark
_mark.argtypes = (ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)


class Event(NamedTuple):
    """Somebody waits: `thread` wants what `mask` says with the file behind `descriptor`, which is ours to close."""

    descriptor: int
    mask: int
    thread: int

    @property
    def executes(self) -> bool:
        """Whether it is execve(2), or a question by AT_EXECVE_CHECK."""
        return bool(self.mask & OPEN_EXEC_PERM)


class UnopenedError(OSError):
    """The next event has no descriptor, for its file could not be opened for us: it is denied, and others follow."""


_OF_THE_GROUP = frozenset({errno.EBADF, errno.EFAULT, errno.EINVAL})
"""What says that the group itself cannot be read."""
_event = partial(tuple.__new__, Event)
"""Of its three values, without a call in Python for each."""


def _failed(path: str = "") -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path or None)


class Group:
    """A notification group. It lives as long as a process holds its descriptor: without one the kernel lets all pass.

    Raises OSError: EPERM without CAP_SYS_ADMIN, EINVAL or ENOSYS where the kernel has no permission events.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """Make a group, or take over the one behind `descriptor`."""
        if descriptor is None:
            flags = CLASS_CONTENT | CLOEXEC | NONBLOCK | UNLIMITED_QUEUE | UNLIMITED_MARKS | REPORT_TID
            # O_NONBLOCK: the descriptor of a FIFO's event must not wait for somebody who writes.
            descriptor = _init(flags, os.O_RDONLY | os.O_LARGEFILE | os.O_CLOEXEC | os.O_NOATIME | os.O_NONBLOCK)
            if descriptor < 0:
                raise _failed()
        self.descriptor = descriptor

    @classmethod
    def told(cls) -> Self:
        """A group that is told what happened, and holds nobody up; what is too much for its queue is left out."""
        flags = CLOEXEC | NONBLOCK
        descriptor = _init(flags, os.O_RDONLY | os.O_LARGEFILE | os.O_CLOEXEC | os.O_NOATIME | os.O_NONBLOCK)
        if descriptor < 0:
            raise _failed()
        return cls(descriptor)

    def protect(self, path: str, device: int, mask: int) -> None:
        """Ask about every file on the file system of the folder `path`, whatever mount it is reached through.

        Raises OSError, with ESTALE when that is not `device`: what was mounted there may be gone, and asking about
        what lies below it could stop the whole machine.
        """
        self._marked(MARK_ADD | MARK_FILESYSTEM, mask, path, device)

    def release(self, path: str, device: int, mask: int) -> None:
        """Ask no more. Raises as `protect` does."""
        self._marked(MARK_REMOVE | MARK_FILESYSTEM, mask, path, device)

    def ignore(self, descriptor: int, mask: int) -> None:
        """Let the kernel allow by itself, until the file is modified other than through a mapping."""
        if _mark(self.descriptor, MARK_ADD | MARK_IGNORED_MASK | MARK_EVICTABLE, mask, descriptor, None) < 0:
            raise _failed()

    def heed(self, descriptor: int, mask: int) -> None:
        """Take `ignore` back. It may be gone already."""
        _mark(self.descriptor, MARK_REMOVE | MARK_IGNORED_MASK, mask, descriptor, None)

    def heed_all(self) -> None:
        """Take every `ignore` back."""
        if _mark(self.descriptor, MARK_FLUSH, 0, -100, b"/") < 0:
            raise _failed()

    def release_all(self) -> None:
        """Ask about nothing any more. Raises OSError."""
        for kind in (0, MARK_FILESYSTEM):
            if _mark(self.descriptor, MARK_FLUSH | kind, 0, -100, b"/") < 0:
                raise _failed()

    def _marked(self, flags: int, mask: int, path: str, device: int) -> None:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.fstat(folder).st_dev != device:
                raise OSError(errno.ESTALE, "something else is mounted there now", path)
            if _mark(self.descriptor, flags, mask, folder, None) < 0:
                raise _failed(path)
        finally:
            os.close(folder)

    def read(self, most: int = _MOST) -> list[Event]:
        """The events that are waiting, at most so many. Raises UnopenedError, OSError."""
        try:
            data = os.read(self.descriptor, most * _LENGTH)
        except BlockingIOError:
            return []
        except OSError as error:
            if error.errno in _OF_THE_GROUP:
                raise
            raise UnopenedError(error.errno, error.strerror) from None
        found = []
        for length, version, _, _, mask, descriptor, thread in _HEADER.iter_unpack(data):
            if version != _VERSION or length != _LENGTH:  # more comes with an event only to those who ask for it
                message = f"fanotify events of version {version} and {length} bytes"
                raise OSError(message)
            if descriptor >= 0:
                found.append(_event((descriptor, mask, thread)))
        return found

    def answer(self, descriptor: int, *, allow: bool) -> None:
        """Let the thread that waits for `descriptor` go on, or fail with EPERM."""
        os.write(self.descriptor, _ANSWER.pack(descriptor, ALLOW if allow else DENY))

    def close(self) -> None:
        """Close our descriptor; everybody who waits is let through when it is the last one."""
        os.close(self.descriptor)
