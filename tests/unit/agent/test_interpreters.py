"""Interpreters by what is in their files: which are learnt, which copies are known, and what that costs others."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.agent import processes
from chopmark.agent.interpreters import Interpreters
from chopmark.agent.uses import Rules
from chopmark.core import limits
from tests.support.guarding import place

if TYPE_CHECKING:
    from collections.abc import Iterator

ELF = b"\x7fELF\2\1\1"


@pytest.fixture
def bin_(tmp_path: Path) -> Path:
    """What a host has: interpreters, other programs, one that is both, and a script with an interpreter's name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, content in (("dash", b"d"), ("perl", b"p"), ("cat", b"c"), ("env", b"multicall"), ("gawk", b"g")):
        place(folder / name, ELF + content)
    os.link(folder / "perl", folder / "perl5.36")
    os.link(folder / "env", folder / "ls")
    (folder / "sh").symlink_to("dash")
    (folder / "vim").symlink_to("cat")
    place(folder / "python3", b"#!/bin/sh\n")
    return folder


def met(known: Interpreters, path: Path, key: tuple[int, int], called: Path | None = None) -> None:
    content = path.read_bytes()
    descriptor = os.open(path, os.O_RDONLY)
    known.met(key, descriptor, str(called or path), hashlib.sha256(content).hexdigest())
    os.close(descriptor)


@pytest.fixture
def running() -> Iterator[tuple[int, tuple[int, int]]]:
    """A process, and which file it runs."""
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        state = Path("/bin/sleep").resolve().stat()
        while processes.file(process.pid) != (state.st_dev, state.st_ino):
            pass
        yield process.pid, (state.st_dev, state.st_ino)
        process.kill()


def test_copies_of_what_a_host_has_are_known(bin_: Path, running: tuple[int, tuple[int, int]]) -> None:
    process, key = running
    known = Interpreters(Rules(), [str(bin_)])
    assert known.learn()
    assert not known.learn()
    for content, kind in ((b"d", "shell"), (b"p", "language"), (b"g", "language"), (b"c", ""), (b"multicall", ""),
                          (b"other", "")):  # fmt: skip
        met(known, Path(place(bin_.parent / "tool", ELF + content)), key)
        assert known.kind(process, "/x/tool") == kind
    place(bin_ / "ruby", ELF + b"other")
    assert known.learn()
    met(known, bin_.parent / "tool", key)
    assert known.kind(process, "/x/tool") == "language"
    assert known.kind(process, "/x/bash") == "shell"  # what it is called counts as well


def test_what_was_looked_at_under_an_interpreters_name_is_known_too(
    tmp_path: Path, running: tuple[int, tuple[int, int]]
) -> None:
    process, key = running
    known = Interpreters(Rules(), [])
    tmp_path.chmod(0o755)
    met(known, Path(place(tmp_path / "lua5.4", ELF + b"l")), key)
    assert known.kind(process, "/x/tool") == ""  # nobody but root can rename it
    other = Path(place(tmp_path / "other", ELF + b"l"))
    met(known, other, key, called=tmp_path / "lua5.4")  # in mounts of somebody's own: for us another lies there
    assert known.kind(process, "/x/tool") == "language"
    os.link(tmp_path / "lua5.4", tmp_path / "linked")
    met(known, tmp_path / "lua5.4", key)
    assert known.kind(process, "/x/tool") == "language"
    met(known, Path(place(tmp_path / "cat", ELF + b"c")), key)  # the number of another file by now
    assert known.kind(process, "/x/tool") == ""
    tmp_path.chmod(0o777)
    met(known, Path(place(tmp_path / "node", ELF + b"n")), key)
    assert known.kind(process, "/x/tool") == "language"
    os.link(tmp_path / "cat", tmp_path / "make")  # one of the names of what does many things
    met(known, tmp_path / "make", key)
    assert known.kind(process, "/x/tool") == ""


def test_nobody_is_looked_at_while_no_copy_is_known(bin_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_EXECUTING_MAX", 2)
    known = Interpreters(Rules(), [str(bin_)])
    known.learn()
    perl = (bin_ / "perl").stat()
    met(known, bin_ / "perl", (perl.st_dev, perl.st_ino))  # it has two names, and both are an interpreter's
    monkeypatch.setattr(processes, "file", lambda _: pytest.fail("looked up"))
    assert [known.kind(1, f"/x/{name}") for name in ("cat", "sh", "ls", "cat")] == ["", "shell", "", ""]
    tool = Path(place(bin_.parent / "tool", ELF + b"p"))
    for number in range(4):
        met(known, tool, (1, number))
    monkeypatch.setattr(processes, "file", lambda thread: (1, thread))
    assert [known.kind(number, "/x/tool") for number in range(4)] == ["", "", "language", "language"]


def test_what_nobody_runs_is_no_file() -> None:
    assert processes.file(2) == (0, 0)  # a thread of the kernel
    assert processes.file(os.getpid()) == (Path("/proc/self/exe").stat().st_dev, Path("/proc/self/exe").stat().st_ino)
