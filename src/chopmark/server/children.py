"""Child processes: forked, told apart by what they do, and heard from once, when they are ready or have failed."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from typing import TYPE_CHECKING, Literal, NoReturn

from chopmark.core.errors import ChopmarkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Kind = Literal["worker", "keeper"]
    Task = Callable[["Report"], None]

HANDLED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
"""What the parent handles, and a child must not take for its own before it is ready to."""
LEAVE = signal.SIGUSR1
"""Tells a worker to finish in its own time; SIGTERM, to finish soon."""
_REPORT_MAX = 4096
_READY = b"ready"


class Report:
    """The child's end: one word to the parent, and whether it is still there."""

    def __init__(self, descriptor: int, parent: int) -> None:
        """`parent` is its process, as it was before the fork: after it, the parent may have been killed already."""
        self._descriptor = descriptor
        self._parent = parent

    @property
    def orphaned(self) -> bool:
        """Whether the parent has ended, so that nobody would ever stop this process."""
        return os.getppid() != self._parent

    def ready(self) -> None:
        """Everything is open, requests are answered from now on."""
        self._send(_READY)

    def failed(self, why: str) -> None:
        """It cannot start."""
        self._send(b"failed " + why.encode()[: _REPORT_MAX - 100])

    def _send(self, data: bytes) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # the parent has gone
                os.write(self._descriptor, data)
            os.close(self._descriptor)
            self._descriptor = -1


class Child:
    """The parent's end. `state` goes from starting over ready to leaving."""

    def __init__(self, pid: int, kind: Kind, row: int, report: int) -> None:
        self.pid = pid
        self.kind = kind
        self.row = row
        self.report = report
        self.started = time.monotonic()
        self.state: Literal["starting", "ready", "leaving"] = "starting"
        self.deadline = 0.0
        """When it is killed, once it was told to leave."""

    def heard(self) -> str:
        """Read the report: empty when it is ready, else why it is not."""
        try:
            word = os.read(self.report, _REPORT_MAX)
        except OSError as error:
            word = str(error).encode()
        self.forget_report()
        if word == _READY:
            return ""
        return word.removeprefix(b"failed ").decode(errors="replace") or "it ended before it was ready"

    def forget_report(self) -> None:
        """Close the pipe of the report."""
        if self.report >= 0:
            os.close(self.report)
            self.report = -1

    def leave(self, number: signal.Signals, seconds: float) -> None:
        """Tell it to end, and give it so much time."""
        deadline = time.monotonic() + seconds
        self.deadline = deadline if self.state != "leaving" else min(deadline, self.deadline)
        self.state = "leaving"
        self.send(number)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def fork(kind: Kind, row: int, task: Task, unwanted: Iterable[int]) -> Child:
    """Start a child that does `task` and ends; it closes the descriptors that are `unwanted`."""
    read, write = os.pipe()
    parent = os.getpid()
    # Until it has handlers of its own, a child must not run the parent's.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
        if not pid:
            _be_child(task, Report(write, parent), [read, *unwanted], before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(write)
    os.set_blocking(read, False)
    return Child(pid, kind, row, read)


def _be_child(task: Task, report: Report, unwanted: Iterable[int], mask: set[signal.Signals | int]) -> NoReturn:
    status = 4
    try:
        signal.set_wakeup_fd(-1)
        for number in HANDLED:  # an interrupt from the terminal reaches all, and the parent alone decides
            alone = number in (signal.SIGHUP, signal.SIGINT)
            signal.signal(number, signal.SIG_IGN if alone else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for descriptor in unwanted:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        gc.enable()  # the command line turns it off for processes that end soon
        task(report)
        status = 0
    except ChopmarkError as error:
        report.failed(str(error))
    except Exception as error:  # noqa: BLE001 - the parent tells what it was
        report.failed(f"{type(error).__name__}: {error}")
    finally:
        os._exit(status)
