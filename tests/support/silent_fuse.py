"""A FUSE file system whose process never answers, or always with an error, or from some moment on no more (fuse(4)).

Whoever looks anything up on it waits, or is told of the error.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOKUP, _GETATTR, _OPEN, _READ, _INIT = 1, 3, 14, 15, 26
_HEADER = struct.Struct("=IIQQIIII")
_ANSWER = struct.Struct("=IiQ")
_STARTED = struct.Struct("=IIIIHHI40x")
"""struct fuse_init_out: version 7.31, and nothing that is optional."""
_NO_ANSWER = frozenset({2, 36, 42})
"""FORGET, INTERRUPT and BATCH_FORGET want none."""
_FORCE, _DETACH = 1, 2
_SECONDS = 10.0
_MOST_SECONDS = 90.0
"""After that all who wait fail, whatever a test does: nothing else would end a process that waits."""
_ROOT, _FILE = 1, 2

_ATTRIBUTES = struct.Struct("=6Q10I")
_ENTRY = struct.Struct("=QQQQII")
_READING = struct.Struct("=QQI")
_KEEP_CACHE = 2

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def mounted(place: Path, error: int = 0) -> Iterator[Path]:
    """Mounted on a folder until the end, when all who wait fail; with an `error` (errno) that is its every answer.

    Raises OSError where FUSE cannot be used.
    """
    with _mounted(place) as device:
        if error:
            threading.Thread(target=_fail, args=(device, error), daemon=True).start()
        yield place


@contextlib.contextmanager
def _mounted(place: Path) -> Iterator[int]:
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if _libc.mount(b"silent", bytes(place), b"fuse", 0, options):
            raise OSError(ctypes.get_errno(), "mount")
        ending = threading.Timer(_MOST_SECONDS, _libc.umount2, (bytes(place), _FORCE))
        ending.daemon = True
        ending.start()
        try:
            starting = threading.Thread(target=_start, args=(device,), daemon=True)
            starting.start()
            starting.join(_SECONDS)
            yield device
        finally:
            ending.cancel()
            _libc.umount2(bytes(place), _FORCE)
            _libc.umount2(bytes(place), _DETACH)
    finally:
        os.close(device)


class Served:
    """A file system with one file, a program; until `silence` whoever wants it gets it, as fast as from a disk."""

    def __init__(self, device: int, path: Path, content: bytes) -> None:
        self.path = path
        self._device = device
        self._content = content
        self._answers = True

    def silence(self) -> None:
        """Answer nobody any more: of what is asked next nobody hears."""
        self._answers = False

    def answer(self) -> None:
        """Until it is unmounted; who asks in silence is heard, so that not even who is killed can go on (fuse(4))."""
        with contextlib.suppress(OSError):
            while True:
                asked = os.read(self._device, 1 << 17)
                _, kind, unique, node, *_ = _HEADER.unpack_from(asked)
                if kind in _NO_ANSWER or not self._answers:
                    continue
                error, answer = self._said(kind, node, asked[_HEADER.size :])
                os.write(self._device, _ANSWER.pack(_ANSWER.size + len(answer), -error, unique) + answer)

    def _said(self, kind: int, node: int, asked: bytes) -> tuple[int, bytes]:
        if kind == _LOOKUP:
            is_file = asked.rstrip(b"\0") == os.fsencode(self.path.name)
            return (0, _ENTRY.pack(_FILE, 0, 0, 0, 0, 0) + self._attributes(_FILE)) if is_file else (errno.ENOENT, b"")
        if kind == _GETATTR:
            return 0, struct.pack("=QII", 0, 0, 0) + self._attributes(node)
        if kind == _OPEN:
            return 0, struct.pack("=QII", 0, _KEEP_CACHE, 0)
        if kind == _READ:
            _, offset, length = _READING.unpack_from(asked)
            return 0, self._content[offset : offset + length]
        return errno.ENOSYS, b""

    def _attributes(self, node: int) -> bytes:
        size, mode = (len(self._content), 0o100755) if node == _FILE else (0, 0o40755)
        return _ATTRIBUTES.pack(node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


@contextlib.contextmanager
def serving(path: Path, content: bytes) -> Iterator[Served]:
    """A file at a path, whose folder is the file system until the end. Raises OSError where FUSE cannot be used."""
    with _mounted(path.parent) as device:
        served = Served(device, path, content)
        threading.Thread(target=served.answer, daemon=True).start()
        yield served


def _start(device: int) -> None:
    """Answer the kernel's first question, and none after it; unless it is unmounted before."""
    with contextlib.suppress(OSError):
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
