"""What is at a path, from what the kernel has at hand: whoever answers others asks no file system that may not answer.

Anybody can have a program lie on a file system that a process of theirs stands for (FUSE), or under a name that leads
to one in our view; a network's may have lost its server, and an automount waits for a process as well.
"""

from __future__ import annotations

import ctypes
import os
import struct

from chopmark.agent import mounts, openat2
from chopmark.core import limits
from chopmark.core.named import NamedTuple

_AT_STATX_DONT_SYNC, _AT_EMPTY_PATH = 0x4000, 0x1000
_WANTED = 0x2 | 0x8 | 0x100 | 0x1000
"""STATX_MODE, STATX_UID, STATX_INO and STATX_MNT_ID."""
_STATX = struct.Struct("=20xI4xH2xQ96xIIQ")
"""stx_uid, stx_mode, stx_ino, stx_dev_major, stx_dev_minor and stx_mnt_id in struct statx (statx(2)) of 256 bytes."""
_statx = ctypes.CDLL(None, use_errno=True).statx
_statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)
_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class State(NamedTuple):
    """Which file it is, whose, its mode with its type, and the number of the mount: as it is known, from whenever."""

    device: int
    inode: int
    uid: int
    mode: int
    mount: int


def state(path: str) -> State | None:
    """Of what is at a path that has no links in it, in our own view; None where that cannot be said.

    Where the kernel has not the whole way at hand, file systems are asked, but those that may not answer.
    """
    try:
        found = _cached(path)
        if found is None and not any(each.silent for _, each in mounts.above(path)):
            found = _opened(path, openat2.NO_LINKS)
    except (OSError, ValueError):
        return None
    return found


def lies(path: str, key: tuple[int, int], link: str) -> bool:
    """Whether a path, without links in it, is that of a file (device and inode) in our own view.

    `link` is one of proc(5) that leads to the file, from which the path is. On the way to one that does not answer it
    decides that the file was opened through the very mount that we have there: it is as if it were in our view then.
    """
    try:
        found = _cached(path)
        if found is None:
            way = mounts.above(path)
            if any(each.silent for _, each in way):
                itself = behind(link)
                is_there = itself is not None and itself.mount == way[-1][0]
                return is_there and not path.endswith(" (deleted)")
            found = _opened(path, openat2.NO_LINKS)
    except (OSError, ValueError):
        return False
    return found is not None and (found.device, found.inode) == key


def behind(link: str) -> State | None:
    """Of what a link of proc(5) leads to, which the kernel has at hand; None where it leads nowhere."""
    return _stated(openat2.CWD, os.fsencode(link), 0)


def _cached(path: str) -> State | None:
    """None where a file system would have to be asked. Raises OSError, ValueError."""
    for _ in range(limits.GUARD_NEARBY_TRIES):
        try:
            return _opened(path, openat2.CACHED | openat2.NO_LINKS)
        except BlockingIOError:  # also where something is mounted or moved at this moment
            continue
    return None


def _opened(path: str, resolve: int) -> State | None:
    descriptor = openat2.opened(openat2.CWD, path, _FLAGS, resolve)
    try:
        return _stated(descriptor, b"", _AT_EMPTY_PATH)
    finally:
        os.close(descriptor)


def _stated(folder: int, name: bytes, flags: int) -> State | None:
    """As the kernel knows it: a file system that answers nobody is not asked."""
    found = ctypes.create_string_buffer(256)
    if _statx(folder, name, flags | _AT_STATX_DONT_SYNC, _WANTED, found):
        return None
    uid, mode, inode, major, minor, mount = _STATX.unpack_from(found)
    return State(os.makedev(major, minor), inode, uid, mode, mount)
