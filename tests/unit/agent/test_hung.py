"""Workers that are stuck, stopped, slow to load, or dead with a holder that took another's place."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Self, cast

import pytest

from chopmark.agent import fanotify, holder, watching
from chopmark.core import limits
from tests.support.guarding import Guarded, Mounted, place, policy, program, ran, why_not
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.agent.guard import Guard
    from chopmark.agent.holder import Line

needs_a_guard = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested")

GOOD = program(0)


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Path]:
    with Mounted(tmp_path) as folder:
        place(folder / "good", GOOD)
        place(folder / "evil", program(7))
        yield folder


@contextmanager
def silent(folder: Path) -> Iterator[Path]:
    """A file system that answers nobody, as a network's whose server is gone does: FUSE without anybody behind it."""
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error.strerror}")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    if libc.mount(b"chopmark-test", os.fsencode(folder), b"fuse", 0, options.encode()):
        os.close(device)
        pytest.skip(f"no FUSE here: {errno.errorcode[ctypes.get_errno()]}")
    try:
        yield folder
    finally:
        os.close(device)  # whoever still waits fails
        subprocess.run(["umount", "-l", folder], check=True)


def test_the_doctor_waits_for_no_file_system_that_answers_nobody(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("mounting needs root")
    code = (
        "import sys\nfrom chopmark.agent import doctor, mounts\n"
        f"there = [each for each in mounts.mounted() if each.place == {str(tmp_path / 'x')!r}]\n"
        "mounts.mounted = lambda: there\n"
        "print(*[each.found for each in doctor.examine([]) if each.name == 'unprotected file systems'])"
    )
    with silent(tmp_path / "x") as folder:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{folder}\n"


@needs_a_guard
def test_a_worker_that_is_stopped_is_replaced(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])).as_program().bounded(GUARD_HUNG_SECONDS=1.0) as guard:
        [worker] = guard.workers()
        os.kill(worker, signal.SIGSTOP)
        assert ran(str(where / "evil")) == "denied"
        eventually(lambda: guard.workers() not in ([], [worker]))
        eventually(lambda: ran(str(where / "good")) == "0")  # the next one may be taken for hung as well, for a moment


@needs_a_guard
@pytest.mark.parametrize("mode", ["enforce", "audit"])
def test_a_worker_whose_own_files_are_protected_does_not_wait_for_itself(
    where: Path, tmp_path: Path, mode: str
) -> None:
    """Only the holder answers while it begins: who runs something meanwhile is denied, and not held up for ever."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "policy.toml").symlink_to(where / "policy.toml")
    allowed = {"enforce": "denied", "audit": "7"}[mode]
    with Guarded(where, home, policy([GOOD], mode)).as_program().bounded(GUARD_HUNG_SECONDS=60.0) as guard:
        for times in (2, 3):
            assert ran(str(where / "good")) == "0"
            [worker] = guard.workers()
            os.kill(worker, signal.SIGKILL)
            assert ran(str(where / "evil")) == allowed
            assert ran("cat", str(where / "policy.toml")).startswith("0 ")  # which no policy is about
            eventually(lambda times=times: guard.said().count("guard ready") == times)  # type: ignore[misc]
        eventually(lambda: ran(str(where / "good")) == "0")
        assert ran(str(where / "evil")) == allowed
        [last] = guard.workers()
        guard.running.kill()  # and when the process that takes the holder's place begins anew, nobody waits for it
        guard.running.wait()
        eventually(lambda: bool(guard.events("holder-replaced")))
        replacement = guard.events("holder-replaced")[-1]["process"]
        os.kill(last, signal.SIGKILL)
        eventually(lambda: guard.said().count("guard ready") == 4)
        eventually(lambda: ran(str(where / "evil")) == allowed)
        os.kill(replacement, signal.SIGTERM)
        eventually(lambda: bool(guard.events("stopped")))


class Signs:
    """A line to a holder that counts."""

    def __init__(self) -> None:
        self.count = 0
        self.held = True

    def alive(self, *, failing_open: bool) -> bool:
        self.count += not failing_open
        return self.held


def watch(
    monkeypatch: pytest.MonkeyPatch, reload: Callable[[], None], *files: str, answers: bool = True
) -> watching.Watch:
    """The main thread of a guard that has nothing else to do."""
    monkeypatch.setattr(limits, "GUARD_LOOK_SECONDS", 0.01)
    nothing = lambda *_: None  # noqa: E731 - several of them
    guard = SimpleNamespace(
        decider=SimpleNamespace(failing_open=False),
        watched=lambda: files,
        settings=SimpleNamespace(files=()),
        answers=lambda: answers,
        reload=reload,
        loop=SimpleNamespace(know_own=nothing, order=nothing),
        kept=SimpleNamespace(expire=nothing),
        tell_kernel=nothing,
        write_versions=nothing,
        look_at_mounts=nothing,
        know_interpreters=nothing,
    )
    return watching.Watch(cast("Guard", guard), watching.states(files))


def test_who_takes_long_to_load_gives_signs_of_life_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    signs, loaded = Signs(), threading.Event()

    def load() -> None:
        loaded.wait(PATIENCE)
        watched.stop()

    watched = watch(monkeypatch, load)
    watched.reload()
    thread = threading.Thread(target=watched.run, args=(cast("Line", signs),))
    thread.start()
    eventually(lambda: signs.count > 3)
    loaded.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_what_changes_while_it_is_loaded_is_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may have been half-written, and whole a moment after it was read."""
    file = tmp_path / "policy.toml"
    file.write_text("")
    read: list[str] = []

    def load() -> None:
        read.append(file.read_text())
        if len(read) == 1:
            file.write_text("whole")
        else:
            watched.stop()

    watched = watch(monkeypatch, load, str(file))
    file.write_text("half")  # since the guard began to load
    thread = threading.Thread(target=watched.run, args=(cast("Line", Signs()),))
    thread.start()
    thread.join(PATIENCE)
    watched.stop()
    assert read == ["half", "whole"]


def test_who_loads_for_ever_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_LOADING_SECONDS", 0.0)
    signs = Signs()
    watched = watch(monkeypatch, lambda: None)
    threading.Timer(0.2, watched.stop).start()
    watched.run(cast("Line", signs))
    assert signs.count == 0


def test_who_answers_nobody_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    signs = Signs()
    watched = watch(monkeypatch, lambda: None, answers=False)
    threading.Timer(0.2, watched.stop).start()
    watched.run(cast("Line", signs))
    assert signs.count == 0


HOLDING = """
import os, signal, socket, sys, time
from chopmark.agent import fanotify, holder
from chopmark.core import limits

loading, limits.GUARD_HUNG_SECONDS, limits.GUARD_LOADING_SECONDS = map(float, sys.argv[1:4])
limits.GUARD_TICK_SECONDS, limits.GUARD_STOP_SECONDS = 0.02, 60.0
os.environ["WATCHDOG_PID"] = str(os.getpid())  # as the service manager does

class Group(fanotify.Group):
    def heed_all(self): pass
    def answer(self, descriptor, *, allow): raise OSError

def work(line):
    os.write(1, b"began\\n")
    time.sleep(loading)
    line.ready()
    while True:
        line.alive(failing_open=False)
        time.sleep(0.02)

reading, _ = os.pipe()
sys.exit(holder.Holder(Group(reading), work, lambda: os.write(1, b"ready\\n")).run())
"""


class Held:
    """A holder with a worker that takes some time to load, and a service manager."""

    def __init__(self, folder: Path, *seconds: float) -> None:
        self._told = folder / "notify"
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(self._told))
        self._manager.settimeout(PATIENCE)
        self._said = folder / "said"
        environment = {**os.environ, "NOTIFY_SOCKET": str(self._told), "WATCHDOG_USEC": "200000"}
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", HOLDING, *map(str, seconds)], stdout=said, env=environment
            )

    def __enter__(self) -> Self:
        return self

    def said(self) -> list[str]:
        return self._said.read_text().split()

    def told(self) -> bytes:
        return self._manager.recv(4096)

    def __exit__(self, *_: object) -> None:
        self._manager.close()
        self._process.terminate()
        assert self._process.wait(2 * PATIENCE) == 0


def test_a_worker_has_time_to_load(tmp_path: Path) -> None:
    with Held(tmp_path, 0.6, 0.2, PATIENCE) as held:
        eventually(lambda: "ready" in held.said())
        assert held.said()[:2] == ["began", "ready"]  # later it may be silent for too long, where it gets no processor


def test_but_not_for_ever(tmp_path: Path) -> None:
    with Held(tmp_path, 100, 10, 0.2) as held:
        eventually(lambda: held.said().count("began") > 1)
        assert "ready" not in held.said()


def test_the_service_manager_hears_from_the_process_that_it_started(tmp_path: Path) -> None:
    """It kills whoever is silent; the worker is another process, and the manager did not ask that one."""
    with Held(tmp_path, 0, 10, 10) as held:
        assert [held.told() for _ in range(3)] == [b"WATCHDOG=1"] * 3


class Executed(Exception):  # noqa: N818 - it is no error
    """What a process would have become."""


def test_who_takes_the_place_of_a_holder_settles_what_the_dead_owe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it starts the next guard, which takes a while: until then what is marked would not be asked about."""
    calls: list[str] = []

    class Group(fanotify.Group):
        def heed_all(self) -> None:
            calls.append("heed all")

        def answer(self, descriptor: int, *, allow: bool) -> None:
            calls.append(f"{descriptor} {allow}")

    def become(path: str, arguments: list[str], environment: dict[str, str]) -> None:
        calls.append(f"{path} {arguments} {environment['CHOPMARK_GUARD_GROUP']}")
        raise Executed

    monkeypatch.setattr(limits, "GUARD_DESCRIPTORS_MAX", 3)
    monkeypatch.setattr(os, "execve", become)
    reading, writing = os.pipe()
    with subprocess.Popen(["sleep", "0.1"]) as worker, pytest.raises(Executed):
        holder.watch(Group(reading), worker.pid, ["guard", "run"])
    with pytest.raises(Executed):
        holder.watch(Group(reading), worker.pid, ["guard", "run"])  # which is gone
    assert calls[:5] == calls[5:]
    assert calls[:5] == ["heed all", "0 False", "1 False", "2 False", f"guard ['guard', 'run'] {reading}"]
    assert os.get_inheritable(reading)
    os.close(reading)
    os.close(writing)
