"""Read leases (fcntl(2), F_SETLEASE): nobody opens a leased file for writing, or maps it so, before we hear of it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BREAK = signal.SIGRTMIN + 5
"""What says which descriptor's lease is wanted back."""
_SIGNALS = frozenset({BREAK, signal.SIGIO})
"""SIGIO comes instead when too many breaks wait to be read: then nobody knows which they were."""

_libc = ctypes.CDLL(None, use_errno=True)
_fstatfs = _libc.fstatfs
_fstatfs.argtypes = (ctypes.c_int, ctypes.c_char_p)
_KIND = struct.Struct("@l")
"""f_type in struct statfs (statfs(2)), which is 120 bytes long."""
_BLIND = frozenset({0x794C7630, 0x65735546, 0xF15F})
"""overlayfs, FUSE and eCryptfs: leases there know nothing of who writes to the file below."""
_INFO = 128
_DESCRIPTOR = struct.Struct("=i")
_DESCRIPTOR_AT = 20
"""ssi_fd in struct signalfd_siginfo (signalfd(2)); Python's siginfo has no such field."""


def block() -> None:
    """Keep breaks from interrupting threads; call it before the first one is started."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


class Breaks:
    """Where the kernel says which leases are wanted back."""

    def __init__(self) -> None:
        """Open. Raises OSError. The signals must be blocked in every thread."""
        mask = (ctypes.c_ulong * 16)()
        for number in _SIGNALS:
            mask[(number - 1) // (8 * ctypes.sizeof(ctypes.c_ulong))] |= 1 << (
                (number - 1) % (8 * ctypes.sizeof(ctypes.c_ulong))
            )
        self.descriptor = _libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def read(self) -> Iterator[int | None]:
        """The descriptors whose leases are wanted back; None: any of them."""
        try:
            data = os.read(self.descriptor, _INFO * 64)
        except BlockingIOError:
            return
        for at in range(0, len(data), _INFO):
            number = int.from_bytes(data[at : at + 4], "little")
            yield _DESCRIPTOR.unpack_from(data, at + _DESCRIPTOR_AT)[0] if number == BREAK else None

    def close(self) -> None:
        """Close."""
        os.close(self.descriptor)


class BeingWrittenError(OSError):
    """Somebody has the file open, or mapped, for writing: what it contains now says nothing about what will run."""


def take(descriptor: int) -> bool:
    """Lease the file behind a descriptor; False where its file system has no leases. Raises BeingWrittenError."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, BREAK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise BeingWrittenError(errno.EAGAIN, "open for writing") from None
        return False
    return True


def held(descriptor: int) -> bool:
    """Whether a lease is still whole: one that is wanted back says so here before any signal is read."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GETLEASE) == fcntl.F_RDLCK
    except OSError:
        return False


def tells(descriptor: int) -> bool:
    """Whether a lease tells of every writer: not where files lie in another file system, with its own inodes."""
    state = ctypes.create_string_buffer(120)
    return _fstatfs(descriptor, state) == 0 and _KIND.unpack_from(state)[0] not in _BLIND


def give_back(descriptor: int) -> None:
    """Let writers go on."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
