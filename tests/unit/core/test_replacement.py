"""Files that are replaced together: each is the old one or the new one, and the others do not mind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits, patch
from chopmark.core.artifact import Artifact
from chopmark.core.errors import InputError, WriteError
from chopmark.core.patch import Group, Patch
from chopmark.core.seal import Range

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = b"old", b"new"


@pytest.fixture
def tools(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"tool-{number}" for number in range(5)]
    for path in paths:
        path.write_bytes(OLD)
    return paths


def prepare(group: Group, path: Path, content: bytes = NEW, companion: str = "") -> None:
    with Artifact.open(path) as artifact:
        patch.apply(Patch((content,), companion), artifact, settled=False, group=group)


def test_nothing_has_its_name_before_the_commit_and_all_have_it_afterwards(tools: list[Path]) -> None:
    with Group() as group:
        for path in tools:
            prepare(group, path)
        assert {path.read_bytes() for path in tools} == {OLD}
        assert group.commit() == {}
        assert {path.read_bytes() for path in tools} == {NEW}
    assert sorted(tools) == sorted(tools[0].parent.iterdir())


def test_what_is_not_committed_is_not_written(tools: list[Path]) -> None:
    with Group() as group:
        prepare(group, tools[0])
    assert tools[0].read_bytes() == OLD
    assert sorted(tools) == sorted(tools[0].parent.iterdir())


def test_a_committed_group_can_be_filled_again(tools: list[Path]) -> None:
    with Group() as group:
        for path in tools:
            prepare(group, path)
            assert group.commit() == {}
            assert path.read_bytes() == NEW
        assert group.commit() == {}


def test_a_file_that_changed_meanwhile_stays_and_the_others_do_not_mind(tools: list[Path]) -> None:
    with Group() as group:
        for path in tools:
            prepare(group, path)
        tools[1].write_bytes(b"somebody else's")
        tools[2].unlink()
        tools[3].rename(tools[2])
        errors = group.commit()
    assert set(errors) == {str(path) for path in tools[1:4]}
    assert {type(error) for error in errors.values()} == {InputError}
    assert [tools[0].read_bytes(), tools[1].read_bytes(), tools[2].read_bytes()] == [NEW, b"somebody else's", OLD]
    assert not tools[3].exists()
    assert tools[4].read_bytes() == NEW


def test_a_companion_does_not_come_to_a_file_that_changed(tools: list[Path]) -> None:
    with Group() as group:
        prepare(group, tools[0], companion=".p7s")
        prepare(group, tools[1], companion=".p7s")
        tools[1].write_bytes(b"another")
        errors = group.commit()
    assert set(errors) == {f"{tools[1]}.p7s"}
    assert tools[0].with_name("tool-0.p7s").read_bytes() == NEW
    assert not tools[1].with_name("tool-1.p7s").exists()


@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_a_failure_of_one_file_is_its_own(tools: list[Path], monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    real, calls = getattr(os, step), iter(range(99))

    def failing(*args: object, **named: object) -> object:
        if next(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*args, **named)

    with Group() as group:
        for path in tools:
            prepare(group, path)
        monkeypatch.setattr(os, step, failing)
        errors = group.commit()
    monkeypatch.undo()
    assert list(errors) == [str(tools[2])]
    assert isinstance(errors[str(tools[2])], WriteError)
    assert [path.read_bytes() for path in tools] == [NEW, NEW, OLD, NEW, NEW]
    assert sorted(tools) == sorted(tools[0].parent.iterdir())


def test_a_large_file_does_not_wait(tools: list[Path]) -> None:
    large = bytes(limits.READ_WHOLE_MAX + 1)
    with Group() as group:
        prepare(group, tools[0], large)
        assert tools[0].read_bytes() == large
        assert not group.due


def test_another_target_does_not_wait(tools: list[Path], tmp_path: Path) -> None:
    with Group() as group, Artifact.open(tools[0]) as artifact:
        patch.apply(Patch((NEW,)), artifact, str(tmp_path / "elsewhere"), group=group)
    assert (tmp_path / "elsewhere").read_bytes() == NEW


def test_bytes_in_memory_do_not_wait(tools: list[Path]) -> None:
    with Group() as group, Artifact.open(tools[0]) as opened:
        artifact = Artifact(opened.name, Artifact.from_bytes(OLD).view, opened.identity)
        patch.apply(Patch((Range(0, 3), NEW)), artifact, group=group)
    assert tools[0].read_bytes() == OLD + NEW


def test_a_group_is_due_when_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    with Group() as group:
        for number in range(limits.REPLACED_TOGETHER_MAX):
            assert not group.due
            (tmp_path / str(number)).write_bytes(OLD)
            prepare(group, tmp_path / str(number))
        assert group.due


def test_a_group_is_due_when_its_first_file_has_waited(tools: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Group() as group:
        now[0] += 100.0
        assert not group.due
        prepare(group, tools[0])
        now[0] += limits.REPLACED_TOGETHER_SECONDS
        prepare(group, tools[1])
        assert not group.due
        now[0] += 0.001
        assert group.due


KILLED = """
import itertools, os, sys
from chopmark.core import patch
from chopmark.core.artifact import Artifact
folder = sys.argv[1]
for round in itertools.count():
    with patch.Group() as group:
        for name in sorted(os.listdir(folder)):
            if not name.startswith("."):
                with Artifact.open(os.path.join(folder, name)) as artifact:
                    patch.apply(patch.Patch((b"%05d" % round * 1000,)), artifact, settled=False, group=group)
        assert not group.commit()
    print(round, flush=True)
"""


def test_a_kill_at_any_moment_leaves_whole_files(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"tool-{number}").write_bytes(b"xxxxx" * 1000)
    for moment in range(12):
        process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.0007 * moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for path in tmp_path.iterdir():
            content = path.read_bytes()
            assert content == content[:5] * 1000
