"""Turning on fs-verity, and putting the signature where the kernel's program looks for it (fsverity.rst, ioctls)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from chopmark.agent.bpf.verity import ATTRIBUTE, DIGEST
from chopmark.core import limits
from chopmark.core.errors import InputError, RefusedError

_ENABLE, _MEASURE = 0x40806685, 0xC0046686
_ARGUMENT = struct.Struct("=IIIIQIIQ88x")
"""struct fsverity_enable_arg: version, algorithm, block size, salt, signature."""
_SHA256, _BLOCK = 1, 4096


def digest(descriptor: int) -> bytes | None:
    """The struct fsverity_digest of an open file; None where it has no fs-verity."""
    buffer = bytearray(struct.pack("=HH", 0, DIGEST - 4) + bytes(DIGEST - 4))
    try:
        fcntl.ioctl(descriptor, _MEASURE, buffer)
    except OSError:
        return None
    return bytes(buffer[: 4 + int.from_bytes(buffer[2:4], "little")])


def seal(path: str, signature: bytes) -> None:
    """Make a file unchangeable and attach its signature, for good. Raises InputError, RefusedError."""
    if not 0 < len(signature) <= limits.GUARD_BPF_SIGNATURE_MAX:
        raise RefusedError(f"{path}: its signature is not of 1 to {limits.GUARD_BPF_SIGNATURE_MAX} octets")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    try:
        os.setxattr(descriptor, ATTRIBUTE, signature)
        fcntl.ioctl(descriptor, _ENABLE, _ARGUMENT.pack(1, _SHA256, _BLOCK, 0, 0, 0, 0, 0))
    except OSError as error:
        if error.errno != errno.EEXIST:  # it has fs-verity already
            raise RefusedError(f"{path}: fs-verity: {error.strerror}") from None
    finally:
        os.close(descriptor)
