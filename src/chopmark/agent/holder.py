"""Two processes, so that a guard that dies does not let everything through.

The kernel lets everybody pass once nobody holds the group's descriptor. So one process holds it and does nothing else
(this module), and a worker answers. When the worker dies or stops to give signs of life, the holder takes back every
ignore mark (whose leases went with the worker), answers those whom the worker had not answered yet, and starts another.
A worker may not even die: a thread that waits for the process behind a FUSE file system does so until that one answers.
It answers nobody any more, and another takes its place.
When the holder is killed, the worker starts a holder that takes its place. The service manager watches the holder.

Where the guard's own files are on a file system that it protects, nobody would answer a worker that begins. Then the
holder does, and answers everybody else meanwhile: a worker that waits for itself would stop the machine.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from chopmark.agent import fanotify
from chopmark.core import limits
from chopmark.net import notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.fanotify import Event, Group

READY = b"r"
OPEN, CLOSED = b"o", b"c"
"""Signs of life: what is to become of those who wait, should it have been the last one."""


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Line:
    """A worker's end of the line to its holder."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._end.setblocking(False)  # noqa: FBT003 - the only way to call it

    def ready(self) -> None:
        """Everything is protected."""
        self._say(READY)

    def alive(self, *, failing_open: bool) -> bool:
        """Give a sign of life, and say what is to become of those who wait; whether the holder is there."""
        return self._say(OPEN if failing_open else CLOSED)

    def _say(self, what: bytes) -> bool:
        try:
            self._end.send(what)
        except BlockingIOError:  # it has not listened for long; that is not our trouble
            return True
        except OSError:
            return False
        return True


class Holder:
    """Holds the group and keeps a worker going.

    `work` is a worker's whole life, in a process of its own; `ready` is called each time one protects. What becomes of
    those who wait for a worker that died, the worker has said: they fail until one says otherwise. `at_home` says that
    workers open files that are protected; `passes` then says of an event whether no policy is about it.
    """

    def __init__(
        self,
        group: Group,
        work: Callable[[Line], int],
        ready: Callable[[], None],
        *,
        at_home: bool = False,
        passes: Callable[[Event], bool] = lambda _: False,
    ) -> None:
        self._group = group
        self._at_home = at_home
        self._passes = passes
        self._work = work
        self._ready = ready
        self._failing_open = False
        self._worker = 0
        self._line: socket.socket | None = None
        self._heard = 0.0
        self._failures = 0
        self._again = 0.0
        self._killed = False
        self._undead: list[int] = []
        self._is_ready = self._was_ready = False

    def run(self) -> int:
        """Until SIGTERM or SIGINT, which is passed on to the worker; its exit status, or 4 when it never got ready."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing)
        wanted: list[int] = []
        for each in _SIGNALS:
            signal.signal(each, lambda number, _: wanted.append(number))
        self._start()
        watchdog, told = notify.watchdog_seconds(), 0.0
        while True:
            self._wait(reading)
            if watchdog and time.monotonic() - told >= watchdog:
                notify.notify("WATCHDOG=1")
                told = time.monotonic()
            while wanted:
                number = wanted.pop(0)
                if number in (signal.SIGTERM, signal.SIGINT):
                    return self._end()
                if number == signal.SIGHUP and self._worker:
                    os.kill(self._worker, signal.SIGHUP)
            status = self._reaped()
            if status is not None and not self._was_ready and os.WIFEXITED(status):
                return os.WEXITSTATUS(status)  # it said what is wrong
            self._care(dead=status is not None)

    def _care(self, *, dead: bool) -> None:
        """See that there is a worker, and that it answers; before it does, it may have much to load."""
        now = time.monotonic()
        if dead:
            self._recover()
        elif self._worker and now - self._heard > self._patience:
            if self._killed:
                self._undead.append(self._worker)
                self._recover()
            else:
                os.kill(self._worker, signal.SIGKILL)  # stopped, or stuck: everybody waits for it
                self._killed, self._heard = True, now
        if not self._is_ready:
            self._stand_in()
        if not self._worker and time.monotonic() >= self._again:
            self._start()

    @property
    def _patience(self) -> float:
        if self._killed:
            return limits.GUARD_DYING_SECONDS
        return limits.GUARD_HUNG_SECONDS if self._is_ready else limits.GUARD_LOADING_SECONDS

    def _wait(self, reading: int) -> None:
        watched = [reading] if self._line is None else [reading, self._line.fileno()]
        if self._stands_in:
            watched.append(self._group.descriptor)
        found, _, _ = select.select(watched, [], [], limits.GUARD_TICK_SECONDS)
        if reading in found:
            with contextlib.suppress(BlockingIOError):
                os.read(reading, 512)
        if self._line is not None and self._line.fileno() in found:
            said = self._line.recv(4096)
            if said:
                self._heard = time.monotonic()
                self._failing_open = said.rfind(OPEN) > said.rfind(CLOSED) or (
                    self._failing_open and CLOSED not in said
                )
            else:
                self._line.close()
                self._line = None
            if READY in said:
                self._failures = 0
                self._is_ready = self._was_ready = True
                self._ready()

    def _start(self) -> None:
        """Start a worker; where no process is to be had, again soon. Whatever happens, the group is held."""
        try:
            self._line = self._begun()
        except OSError as error:
            _say(f"no worker can be started: {error.strerror}")
            self._failed()
        else:
            self._heard, self._is_ready = time.monotonic(), False

    def _begun(self) -> socket.socket:
        """Our end of the line to a new worker. Raises OSError."""
        _flush()
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as stack:
            stack.enter_context(ours)
            # A signal for the worker must not find our handlers still there, which would keep it for us.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            try:
                self._worker = os.fork()
                if not self._worker:
                    ours.close()
                    self._be_worker(theirs)
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            stack.pop_all()
        return ours

    def _be_worker(self, line: socket.socket) -> NoReturn:
        status = 4
        try:
            signal.set_wakeup_fd(-1)
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            status = self._work(Line(line))
        finally:
            _flush()
            os._exit(status)

    def _reaped(self) -> int | None:
        self._undead = [each for each in self._undead if not os.waitpid(each, os.WNOHANG)[0]]
        if not self._worker:
            return None
        gone, status = os.waitpid(self._worker, os.WNOHANG)
        return status if gone else None

    def _recover(self) -> None:
        """The worker is dead and its leases are gone: ignore nothing any more, and answer whom it owed an answer."""
        self._worker, self._is_ready, self._killed = 0, False, False
        if self._line is not None:
            self._line.close()
            self._line = None
        settle(self._group, allow=self._failing_open)
        self._failed()

    def _failed(self) -> None:
        """Say when the next worker is started: at once the first time, and then later and later."""
        self._failures += 1
        pause = min(limits.GUARD_RESTART_SECONDS * 2 ** (self._failures - 1), limits.GUARD_RESTART_MAX_SECONDS)
        self._again = time.monotonic() + (0 if self._failures == 1 else pause)

    @property
    def _stands_in(self) -> bool:
        """Whether nobody else answers now, and waiting for the next worker is not what those who ask shall do."""
        return not self._is_ready and (self._at_home or (not self._worker and self._failing_open))

    def _stand_in(self) -> None:
        """Answer, where others cannot wait or have waited for too long: all alike, but a worker that begins."""
        if not self._stands_in and (self._worker or self._failures <= limits.GUARD_FAILURES_MAX):
            return
        with contextlib.suppress(OSError):
            for event in self._group.read():
                allow = self._failing_open or (self._at_home and (self._is_own(event.thread) or self._passes(event)))
                self._group.answer(event.descriptor, allow=allow)
                os.close(event.descriptor)

    def _is_own(self, thread: int) -> bool:
        return bool(self._worker) and os.path.exists(f"/proc/{self._worker}/task/{thread}")

    def _end(self) -> int:
        if not self._worker:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._worker, signal.SIGTERM)
        status = self._ended(limits.GUARD_STOP_SECONDS)
        if status is None:
            os.kill(self._worker, signal.SIGKILL)
            if self._ended(limits.GUARD_DYING_SECONDS) is None:  # it holds the group, and nobody would answer
                self._group.release_all()
                settle(self._group, allow=self._failing_open)
            return 4
        ended = os.waitstatus_to_exitcode(status)
        return 0 if ended == -signal.SIGTERM else ended if ended >= 0 else 4  # one that had just been started

    def _ended(self, seconds: float) -> int | None:
        """The status of the worker, if it ends soon."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status = self._reaped()
            if status is not None:
                return status
            time.sleep(limits.GUARD_GRACE_SECONDS)
        return None


def settle(group: Group, *, allow: bool) -> None:
    """Take over from a worker that died: no ignore marks, and an answer for everybody who was about to get one.

    An event that was read is known by the number of a descriptor of the dead; the kernel does not mind who answers.
    """
    group.heed_all()
    for number in range(limits.GUARD_DESCRIPTORS_MAX):
        with contextlib.suppress(OSError):  # ENOENT: nobody waits for this one
            group.answer(number, allow=allow)


def watch(group: Group, worker: int, again: list[str], *, at_home: bool = False) -> NoReturn:
    """Take the place of a holder that was killed, for a worker that lives: wait for its end, then begin anew.

    `again` is the command that starts a guard, which inherits the group; not where it would have to answer itself.
    """
    with contextlib.suppress(ProcessLookupError):  # it has died before we were there
        _await(worker)
    settle(group, allow=False)
    environment = dict(os.environ)
    if at_home:
        group.close()
    else:
        os.set_inheritable(group.descriptor, True)  # noqa: FBT003 - the only way to call it
        environment["CHOPMARK_GUARD_GROUP"] = str(group.descriptor)
    while True:
        try:
            os.execve(again[0], again, environment)  # noqa: S606 - what was started, again
        except OSError as error:  # no memory, or a program that is just being replaced: everybody waits meanwhile
            _say(f"{again[0]} cannot be started: {error.strerror}")
        time.sleep(limits.GUARD_RESTART_SECONDS)


def _await(worker: int) -> None:
    """Wait until a worker is dead, or has been dying for so long that it cannot be: a thread of it waits for ever.

    Raises ProcessLookupError.
    """
    from chopmark.agent import processes  # which a holder has no use for: it stays small

    poll = select.poll()
    poll.register(os.pidfd_open(worker), select.POLLIN)
    lived = time.monotonic()
    while not poll.poll(limits.GUARD_TICK_SECONDS * 1000):
        if not processes.is_dying(worker):
            lived = time.monotonic()
        elif time.monotonic() - lived > limits.GUARD_DYING_SECONDS:
            return


def _say(what: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"chopmark: {what}\n".encode())


def _flush() -> None:
    """What was printed; where nobody reads it any more, that ends no holder."""
    for each in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            each.flush()


def inherited() -> Group | None:
    """A group that somebody held for us: the service manager (sd_pid_notify_with_fds(3)), or an earlier holder."""
    number = os.environ.pop("CHOPMARK_GUARD_GROUP", "")
    if not number and os.environ.get("LISTEN_PID") == str(os.getpid()):
        names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
        if "fanotify" in names:
            number = str(3 + names.index("fanotify"))
    if not number.isdigit():
        return None
    os.set_inheritable(int(number), False)  # noqa: FBT003 - the only way to call it
    return fanotify.Group(int(number))
