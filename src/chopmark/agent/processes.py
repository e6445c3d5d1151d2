"""What proc(5) tells of the thread that waits for an answer, and of everybody who uses a file."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from typing import TYPE_CHECKING

from chopmark.agent import nearby, overlays
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_ARGUMENTS_MAX = 64 * 1024
"""Bytes of a command line that are looked at."""
_PATH_MAX = os.pathconf("/", "PC_PATH_MAX")
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
        return self.path.removesuffix(" (deleted)").rpartition("/")[2]


NOBODY = Program("")
"""Of a process that is gone, or a thread of the kernel."""


def _read(path: str, most: int) -> bytes:
    """What a file of proc(5) says, in one reading: these are short, and somebody waits. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def program(thread: int) -> Program:
    """What a thread's process runs."""
    path = executable(thread)
    return Program(path) if path else NOBODY


def executable(thread: int) -> str:
    """The path of what a thread's process runs; empty for nobody."""
    try:
        return os.readlink(f"/proc/{thread}/exe")
    except OSError:
        return ""


def file(thread: int) -> tuple[int, int]:
    """Device and inode of what a thread's process runs; zeros for nobody.

    As they are known: a file system that answers nobody is not asked.
    """
    found = nearby.behind(f"/proc/{thread}/exe")
    return (0, 0) if found is None else (found.device, found.inode)


def arguments(thread: int) -> list[str]:
    """The command line; empty when there is none."""
    try:
        return [os.fsdecode(each) for each in _read(f"/proc/{thread}/cmdline", _ARGUMENTS_MAX).split(b"\0")][:-1]
    except OSError:
        return []


def names(thread: int, device: int, inode: int) -> bool:
    """Whether the command line names this file, as the thread itself would find it."""
    folders: dict[str, int] = {}
    try:
        for argument in arguments(thread)[1:]:
            where = "root" if argument.startswith("/") else "cwd"
            if not argument or len(argument) > _PATH_MAX:
                continue
            with contextlib.suppress(OSError, ValueError):
                if where not in folders:  # once: each way through a link of proc(5) takes 15 microseconds
                    folders[where] = os.open(f"/proc/{thread}/{where}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                state = os.stat(argument.lstrip("/") or ".", dir_fd=folders[where])
                if (state.st_dev, state.st_ino) == (device, inode):
                    return True
        return False
    finally:
        for each in folders.values():
            os.close(each)


def access(thread: int) -> int | None:
    """How the waiting thread opens a file: os.O_RDONLY, O_WRONLY or O_RDWR; None when that cannot be known.

    The flags are in a register of a thread that is stopped in the system call, so that nobody can change them; those of
    openat2(2) and io_uring(7) are in memory, and are not believed.
    """
    try:
        words = _read(f"/proc/{thread}/syscall", 256).split()
        place = _OPENS.get(int(words[0]))
        if place is None:
            return None
        return os.O_WRONLY if place < 0 else int(words[1 + place], 16) & _ACCESS
    except (OSError, ValueError, IndexError):
        return None


class Status(NamedTuple):
    """Who a process is: effective user and group, parent, and its thread group."""

    user: int
    group: int
    parent: int
    process: int


_STATUS = re.compile(rb"\nTgid:\t(\d+)\n(?:.*\n)*?PPid:\t(\d+)\n(?:.*\n)*?Uid:\t\d+\t(\d+)\t.*\nGid:\t\d+\t(\d+)\t")
"""Of proc_pid_status(5), whose name of the process has no line break in it."""
_STATUS_MAX = 4096


def status(thread: int) -> Status | None:
    """From /proc/N/status; None when it is gone."""
    try:
        found = _STATUS.search(_read(f"/proc/{thread}/status", _STATUS_MAX))
    except OSError:
        return None
    if found is None:
        return None
    process, parent, user, group = map(int, found.groups())
    return Status(user, group, parent, process)


_DYING = re.compile(rb"\nState:\t[ZX]|\n(?:Sig|Shd)Pnd:\t[0-9a-f]{13}[13579bdf]")
"""Of proc_pid_status(5): its first thread has ended, or SIGKILL waits for it."""


def is_dying(process: int) -> bool:
    """Whether a process is to end, and its threads cannot be anywhere but on the way out, or in the kernel."""
    try:
        return _DYING.search(_read(f"/proc/{process}/status", _STATUS_MAX)) is not None
    except OSError:
        return False


def terminal(process: int) -> str:
    """The path of the terminal that a process belongs to; empty when it has none."""
    try:
        number = int(_read(f"/proc/{process}/stat", _STATUS_MAX).rpartition(b")")[2].split()[4])
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


_KERNEL_THREAD = 0x00200000
"""PF_KTHREAD among the flags of proc_pid_stat(5)."""
_EXECUTING = frozenset({"x86_64": (59, 322), "aarch64": (221, 281)}.get(platform.machine(), ()))
"""The system calls that execute."""
_ENTERING = _EXECUTING | frozenset(
    {"x86_64": (2, 85, 257, 304, 425, 426, 437), "aarch64": (56, 265, 425, 426, 437)}.get(platform.machine(), ())
)
"""Those, and the ones that open."""


def unsettled() -> dict[int, int]:
    """Threads that may be on their way into a file: running, ready to run, or waiting within an opening system call.

    With the time that each has had on a processor, in nanoseconds.
    """
    own, found = os.getpid(), {}
    for process in running():
        if process == own:
            continue
        try:
            threads = os.listdir(f"/proc/{process}/task")
        except OSError:
            continue
        for thread in map(int, threads):
            if _is_unsettled(thread):
                found[thread] = _ran(thread)
    return found


def _is_unsettled(thread: int) -> bool:
    try:
        words = _read(f"/proc/{thread}/stat", _STATUS_MAX).rpartition(b")")[2].split()
        if int(words[6]) & _KERNEL_THREAD:
            return False
        if words[0] == b"R":
            return True
        number = _read(f"/proc/{thread}/syscall", 256).split()[0]
        if not number.isdigit():
            return True  # it has begun to run meanwhile
        return int(number) in _ENTERING and not _waits_elsewhere(thread, int(number))
    except (OSError, ValueError, IndexError):
        return False


_OUTSIDE = (b"seccomp_do_user_notification", b"ptrace_stop")
"""Where the kernel has threads wait before a system call or after it: for a supervisor, or a tracer."""
_ELSEWHERE = (*_OUTSIDE, b"break_lease", b"wait_for_partner", b"request_wait_answer")
"""Where else those that open wait and are on no way into a file of ours, for as long as somebody likes.

For a lease, the other end of a FIFO, the process behind a FUSE file system: all before we are asked, or about another
file. Those that execute are different: they have let go of nothing while they wait for the loader that a program
names, which may lie on FUSE and whose owner may have leased it.
"""


def _waits_elsewhere(thread: int, number: int) -> bool:
    """Whether it is the writer itself, who waits for us, or somebody else who is on no way into a file of ours."""
    if access(thread) in (os.O_WRONLY, os.O_RDWR):
        return True
    try:
        where = _read(f"/proc/{thread}/wchan", 64)
    except OSError:
        return False
    return any(each in where for each in (_OUTSIDE if number in _EXECUTING else _ELSEWHERE))


def _ran(thread: int) -> int:
    try:
        return int(_read(f"/proc/{thread}/schedstat", 256).split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def settled(thread: int, had: int, enough: int) -> bool:
    """Whether a thread has got through since: gone, waiting for something else, or `enough` nanoseconds at work."""
    return _ran(thread) - had >= enough or not _is_unsettled(thread)


def users(files: Collection[tuple[int, int]], apart_from: frozenset[int]) -> dict[tuple[int, int], list[int]]:
    """The processes that have one of these files (device and inode) open, or mapped as code; also by an overlay."""
    found: dict[tuple[int, int], list[int]] = {}
    inodes = {inode for _, inode in files}
    seen = overlays.Seen()
    for process in running():
        if process not in apart_from:
            for each in _opened(process, files, inodes, seen) | _mapped(process, files, inodes, seen):
                found.setdefault(each, []).append(process)
    return found


def _opened(
    process: int, files: Collection[tuple[int, int]], inodes: set[int], seen: overlays.Seen
) -> set[tuple[int, int]]:
    folder = f"/proc/{process}/fd/"
    found: set[tuple[int, int]] = set()
    try:
        descriptors = os.listdir(folder)
    except OSError:
        return found
    for each in descriptors:
        with contextlib.suppress(OSError):
            state = nearby.behind(folder + each)
            if state is None or overlays.inode_of(state.inode) not in inodes:
                continue
            if (state.device, state.inode) in files:
                found.add((state.device, state.inode))
            elif not os.major(state.device) and (overlay := seen.opened(process, each)) is not None:
                found |= overlay.behind(os.readlink(folder + each), state.inode) & set(files)
    return found


def _mapped(
    process: int, files: Collection[tuple[int, int]], inodes: set[int], seen: overlays.Seen
) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for (device, inode), each in code(process).items():
        if overlays.inode_of(inode) not in inodes:
            continue
        if (device, inode) in files:
            found.add((device, inode))
            continue
        with contextlib.suppress(OSError):
            overlay = seen.mapped(process, device)
            if overlay is not None:
                found |= overlay.behind(os.readlink(f"/proc/{process}/map_files/{each.memory}"), inode) & set(files)
    return found


class Code(NamedTuple):
    """A file that is mapped as code: its path, and where in memory, by which /proc/N/map_files has the very file."""

    path: str
    memory: str


def code(process: int) -> dict[tuple[int, int], Code]:
    """The files that a process has mapped as code, by device and inode; on an overlay the device is its mount's."""
    found = {}
    try:
        with open(f"/proc/{process}/maps", "rb") as file:
            for line in file:
                words = line.split(None, 5)
                if len(words) == 6 and b"x" in words[1] and words[4] != b"0":  # noqa: PLR2004 - proc_pid_maps(5)
                    major, minor = (int(each, 16) for each in words[3].split(b":"))
                    memory = b"-".join(each.lstrip(b"0") or b"0" for each in words[0].split(b"-")).decode()
                    found[os.makedev(major, minor), int(words[4])] = Code(os.fsdecode(words[5].rstrip(b"\n")), memory)
    except (OSError, ValueError):
        return found
    return found
