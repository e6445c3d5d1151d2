"""A desk to sign at: keys, certificates and files in a folder, and the command line to use on them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chopmark import cli
from tests.support import pki

if TYPE_CHECKING:
    import pytest

VECTORS = Path(__file__).parents[1] / "vectors"
SAMPLES = {
    "pe": VECTORS / "pe" / "sample-program64.exe",
    "powershell": VECTORS / "powershell" / "sample-hello.ps1",
    "script": VECTORS / "script" / "sample-hello.sh",
    "detached": VECTORS / "detached" / "sample-notes.txt",
}


class Desk:
    """`folder` is the current folder; `run` calls the command line in this process, `spawn` in another one."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.world = pki.world()
        self.root = self.write("root.pem", self.world.root.pem)
        self.key = self.write("signer.key", self.world.signer.private_pem())
        self.cert = self.write("signer.pem", self.world.signer.pem + self.world.issuing.pem)
        self.out = ""
        self.err = ""

    @property
    def by_signer(self) -> tuple[str, ...]:
        """The options that sign as the desk's own signer."""
        return ("--key", self.key, "--cert", self.cert)

    def write(self, name: str, data: bytes, mode: int = 0o600) -> str:
        """A file in the folder; its path."""
        path = self.folder / name
        path.write_bytes(data)
        path.chmod(mode)
        return str(path)

    def sample(self, kind: str = "script", name: str = "") -> Path:
        """A copy of a real file of a kind."""
        source = SAMPLES[kind]
        return Path(shutil.copy(source, self.folder / (name or source.name)))

    def signed(self, kind: str = "script", name: str = "", *more: str) -> Path:
        """The same, signed."""
        path = self.sample(kind, name)
        assert self.run("sign", path, *self.by_signer, *more) == 0, self.err
        return path

    def run(self, *arguments: str | Path) -> int:
        """Call the command line here; `out` and `err` hold what it printed."""
        self._capsys.readouterr()
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            status = int(str(stop.code))
        captured = self._capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        return status

    def verify(self, *arguments: str | Path) -> int:
        """`chopmark verify` by the desk's root, without network."""
        return self.run("verify", "--store", self.root, "--offline", *arguments)

    def facts(self, path: str | Path) -> dict[str, Any]:
        """What `chopmark inspect --json` says of a file."""
        assert self.run("inspect", "--json", path) == 0, self.err
        found: dict[str, Any] = json.loads(self.out)
        return found

    def litter(self) -> list[str]:
        """Temporary files that were left behind."""
        return [path.name for path in self.folder.iterdir() if ".chopmark" in path.name]

    def spawn(
        self, *arguments: str | Path, out: int = subprocess.PIPE, err: int = subprocess.PIPE, session: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start the command line as a process of its own, if wanted as the leader of a session."""
        command = [sys.executable, "-m", "chopmark", *map(str, arguments)]
        # Whoever runs the tests in the background has interrupts ignored, and children would inherit that.
        before = signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            return subprocess.Popen(command, stdout=out, stderr=err, cwd=self.folder, start_new_session=session)
        finally:
            signal.signal(signal.SIGINT, before)
