"""Changes a file that nobody has open or mapped any more, on any file system: `pinned_pages.py TARGET SOURCE FOLDER`.

While a read is under way the kernel keeps the pages that it goes to, and a process behind FUSE answers it when it likes
(fuse(4), FOPEN_DIRECT_IO). Mounts one on FOLDER and reads from there into a mapping of TARGET; prints "held" when that
is gone, or why not. On a line of input it answers with SOURCE.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import struct
import sys
import threading
from pathlib import Path

_LOOKUP, _GETATTR, _OPEN, _READ, _RELEASE, _FLUSH, _INIT = 1, 3, 14, 15, 18, 25, 26
_DIRECT = 1
_DETACH = 2
_PAGE = 4096
_NO_SYSTEM_CALL = 38
_PR_SET_PDEATHSIG = 1

_ASKED = struct.Struct("=IIQQIIII")
_ANSWER = struct.Struct("=IiQ")
_ATTRIBUTES = struct.Struct("=QQQQQQIIIIIIIIII")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]


class Slow:
    """A file system with one file, which is a page long and is read when `answer` is called.

    Another process is behind it: one that waits for itself cannot end.
    """

    def __init__(self, folder: str) -> None:
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0".encode()
        if _libc.mount(b"slow", os.fsencode(folder), b"fuse", 0, options):  # first: before it there is nothing to read
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._reading, asking = os.pipe()
        self._process = os.fork()
        if not self._process:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            self._serve(asking)
            os._exit(0)

    def asked(self) -> int:
        """Wait until somebody reads; what the question is called."""
        return int.from_bytes(os.read(self._reading, 8), "little")

    def answer(self, asked: int, content: bytes) -> None:
        """Let the read end."""
        self._say(asked, content)

    def _serve(self, asking: int) -> None:
        while True:
            try:
                _, what, unique, node, *_ = _ASKED.unpack_from(os.read(self._device, 1 << 20))
            except OSError:
                return
            if what == _READ:
                os.write(asking, unique.to_bytes(8, "little"))
            else:
                with contextlib.suppress(OSError):  # nobody waits for some, and for others nobody does any more
                    self._answer(what, unique, node)

    def _answer(self, what: int, unique: int, node: int) -> None:
        answers = {
            _INIT: struct.pack("=IIIIHHIIHHI28x", 7, 31, 0, 0, 0, 0, _PAGE, 1, 0, 0, 0),
            _LOOKUP: struct.pack("=QQQQII", 2, 1, 0, 0, 0, 0) + _attributes(2),
            _GETATTR: struct.pack("=QII", 0, 0, 0) + _attributes(node),
            _OPEN: struct.pack("=QII", 1, _DIRECT, 0),
            _RELEASE: b"",
            _FLUSH: b"",
        }
        if what in answers:
            self._say(unique, answers[what])
        else:
            os.write(self._device, _ANSWER.pack(_ANSWER.size, -_NO_SYSTEM_CALL, unique))

    def _say(self, unique: int, data: bytes) -> None:
        os.write(self._device, _ANSWER.pack(_ANSWER.size + len(data), 0, unique) + data)


def _attributes(node: int) -> bytes:
    mode = 0o40755 if node == 1 else 0o100644
    return _ATTRIBUTES.pack(node, _PAGE, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, _PAGE, 0)


def main(target: str, source: str, folder: str) -> None:
    """Hold the page, wait, write."""
    try:
        slow = Slow(folder)
    except OSError as error:
        sys.stdout.write(f"{error.strerror}\n")
        return
    file = os.open(target, os.O_RDWR)
    address = _libc.mmap(None, _PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, file, 0)
    os.close(file)
    reads = os.open(f"{folder}/file", os.O_RDONLY | os.O_CLOEXEC)
    _libc.umount2(os.fsencode(folder), _DETACH)  # it goes with the file
    reading = threading.Thread(target=_libc.read, args=(reads, address, _PAGE))
    reading.start()
    asked = slow.asked()
    _libc.munmap(address, _PAGE)
    sys.stdout.write("held\n")
    sys.stdout.flush()
    sys.stdin.readline()
    slow.answer(asked, Path(source).read_bytes().ljust(_PAGE, b"\0"))
    reading.join()
    os.close(reads)
    sys.stdout.write("written\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
