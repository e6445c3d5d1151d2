"""The files below a folder, each opened: through no link, on no other file system, however they are moved meanwhile."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING

from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Generator

_OPENAT2 = 437
"""On every architecture since 5.6."""
_HOW = struct.Struct("=QQQ")
_NO_OTHER_FILE_SYSTEM, _NO_MAGIC_LINKS, _NO_LINKS, _BENEATH = 0x01, 0x02, 0x04, 0x08
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)


def files(folder: str) -> Generator[int, None, None]:
    """Descriptors, which are the caller's to close. Only as many folders as the depth are open. Raises OSError."""
    return _files(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _files(root: int) -> Generator[int, None, None]:
    levels = [_Level(root)]
    try:
        while levels:
            entry = next(levels[-1].entries, None)
            if entry is None:
                levels.pop().close()
                continue
            with contextlib.suppress(OSError):  # it is gone, or leads elsewhere
                if entry.is_file(follow_symlinks=False):
                    yield _open(levels[-1].descriptor, entry.name, 0)
                elif entry.is_dir(follow_symlinks=False) and len(levels) < limits.GUARD_AHEAD_DEPTH_MAX:
                    levels.append(_Level(_open(levels[-1].descriptor, entry.name, os.O_DIRECTORY)))
    finally:
        for each in levels:
            each.close()


class _Level:
    """An open folder, and what is in it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.entries = os.scandir(descriptor)

    def close(self) -> None:
        self.entries.close()
        os.close(self.descriptor)


def _open(folder: int, name: str, flags: int) -> int:
    """openat2(2): on this file system, and through no link. Raises OSError."""
    how = _HOW.pack(_FLAGS | flags, 0, _NO_OTHER_FILE_SYSTEM | _NO_MAGIC_LINKS | _NO_LINKS | _BENEATH)
    descriptor = int(_syscall(_OPENAT2, folder, os.fsencode(name), how, len(how)))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number or errno.EIO, os.strerror(number), name)
    return descriptor
