"""openat2(2): opening with a say in how the way is found, which Python's standard library does not have."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

NO_OTHER_FILE_SYSTEM, NO_MAGIC_LINKS, NO_LINKS, BENEATH, CACHED = 0x01, 0x02, 0x04, 0x08, 0x20
"""RESOLVE_NO_XDEV and so on. CACHED fails with EAGAIN where a file system would have to be asked (since 5.12)."""
CWD = -100
"""AT_FDCWD."""

_OPENAT2 = 437
"""On every architecture since 5.6."""
_HOW = struct.Struct("=QQQ")

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)


def opened(folder: int, name: str, flags: int, resolve: int) -> int:
    """A descriptor of what a name means from a folder on. Raises OSError."""
    how = _HOW.pack(flags, 0, resolve)
    descriptor = int(_syscall(_OPENAT2, folder, os.fsencode(name), how, len(how)))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number or errno.EIO, os.strerror(number), name)
    return descriptor
