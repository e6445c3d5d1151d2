"""Asking a running guard, and who may."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from chopmark.agent import control
from chopmark.core import limits
from chopmark.core.errors import UnavailableError, UsageError
from tests.support.guarding import CHOPMARK, Guarded, Mounted, place, policy, program, ran, why_not
from tests.support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.agent.guard import Guard

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested")

GOOD, EVIL = program(0), program(7)


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Path]:
    with Mounted(tmp_path) as folder:
        place(folder / "good", GOOD)
        place(folder / "evil", EVIL)
        yield folder


def test_breaking_the_glass(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])) as guard:
        assert ran(str(where / "evil")) == "denied"
        base = ["break-glass"]
        assert guard.command(*base, "--minutes", "1", "--why", " ").returncode == 2
        assert guard.command(*base, "--minutes", "5000", "--why", "x").returncode == 2
        done = guard.command(*base, "--minutes", "1", "--why", "the disk is on fire")
        assert (done.returncode, "1 min; nothing is denied" in done.stdout) == (0, True)
        eventually(lambda: ran(str(where / "evil")) == "7")
        status = guard.status()
        assert status["mode"] == "audit"
        began, ends = (dt.datetime.fromisoformat(status["glass"][each]) for each in ("since", "until"))
        assert ends - began == dt.timedelta(minutes=1)
        assert (status["glass"]["uid"], status["glass"]["user"]) == (0, "root")
        assert status["glass"]["why"] == "the disk is on fire"
        shown = guard.command("status").stdout
        assert status["glass"]["until"] in shown
        assert "the disk is on fire" in shown
        assert "whole again" in guard.command(*base, "--minutes", "0", "--why", "it is not").stdout
        eventually(lambda: ran(str(where / "evil")) == "denied")
        assert guard.status()["glass"] is None
        guard.ask("break-glass", seconds=0, why="I was nobody", uid=65534)
        eventually(lambda: len(guard.events("glass-mended")) == 2)
        assert guard.events("glass-broken")[0]["detail"] == "the disk is on fire"
        assert guard.events("glass-mended")[-1]["uid"] == 0  # who asked, not who they say they are


def test_whoever_asks_for_what_there_is_not_is_told_so(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])) as guard:
        for wrong in ("release", "warm", "break-glass", "nothing"):
            with pytest.raises(UsageError):
                control.ask(guard.socket, wrong)
        for sent in (b"[]\n", b"null\n", b"{\n", b"\xff\n"):
            with socket.socket(socket.AF_UNIX) as to:
                to.connect(guard.socket)
                to.sendall(sent)
                assert "error" in json.loads(to.recv(4096))
        assert guard.status()["mode"] == "enforce"


def test_asking_a_guard(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])) as guard:
        assert (ran(str(where / "good")), ran(str(where / "evil"))) == ("0", "denied")

        def asked(*words: str) -> str:
            done = guard.command(*words)
            assert done.returncode == 0, done.stderr
            return done.stdout

        status = asked("status")
        assert all(len(line) <= 80 for line in status.splitlines() if str(where) not in line and "policy" not in line)
        assert json.loads(asked("status", "--json"))["denied"] == 1
        assert "chopmark_guard_denied_total 1\n" in asked("metrics")
        assert json.loads(asked("events", "--json").splitlines()[-1])["path"] == str(where / "evil")
        assert "deny exec of" in asked("events")
        top = asked("top", "-n", "2").splitlines()
        assert [line.split()[0] for line in top if line.startswith(("mode", "a second"))] == ["mode", "mode", "a"]
        assert all(len(line) <= 80 for line in top if str(where) not in line and "policy" not in line)
        asked("reload")
        eventually(lambda: bool(guard.events("reloaded")))
        with pytest.raises(UsageError):
            guard.ask("sing")
        with pytest.raises(UnavailableError):
            control.ask(guard.socket + "-of-nobody", "status")
        assert Path(guard.socket).stat().st_mode & 0o777 == 0o600


def test_only_its_own_user_and_root_may_ask(where: Path, tmp_path: Path) -> None:
    guard = Guarded(where, tmp_path / "home", policy([GOOD]))
    with tempfile.TemporaryDirectory() as open_to_all, guard.asked_at(Path(open_to_all) / "control"):
        Path(open_to_all).chmod(0o755)
        Path(guard.socket).chmod(0o666)
        child = os.fork()
        if not child:
            status = 1
            with contextlib.suppress(Exception):
                os.setgid(65534)
                os.setuid(65534)
                with socket.socket(socket.AF_UNIX) as asking:
                    asking.connect(guard.socket)
                    question = b'{"ask": "break-glass", "seconds": 60, "why": "me", "uid": 0}\n'
                    status = 7 if answer(asking, question) == b"" else 1
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert guard.status()["mode"] == "enforce"
        with socket.socket(socket.AF_UNIX) as hanging:  # who says nothing holds nobody up for long
            hanging.connect(guard.socket)
            assert ran(str(where / "evil")) == "denied"


def answer(asking: socket.socket, question: bytes) -> bytes:
    """What comes; nothing when they hang up, whether they have read the question or not."""
    try:
        asking.sendall(question)
        return asking.recv(65536)
    except ConnectionError:
        return b""


def test_a_second_guard_does_not_take_the_socket(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])) as guard:
        done = subprocess.run(
            [*CHOPMARK, "guard", "run", "--policy", guard.policy, "--mount", where, "--control", guard.socket],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=guard.environment,
        )
        assert done.returncode == 2
        assert "another guard" in done.stderr
        assert guard.status()["mode"] == "enforce"


def test_who_cannot_take_a_question_at_this_moment_takes_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUARD_LOOK_SECONDS", 0.01)
    accept, tried = socket.socket.accept, list[int]()

    def full(listening: socket.socket) -> object:
        tried.append(1)
        if len(tried) == 1:
            raise OSError(24, "Too many open files")
        return accept(listening)

    monkeypatch.setattr(socket.socket, "accept", full)
    guard = SimpleNamespace(
        settings=SimpleNamespace(control=str(tmp_path / "control")),
        facts=lambda: {"mode": "x"},
        watch=SimpleNamespace(reload=lambda: None),
    )
    server = control.serve(cast("Guard", guard))
    assert control.ask(str(tmp_path / "control"), "status") == {"mode": "x"}
    server.close()
    assert len(tried) > 1
