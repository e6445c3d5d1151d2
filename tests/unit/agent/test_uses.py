"""What somebody wants with a file: by who opens it, how, what it is called and what is in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from chopmark.agent import processes, uses
from chopmark.agent.processes import Program
from chopmark.agent.uses import EXEC, LIBRARY, SCRIPT, Rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLAIN, STRICT = Rules(), Rules(strict=True)
ELF, SHEBANG, TEXT = b"\x7fELF\2\1\1", b"#!/bin/sh\n", b"echo hello\n"


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (
            "sh bash dash ash ksh mksh zsh csh tcsh fish rbash rsh yash osh busybox toybox ksh93 bash-5.2 sh.1 nu",
            "shell",
        ),
        ("python python3 python3.11 python3.11-config pypy3 perl perl5.36 ruby3.1 node php8.2 php-fpm8.2", "language"),
        ("lua5.4 java gawk sed make tclsh8.6 Rscript R cron systemd env vim d8", "language"),
        ("ld-linux-x86-64.so.2 ld-musl-x86_64.so.1 ld-2.36.so ld.so ld.so.1 ld64.so.2 ld-linux.so.2", "loader"),
        ("cat ssh push bash2x shred pythonic mypython ld ld-linux.so.2.bak Python nodes perl- x", ""),
    ],
)
def test_interpreters_are_known_by_their_names(names: str, kind: str) -> None:
    assert {name: uses.interpreter(name, PLAIN) for name in names.split()} == dict.fromkeys(names.split(), kind)


def test_more_names_are_those_of_shells() -> None:
    rules = Rules(interpreters=frozenset({"runner", "python3"}))
    assert [uses.interpreter(name, rules) for name in ("runner", "python3", "perl", "other")] == [
        "shell",
        "shell",
        "language",
        "",
    ]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What it is to somebody (by name) who opens a file of some name with something in it."""

    def ask(
        by: str,
        content: bytes,
        path: str = "/x/data",
        rules: Rules = PLAIN,
        *,
        access: int | None = 0,
        named: bool = False,
    ) -> str:
        def is_named(thread: int, device: int, inode: int) -> bool:
            state = file.stat()
            return named and (thread, device, inode) == (7, state.st_dev, state.st_ino)

        file = tmp_path / "file"
        file.write_bytes(content)
        monkeypatch.setattr(processes, "access", {7: access}.__getitem__)
        monkeypatch.setattr(processes, "names", is_named)
        descriptor = os.open(file, os.O_RDONLY)
        os.lseek(descriptor, 1, os.SEEK_SET)
        try:
            use = uses.of_open(descriptor, path, 7, Program(f"/usr/bin/{by}"), rules)
            state = os.fstat(descriptor)
            return uses.of_named(7, (state.st_dev, state.st_ino)) if use == uses.IF_NAMED else use
        finally:
            os.close(descriptor)

    return ask


@pytest.mark.parametrize(
    ("by", "content", "path", "plain", "strict"),
    [
        ("cat", TEXT, "/x/data", "", ""),
        ("cat", SHEBANG, "/x/tool.py", "", ""),
        ("cat", ELF, "/x/lib.so", "", LIBRARY),
        ("bash", TEXT, "/x/data", SCRIPT, SCRIPT),
        ("bash", b"", "/x/data", SCRIPT, SCRIPT),
        ("bash", ELF, "/x/lib.so", "", LIBRARY),
        ("python3", TEXT, "/x/data", "", SCRIPT),
        ("python3", TEXT, "/x/module.py", SCRIPT, SCRIPT),
        ("python3", TEXT, "/x/MODULE.PYC", SCRIPT, SCRIPT),
        ("python3", TEXT, "/x/py", "", SCRIPT),
        ("python3", SHEBANG, "/x/data", SCRIPT, SCRIPT),
        ("python3", b"\n#!/bin/sh", "/x/data", "", SCRIPT),
        ("python3", ELF, "/x/module.cpython-311-x86_64-linux-gnu.so", LIBRARY, LIBRARY),
        ("python3", ELF, "/x/libx.so.1.2", LIBRARY, LIBRARY),
        ("node", ELF, "/x/addon.node", LIBRARY, LIBRARY),
        ("python3", ELF, "/x/program", "", LIBRARY),
        ("python3", ELF, "/x/module.py", "", LIBRARY),
        ("python3", b"\x7fEL", "/x/lib.so", "", SCRIPT),
        ("ld-linux-x86-64.so.2", ELF, "/x/program", EXEC, EXEC),
        ("ld-linux-x86-64.so.2", TEXT, "/x/data", "", SCRIPT),
    ],
)
def test_what_a_file_is_opened_for(
    opened: Callable[..., str], by: str, content: bytes, path: str, plain: str, strict: str
) -> None:
    assert (opened(by, content, path), opened(by, content, path, STRICT)) == (plain, strict)


def test_what_the_command_line_names_is_a_script(opened: Callable[..., str]) -> None:
    assert opened("python3", TEXT, named=True) == SCRIPT
    assert opened("cat", TEXT, named=True) == ""
    assert [opened("perl", TEXT, named=True, access=each) for each in (os.O_WRONLY, os.O_RDWR, None)] == [
        "",
        "",
        SCRIPT,
    ]


@pytest.mark.parametrize(
    ("access", "shell", "language"),
    [(os.O_RDONLY, SCRIPT, SCRIPT), (os.O_WRONLY, "", ""), (os.O_RDWR, SCRIPT, ""), (None, SCRIPT, SCRIPT)],
)
def test_what_is_opened_for_writing_is_not_run(
    opened: Callable[..., str], access: int | None, shell: str, language: str
) -> None:
    """A shell runs what it opens for both (`sh 0<> x`); of whom nothing is known the worst is believed."""
    assert opened("sh", SHEBANG, access=access) == shell
    assert opened("perl", SHEBANG, access=access) == language


@pytest.mark.parametrize(
    ("content", "path", "mode", "code"),
    [
        (TEXT, "/x/data", 0o644, False),
        (TEXT, "/x/data", 0o645, True),
        (TEXT, "/x/data", 0o654, True),
        (TEXT, "/x/data", 0o744, True),
        (ELF, "/x/data", 0o644, True),
        (SHEBANG, "/x/data", 0o644, True),
        (TEXT, "/x/x.ps1", 0o600, True),
        (TEXT, "/x.d/data", 0o600, False),
    ],
)
def test_what_is_looked_at_ahead(tmp_path: Path, content: bytes, path: str, mode: int, *, code: bool) -> None:
    (tmp_path / "file").write_bytes(content)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    assert uses.is_code(descriptor, path, 0o100000 | mode) is code
    assert uses.is_native(descriptor) is (content == ELF)
    os.close(descriptor)
