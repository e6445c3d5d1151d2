"""Who may still be on the way into a file is waited for; who waits for something else, maybe for ever, is not."""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.agent import leases, processes
from tests.support import silent_fuse
from tests.support.guarding import place, started, with_loader
from tests.support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="who waits where is told to root")

_EXECUTE = [sys.executable, "-c", "import os, sys\nos.execv(sys.argv[1], sys.argv[1:])"]

_SUPERVISED = """
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 257), (0x06, 0, 0, 0x7FC00000), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *each) for each in rules))
program = struct.pack("@HP", 4, ctypes.addressof(code))
libc.prctl(38, 1, 0, 0, 0)
libc.syscall(317, 1, 8, program)
os.open("/dev/null", os.O_RDONLY)
"""
"""seccomp(2): openat(2) asks the supervisor, which is nobody."""

_SEIZE, _INTERRUPT, _SYSCALL = 0x4206, 0x4207, 24
_OPENAT = 257
_ALL = 0x40000000


def waits(process: int, where: str) -> None:
    """Wait until a process does, at a place in the kernel."""
    at = Path(f"/proc/{process}/wchan")
    try:
        eventually(lambda: where in at.read_text(), 5)
    except AssertionError:
        pytest.skip(f"this kernel does not say that threads wait in {where}: {at.read_text()}")


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "silent"
    folder.mkdir()
    with ExitStack() as stack:
        try:
            where = stack.enter_context(silent_fuse.mounted(folder))
        except OSError as error:
            pytest.skip(f"no FUSE: {error.strerror}")
        yield where


@pytest.fixture
def leased(tmp_path: Path) -> Iterator[Path]:
    """A file with a lease of somebody else, whom readers wait for."""
    path = tmp_path / "leased"
    path.write_bytes(b"x")
    path.chmod(0o755)
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        pytest.skip("no leases on this file system")
    yield path
    leases.give_back(descriptor)
    os.close(descriptor)


def test_who_waits_for_the_other_end_of_a_fifo(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with started(["cat", fifo]) as entering:
        waits(entering.pid, "wait_for_partner")
        eventually(lambda: entering.pid not in processes.unsettled())  # it may be about to sleep


def test_who_waits_for_the_process_behind_a_file_system(silent: Path) -> None:
    with started(["cat", silent / "file"]) as entering:
        waits(entering.pid, "request_wait_answer")
        eventually(lambda: entering.pid not in processes.unsettled())  # it may be about to sleep


def test_who_waits_for_the_lease_of_another(leased: Path) -> None:
    with started(["cat", leased]) as entering:
        waits(entering.pid, "break_lease")
        eventually(lambda: entering.pid not in processes.unsettled())  # it may be about to sleep


def test_who_waits_for_a_supervisor() -> None:
    with started([sys.executable, "-c", _SUPERVISED]) as entering:
        waits(entering.pid, "seccomp_do_user_notification")
        eventually(lambda: entering.pid not in processes.unsettled())  # it may be about to sleep


def test_who_is_stopped_by_a_tracer() -> None:
    trace: Callable[..., int] = ctypes.CDLL(None).ptrace
    opening = "import os\nwhile True:\n    os.close(os.open('/dev/null', os.O_RDONLY))"
    with started([sys.executable, "-c", opening]) as entering:
        if trace(_SEIZE, entering.pid, None, None):
            pytest.skip("nothing can be traced here")
        trace(_INTERRUPT, entering.pid, None, None)
        syscall = Path(f"/proc/{entering.pid}/syscall")
        while True:
            os.waitpid(entering.pid, _ALL)
            if syscall.read_text().startswith(f"{_OPENAT} "):
                break
            trace(_SYSCALL, entering.pid, None, None)
        waits(entering.pid, "ptrace_stop")
        eventually(lambda: entering.pid not in processes.unsettled())  # it may be about to sleep


def test_a_program_is_entered_while_the_file_system_of_its_loader_does_not_answer(tmp_path: Path, silent: Path) -> None:
    """It has been let in and is mapped later; kernels 6.11 and 6.12 let others write to it meanwhile."""
    program = place(tmp_path / "program", with_loader(silent / "loader"))
    with started([*_EXECUTE, program]) as entering:
        waits(entering.pid, "request_wait_answer")
        assert entering.pid in processes.unsettled()


def test_a_program_is_entered_while_its_loader_is_leased(tmp_path: Path, leased: Path) -> None:
    program = place(tmp_path / "program", with_loader(leased))
    with started([*_EXECUTE, program]) as entering:
        waits(entering.pid, "break_lease")
        assert entering.pid in processes.unsettled()
