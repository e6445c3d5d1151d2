"""File systems that answer nobody: who has a program, a name or a signature on one waits, and nobody else does."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from chopmark.agent import nearby, openat2
from chopmark.core import limits
from tests.support import silent_fuse
from tests.support.guarding import Guarded, Mounted, place, policy, program, ran, started, why_not
from tests.support.patience import PATIENCE, eventually

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested")

GOOD = program(0)
SOON = {"GUARD_RELIEF_SECONDS": 0.1, "GUARD_NAMING_SECONDS": 0.5, "GUARD_DYING_SECONDS": 0.3, "GUARD_STOP_SECONDS": 0.3}
MANY = 5
"""More than there are threads that look at files."""


def waiting(process: int) -> int:
    """How many threads of a process wait for the process behind a FUSE file system."""
    found = 0
    for each in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            found += "request_wait_answer" in (each / "wchan").read_text()
    return found


def mounted(stack: ExitStack, folder: Path, content: bytes) -> silent_fuse.Served:
    folder.mkdir()
    try:
        return stack.enter_context(silent_fuse.serving(folder / "sh", content))
    except OSError as error:
        pytest.skip(f"no FUSE here: {error.strerror}")


def test_who_waits_for_a_file_system_that_is_silent_waits_alone(tmp_path: Path) -> None:
    with ExitStack() as stack:
        where = stack.enter_context(Mounted(tmp_path))
        shell = Path("/bin/sh").resolve().read_bytes()
        served = mounted(stack, tmp_path / "silent", shell)
        assert served.path.read_bytes() == shell  # its pages are at hand
        place(where / "good", GOOD)
        place(where / "evil", program(7))
        (where / "data").write_text("x")
        for number in range(MANY):
            place(where / f"unread{number}", program(8) + bytes([number]))
            (where / f"unread{number}.sig").symlink_to(served.path)
        text = (
            policy(more=f'[[rule]]\naction = "deny"\nprogram = "{served.path}"\n') + policy([GOOD]).partition("\n\n")[2]
        )
        guard = Guarded(where, tmp_path / "home", text).as_program().bounded(**SOON, GUARD_ANSWER_SECONDS=1.0)
        stack.enter_context(guard)
        [worker] = guard.workers()
        command = [str(served.path), "-c", f"read x; exec {where}/good"]
        lying = stack.enter_context(started(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL))
        naming = [sys.executable, "-S", "-c", f"input(); open({str(where / 'data')!r})", str(served.path)]
        named = stack.enter_context(started(naming, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL))
        eventually(lambda: "pipe_read" in Path(f"/proc/{lying.pid}/wchan").read_text())
        served.silence()
        lying.communicate(b"\n")  # denied, for it is known what it is: by the mount, which is ours
        assert lying.returncode == 126
        assert named.stdin is not None
        named.stdin.write(b"\n")
        named.stdin.flush()
        run = "import os, sys; os.execv(sys.argv[1], ['x'])"
        unread = [
            stack.enter_context(
                started([sys.executable, "-S", "-c", run, where / f"unread{number}"], stderr=subprocess.DEVNULL)
            )
            for number in range(MANY)
        ]
        eventually(lambda: waiting(worker) == MANY + 1)
        eventually(lambda: ran(str(where / "good")) == "0")  # a moment may be more than the second that it has
        assert ran(str(where / "evil")) == "denied"
        assert [each.wait(PATIENCE) for each in (named, *unread)] == [1] * (MANY + 1)  # who has asked is denied
        eventually(lambda: ran(str(where / "good")) == "0")
        assert guard.workers() == [worker]
        assert guard.status()["late"] >= MANY
        assert guard.stop() == 4  # killed, for it waits


def test_a_worker_is_replaced_when_nobody_is_left_to_wait(tmp_path: Path) -> None:
    with ExitStack() as stack:
        where = stack.enter_context(Mounted(tmp_path))
        served = mounted(stack, tmp_path / "silent", GOOD)
        served.silence()
        for number in range(MANY):
            place(where / f"unread{number}", program(8) + bytes([number]))
            (where / f"unread{number}.sig").symlink_to(served.path)
        place(where / "good", GOOD)
        guard = (
            Guarded(where, tmp_path / "home", policy([GOOD]), "--no-ahead")
            .as_program()
            .bounded(**SOON, GUARD_JUDGES_MAX=3, GUARD_HUNG_SECONDS=1.0)
        )
        stack.enter_context(guard)
        [worker] = guard.workers()
        run = "import os, sys; os.execv(sys.argv[1], ['x'])"
        for number in range(MANY):
            stack.enter_context(
                started([sys.executable, "-S", "-c", run, where / f"unread{number}"], stderr=subprocess.DEVNULL)
            )
        eventually(lambda: guard.said().count("guard ready") >= 2)
        assert guard.workers() != [worker]
        eventually(lambda: ran(str(where / "good")) == "0")  # the next one may be taken for hung as well, for a moment


def test_where_a_file_lies_is_known_without_asking(tmp_path: Path) -> None:
    with ExitStack() as stack:
        served = mounted(stack, tmp_path / "silent", GOOD)
        assert served.path.read_bytes() == GOOD  # and nobody is told of a close any more, who would wait for an answer
        state, folder = served.path.stat(), tmp_path.stat()
        descriptor = os.open(served.path, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        link, key = f"/proc/self/fd/{descriptor}", (state.st_dev, state.st_ino)
        served.silence()
        behind, nothing = nearby.behind(link), tmp_path / "nothing"
        assert behind is not None
        assert (behind.device, behind.inode, behind.mode, behind.uid) == (*key, state.st_mode, state.st_uid)
        assert nearby.state(str(served.path)) is None
        assert nearby.lies(str(served.path), key, link)
        assert not nearby.lies(str(served.path), key, f"/proc/self/fd/{os.dup(0)}")  # from another mount
        assert not nearby.lies(f"{served.path} (deleted)", key, link)
        assert not nearby.lies(str(served.path), key, "/proc/self/fd/x")
        assert nearby.state(str(tmp_path)) is not None
        assert nearby.lies(str(tmp_path), (folder.st_dev, folder.st_ino), "")
        assert not nearby.lies(str(tmp_path), key, link)
        nothing.symlink_to(tmp_path)
        assert [nearby.state(each) for each in (f"{nothing}/silent", f"{tmp_path}/x", "", "\0", "/proc/self/exe")] == [
            None
        ] * 5


def test_what_moves_at_this_moment_is_looked_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    opened = openat2.opened

    def moving(folder: int, name: str, flags: int, resolve: int) -> int:
        tried.append(resolve)
        if resolve & openat2.CACHED:
            raise BlockingIOError
        return opened(folder, name, flags, resolve)

    monkeypatch.setattr(openat2, "opened", moving)
    folder, key = str(tmp_path), (tmp_path.stat().st_dev, tmp_path.stat().st_ino)
    for look in (lambda: nearby.state(folder), lambda: nearby.lies(folder, key, "")):
        assert look()
        assert tried == [openat2.CACHED | openat2.NO_LINKS] * limits.GUARD_NEARBY_TRIES + [openat2.NO_LINKS]
        tried.clear()
