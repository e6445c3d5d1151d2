"""`chopmark` in processes that have loaded everything already: forks of one that waits, for tests that start many.

Starting Python and loading what a command needs takes ten times as long as most commands themselves. What is started
here is a process like any other, with its own descriptors, folder, environment, session and exit status, except that
nothing is left to import. Whoever tests how the program starts, what it loads or how much memory it takes starts the
real one; so does README.md, whose examples stand for all that the other pages do.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = '''#!{python} -IS
"""`chopmark` for scripts: has a process forked that runs it, hands signals on to it, and ends as it ends."""
import _signal, _socket, posix, sys
line = _socket.socket(_socket.AF_UNIX)
line.connect({path!r})
words = [word.encode("utf-8", "surrogateescape") for word in sys.argv]
parts = [posix.getcwdb(), b"", b"%d" % len(words), *words]
parts += [name + b"=" + value for name, value in posix.environ.items()]
request = b"\\0".join(parts)
rights = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
line.sendmsg([b"%10d" % len(request)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
line.sendall(request)
process = int(line.recv(10))
for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM):
    _signal.signal(number, lambda number, _: posix.kill(process, number))
status = int(line.recv(10))
if status < 0:
    _signal.signal(-status, _signal.SIG_DFL)
    posix.kill(posix.getpid(), -status)
posix._exit(status)
'''
"""A program for the path. Half of its time is that of Python, which is started with as little as possible."""


# The process that waits


def main(path: str) -> None:
    """Load everything, then have each who asks at a socket answered by a fork; until standard input ends."""
    _load()
    gc.collect()
    gc.freeze()
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asking: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(100)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            found, _, _ = select.select([0, reading, server.fileno()], [], [])
            if reading in found:
                os.read(reading, 512)
                _reap(asking)
            if server.fileno() in found:
                line, _ = server.accept()
                _answer(line, asking)
            if 0 in found:
                return


def _load() -> None:
    import importlib
    import pkgutil

    import chopmark

    for each in pkgutil.walk_packages(chopmark.__path__, "chopmark."):
        if not each.name.endswith("__main__") and ".migrations." not in each.name:
            importlib.import_module(each.name)
    for name in ("multiprocessing.pool", "multiprocessing.popen_fork", "sqlalchemy.dialects.sqlite.pysqlite"):
        importlib.import_module(name)


def _answer(line: socket.socket, asking: dict[int, socket.socket]) -> None:
    head, descriptors, _, _ = socket.recv_fds(line, 10, 3)
    size = int(head)
    request = b""
    while len(request) < size:
        request += line.recv(size - len(request))
    process = os.fork()
    if not process:
        _be(request, descriptors)
    for each in descriptors:
        os.close(each)
    asking[process] = line
    with contextlib.suppress(OSError):
        line.sendall(b"%10d" % process)


def _reap(asking: dict[int, socket.socket]) -> None:
    while asking:
        process, status = os.waitpid(-1, os.WNOHANG)
        if not process:
            return
        with asking.pop(process) as line, contextlib.suppress(OSError):  # who asked may be gone
            line.sendall(b"%10d" % os.waitstatus_to_exitcode(status))


def _be(request: bytes, descriptors: list[int]) -> NoReturn:
    """In the fork: become the process that was asked for. An interrupt is answered as Python does, whoever runs us."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, each in enumerate(descriptors):
            os.dup2(each, number)
        os.closerange(3, 1 + max(map(int, os.listdir("/proc/self/fd"))))  # noqa: PTH208 - no Path in a child
        folder, session, count, *rest = request.split(b"\0")
        if session:
            os.setsid()
        os.chdir(folder)
        os.environ.clear()
        os.environb.update(each.partition(b"=")[::2] for each in rest[int(count) :])
        time.tzset()
        sys.argv = [os.fsdecode(each) for each in rest[: int(count)]]
        sys.stdin = open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)  # noqa: SIM115
        sys.stderr = open(2, "w", 1, encoding=sys.stderr.encoding, errors=sys.stderr.errors)  # noqa: SIM115
        _run()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:  # noqa: BLE001 - as Python does where nobody catches it
        traceback.print_exc()
        status = 1
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _run() -> None:
    from chopmark import cli
    from chopmark.core import limits

    if "LIMITS" in os.environ:
        import json

        vars(limits).update(json.loads(os.environ["LIMITS"]))
    cli.entry()


# Who asks it


class _Waiting:
    """The process that waits, one for all tests of a process."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chopmark-preloaded-")
        self.path = str(Path(self._folder.name, "socket"))
        self.programs = Path(self._folder.name, "bin")
        self.programs.mkdir()
        program = self.programs / "chopmark"
        program.write_text(PROGRAM.format(python=sys.executable, path=self.path))
        program.chmod(0o755)
        self._process = subprocess.Popen(
            [sys.executable, __file__, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def end(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


@functools.cache
def _waiting() -> _Waiting:
    return _Waiting()


def programs() -> Path:
    """A folder for the front of PATH, with a `chopmark` for scripts."""
    return _waiting().programs


def end() -> None:
    """Nobody asks any more."""
    if _waiting.cache_info().currsize:
        _waiting().end()
        _waiting.cache_clear()


class Process:
    """A command that was started: what subprocess.Popen has of the same names, as far as tests want it."""

    def __init__(
        self,
        *arguments: str | Path,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        start_new_session: bool = False,
    ) -> None:
        self.args = ["chopmark", *(os.fspath(each) for each in arguments)]
        self.returncode: int | None = None
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        self.stderr: IO[bytes] | None = None
        parts = [os.fspath(cwd or Path.cwd()), "x" if start_new_session else "", str(len(self.args)), *self.args]
        parts += [f"{name}={value}" for name, value in (os.environ if env is None else env).items()]
        request = os.fsencode("\0".join(parts))
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(_waiting().path)
        with contextlib.ExitStack() as stack:
            given = [self._descriptor(number, each, stack) for number, each in enumerate((stdin, stdout, stderr))]
            socket.send_fds(self._line, [b"%10d" % len(request)], given)
        self._line.sendall(request)
        self.pid = int(self._line.recv(10))

    def _descriptor(self, number: int, given: int | IO[Any] | None, stack: contextlib.ExitStack) -> int:
        """What a process gets as a standard descriptor; what is opened for that is closed here afterwards."""
        if given == subprocess.PIPE:
            reading, writing = os.pipe()
            theirs, ours = (reading, writing) if number == 0 else (writing, reading)
            setattr(self, ("stdin", "stdout", "stderr")[number], os.fdopen(ours, "rb" if number else "wb"))
            stack.callback(os.close, theirs)
            return theirs
        if given == subprocess.DEVNULL:
            return stack.enter_context(Path(os.devnull).open("r+b")).fileno()
        if given is None:
            return number
        return given if isinstance(given, int) else given.fileno()

    def poll(self) -> int | None:
        """Its exit status, once it has one; negative, the signal that ended it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """The same, when it has ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._line.recv(10))
            self._line.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """What it writes to its pipes until it ends. Raises subprocess.TimeoutExpired."""
        said = [b"", b""]

        def read(number: int, pipe: IO[bytes]) -> None:
            said[number] = pipe.read()

        pipes = [(number, pipe) for number, pipe in enumerate((self.stdout, self.stderr)) if pipe is not None]
        threads = [threading.Thread(target=read, args=each, daemon=True) for each in pipes]
        for thread in threads:
            thread.start()
        self.wait(timeout)
        for thread in threads:
            thread.join(timeout)
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()


def run(
    *arguments: str | Path,
    timeout: float = 120,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as subprocess.run with capture_output."""
    with Process(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, env=env) as process:
        try:
            out, error = process.communicate(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    told = (text.decode("utf-8", "surrogateescape") for text in (out, error))
    return subprocess.CompletedProcess(process.args, process.returncode or 0, *told)


if __name__ == "__main__":
    del sys.path[0]
    main(sys.argv[1])
