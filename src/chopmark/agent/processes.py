"""What proc(5) tells of the thread that waits for an answer, and of everybody who uses a file."""

from __future__ import annotations

import contextlib
import os
import platform
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_ARGUMENTS_MAX = 64 * 1024
"""Bytes of a command line that are looked at."""
_OPENS = {
    "x86_64": {2: 1, 257: 2, 85: -1},
    "aarch64": {56: 2},
}.get(platform.machine(), {})
"""System calls that open, by number: which of their arguments is the flags; -1: creat(2), which only writes."""
_ACCESS = 0o3


class Program(NamedTuple):
    """What a process runs: its path as the kernel knows it, and which file that is."""

    path: str
    device: int = 0
    inode: int = 0

    @property
    def name(self) -> str:
        """The last part of the path; a replaced file is still called what it was."""
        return os.path.basename(self.path.removesuffix(" (deleted)"))


NOBODY = Program("")
"""Of a process that is gone, or a thread of the kernel."""


def program(thread: int) -> Program:
    """What a thread's process runs."""
    try:
        return Program(os.readlink(f"/proc/{thread}/exe"))
    except OSError:
        return NOBODY


def arguments(thread: int) -> list[str]:
    """The command line; empty when there is none."""
    try:
        with open(f"/proc/{thread}/cmdline", "rb") as file:
            return [os.fsdecode(each) for each in file.read(_ARGUMENTS_MAX).split(b"\0")][:-1]
    except OSError:
        return []


def names(thread: int, device: int, inode: int) -> bool:
    """Whether the command line names this file, as the thread itself would find it."""
    for argument in arguments(thread)[1:]:
        if not argument or len(argument) > os.pathconf("/", "PC_PATH_MAX"):
            continue
        base = f"/proc/{thread}/root" if argument.startswith("/") else f"/proc/{thread}/cwd/"
        with contextlib.suppress(OSError, ValueError):
            state = os.stat(base + argument)
            if (state.st_dev, state.st_ino) == (device, inode):
                return True
    return False


def only_writes(thread: int) -> bool:
    """Whether the waiting thread opens a file for nothing but writing: what is not read is not run.

    The flags are in a register of a thread that is stopped in the system call, so that nobody can change them; those of
    openat2(2) and io_uring(7) are in memory, and are not believed.
    """
    try:
        with open(f"/proc/{thread}/syscall", "rb") as file:
            words = file.read(256).split()
        number = int(words[0])
        place = _OPENS.get(number)
        if place is None:
            return False
        return place < 0 or int(words[1 + place], 16) & _ACCESS == os.O_WRONLY
    except (OSError, ValueError, IndexError):
        return False


class Status(NamedTuple):
    """Who a process is: effective user and group, parent, and its thread group."""

    user: int
    group: int
    parent: int
    process: int


def status(thread: int) -> Status | None:
    """From /proc/N/status; None when it is gone."""
    try:
        with open(f"/proc/{thread}/status", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file if b":" in line)
        user, group = (int(fields[name].split()[1]) for name in (b"Uid", b"Gid"))
        return Status(user, group, int(fields[b"PPid"]), int(fields[b"Tgid"]))
    except (OSError, ValueError, KeyError, IndexError):
        return None


def terminal(process: int) -> str:
    """The path of the terminal that a process belongs to; empty when it has none."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            number = int(file.read().rpartition(b")")[2].split()[4])
    except (OSError, ValueError, IndexError):
        return ""
    major, minor = os.major(number), os.minor(number)
    if 136 <= major <= 143:  # noqa: PLR2004 - Unix 98 terminals, admin-guide/devices.txt of the kernel
        return f"/dev/pts/{(major - 136) * 256 + minor}"
    return f"/dev/tty{minor}" if major == 4 and minor else ""  # noqa: PLR2004 - virtual consoles


def running() -> Iterator[int]:
    """The processes there are."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def holders(device: int, inode: int, apart_from: frozenset[int]) -> list[int]:
    """Processes that have a file open, or mapped as code."""
    return [
        process
        for process in running()
        if process not in apart_from and (_has_open(process, device, inode) or maps(process, device, inode))
    ]


def _has_open(process: int, device: int, inode: int) -> bool:
    folder = f"/proc/{process}/fd/"
    try:
        descriptors = os.listdir(folder)
    except OSError:
        return False
    for each in descriptors:
        with contextlib.suppress(OSError):
            state = os.stat(folder + each)
            if state.st_ino == inode and state.st_dev == device:
                return True
    return False


def maps(process: int, device: int, inode: int) -> bool:
    """Whether a process has a file mapped as code."""
    wanted = f" {inode} ".encode()
    place = f"{os.major(device):02x}:{os.minor(device):02x}".encode()
    try:
        with open(f"/proc/{process}/maps", "rb") as file:
            return any(wanted in line and line.split()[3] == place and b"x" in line.split()[1] for line in file)
    except (OSError, IndexError):
        return False


def code(process: int) -> dict[tuple[int, int], str]:
    """The files that a process has mapped as code: path by device and inode."""
    found = {}
    try:
        with open(f"/proc/{process}/maps", "rb") as file:
            for line in file:
                words = line.split(None, 5)
                if len(words) == 6 and b"x" in words[1] and words[4] != b"0":  # noqa: PLR2004 - proc_pid_maps(5)
                    major, minor = (int(each, 16) for each in words[3].split(b":"))
                    found[os.makedev(major, minor), int(words[4])] = os.fsdecode(words[5].rstrip(b"\n"))
    except (OSError, ValueError):
        return found
    return found
