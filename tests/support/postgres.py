"""A PostgreSQL server of the test's own: Debian's, in a temporary folder, on a socket there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_USER = "postgres"
_PATIENCE = 2 * PATIENCE


def programs() -> Path:
    """Where the newest server is installed; skips the test when there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.skip("PostgreSQL is not installed (tools/peers.sh)")
    return found[-1].parent


class Server:
    """A running server. `folder` must be short: a socket's path has at most 107 octets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bin = programs()
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        folder.mkdir()
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, _USER, _USER)
        self._run("initdb", "--pgdata", str(folder / "data"), "--auth", "trust", "--username", _USER, "--no-sync")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_postgres(),
                    str(self._bin / "postgres"),
                    "-D",
                    str(self.folder / "data"),
                    "-k",
                    str(self.folder),
                    "-c",
                    "listen_addresses=",
                    "-c",
                    "max_connections=50",
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _PATIENCE
        while self._run("pg_isready", "--host", str(self.folder), "--quiet", check=False).returncode:
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once, as a crash of the machine would leave it."""
        assert self._process is not None
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 3)  # SIGQUIT: immediate shutdown
        self._process.wait(_PATIENCE)

    def database(self) -> str:
        """The URL of a new, empty database."""
        self._count += 1
        name = f"test{self._count}"
        self._run("createdb", "--host", str(self.folder), "--username", _USER, name)
        return f"postgresql://{_USER}@/{name}?host={self.folder}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @staticmethod
    def _as_postgres() -> list[str]:
        return ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        command: Sequence[str] = [*self._as_postgres(), str(self._bin / program), *arguments]
        return subprocess.run(command, check=check, capture_output=True, timeout=_PATIENCE * 2, cwd="/")


@contextmanager
def temporary() -> Iterator[Server]:
    """A server for a while, in a folder that its own user can reach."""
    place = Path(tempfile.mkdtemp(prefix="chopmark-pg-"))
    place.chmod(0o755)
    try:
        with Server(place / "pg") as running:
            yield running
    finally:
        shutil.rmtree(place)
