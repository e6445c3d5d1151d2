"""A guard on a file system of its own, and what people would try to get past it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

from chopmark.agent import control, fanotify
from chopmark.core import limits
from tests.support import preloaded
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHOPMARK = [sys.executable, "-m", "chopmark"]
_BOUNDED = (
    "import json, os, sys; from chopmark import cli; from chopmark.core import limits; "
    "vars(limits).update(json.loads(os.environ['LIMITS'])); sys.exit(cli.main())"
)

_PROMPT = {"GUARD_TICK_SECONDS": 0.02, "GUARD_LOOK_SECONDS": 0.05}
"""What a guard in a test notices sooner: that it is told to end, and that a file of its settings was changed."""
_PATIENT = {"GUARD_HUNG_SECONDS": PATIENCE, "GUARD_STOP_SECONDS": PATIENCE, "GUARD_ASKING_SECONDS": PATIENCE}
"""What it takes more calmly: that its machine pauses, or is busy with other tests."""


@cache
def why_not() -> str:
    """Why no guard can be tested on this machine; empty when one can."""
    if os.geteuid():
        return "guards need root"
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "chopmark-test", folder]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            return "nothing can be mounted here"
        try:
            group = fanotify.Group()
            try:
                group.protect(folder, Path(folder).stat().st_dev, fanotify.OPEN_EXEC_PERM)
            finally:
                group.close()
        except OSError as error:
            return f"this kernel gives no permission events: {error.strerror}"
        finally:
            subprocess.run(["umount", "-l", folder], check=False)
    return ""


def program(status: int) -> bytes:
    """A whole ELF program for this machine (x86-64) that ends with an exit status: 132 bytes, nothing linked."""
    base, size = 0x400000, 132
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01" + bytes(9), 2, 62, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096)
    return header + segment + b"\xbf" + struct.pack("<I", status) + b"\xb8\x3c\0\0\0\x0f\x05"


def with_loader(loader: Path) -> bytes:
    """A program that names another file as the one that loads it (PT_INTERP), as linked programs do."""
    base, name = 0x400000, bytes(loader) + b"\0"
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01" + bytes(9), 3, 62, 1, base, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    named = struct.pack("<IIQQQQQQ", 3, 4, 176, base + 176, base + 176, len(name), len(name), 1)
    loaded = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, 176 + len(name), 176 + len(name), 4096)
    return header + named + loaded + name


STATUS_AT = 121
"""Where in a program its exit status is."""


class Mounted:
    """A tmpfs, or an ext4 file system in a file, that is gone afterwards."""

    def __init__(self, folder: Path, kind: str = "tmpfs") -> None:
        self.place = folder / "guarded"
        self.place.mkdir()
        self._image = folder / "image"
        self._kind = kind

    def __enter__(self) -> Path:
        if self._kind == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "chopmark-test", self.place], check=True)
            return self.place
        with self._image.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self._image], check=True)
        subprocess.run(["mount", "-o", "loop", self._image, self.place], check=True)
        return self.place

    def __exit__(self, *_: object) -> None:
        for _tried in range(50):
            if subprocess.run(["umount", self.place], check=False, capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        subprocess.run(["umount", "-l", self.place], check=True)


def policy(allowed: Sequence[bytes] = (), mode: str = "enforce", version: int = 1, more: str = "") -> str:
    """A policy that allows contents by their digests."""
    text = f'chopmark-policy = 1\nname = "test"\nversion = {version}\nmode = "{mode}"\n{more}'
    if allowed:
        digests = ", ".join(f'"{hashlib.sha256(each).hexdigest()}"' for each in allowed)
        text += f'\n[[rule]]\naction = "allow"\ndigest = [{digests}]\n'
    return text


class Guarded:
    """A running `chopmark guard run` over a folder. `home` has its policy, events, socket and state."""

    def __init__(self, folder: Path, home: Path, text: str, *options: str) -> None:
        self.folder = folder
        self.home = home
        home.mkdir(exist_ok=True)
        self.policy = home / "policy.toml"
        self.policy.write_text(text)
        self.socket = str(home / "control")
        self._events = home / "events.jsonl"
        self._said = home / "said"
        self._options = options
        self._limits: dict[str, float] = _PROMPT | _PATIENT
        self.environment = {**os.environ, "CHOPMARK_HOME": str(home / "chopmark")}
        self._is_program = False
        self.process: subprocess.Popen[bytes] | preloaded.Process | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def asked_at(self, socket: Path) -> Self:
        """Have its socket elsewhere."""
        self.socket = str(socket)
        return self

    def as_delivered(self) -> Self:
        """Have the limits hold for it that it has outside of tests: whoever measures wants them."""
        self._limits = {}
        return self.as_program()

    def as_program(self) -> Self:
        """Have it load what it needs, as outside of tests: where it matters how long a worker takes to begin."""
        self._is_program = True
        return self

    def bounded(self, **limits: float) -> Self:
        """Have other limits (core.limits) hold for it too."""
        self._limits |= limits
        return self

    def start(self) -> None:
        """Start it and wait until it protects."""
        self.environment["LIMITS"] = json.dumps(self._limits)
        command = ["guard", "run", "--policy", str(self.policy), "--mount", str(self.folder)]
        command += ["--control", self.socket, "--events", str(self._events)]
        if "--state" not in self._options:
            command += ["--state", "none"]
        before = self.said().count("guard ready")
        with self._said.open("ab") as said:
            how: dict[str, Any] = {"stdout": said, "stderr": said, "env": self.environment, "start_new_session": True}
            arguments = [*command, *self._options]
            if self._is_program:
                program_ = [sys.executable, "-c", _BOUNDED]
                self.process = subprocess.Popen([*program_, *arguments], stdin=subprocess.DEVNULL, **how)
            else:
                self.process = preloaded.Process(*arguments, **how)
        eventually(lambda: self.said().count("guard ready") > before or self.running.poll() is not None, 2 * PATIENCE)
        assert self.running.poll() is None, self.said()

    @property
    def running(self) -> subprocess.Popen[bytes] | preloaded.Process:
        assert self.process is not None
        return self.process

    def said(self) -> str:
        """What it printed."""
        return self._said.read_text(errors="replace") if self._said.exists() else ""

    def change_policy(self, text: str) -> None:
        """Give it another policy, at once: it may look at any moment, and would read half of it."""
        new = self.home / "policy.new"
        new.write_text(text)
        new.replace(self.policy)

    def stop(self) -> int:
        """End it; its exit status."""
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(2 * PATIENCE)

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        with contextlib.suppress(ProcessLookupError):  # whatever a test has left: its whole session
            os.killpg(self.running.pid, signal.SIGKILL)
        self.running.wait(PATIENCE)

    def ask(self, what: str, **more: object) -> dict[str, Any]:
        """Ask it, and wait for the answer; raises what `control.ask` does."""
        with mock.patch.object(limits, "GUARD_ASKING_SECONDS", PATIENCE):
            return control.ask(self.socket, what, **more)

    def command(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """`chopmark guard ...`, which asks it likewise."""
        environment = {**os.environ, "LIMITS": json.dumps({"GUARD_ASKING_SECONDS": PATIENCE})}
        return preloaded.run("guard", *words, "--control", self.socket, env=environment)

    def status(self) -> dict[str, Any]:
        """What `guard status` tells."""
        return self.ask("status")

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """The events that were written, of one kind or all; but for one that is being written."""
        lines = self._events.read_text().rpartition("\n")[0].splitlines() if self._events.exists() else []
        return [event for line in lines if (event := json.loads(line))["kind"] == kind or not kind]

    def workers(self) -> list[int]:
        """The processes that answer: children of the one that was started."""
        path = f"/proc/{self.running.pid}/task/{self.running.pid}/children"
        return [int(each) for each in Path(path).read_text().split()]


def place(path: Path, content: bytes, mode: int = 0o755) -> str:
    """Write a file that can be executed, as who looks at it when it is closed will see; its path."""
    with path.open("wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    return str(path)


def opened(process: int) -> list[str]:
    """The files that a process has open; others are opened and closed meanwhile."""
    found = []
    for each in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(each.readlink()))
    return found


@contextlib.contextmanager
def started(command: Sequence[str | Path], **how: Any) -> Iterator[subprocess.Popen[bytes]]:  # noqa: ANN401 - Popen's
    """A process that is gone afterwards, whatever happens."""
    with subprocess.Popen(command, **how) as process:
        try:
            yield process
        finally:
            process.kill()


def ran(*command: str, stdin: bytes | None = None, cwd: Path | None = None) -> str:
    """What became of a command: "denied" (EPERM), else its exit status and output."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, input=stdin, timeout=2 * PATIENCE, cwd=cwd)
    except PermissionError:
        return "denied"
    return f"{done.returncode} {done.stdout.decode(errors='replace').strip()}".strip()
