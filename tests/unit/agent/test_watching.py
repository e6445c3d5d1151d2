"""What the main thread of a guard does, and when; and how it notices that something changed."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from chopmark.agent import deciding, watching
from chopmark.core import limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.agent.guard import Guard
    from chopmark.agent.holder import Line

ROUNDS = 3


class Desk:
    """A guard that notes what it is told, and ends after some rounds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *files: str) -> None:
        self.done: list[str] = []
        self.said: list[str] = []
        note = partial(partial, self.note)
        guard = SimpleNamespace(
            decider=SimpleNamespace(failing_open=True),
            watched=lambda: files,
            settings=SimpleNamespace(files=()),
            answers=lambda: True,
            reload=note("reload"),
            loop=SimpleNamespace(know_own=note("know own"), order=lambda work: work()),
            kept=SimpleNamespace(expire=note("expire")),
            tell_kernel=self.tell_kernel,
            write_versions=note("versions"),
            know_interpreters=note("interpreters"),
            protection=SimpleNamespace(look=note("mounts")),
            group=SimpleNamespace(descriptor=os.open("/dev/null", os.O_RDONLY)),
            stream=SimpleNamespace(say=lambda kind, **_: self.said.append(kind)),
        )
        self.group = guard.group.descriptor
        self.watch = watching.Watch(cast("Guard", guard), watching.states(files))
        monkeypatch.setattr(deciding, "know_users", note("users"))
        for name, seconds in (("LOOK", 0.001), ("VERDICT", 1000.0), ("VERSIONS", 1000.0), ("MOUNTS", 1000.0)):
            monkeypatch.setattr(limits, f"GUARD_{name}_SECONDS", seconds)

    def note(self, name: str, *_: object) -> None:
        self.done.append(name)

    def tell_kernel(self) -> None:
        self.note("kernel")
        if self.done.count("kernel") == ROUNDS:
            self.watch.stop()

    def run(self) -> set[str]:
        """What was done in these rounds, but for what is done in each, and once at the beginning."""
        line = SimpleNamespace(alive=lambda *, failing_open: failing_open)
        self.watch.run(cast("Line", line))
        assert self.done.pop(0) == "interpreters"
        assert self.done.count("know own") == self.done.count("kernel") == ROUNDS
        return set(self.done) - {"know own", "kernel"}


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "policy.toml").write_text("")
    made = Desk(monkeypatch, str(tmp_path / "policy.toml"), str(tmp_path / "nowhere"))
    yield made
    os.close(made.group)


@pytest.mark.parametrize(
    ("due", "done"),
    [
        ("", set()),
        ("VERDICT", {"reload"}),
        ("VERSIONS", {"versions", "users", "interpreters"}),
        ("MOUNTS", {"mounts", "expire"}),
    ],
)
def test_everything_is_done_when_it_is_due(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, due: str, done: set[str]
) -> None:
    if due:
        monkeypatch.setattr(limits, f"GUARD_{due}_SECONDS", 0.0)
    assert desk.run() == done
    assert all(desk.done.count(each) == ROUNDS for each in done)


def test_what_is_wanted_is_done_once(desk: Desk) -> None:
    desk.watch.reload()
    assert desk.run() == {"reload"}
    assert desk.done.count("reload") == 1


@pytest.mark.parametrize("name", ["policy.toml", "nowhere"])
def test_what_changes_is_loaded_once(desk: Desk, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("changed")
    assert desk.run() == {"reload"}
    assert desk.done.count("reload") == 1


def test_a_holder_that_is_gone_is_replaced_by_another_process(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[SimpleNamespace] = []

    def begin(command: list[str], *, pass_fds: tuple[int, ...], **_: object) -> Any:  # noqa: ANN401 - as it were
        assert os.path.samestat(os.fstat(pass_fds[0]), os.fstat(desk.group))
        assert command[:7] == [sys.executable, "-m", "chopmark", "guard", "hold", str(os.getpid()), str(pass_fds[0])]
        assert command[7:] == ["--", *sys.argv[1:]]
        if len(begun) == 2:
            raise OSError(11, "Resource temporarily unavailable")
        begun.append(SimpleNamespace(pid=7, poll=lambda: None, passed=pass_fds[0]))
        return begun[-1]

    monkeypatch.setattr(subprocess, "Popen", begin)
    for _ in range(2):
        desk.watch._replace_holder()  # noqa: SLF001 - what `run` does
    assert (len(begun), desk.said) == (1, ["holder-replaced"]), "once, while that one lives"
    begun[0].poll = lambda: 1
    desk.watch._replace_holder()  # noqa: SLF001 - likewise
    begun[1].poll = lambda: 1
    desk.watch._replace_holder()  # noqa: SLF001 - likewise
    assert desk.said == ["holder-replaced", "holder-replaced", "trouble"]
    for each in begun:
        assert each.passed != desk.group
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(each.passed)


def test_a_folder_is_another_one_when_a_file_in_it_is(tmp_path: Path) -> None:
    def state() -> object:
        return watching.states([str(tmp_path)])[str(tmp_path)]

    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    (tmp_path / "broken").symlink_to("nowhere")
    before = state()
    assert before == state()
    later = (tmp_path / "a").stat().st_mtime_ns + 10**10
    os.utime(tmp_path / "b", ns=(later, later))
    after = state()
    assert after != before
    (tmp_path / "a").chmod(0o600)
    assert state() == after, "the newest counts, and that is to come yet"
    assert watching.states([str(tmp_path / "nowhere")]) == {str(tmp_path / "nowhere"): None}
