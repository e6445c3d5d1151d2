"""In the guest: a guard whose worker is killed for want of memory under cgroups version 2. A line for each answer."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path("/mnt")
POLICY = Path("/opt/policy.toml")
GROUP = Path("/sys/fs/cgroup/chopmark-test")
LARGE = 16 << 20
"""Behind a program: it is read by the mebibyte (limits.READ_IN_PARTS_MAX), which takes more memory than there is."""
_SECONDS = 240.0


def say(name: str, answer: object) -> None:
    sys.stdout.write(f"starved: {name} {answer}\n")
    sys.stdout.flush()


def run(path: Path) -> str:
    try:
        return str(subprocess.run([str(path)], check=False).returncode)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + _SECONDS
    while not holds() and time.monotonic() < until:
        time.sleep(0.1)
    return holds()


def kills() -> int:
    """How many processes the kernel has killed in the group (cgroup-v2, memory.events)."""
    lines = (GROUP / "memory.events").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def worker(holder: int) -> int:
    return int(Path(f"/proc/{holder}/task/{holder}/children").read_text().split()[0])


def start(path: Path) -> int:
    """A process that executes a program, and ends with 9 when it may not."""
    pid = os.fork()
    if not pid:
        try:
            os.execv(path, [str(path)])  # noqa: S606 - it is what is tried
        except OSError as error:
            os._exit(9 if error.errno == errno.EPERM else 8)
    return pid


def bounded() -> None:
    """A control group whose processes get a mebibyte and no more."""
    Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+memory")
    GROUP.mkdir()
    (GROUP / "memory.max").write_text(str(1 << 20))
    say("version", "2" if (GROUP / "cgroup.controllers").exists() else "1")


def main(_: list[str]) -> None:
    bounded()
    for name in ("good", "evil"):
        path = HERE / name
        path.write_bytes((Path("/opt") / name).read_bytes().ljust(LARGE, b"\0"))
        path.chmod(0o755)
    command = [sys.executable, "-m", "chopmark", "guard", "run", "--policy", str(POLICY), "--mount", str(HERE)]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path[:3]), "CHOPMARK_HOME": "/tmp/chopmark"}
    guard = subprocess.Popen(
        [*command, "--state", "none", "--control", "none"], stdout=subprocess.PIPE, env=environment
    )
    assert guard.stdout is not None
    try:
        say("guard", guard.stdout.readline().decode().strip())
        first = worker(guard.pid)
        os.kill(first, signal.SIGSTOP)
        asking = {name: start(HERE / name) for name in ("good", "evil")}
        (GROUP / "cgroup.procs").write_text(str(first))
        os.kill(first, signal.SIGCONT)
        say("killed", "ok" if eventually(lambda: kills() > 0) else "never")
        for name, pid in asking.items():
            say(f"waiting-{name}", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        say("guard-again", guard.stdout.readline().decode().strip())
        say("another-worker", worker(guard.pid) != first)
        say("good", run(HERE / "good"))
        say("evil", run(HERE / "evil"))
    finally:
        guard.terminate()
        say("ended", guard.wait(60))
