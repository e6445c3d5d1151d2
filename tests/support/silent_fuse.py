"""A FUSE file system whose process never answers, or always with an error (fuse(4)).

Whoever looks anything up on it waits, or is told of the error.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_INIT = 26
_HEADER = struct.Struct("=IIQQIIII")
_ANSWER = struct.Struct("=IiQ")
_STARTED = struct.Struct("=IIIIHHI40x")
"""struct fuse_init_out: version 7.31, and nothing that is optional."""
_NO_ANSWER = frozenset({2, 36, 42})
"""FORGET, INTERRUPT and BATCH_FORGET want none."""
_DETACH = 2
_SECONDS = 10.0

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def mounted(place: Path, error: int = 0) -> Iterator[Path]:
    """Mounted on a folder until the end, when all who wait fail; with an `error` (errno) that is its every answer.

    Raises OSError where FUSE cannot be used.
    """
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
        if _libc.mount(b"silent", bytes(place), b"fuse", 0, options):
            raise OSError(ctypes.get_errno(), "mount")
        try:
            starting = threading.Thread(target=_start, args=(device,), daemon=True)
            starting.start()
            starting.join(_SECONDS)
            if error:
                threading.Thread(target=_fail, args=(device, error), daemon=True).start()
            yield place
        finally:
            _libc.umount2(bytes(place), _DETACH)
    finally:
        os.close(device)


def _start(device: int) -> None:
    """Answer the kernel's first question, and none after it."""
    while True:
        asked = os.read(device, 1 << 17)
        _, kind, unique, *_ = _HEADER.unpack_from(asked)
        if kind == _INIT:
            started = _STARTED.pack(7, 31, 0, 0, 0, 0, 4096)
            os.write(device, _ANSWER.pack(_ANSWER.size + len(started), 0, unique) + started)
            return


def _fail(device: int, error: int) -> None:
    """Answer everything with an error, until it is unmounted."""
    with contextlib.suppress(OSError):
        while True:
            _, kind, unique, *_ = _HEADER.unpack_from(os.read(device, 1 << 17))
            if kind not in _NO_ANSWER:
                os.write(device, _ANSWER.pack(_ANSWER.size, -error, unique))
