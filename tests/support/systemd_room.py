"""A real systemd that manages nothing but a test's own services: the first process of namespaces of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEMD = Path("/lib/systemd/systemd")
_JOIN = 'echo $$ >"$0/cgroup.procs" && exec unshare --mount --pid --cgroup --ipc --uts --fork --kill-child sh -c "$1"'
# What it writes to is hidden from the machine; its control groups are those below the one that it finds itself in.
_BEGIN = """\
mount --make-rprivate / && mount -t proc proc /proc && umount -R /sys/fs/cgroup &&
mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib &&
exec /lib/systemd/systemd --system --unit=room.target
"""


@cache
def why_not() -> str:
    """Why no systemd can be started here; empty when one can."""
    if os.geteuid():
        return "namespaces need root"
    if not SYSTEMD.exists() or shutil.which("systemctl") is None:
        return "systemd is not installed"
    return "" if _groups() else "there are no control groups of version 2"


def _groups() -> str:
    """Where control groups of version 2 are (proc_pid_mountinfo(5))."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return line.split(" ")[4]
    return ""


class Room:
    """systemd, with the units in a folder and no others."""

    def __init__(self, folder: Path) -> None:
        self.units = folder / "units"
        self.units.mkdir()
        (self.units / "room.target").write_text("[Unit]\nDescription=A test\n")
        self._log = folder / "systemd.log"
        self._group = Path(_groups()) / f"chopmark-test-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._first = 0

    def __enter__(self) -> Self:
        self._group.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "container": "chopmark-test",
            "SYSTEMD_UNIT_PATH": str(self.units),
            "SYSTEMD_LOG_TARGET": "console",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _JOIN, str(self._group), _BEGIN],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        try:
            eventually(lambda: self._answers(self._process), 2 * PATIENCE)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            for each in (self._first, self._process.pid):
                if each:
                    with suppress(ProcessLookupError):
                        os.kill(each, signal.SIGKILL)
            self._process.wait(PATIENCE)
        for group in (*sorted(self._group.rglob("*/"), reverse=True), self._group):
            eventually(lambda group=group: _removed(group))  # type: ignore[misc]

    def _answers(self, process: subprocess.Popen[bytes] | None) -> bool:
        assert process is not None
        assert process.poll() is None, self._log.read_text()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        self._first = int(children[0]) if children else 0
        return bool(children) and self._systemctl("is-active", "room.target").stdout == "active\n"

    def _systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", "-t", str(self._first), "-m", "-p", "-C", "systemctl", "--no-pager", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * PATIENCE)

    def systemctl(self, *words: str) -> None:
        """Have it do something, which must not fail."""
        done = self._systemctl(*words)
        assert done.returncode == 0, f"{done.stderr}{self._log.read_text()[-3000:]}"

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self._systemctl("show", "-P", name, unit).stdout.strip()

    def main(self, unit: str) -> int:
        """The main process of a service, as it is known here; 0 while it has none."""
        inside = self.shows(unit, "MainPID")
        for each in self._processes():
            with suppress(OSError):
                status = Path(f"/proc/{each}/status").read_text()
                if f"\nNSpid:\t{each}\t{inside}\n" in status:
                    return int(each)
        return 0

    def kill(self, unit: str, number: int) -> None:
        """Send a signal to the main process of a service, which may be about to be another one."""
        found = [0]

        def is_there() -> bool:
            found[0] = self.main(unit)
            return found[0] != 0  # a signal to nobody is one to all of us

        eventually(is_there)
        os.kill(found[0], number)

    def _processes(self) -> Iterator[str]:
        """Those of every control group of the room; systemd removes one as soon as its service has ended."""
        for group, _, _ in os.walk(self._group):
            with suppress(OSError):
                yield from Path(group, "cgroup.procs").read_text().split()


def _removed(group: Path) -> bool:
    """Whether a control group is gone: it can be removed once all of its processes are."""
    with suppress(OSError):
        group.rmdir()
    return not group.exists()
