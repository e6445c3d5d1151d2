"""What the kernel itself does with fs-verity: enable it on a file, measure it, give its descriptor and signature back.

(Linux, include/uapi/linux/fsverity.h.)
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, RefusedError
from chopmark.core.named import NamedTuple
from chopmark.formats._verity import fsverity

_ENABLE, _MEASURE, _READ_METADATA = 0x40806685, 0xC0046686, 0xC0286687
_ENABLE_ARGUMENT = struct.Struct("@IIIIQIIQ88x")
_METADATA_ARGUMENT = struct.Struct("@QQQQQ")
_DIGEST_HEAD = struct.Struct("@HH")
_DIGEST_MAX = 64
_DESCRIPTOR, _SIGNATURE = 2, 3
_ABSENT = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.ENODATA, errno.EINVAL, errno.EOVERFLOW})

_WHY = {
    errno.ENOTTY: "this file system has no fs-verity",
    errno.EOPNOTSUPP: "this file system has no fs-verity, or it is not turned on (tune2fs -O verity)",
    errno.EEXIST: "it is enabled already",
    errno.ETXTBSY: "somebody has it open for writing",
    errno.EBADMSG: "the signature is malformed",
    errno.EKEYREJECTED: "the signature is not over this file",
    errno.ENOKEY: "the signer's certificate is not in the keyring .fs-verity",
    errno.EPERM: "it needs a signature (fs.verity.require_signatures), or may not be changed",
    errno.EINVAL: "this file system does not take this block size or salt",
    errno.EROFS: "it is on a read-only file system",
    errno.EACCES: "it may not be written to",
}


class NotEnabledError(ChopmarkError):
    """The kernel did not enable fs-verity; the file is as it was."""


class NotMeasuredError(ChopmarkError):
    """The kernel holds a file to no digest, which is an answer about the file: it is as one that nobody signed."""

    exit_status = 1


class Measured(NamedTuple):
    """What the kernel says: the digest by its own tree, and the algorithm."""

    digest: bytes
    algorithm: str


def measure(descriptor: int) -> Measured | None:
    """What the kernel has measured an open file to be; None where fs-verity is not enabled on it."""
    answer = bytearray(_DIGEST_HEAD.pack(0, _DIGEST_MAX) + bytes(_DIGEST_MAX))
    try:
        fcntl.ioctl(descriptor, _MEASURE, answer)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    number, size = _DIGEST_HEAD.unpack_from(answer)
    if number not in fsverity.NAMES or size > _DIGEST_MAX:
        return None
    return Measured(bytes(answer[_DIGEST_HEAD.size : _DIGEST_HEAD.size + size]), fsverity.NAMES[number])


def parameters(descriptor: int) -> fsverity.Parameters | None:
    """How the kernel's tree of an open file is made; None where it has none, or does not say (before Linux 5.12)."""
    raw = _metadata(descriptor, _DESCRIPTOR, fsverity.DESCRIPTOR.size)
    if raw is None or len(raw) < fsverity.DESCRIPTOR.size:
        return None
    _, number, bits, salt_size, _, _, _, salt, _ = fsverity.DESCRIPTOR.unpack_from(raw)
    if number not in fsverity.NAMES or 1 << bits not in fsverity.BLOCK_SIZES or salt_size > fsverity.SALT_MAX:
        return None
    return fsverity.Parameters(fsverity.NAMES[number], 1 << bits, salt[:salt_size])


def signature(descriptor: int) -> bytes | None:
    """The built-in signature that the kernel keeps with an open file, if it has one."""
    return _metadata(descriptor, _SIGNATURE, limits.FS_VERITY_SIGNATURE_MAX)


def enable(descriptor: int, wanted: fsverity.Parameters, built_in: bytes = b"") -> None:
    """Enable fs-verity: from then on nobody can write to the file. Raises NotEnabledError, RefusedError."""
    if len(built_in) > limits.FS_VERITY_SIGNATURE_MAX:
        message = f"a signature of {len(built_in)} bytes; the kernel takes {limits.FS_VERITY_SIGNATURE_MAX}"
        raise RefusedError(message)
    salt, signed = ctypes.create_string_buffer(wanted.salt), ctypes.create_string_buffer(built_in)
    argument = _ENABLE_ARGUMENT.pack(
        1,
        fsverity.ALGORITHMS[wanted.algorithm],
        wanted.block_size,
        len(wanted.salt),
        ctypes.addressof(salt) if wanted.salt else 0,
        len(built_in),
        0,
        ctypes.addressof(signed) if built_in else 0,
    )
    try:
        fcntl.ioctl(descriptor, _ENABLE, argument)
    except OSError as error:
        number = error.errno or 0
        message = _WHY.get(number, os.strerror(number))
        raise NotEnabledError(message) from error


def _metadata(descriptor: int, kind: int, size: int) -> bytes | None:
    """Metadata of a kind, read piece by piece until there is no more of it."""
    buffer = ctypes.create_string_buffer(size)
    got = 0
    while got < size:
        # Into a buffer that can be changed: only then Python gives the call's own answer, which is how much was read.
        argument = bytearray(_METADATA_ARGUMENT.pack(kind, got, size - got, ctypes.addressof(buffer) + got, 0))
        try:
            count = fcntl.ioctl(descriptor, _READ_METADATA, argument)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise
        if not count:
            break
        got += count
    return buffer.raw[:got] or None
