"""Every known way to run code against a guard that enforces: what is caught, and what is not."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.agent import processes
from tests.support.guarding import Guarded, Mounted, place, policy, program, ran, why_not
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested")

GOOD_SH, EVIL_SH = b"#!/bin/sh\necho good\n", b"#!/bin/sh\necho evil\n"
GOOD_PY, EVIL_PY = b"print('good')\n", b"print('evil')\n"
GOOD, EVIL = program(0), program(7)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guard")
    with Mounted(folder) as where, Guarded(where, folder / "home", policy([GOOD, GOOD_SH, GOOD_PY])) as guard:
        yield guard


@pytest.fixture
def where(guarded: Guarded, request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own on the protected file system."""
    folder = guarded.folder / str(request.node.name).replace("/", "_")[:100]
    folder.mkdir()
    return folder


def test_programs_are_executed_only_when_they_are_allowed(where: Path) -> None:
    good, evil = place(where / "good", GOOD), place(where / "evil", EVIL)
    assert ran(good) == "0"
    assert ran(evil) == "denied"
    assert ran(good) == "0"


def test_shebang_scripts(where: Path) -> None:
    assert ran(place(where / "good", GOOD_SH)) == "0 good"
    assert ran(place(where / "evil", EVIL_SH)) == "denied"


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_scripts_given_to_a_shell(where: Path, shell: str) -> None:
    good, evil = place(where / "good", GOOD_SH), place(where / "evil.txt", b"echo evil\n", 0o644)
    assert ran(shell, good) == "0 good"
    assert "evil" not in ran(shell, evil)
    assert "evil" not in ran(shell, "-c", f"{shell} < {evil}")
    assert "evil" not in ran(shell, "-c", f". {evil}")
    assert "evil" not in ran(shell, "-c", f"{shell} 0<> {evil}")
    assert ran(shell, "-c", f"{shell} < {good}") == "0 good"


def test_what_a_shell_writes_is_not_judged(where: Path) -> None:
    out = where / "out"
    for _ in range(2):
        assert ran("sh", "-c", f"echo one > {out}; echo two >> {out}") == "0"
    assert out.read_text() == "one\ntwo\n"


def test_scripts_given_to_other_interpreters(where: Path) -> None:
    good, evil = place(where / "good.py", GOOD_PY), place(where / "evil", EVIL_PY, 0o644)
    assert ran(sys.executable, good) == "0 good"
    assert "evil" not in ran(sys.executable, evil)  # no suffix, no shebang: the command line names it
    assert "evil" not in ran("sh", "-c", f"cd {where}; {sys.executable} ./evil")


def test_modules(where: Path) -> None:
    place(where / "fine.py", GOOD_PY, 0o644)
    place(where / "wrong.py", EVIL_PY, 0o644)
    assert ran(sys.executable, "-m", "fine", cwd=where) == "0 good"
    assert "evil" not in ran(sys.executable, "-m", "wrong", cwd=where)
    assert "evil" not in ran(sys.executable, "-c", "import wrong", cwd=where)


@pytest.mark.parametrize("interpreter", ["perl", "node", "ruby", "lua", "php", "gawk"])
def test_other_languages(where: Path, interpreter: str) -> None:
    if shutil.which(interpreter) is None:
        pytest.skip(f"{interpreter} is not installed")
    evil = place(where / "evil", b"print 'evil'\n", 0o644)
    assert "evil" not in ran(interpreter, *(("-f",) if interpreter == "gawk" else ()), evil).replace(evil, "")


def test_data_is_read_by_anybody_who_does_not_run_it(where: Path) -> None:
    data = place(where / "data.txt", b"hello", 0o644)
    assert ran("cat", data) == "0 hello"
    assert ran(sys.executable, "-c", f"print(open({data!r}).read())") == "0 hello"
    assert ran("cat", place(where / "evil", EVIL_SH)) == "0 #!/bin/sh\necho evil"


def test_the_dynamic_loader_as_a_program(where: Path) -> None:
    loaders = [each for each in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1") if Path(each).exists()]
    if not loaders:
        pytest.skip("no dynamic loader where it usually is")
    evil = place(where / "evil", Path("/bin/true").read_bytes() + b"x")
    assert ran(loaders[0], evil).split()[0] != "0"
    assert ran(loaders[0], "/bin/true") == "0"  # it is not on a protected file system


def test_fexecve_and_the_executability_check(where: Path) -> None:
    ask = (
        "import os,sys\nfrom chopmark.agent import asking\n"
        "fd=os.open(sys.argv[1],os.O_RDONLY)\nprint(asking.may_run(fd))"
    )
    answers = [ran(sys.executable, "-c", ask, place(where / name, what)) for name, what in (("g", GOOD), ("e", EVIL))]
    if "CannotAskError" in "".join(answers) or answers[0].startswith("1"):
        pytest.skip("this kernel has no AT_EXECVE_CHECK")
    assert answers == ["0 True", "0 False"]
    run = "import os,sys\nfd=os.open(sys.argv[1],os.O_RDONLY)\nos.set_inheritable(fd,True)\nos.execve(fd,['x'],{})"
    assert ran(sys.executable, "-c", run, str(where / "g")) == "0"
    assert ran(sys.executable, "-c", run, str(where / "e")).startswith("1")


def test_another_mount_of_the_same_file_system(where: Path, tmp_path: Path) -> None:
    place(where / "evil", EVIL)
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["mount", "--bind", where, other], check=True)
    try:
        assert ran(str(other / "evil")) == "denied"
        assert "7" not in ran("unshare", "-m", "sh", "-c", f"{where}/evil; echo $?").split()
    finally:
        subprocess.run(["umount", "-l", other], check=True)  # a file that is kept keeps its mount busy


def test_hard_links_and_renames_do_not_matter(where: Path) -> None:
    good, evil = place(where / "good", GOOD), place(where / "evil", EVIL)
    assert ran(good) == "0"
    os.link(evil, where / "link")
    (where / "link").replace(good)
    assert ran(good) == "denied"


@pytest.mark.parametrize("how", ["write", "append", "truncate", "mmap", "sendfile"])
def test_a_file_that_was_allowed_and_is_changed_is_judged_again(where: Path, how: str) -> None:
    path = place(where / "file", GOOD)
    assert ran(path) == "0"
    with Path(path).open("r+b") as file:
        if how == "write":
            file.write(EVIL)
        elif how == "append":
            file.seek(0, os.SEEK_END)
            file.write(b"x")
        elif how == "truncate":
            file.truncate(len(GOOD) - 1)
        elif how == "mmap":
            with mmap.mmap(file.fileno(), 0) as mapped:
                mapped[121] = 7
        else:
            other = os.open(place(where / "evil", EVIL), os.O_RDONLY)
            os.sendfile(file.fileno(), other, 0, len(EVIL))
            os.close(other)
    assert ran(path) == "denied"


@pytest.mark.parametrize("mapped", [False, True])
def test_a_file_that_somebody_can_write_to_is_denied(where: Path, guarded: Guarded, mapped: bool) -> None:  # noqa: FBT001
    path = place(where / "file", GOOD)
    descriptor = os.open(path, os.O_RDWR)
    mapping = mmap.mmap(descriptor, 0) if mapped else None
    if mapped:
        os.close(descriptor)
    try:
        assert ran("sh", "-c", path).startswith("126")
        eventually(
            lambda: any(each["reason"] == "guard.written" and each["path"] == path for each in guarded.events("deny"))
        )
    finally:
        if mapping is not None:
            mapping.close()
        else:
            os.close(descriptor)
    assert ran(path) == "0"


def test_a_program_in_memory_is_not_seen(where: Path) -> None:
    """What no guard by files can catch; `guard doctor` says what closes it (docs/reference/guard.md)."""
    place(where / "evil", EVIL)
    run = f"import os\nfd=os.memfd_create('x')\nos.write(fd,bytes.fromhex('{EVIL.hex()}'))\nos.execve(fd,['x'],{{}})"
    setting = Path("/proc/sys/vm/memfd_noexec")
    closed = setting.exists() and setting.read_text().strip() == "2"
    assert ran(sys.executable, "-c", run).split()[0] == ("1" if closed else "7")


def test_an_interpreter_under_another_name_is_one(tmp_path: Path) -> None:
    """By what is in its file, wherever that is moved; where it runs, a rule can say besides."""
    shell = Path("/bin/sh").resolve().read_bytes()
    with Mounted(tmp_path) as where:
        evil = place(where / "evil", b"echo evil\n", 0o644)
        copies = [place(where / name, shell) for name in ("sh", "tool")]
        os.link(copies[0], where / "linked")
        (where / "pointing").symlink_to(copies[0])
        with Guarded(where, tmp_path / "home", policy([shell])):
            eventually(lambda: "evil" not in ran(copies[1], evil).replace(evil, ""))  # a moment after it begins
            assert "evil" not in ran(copies[0], evil).replace(evil, "")
            assert "evil" not in ran(str(where / "pointing"), evil).replace(evil, "")
            assert "evil" not in ran("bash", "-c", f"exec -a tool {copies[0]} {evil}").replace(evil, "")
            assert "evil" not in ran(copies[1], evil).replace(evil, "")
            assert "evil" not in ran(str(where / "linked"), evil).replace(evil, "")
            Path(copies[1]).rename(where / "moved")
            assert "evil" not in ran(str(where / "moved"), evil).replace(evil, "")
            (where / "moved").rename(copies[1])
            where.chmod(0o777)  # where anybody may rename what was looked at
            new = Path(place(where / "dash", shell))
            assert "evil" not in ran(str(new), evil).replace(evil, "")
            new.rename(where / "renamed")
            assert "evil" not in ran(str(where / "renamed"), evil).replace(evil, "")
            assert ran("cat", evil) == "0 echo evil"  # which no interpreter reads
        somewhere = policy([shell]).replace("digest =", 'path = "/usr/**"\ndigest =')
        with Guarded(where, tmp_path / "home2", somewhere):
            assert ran(copies[1], evil) == "denied"


def test_scripts_that_are_executed_are_judged_whatever_runs_them(tmp_path: Path) -> None:
    """By what stands in their first line, be that a script itself, or by what their kind is registered for."""
    shell = Path("/bin/sh").resolve().read_bytes()
    with Mounted(tmp_path) as where:
        tool = place(where / "tool", shell)
        chain = f'#!{tool}\n. "$1"\n'.encode()
        link = place(where / "chain", chain)
        own = [f"#!{each}\necho {said}\n".encode() for each, said in ((tool, "good"), (link, "good"))]
        evil = [place(where / f"evil{number}", each.replace(b"good", b"evil")) for number, each in enumerate(own)]
        good = [place(where / f"good{number}", each) for number, each in enumerate(own)]
        with Guarded(where, tmp_path / "home", policy([shell, chain, *own])):
            assert [ran(each) for each in (*good, *evil)] == ["0 good", "0 good", "denied", "denied"]
            place(where / "evil.kind", b"echo evil\n")
            register = f"mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && echo ':k:E::kind::{tool}:'"
            register += " >/proc/sys/fs/binfmt_misc/register || exit 99"
            tried = ran("unshare", "-Urm", "sh", "-c", f"{register}; {where}/evil.kind; exit $?")
            assert tried.split()[0] in ("126", "99")  # 99: this kernel has none of somebody's own


def test_many_at_once_are_all_answered(where: Path) -> None:
    good, evil = place(where / "good", GOOD), place(where / "evil", EVIL)
    answers: list[str] = []

    def work() -> None:
        answers.extend(ran(each) for each in (good, evil) * 5)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(answers) == ["0"] * 50 + ["denied"] * 50


def test_libraries_are_judged_in_strict_mode(tmp_path: Path) -> None:
    source = next(
        (
            each.path
            for each in processes.code(os.getpid()).values()
            if "/libz.so" in each.path or "/libm.so" in each.path
        ),
        "",
    )
    if not source:
        pytest.skip("this interpreter has loaded no library that would do")
    with Mounted(tmp_path) as where:
        lib = where / "lib.so"
        shutil.copyfile(source, lib)
        with Guarded(where, tmp_path / "home", policy([GOOD]), "--strict"):
            done = subprocess.run(["/bin/true"], env={"LD_PRELOAD": str(lib)}, capture_output=True, check=False)
            assert b"cannot be preloaded" in done.stderr
        with Guarded(where, tmp_path / "home2", policy([lib.read_bytes()]), "--strict"):
            done = subprocess.run(["/bin/true"], env={"LD_PRELOAD": str(lib)}, capture_output=True, check=False)
            assert done.stderr == b""


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_pages_that_io_uring_holds_are_not_seen_on_a_tmpfs(tmp_path: Path, kind: str) -> None:
    """Likewise; `guard doctor` says what closes it. Other file systems have their own pages, which it cannot hold."""
    (tmp_path / "evil").write_bytes(EVIL)
    with Mounted(tmp_path, kind) as where:
        good = place(where / "good", GOOD)
        with Guarded(where, tmp_path / "home", policy([GOOD])):
            command = [sys.executable, "-m", "tests.support.held_pages", good, str(tmp_path / "evil")]
            holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            assert holder.stdin is not None
            assert holder.stdout is not None
            answer = holder.stdout.readline().strip()
            if answer != "held":
                holder.wait(PATIENCE)  # it had the file open for writing, which alone denies it
            assert ran(good) == "0"
            said, _ = holder.communicate("now\n", timeout=PATIENCE)
            if kind == "tmpfs" and answer == "held":
                assert said == "written\n"
                assert ran(good) == "7"
            else:
                assert answer != "held"
                assert ran(good) == "0"


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_pages_that_somebody_reads_into_by_fuse_are_not_seen(tmp_path: Path, kind: str) -> None:
    """Likewise, on every file system: who is behind FUSE ends the read when everybody believes the file."""
    (tmp_path / "evil").write_bytes(EVIL)
    (tmp_path / "fuse").mkdir()
    good = GOOD.ljust(4096, b"\0")
    with Mounted(tmp_path, kind) as where:
        path = place(where / "good", good)
        with Guarded(where, tmp_path / "home", policy([good])):
            command = [
                sys.executable,
                "-m",
                "tests.support.pinned_pages",
                path,
                str(tmp_path / "evil"),
                str(tmp_path / "fuse"),
            ]
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
            ) as holder:
                assert holder.stdin is not None
                assert holder.stdout is not None
                answer = holder.stdout.readline().strip()
                if answer != "held":
                    pytest.skip(f"no FUSE here: {answer}")
                assert ran(path) == "0"
                said, _ = holder.communicate("now\n", timeout=PATIENCE)
            assert said == "written\n"
            assert ran(path) == "7"
