from __future__ import annotations

import errno
import signal
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark import __version__, cli
from chopmark.cli import verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chopmark", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("flag", ["-h", "--help", "help"])
def test_overview_lists_every_verb(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([flag]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in cli.VERBS)
    assert max(map(len, shown.splitlines())) <= 80


def test_every_module_of_the_command_line_that_is_a_verb_is_listed() -> None:
    folder = Path(cli.__file__).parent
    # A part of a verb that is a file of its own is called VERB_PART.
    files = (path for path in folder.glob("*.py") if "_" not in path.stem)
    verbs = {path.stem for path in files if "def add_arguments" in path.read_text()}
    assert verbs == set(cli.VERBS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"chopmark {__version__}\n"


def test_no_command_is_a_usage_error() -> None:
    assert run().returncode == 2


def test_unknown_command_is_a_usage_error_of_one_line() -> None:
    done = run("frobnicate")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", [*cli.VERBS])
def test_help_of_each_verb(verb: str) -> None:
    done = run(verb, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: chopmark {verb}")
    assert done.stderr == ""


def test_a_command_without_the_one_below_it_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["guard"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "exec, python" in told
    assert "hold" not in told  # which is nobody's to call


def test_help_imports_neither_cryptography_nor_argparse() -> None:
    code = "import sys; from chopmark.cli import main; main(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("argparse", "cryptography", "dataclasses", "rich", "httpx"):
        assert f"'{heavy}'" not in done.stdout


def test_an_internal_error_is_one_line_and_status_4(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from chopmark.cli import strip

    def broken(_: object) -> int:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(strip, "run", broken)
    assert cli.main(["strip", "file"]) == 4
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("CHOPMARK_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        cli.main(["strip", "file"])


def test_what_the_system_says_of_a_file_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from chopmark.cli import strip

    def broken(_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "some/place")

    monkeypatch.setattr(strip, "run", broken)
    assert cli.main(["strip", "file"]) == 4
    assert capsys.readouterr().err == "chopmark: some/place: Permission denied\n"


def test_streams_that_are_full_or_closed_are_no_traceback() -> None:
    program = f"{sys.executable} -m chopmark"
    script = (
        f"for what in --help --version 'strip --help'; do {program} $what >/dev/full; echo $?; done; "
        f"exec 3>&1; {program} inspect {__file__} <&- >&- 2>&-; echo $? >&3"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "4", "4", "0"]
    assert len(done.stderr.splitlines()) == 3


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -m chopmark inspect {' '.join([__file__] * 50)} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "4")


class Interrupts:
    """An interrupt in the midst of making a class, which Python turns into something else."""

    def __set_name__(self, owner: type, name: str) -> None:
        signal.raise_signal(signal.SIGINT)


def interrupted(*_: object) -> None:
    type("Made", (), {"name": Interrupts()})


@pytest.fixture
def _answered() -> Iterator[None]:
    """Whoever runs the tests in the background has interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_answered")
def test_an_interrupt_while_a_command_is_loaded_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(name: str) -> ModuleType:
        interrupted()
        return import_module(name)

    monkeypatch.setattr(cli, "import_module", loaded)
    with pytest.raises(KeyboardInterrupt):
        cli.main(["verify", "x"])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    for kind in (signal.SIG_IGN, lambda *_: None):  # whoever asks for that goes on
        signal.signal(signal.SIGINT, kind)
        assert cli.main(["verify", "x"]) == 3
        assert signal.getsignal(signal.SIGINT) is kind


@pytest.mark.usefixtures("_answered")
def test_an_interrupt_while_a_command_loads_more_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "run", interrupted)
    assert cli.main(["verify", "x"]) == 130
    assert capsys.readouterr().err == "chopmark: interrupted\n"


def test_a_command_runs_in_any_thread() -> None:
    ended: list[int] = []
    thread = threading.Thread(target=lambda: ended.append(cli.main(["verify", "x"])))
    thread.start()
    thread.join()
    assert ended == [3]
