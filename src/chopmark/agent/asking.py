"""Asking the kernel, and through it whoever guards, whether a file may be run: AT_EXECVE_CHECK and securebits.

See "Executability check" in the kernel's userspace-api documentation; both came with Linux 6.14.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

AT_EMPTY_PATH = 0x1000
AT_EXECVE_CHECK = 0x10000
_EXECVEAT = {"x86_64": 322, "aarch64": 281, "riscv64": 281}.get(platform.machine(), -1)

_PR_GET_SECUREBITS = 27
_PR_SET_SECUREBITS = 28
EXEC_RESTRICT_FILE = 1 << 8
EXEC_RESTRICT_FILE_LOCKED = 1 << 9
EXEC_DENY_INTERACTIVE = 1 << 10
EXEC_DENY_INTERACTIVE_LOCKED = 1 << 11

_libc = ctypes.CDLL(None, use_errno=True)


class CannotAskError(OSError):
    """This kernel does not know the question."""


def may_run(descriptor: int) -> bool:
    """Whether the kernel would run the file behind a descriptor. Raises CannotAskError, OSError."""
    none = (ctypes.c_char_p * 1)(None)
    given = _libc.syscall(
        ctypes.c_long(_EXECVEAT),
        ctypes.c_int(descriptor),
        b"",
        none,
        none,
        ctypes.c_int(AT_EMPTY_PATH | AT_EXECVE_CHECK),
    )
    if given == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ETXTBSY):
        return False
    if number in (errno.EINVAL, errno.ENOSYS):
        raise CannotAskError(number, "this kernel cannot be asked (AT_EXECVE_CHECK came with Linux 6.14)")
    raise OSError(number, os.strerror(number))


def restrict(*, interactive: bool = False) -> bool:
    """Have interpreters in this process and its children ask about files, for ever, and take no code from elsewhere.

    With `interactive` they may still take code from the command line and standard input. False where this is not known
    to the kernel, or not ours to set (CAP_SETPCAP). Stock interpreters do not ask yet.
    """
    bits = EXEC_RESTRICT_FILE | EXEC_RESTRICT_FILE_LOCKED
    if not interactive:
        bits |= EXEC_DENY_INTERACTIVE | EXEC_DENY_INTERACTIVE_LOCKED
    held = _libc.prctl(_PR_GET_SECUREBITS, 0, 0, 0, 0)
    return bool(held >= 0 and _libc.prctl(_PR_SET_SECUREBITS, ctypes.c_ulong(held | bits), 0, 0, 0) == 0)
