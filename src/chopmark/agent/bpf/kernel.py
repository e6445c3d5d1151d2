"""bpf(2), by system call: maps, programs, what is pinned."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from enum import IntEnum
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
_libc = ctypes.CDLL(None, use_errno=True)

_MAP_CREATE, _LOOKUP, _UPDATE, _DELETE, _NEXT_KEY, _PROG_LOAD, _PIN, _GET = 0, 1, 2, 3, 4, 5, 6, 7
_RAW_TRACEPOINT_OPEN, _BTF_LOAD, _FREEZE = 17, 18, 22
_LSM_PROGRAM, _LSM_MAC = 29, 27
SLEEPABLE = 0x10
NO_PREALLOC = 0x01
READ_ONLY_FOR_PROGRAMS = 0x80
LICENCE = b"Dual BSD/GPL\0"


class Kind(IntEnum):
    """Of maps (enum bpf_map_type)."""

    HASH = 1
    ARRAY = 2
    LRU_HASH = 9
    INODE_STORAGE = 28
    TASK_STORAGE = 29


def _call(command: int, attributes: bytes) -> int:
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result: int = _libc.syscall(ctypes.c_long(number), ctypes.c_long(command), buffer, ctypes.c_long(len(attributes)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _at(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def _buffer(data: bytes) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(data, len(data))


def load_types(blob: bytes) -> int:
    """Tell the kernel about types (BTF); a descriptor. Raises OSError."""
    data = _buffer(blob)
    return _call(_BTF_LOAD, struct.pack("=QQIII", _at(data), 0, len(blob), 0, 0))


def make_map(
    name: str,
    kind: Kind,
    key: int,
    value: int,
    entries: int,
    *,
    flags: int = 0,
    types: tuple[int, int, int] = (0, 0, 0),
) -> int:
    """A map with keys and values of so many octets; a descriptor. `types`: BTF, key, value. Raises OSError."""
    return _call(
        _MAP_CREATE,
        struct.pack("=7I16s5I", kind, key, value, entries, flags, 0, 0, name.encode()[:15], 0, *types, 0),
    )


def freeze(descriptor: int) -> None:
    """Let no system call write to a map any more, not even ours. Raises OSError."""
    _call(_FREEZE, struct.pack("=I", descriptor))


def lookup(descriptor: int, key: bytes, size: int) -> bytes | None:
    """What stands in a map; None: nothing. Raises OSError."""
    given, found = _buffer(key), ctypes.create_string_buffer(size)
    try:
        _call(_LOOKUP, struct.pack("=IIQQQ", descriptor, 0, _at(given), _at(found), 0))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return found.raw


def update(descriptor: int, key: bytes, value: bytes) -> None:
    """Write to a map. Raises OSError."""
    given, new = _buffer(key), _buffer(value)
    _call(_UPDATE, struct.pack("=IIQQQ", descriptor, 0, _at(given), _at(new), 0))


def delete(descriptor: int, key: bytes) -> None:
    """Remove from a map what may not be there. Raises OSError."""
    given = _buffer(key)
    try:
        _call(_DELETE, struct.pack("=IIQQQ", descriptor, 0, _at(given), 0, 0))
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def keys(descriptor: int, size: int, entries: int) -> Iterator[bytes]:
    """The keys of a map for so many entries, of so many octets. Raises OSError."""
    last: bytes | None = None
    for _ in range(entries):  # one that is removed meanwhile makes the kernel begin again
        given, found = _buffer(last or b""), ctypes.create_string_buffer(size)
        try:
            _call(_NEXT_KEY, struct.pack("=IIQQQ", descriptor, 0, 0 if last is None else _at(given), _at(found), 0))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            raise
        last = found.raw
        yield last


def load(name: str, program: bytes, hook: int, *, sleeps: bool = False) -> int:
    """Have a program for the LSM hook with this id of BTF verified; a descriptor.

    Raises UnavailableError where it is not allowed, RefusedError with the end of the verifier's log.
    """
    code, licence = _buffer(program), _buffer(LICENCE)
    log = ctypes.create_string_buffer(limits.GUARD_VERIFIER_LOG)

    def attempt(level: int) -> int:
        room = (level, len(log), _at(log)) if level else (0, 0, 0)
        attributes = struct.pack("=II QQ II Q II 16s III", _LSM_PROGRAM, len(program) // 8, _at(code), _at(licence),
                                 *room, 0, SLEEPABLE if sleeps else 0, name.encode()[:15], 0, _LSM_MAC, 0)  # fmt: skip
        return _call(_PROG_LOAD, attributes + struct.pack("=I QII QII I", 0, 0, 0, 0, 0, 0, hook, 0))

    try:
        return attempt(0)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            raise UnavailableError(f"the kernel loads no BPF programs for us: {error.strerror}") from None
    try:
        return attempt(1)
    except OSError as error:
        said = log.value.decode("utf-8", "replace").strip().splitlines()
        raise RefusedError(f"the kernel does not take {name}: {error.strerror}: {' | '.join(said[-6:])}") from None


def attach(program: int) -> int:
    """Have a loaded program asked; a descriptor of the link, with which that ends. Raises OSError."""
    return _call(_RAW_TRACEPOINT_OPEN, struct.pack("=QII", 0, program, 0))


def pin(descriptor: int, path: str) -> None:
    """Keep a map or a link under a name in a BPF file system. Raises OSError."""
    name = _buffer(os.fsencode(path) + b"\0")
    _call(_PIN, struct.pack("=QII", _at(name), descriptor, 0))


def pinned(path: str) -> int:
    """A descriptor for what is kept under a name. Raises OSError."""
    name = _buffer(os.fsencode(path) + b"\0")
    return _call(_GET, struct.pack("=QII", _at(name), 0, 0))
