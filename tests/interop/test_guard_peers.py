"""The same ways past a guard, tried on chopmark's and on Debian's fapolicyd, which knows nothing but its trust file.

Each of them judges a tmpfs of its own. fapolicyd has the rules that its authors recommend and compares digests, which
it does not by default. docs/reference/guard.md has the table.
"""

from __future__ import annotations

import mmap
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from tests.support import fapolicyd
from tests.support.fapolicyd import Fapolicyd
from tests.support.guarding import STATUS_AT, Guarded, Mounted, place, policy, program, ran

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(bool(fapolicyd.why_not()), reason=fapolicyd.why_not() or "both can be tried"),
]

GOOD, EVIL = program(0), program(7)
LOADER = Path("/lib64/ld-linux-x86-64.so.2").read_bytes()
TRUSTED = {"renamed": GOOD, "written": GOOD, "mapped": GOOD, "ld.so": LOADER}
"""fapolicyd trusts contents under their names."""
PYTHON = "/usr/bin/python3"
EVIL_PY = b"print('evil')\n"


class Host(Protocol):
    """A guard and the file system that it judges."""

    folder: Path

    def kill(self) -> None:
        """Kill the process that answers."""

    def path(self, name: str) -> str:
        """A file there, for `run`."""

    def place(self, name: str, content: bytes, mode: int = 0o755) -> str:
        """Write a file; its path for `run`."""

    def run(self, *command: str) -> str:
        """What became of a command."""


class Ours:
    """chopmark's guard."""

    def __init__(self, folder: Path, guard: Guarded) -> None:
        self.folder = folder
        self._guard = guard

    def kill(self) -> None:
        os.kill(self._guard.workers()[0], signal.SIGKILL)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def place(self, name: str, content: bytes, mode: int = 0o755) -> str:
        return place(self.folder / name, content, mode)

    def run(self, *command: str) -> str:
        return ran(*command)


class Theirs:
    """fapolicyd, in its namespace."""

    def __init__(self, guard: Fapolicyd) -> None:
        self.folder = guard.folder
        self._guard = guard

    def path(self, name: str) -> str:
        return f"{fapolicyd.WORK}/{name}"

    def place(self, name: str, content: bytes, mode: int = 0o755) -> str:
        return self._guard.place(name, content, mode)

    def run(self, *command: str) -> str:
        code = "import os,sys\ntry: os.execvp(sys.argv[1],sys.argv[1:])\nexcept PermissionError: os._exit(126)"
        status = ran(*self._guard.within(PYTHON, "-I", "-S", "-c", code, *command))
        return "denied" if status.startswith("126") else status

    def kill(self) -> None:
        assert self._guard.process is not None
        self._guard.process.kill()
        self._guard.process.wait()


def _ours(folder: Path) -> Iterator[Host]:
    with Mounted(folder) as where:
        for name, content in TRUSTED.items():
            place(where / name, content)
        with Guarded(where, folder / "home", policy([GOOD, LOADER])).as_program() as guard:
            yield Ours(where, guard)


def _theirs(folder: Path) -> Iterator[Host]:
    with Fapolicyd(folder, TRUSTED) as guard:
        yield Theirs(guard)


@pytest.fixture(scope="module", params=[_ours, _theirs], ids=["chopmark", "fapolicyd"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    yield from request.param(tmp_path_factory.mktemp("host"))


def a_program(host: Host) -> str:
    return host.run(host.place("evil", EVIL))


def a_shell_script(host: Host) -> str:
    return host.run(host.place("evil.sh", b"#!/bin/sh\nexit 7\n"))


def a_script_given_to_a_shell(host: Host) -> str:
    return host.run("sh", host.place("evil.txt", b"exit 7\n", 0o644))


def a_script_on_standard_input(host: Host) -> str:
    return host.run("sh", "-c", f"sh < {host.place('input.txt', b'exit 7', 0o644)}")


def a_python_script_with_a_shebang(host: Host) -> str:
    return host.run(PYTHON, host.place("shebang.py", b"#!/usr/bin/python3\nraise SystemExit(7)\n"))


def a_python_script_without(host: Host) -> str:
    return host.run(PYTHON, host.place("plain.py", b"raise SystemExit(7)\n", 0o644))


def a_python_module(host: Host) -> str:
    path = host.place("module.py", b"raise SystemExit(7)\n", 0o644)
    return host.run("sh", "-c", f"cd {os.path.dirname(path)}; {PYTHON} -B -m module")  # noqa: PTH120 - text of the host's


def a_perl_script(host: Host) -> str:
    return host.run("perl", host.place("evil.pl", b"exit 7;\n", 0o644))


def a_program_given_to_the_loader(host: Host) -> str:
    evil = host.place("linked", Path("/bin/sh").read_bytes() + b"x")
    return host.run(host.path("ld.so"), evil, "-c", "exit 7")


def a_preloaded_library(host: Host) -> str:
    source = next(iter(Path("/usr/lib/x86_64-linux-gnu").glob("libz.so.1.*")))
    library = host.place("lib.so", source.read_bytes())
    return host.run("sh", "-c", f"LD_PRELOAD={library} /bin/true 2>&1 | grep -q preload && exit 1; exit 7")


def a_program_renamed_over_another(host: Host) -> str:
    target = host.path("renamed")
    assert host.run(target) == "0"
    host.place("other", EVIL)
    (host.folder / "other").replace(host.folder / "renamed")
    return host.run(target)


def a_program_that_is_written_to(host: Host) -> str:
    target = host.path("written")
    assert host.run(target) == "0"
    with (host.folder / "written").open("r+b") as file:
        file.write(EVIL)
    return host.run(target)


def a_page_that_is_written_to_twice(host: Host) -> str:
    """The second write to a page that is dirty changes no time stamp, and nobody is told of it."""
    target = host.path("mapped")
    with (host.folder / "mapped").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[STATUS_AT] = 0
        host.run("sh", "-c", target)  # judged while it is good; then the kernel says that it is busy
        mapped[STATUS_AT] = 7
    return host.run(target)


def a_mount_namespace(host: Host) -> str:
    return host.run("unshare", "--mount", "sh", "-c", f"exec {host.place('apart', EVIL)}")


def a_program_in_memory(host: Host) -> str:
    code = f"import os\nfd=os.memfd_create('x')\nos.write(fd,bytes.fromhex('{EVIL.hex()}'))\nos.execve(fd,['x'],{{}})"
    return host.run(PYTHON, "-c", code)


def a_guard_that_is_killed(host: Host) -> str:
    target = host.place("last", EVIL)
    host.kill()
    return host.run(target)


class Row(NamedTuple):
    """Whether it is kept from running, by whom; None where they cannot be compared on one file system alone."""

    attack: Callable[[Host], str]
    chopmark: bool
    fapolicyd: bool | None


ROWS = (
    Row(a_program, chopmark=True, fapolicyd=True),
    Row(a_shell_script, chopmark=True, fapolicyd=False),
    Row(a_script_given_to_a_shell, chopmark=True, fapolicyd=False),
    Row(a_script_on_standard_input, chopmark=True, fapolicyd=False),
    Row(a_python_script_with_a_shebang, chopmark=True, fapolicyd=True),
    Row(a_python_script_without, chopmark=True, fapolicyd=False),
    Row(a_python_module, chopmark=True, fapolicyd=False),
    Row(a_perl_script, chopmark=True, fapolicyd=False),
    Row(a_program_given_to_the_loader, chopmark=True, fapolicyd=None),  # its rule is about the system's own loader
    Row(a_preloaded_library, chopmark=False, fapolicyd=True),  # with --strict ours does as well
    Row(a_program_renamed_over_another, chopmark=True, fapolicyd=True),
    Row(a_program_that_is_written_to, chopmark=True, fapolicyd=True),
    Row(a_page_that_is_written_to_twice, chopmark=True, fapolicyd=False),
    Row(a_mount_namespace, chopmark=True, fapolicyd=False),
    Row(a_program_in_memory, chopmark=False, fapolicyd=False),
    Row(a_guard_that_is_killed, chopmark=True, fapolicyd=False),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.attack.__name__)
def test_ways_past_a_guard(host: Host, row: Row) -> None:
    kept = row.chopmark if isinstance(host, Ours) else row.fapolicyd
    if kept is None:
        pytest.skip("fapolicyd would have to watch the file system of the loader as well")
    outcome = row.attack(host)
    assert (outcome.split()[0] != "7") is kept, outcome


def test_by_default_it_believes_in_names(tmp_path: Path) -> None:
    """`integrity = none`, as it is delivered: what a file contains does not matter."""
    with Fapolicyd(tmp_path, {"good": GOOD}, "none") as guard:
        theirs = Theirs(guard)
        assert theirs.run(theirs.place("good", EVIL)) == "7"
