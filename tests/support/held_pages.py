"""Changes a file of a tmpfs when nobody has it open or mapped any more: `held_pages.py TARGET SOURCE`.

io_uring keeps the pages of registered buffers (io_uring_register(2), IORING_REGISTER_BUFFERS). Prints "held" when it
has those of TARGET, or why not; on a line of input it reads SOURCE into them.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys

_SETUP, _ENTER, _REGISTER = 425, 426, 427
_READ_FIXED, _GET_EVENTS = 4, 1
_SQES = 0x10000000
_PAGE = 4096

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def _call(*arguments: object) -> int:
    result: int = _libc.syscall(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def main(target: str, source: str) -> None:
    """Hold the pages, wait, write."""
    parameters = ctypes.create_string_buffer(120)
    try:
        ring = _call(_SETUP, 4, parameters)
        file = os.open(target, os.O_RDWR)
        address = _libc.mmap(None, _PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, file, 0)
        _call(_REGISTER, ring, 0, (ctypes.c_uint64 * 2)(address, _PAGE), 1)
    except OSError as error:
        sys.stdout.write(f"{error.strerror}\n")
        return
    _libc.munmap(address, _PAGE)
    os.close(file)
    sys.stdout.write("held\n")
    sys.stdout.flush()
    sys.stdin.readline()
    offsets = struct.unpack_from("7I", parameters.raw, 40)  # struct io_sqring_offsets
    rings = mmap.mmap(ring, _PAGE, mmap.MAP_SHARED, offset=0)
    entries = mmap.mmap(ring, _PAGE, mmap.MAP_SHARED, offset=_SQES)
    reading = os.open(source, os.O_RDONLY)
    size = os.fstat(reading).st_size
    entries[:64] = struct.pack("<BBHiQQIIQHHiQQ", _READ_FIXED, 0, 0, reading, 0, address, size, 0, 1, 0, 0, 0, 0, 0)
    rings[offsets[6] : offsets[6] + 4] = struct.pack("<I", 0)
    rings[offsets[1] : offsets[1] + 4] = struct.pack("<I", 1)
    _call(_ENTER, ring, 1, 1, _GET_EVENTS, None, 0)
    sys.stdout.write("written\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
