"""The process that holds the group: whom it answers itself, whom it takes for dead, and what it inherits."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.agent import fanotify, holder, processes
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Iterator


ME = 1 << 22
"""The thread of a worker: no thread has such a number."""


class Group(fanotify.Group):
    """What the kernel asks, and what was answered, by descriptor."""

    def __init__(self, descriptor: int = -1) -> None:
        super().__init__(descriptor)
        self.asking: list[fanotify.Event] = []
        self.answered: list[tuple[int, bool]] = []
        self.heeded = 0
        self.released = False

    def read(self, most: int = 256) -> list[fanotify.Event]:  # noqa: ARG002
        found, self.asking = self.asking, []
        return found

    def answer(self, descriptor: int, *, allow: bool) -> None:
        self.answered.append((descriptor, allow))

    def heed_all(self) -> None:
        self.heeded += 1

    def release_all(self) -> None:
        self.released = True

    def ask(self, *threads: int) -> list[int]:
        """Everybody opens something; their descriptors."""
        descriptors = [os.open("/dev/null", os.O_RDONLY) for _ in threads]
        self.asking = [fanotify.Event(each, 0, thread) for each, thread in zip(descriptors, threads, strict=True)]
        return descriptors


class Held(holder.Holder):
    """A holder whose worker is a number, and which starts none."""

    def __init__(self, group: Group, *, at_home: bool = False) -> None:
        self.started = self.got_ready = 0
        super().__init__(group, lambda _: 0, self._count, at_home=at_home, passes=lambda event: event.thread == 1)
        self.state(worker=ME)

    def _count(self) -> None:
        self.got_ready += 1

    def _start(self) -> None:
        self.started += 1

    def state(self, *, worker: int = 0, failing_open: bool = False, is_ready: bool = False, failures: int = 0) -> Held:
        self._worker, self._failing_open, self._is_ready, self._failures = worker, failing_open, is_ready, failures
        self._heard = time.monotonic()
        return self


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    yield one, other
    one.close()
    other.close()


def test_signs_of_life_say_what_is_to_become_of_those_who_wait(ends: tuple[socket.socket, socket.socket]) -> None:
    theirs, ours = ends
    line = holder.Line(theirs)
    line.ready()
    assert line.alive(failing_open=True)
    assert line.alive(failing_open=False)
    assert ours.recv(9) == b"roc"
    with contextlib.suppress(BlockingIOError):
        while True:
            theirs.send(bytes(4096))
    assert line.alive(failing_open=True), "who does not listen may do so later"
    ours.close()
    assert not line.alive(failing_open=True), "who is gone does not"


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        (False, b"o", True),
        (True, b"c", False),
        (True, b"ooc", False),
        (False, b"cco", True),
        (True, b"r", True),
        (False, b"r", False),
        (False, b"rc", False),
        (False, b"cro", True),
    ],
)
def test_the_last_word_of_a_worker_counts(
    ends: tuple[socket.socket, socket.socket], said: bytes, *, before: bool, after: bool
) -> None:
    held = Held(Group()).state(worker=ME, failing_open=before, failures=3)
    held._line, reading = ends[1], os.open("/dev/null", os.O_RDONLY)  # noqa: SLF001
    held._heard = 0.0  # noqa: SLF001
    ends[0].send(said)
    held._wait(reading)  # noqa: SLF001 - what `run` does
    os.close(reading)
    assert held._failing_open is after  # noqa: SLF001 - what becomes of them
    assert held._heard > 0  # noqa: SLF001 - so that it is not taken for dead
    ready = b"r" in said
    assert (held.got_ready, held._is_ready, held._failures) == (ready, ready, 0 if ready else 3)  # noqa: SLF001


def test_a_worker_that_is_gone_says_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    held = Held(Group()).state(worker=ME, failing_open=True)
    held._line, reading = ends[1], os.open("/dev/null", os.O_RDONLY)  # noqa: SLF001
    held._heard = 0.0  # noqa: SLF001
    ends[0].close()
    held._wait(reading)  # noqa: SLF001 - likewise
    os.close(reading)
    assert vars(held)["_line"] is None
    assert ends[1].fileno() == -1
    assert (held._heard, held._failing_open) == (0.0, True)  # noqa: SLF001 - as before


@pytest.mark.parametrize("at_home", [False, True])
@pytest.mark.parametrize("failing_open", [False, True])
@pytest.mark.parametrize("failures", [limits.GUARD_FAILURES_MAX, limits.GUARD_FAILURES_MAX + 1])
@pytest.mark.parametrize("worker", [0, ME])
def test_whom_a_holder_answers_itself(at_home: bool, failing_open: bool, failures: int, worker: int) -> None:  # noqa: FBT001
    """Those who would wait for themselves; else nobody, while there is a worker, or one to be expected soon."""
    group = Group()
    held = Held(group, at_home=at_home).state(worker=worker, failing_open=failing_open, failures=failures)
    held._is_own = lambda thread: bool(worker) and thread == ME  # type: ignore[method-assign]  # noqa: SLF001
    descriptors = group.ask(ME, 1, 2)
    held._care(dead=False)  # noqa: SLF001 - what `run` does
    assert held.started == (not worker)
    given_up = not worker and failures > limits.GUARD_FAILURES_MAX
    if at_home:
        expected = [failing_open or bool(worker), True, failing_open]
    elif given_up or (failing_open and not worker):
        expected = [failing_open] * 3
    else:
        assert group.answered == []
        for unasked in group.asking:
            os.close(unasked.descriptor)
        return
    assert group.answered == list(zip(descriptors, expected, strict=True))
    for each in descriptors:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(each)


@pytest.mark.parametrize("is_ready", [False, True])
def test_who_answers_listens_and_nobody_else(monkeypatch: pytest.MonkeyPatch, *, is_ready: bool) -> None:
    watched: list[int] = []

    def wait(descriptors: list[int], *_: object) -> tuple[list[int], ...]:
        watched.extend(descriptors)
        return [], [], []

    monkeypatch.setattr(select, "select", wait)
    group = Group(99)
    held = Held(group, at_home=True).state(worker=ME, is_ready=is_ready)
    descriptors = group.ask(ME)
    held._wait(7)  # noqa: SLF001 - what `run` does
    held._care(dead=False)  # noqa: SLF001 - likewise
    assert watched == ([7] if is_ready else [7, 99])
    assert [descriptor for descriptor, _ in group.answered] == ([] if is_ready else descriptors)
    for unasked in group.asking:
        os.close(unasked.descriptor)


def test_a_thread_is_the_workers_own_or_somebody_elses() -> None:
    held = Held(Group()).state(worker=os.getpid())
    assert held._is_own(os.getpid())  # noqa: SLF001 - whom it lets through
    assert not held._is_own(os.getppid())  # noqa: SLF001 - likewise
    assert not held.state(worker=0)._is_own(os.getpid())  # noqa: SLF001 - likewise


@pytest.mark.parametrize("failing_open", [False, True])
def test_what_a_dead_worker_owes_is_settled_and_another_started(
    monkeypatch: pytest.MonkeyPatch,
    failing_open: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(limits, "GUARD_DESCRIPTORS_MAX", 3)
    monkeypatch.setattr(limits, "GUARD_RESTART_SECONDS", 100.0)
    monkeypatch.setattr(limits, "GUARD_RESTART_MAX_SECONDS", 300.0)
    group = Group()
    held = Held(group).state(worker=ME, failing_open=failing_open, is_ready=True)
    held._line = line = socket.socket()  # noqa: SLF001
    pauses = []
    for _ in range(4):
        held._care(dead=True)  # noqa: SLF001 - what `run` does
        pauses.append(round(held._again - time.monotonic(), -1))  # noqa: SLF001 - when the next one is started
    assert pauses == [0, 200, 300, 300]
    assert (vars(held)["_line"], line.fileno()) == (None, -1)
    assert held.started == 1, "at once after the first failure, and later after more"
    assert (group.heeded, group.answered) == (4, [(number, failing_open) for number in range(3)] * 4)


@pytest.mark.parametrize("missing", ["fork", "socketpair"])
def test_without_room_for_a_worker_the_group_is_held_until_there_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], missing: str
) -> None:
    """A holder that ended would let everybody through."""
    for name, value in {"RESTART_SECONDS": 100.0, "RESTART_MAX_SECONDS": 300.0, "DESCRIPTORS_MAX": 1}.items():
        monkeypatch.setattr(limits, f"GUARD_{name}", value)
    before = {*Path("/proc/self/fd").iterdir()}
    held = holder.Holder(Group(), lambda _: 7, lambda: None)

    def none(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as without:
        without.setattr(os if missing == "fork" else socket, missing, none)
        for failures, pause in ((1, 0), (2, 200)):
            held._start()  # noqa: SLF001 - what `run` does
            assert (held._worker, vars(held)["_line"], held._failures) == (0, None, failures)  # noqa: SLF001
            assert round(held._again - time.monotonic(), -1) == pause  # noqa: SLF001
    assert {*Path("/proc/self/fd").iterdir()} == before
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert capfd.readouterr().err.count("no worker can be started") == 2
    held._start()  # noqa: SLF001 - likewise
    assert held._ended(20.0) == 7 << 8  # noqa: SLF001 - its exit status
    held._recover()  # noqa: SLF001 - likewise


def test_a_holder_to_which_nobody_listens_holds_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    held = holder.Holder(Group(), lambda _: 7, lambda: None)
    with os.fdopen(writing, "w") as said:
        monkeypatch.setattr("sys.stdout", said)
        print("ready", end="")  # noqa: T201 - what it says
        held._start()  # noqa: SLF001 - what `run` does
        assert held._ended(20.0) == 7 << 8  # noqa: SLF001 - of the worker, which cannot say it either
        held._recover()  # noqa: SLF001 - likewise
        with pytest.raises(BrokenPipeError):
            said.flush()
        os.dup2(os.open("/dev/null", os.O_WRONLY), writing)


@pytest.mark.parametrize(
    ("is_ready", "silent", "killed"), [(True, 15, True), (True, 5, False), (False, 15, False), (False, 25, True)]
)
def test_who_is_silent_for_too_long_is_killed(
    monkeypatch: pytest.MonkeyPatch, silent: float, *, is_ready: bool, killed: bool
) -> None:
    monkeypatch.setattr(limits, "GUARD_HUNG_SECONDS", 10.0)
    monkeypatch.setattr(limits, "GUARD_LOADING_SECONDS", 20.0)
    ended: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda process, number: ended.append((process, number)))
    held = Held(Group()).state(worker=ME, is_ready=is_ready)
    held._heard -= silent  # noqa: SLF001
    for _ in range(2):
        held._care(dead=False)  # noqa: SLF001 - what `run` does
    assert ended == ([(ME, signal.SIGKILL)] if killed else []), "and once is enough"
    assert held.started == 0
    held.state(worker=0)._heard -= 100  # noqa: SLF001
    held._care(dead=False)  # noqa: SLF001 - likewise
    assert len(ended) == killed, "nobody is nobody: 0 would be all of us"


def test_a_worker_that_cannot_even_die_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of it waits for somebody who never answers; nobody would be answered while it is waited for."""
    for name, value in {"HUNG_SECONDS": 10.0, "DYING_SECONDS": 3.0, "STOP_SECONDS": 0.0, "DESCRIPTORS_MAX": 1}.items():
        monkeypatch.setattr(limits, f"GUARD_{name}", value)
    ended: list[tuple[int, int]] = []
    waited: list[int] = []
    dead: set[int] = set()

    def wait(process: int, _: int) -> tuple[int, int]:
        waited.append(process)
        return (process, signal.SIGKILL) if process in dead else (0, 0)

    monkeypatch.setattr(os, "kill", lambda process, number: ended.append((process, number)))
    monkeypatch.setattr(os, "waitpid", wait)
    group = Group()
    held = Held(group).state(worker=ME, is_ready=True)
    for silent, again in ((11, 0), (2, 0), (2, 1), (100, 1)):
        held._heard -= silent  # noqa: SLF001
        held._care(dead=held._reaped() is not None)  # noqa: SLF001 - what `run` does
        assert (group.heeded, ended) == (again, [(ME, signal.SIGKILL)])
    assert held.started == 2, "another at once, and again while none begins"
    waited.clear()
    dead.add(ME)
    for _ in range(2):
        assert held._reaped() is None  # noqa: SLF001 - likewise
    assert waited == [ME], "until it is gone"
    monkeypatch.setattr(limits, "GUARD_DYING_SECONDS", 0.0)
    assert held.state(worker=ME + 1)._end() == 4  # noqa: SLF001 - what `run` ends with
    assert (group.released, group.heeded, group.answered) == (True, 2, [(0, False)] * 2)


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 0", 0), ("exit 3", 3), ("sleep 60", 0), ("kill -KILL $$", 4), ("trap '' TERM; echo; sleep 60", 4)],
)
def test_how_a_worker_ends(monkeypatch: pytest.MonkeyPatch, command: str, status: int) -> None:
    monkeypatch.setattr(limits, "GUARD_STOP_SECONDS", 0.2 if "trap" in command else 20.0)
    reading, writing = os.pipe()
    worker = os.posix_spawn(
        "/bin/sh", ["sh", "-c", f"{command.replace('sleep', 'exec sleep')}"], dict(os.environ),
        file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)],
    )  # fmt: skip
    os.close(writing)
    if "trap" in command or "sleep" not in command:
        os.read(reading, 1)  # it ignores us from now on, or is gone
    os.close(reading)
    assert Held(Group()).state(worker=worker)._end() == status  # noqa: SLF001 - what `run` ends with
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_without_a_worker_there_is_nobody_to_wait_for() -> None:
    assert Held(Group()).state(worker=0)._end() == 0  # noqa: SLF001 - likewise
    assert Held(Group()).state(worker=0)._reaped() is None  # noqa: SLF001 - likewise


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"CHOPMARK_GUARD_GROUP": "{number}"}, True),
        ({"CHOPMARK_GUARD_GROUP": "{number}", "LISTEN_PID": "{pid}", "LISTEN_FDNAMES": "{name}"}, True),
        ({"LISTEN_PID": "{pid}", "LISTEN_FDNAMES": "other:{name}"}, True),
        ({"LISTEN_PID": "1", "LISTEN_FDNAMES": "{name}"}, False),
        ({"LISTEN_PID": "{pid}", "LISTEN_FDNAMES": "other"}, False),
        ({"LISTEN_PID": "{pid}"}, False),
        ({"CHOPMARK_GUARD_GROUP": "x"}, False),
        ({}, False),
    ],
)
def test_a_group_is_inherited_from_whoever_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], *, found: bool
) -> None:
    (tmp_path / "group").write_bytes(b"")
    number = os.open(tmp_path / "group", os.O_RDONLY)
    os.set_inheritable(number, True)  # noqa: FBT003 - the only way to call it
    inheritable: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "set_inheritable", lambda *given: inheritable.append(given))
    for name in ("CHOPMARK_GUARD_GROUP", "LISTEN_PID", "LISTEN_FDNAMES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(number=number, pid=os.getpid(), name="fanotify"))
    group = holder.inherited()
    expected = number if "CHOPMARK_GUARD_GROUP" in variables else 4
    assert (group is not None and group.descriptor) == (expected if found else False)
    assert inheritable == ([(expected, False)] if found else [])
    assert "CHOPMARK_GUARD_GROUP" not in os.environ
    os.close(number)


@pytest.mark.parametrize("lives", [False, True])
def test_who_is_at_home_holds_nothing_while_the_next_begins(monkeypatch: pytest.MonkeyPatch, *, lives: bool) -> None:
    """It would have to answer itself. Until the worker ends, nothing is begun."""

    class Executed(Exception):  # noqa: N818 - it is no error
        pass

    def become(path: str, arguments: list[str], environment: dict[str, str]) -> None:
        assert (path, arguments, "CHOPMARK_GUARD_GROUP" in environment) == ("guard", ["guard"], False)
        assert not lives or os.waitpid(worker, os.WNOHANG)[0] == worker
        raise Executed

    monkeypatch.setattr(limits, "GUARD_DESCRIPTORS_MAX", 1)
    monkeypatch.setattr(os, "execve", become)
    group = Group(os.open("/dev/null", os.O_RDONLY))
    worker = os.posix_spawn("/bin/sleep", ["sleep", "0.1" if lives else "0"], dict(os.environ))
    if not lives:
        os.waitpid(worker, 0)
    with pytest.raises(Executed):
        holder.watch(group, worker, ["guard"], at_home=True)
    assert (group.heeded, group.answered) == (1, [(0, False)])
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(group.descriptor)


def test_a_worker_that_is_dying_for_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a program that cannot be started is tried again: whoever ended here would let everybody through."""
    monkeypatch.setattr(limits, "GUARD_DESCRIPTORS_MAX", 1)
    monkeypatch.setattr(limits, "GUARD_TICK_SECONDS", 0.01)
    monkeypatch.setattr(limits, "GUARD_RESTART_SECONDS", 0.01)
    tried: list[str] = []

    def become(path: str, *_: object) -> None:
        tried.append(path)
        raise OSError(2, "No such file or directory") if len(tried) == 1 else RecursionError

    monkeypatch.setattr(os, "execve", become)
    group = Group(os.open("/dev/null", os.O_RDONLY))
    worker = os.posix_spawn("/bin/sleep", ["sleep", "60"], dict(os.environ))
    asked: list[int] = []
    monkeypatch.setattr(limits, "GUARD_DYING_SECONDS", 0.05)

    def is_dying(process: int) -> bool:
        asked.append(process)
        return len(asked) > 1

    monkeypatch.setattr(processes, "is_dying", is_dying)
    with pytest.raises(RecursionError):
        holder.watch(group, worker, ["guard"])
    assert (tried, group.answered, {*asked}) == (["guard"] * 2, [(0, False)], {worker})
    assert os.waitpid(worker, os.WNOHANG) == (0, 0), "it lives"
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    os.close(group.descriptor)


def test_who_is_dying_shows() -> None:
    process = os.posix_spawn("/bin/sleep", ["sleep", "60"], dict(os.environ))
    assert not processes.is_dying(process)
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    assert processes.is_dying(process), "its first thread has ended"
    os.waitpid(process, 0)
    assert not processes.is_dying(process), "it has died"
