"""Logs before verifiers that share no code with the writer: one from the C2SP text, and the Go project's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.log.folder import FolderLog
from chopmark.authority.log.logs import Prover
from chopmark.trust.log import auditing, keys, sources
from tests.support import log_verifier
from tests.unit.authority.log.conftest import begun, entries

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.interop

SIZES = (0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000)
_CLIENT = Path(__file__).with_name("log_client.go")
_GOCODE = Path("/usr/share/gocode")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], FolderLog]:
    """Logs of several sizes, each made once."""
    folder = tmp_path_factory.mktemp("logs")

    def of(size: int) -> FolderLog:
        place = folder / str(size)
        if not place.exists():
            begun(place).append(entries(size))
        return FolderLog.open(str(place))

    return of


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go project's own client, compiled from Debian's sources of golang.org/x/mod."""
    if not shutil.which("go") or not (_GOCODE / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("Go or golang.org/x/mod is not installed (golang-go, golang-golang-x-mod-dev)")
    folder = tmp_path_factory.mktemp("go")
    program = folder / "log_client"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(_GOCODE), "GOCACHE": str(folder / "cache")}
    subprocess.run(["go", "build", "-o", program, _CLIENT], env=environment, check=True, capture_output=True)
    return program


def client(go: Path, log: FolderLog) -> subprocess.CompletedProcess[str]:
    command = [str(go), log.storage.folder, str(log.key)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("size", SIZES)
def test_a_verifier_written_from_the_specification(written: Callable[[int], FolderLog], size: int) -> None:
    log = written(size)
    assert log_verifier.verify(Path(log.storage.folder), str(log.key)) == entries(size)
    if size:
        prover = Prover(log)
        for number in sorted({0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size))):
            [entry] = entries(1, number)
            assert log_verifier.verify_proof(prover.prove(number).encode(), entry, str(log.key)) == number


@pytest.mark.parametrize("size", SIZES)
def test_the_go_project_s_client(written: Callable[[int], FolderLog], go: Path, size: int) -> None:
    done = client(go, written(size))
    assert (done.returncode, done.stdout.strip()) == (0, str(size)), done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint",
        "tile/entries/000",
        "tile/entries/002.p/88",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
    ],
)
def test_all_refuse_what_was_tampered_with(
    written: Callable[[int], FolderLog], go: Path, tmp_path: Path, path: str
) -> None:
    shutil.copytree(written(600).folder, tmp_path / "log")
    log = FolderLog.open(str(tmp_path / "log"))
    target = Path(log.storage.folder) / path
    raw = bytearray(target.read_bytes())
    raw[len(raw) // 2] ^= 1
    target.write_bytes(raw)
    with pytest.raises(Exception, match=r".?"):
        log_verifier.verify(Path(log.storage.folder), str(log.key))
    assert client(go, log).returncode == 1
    found = auditing.audit(sources.FolderSource(log.storage.folder), keys.Trusted((log.key,))).findings
    assert "no" in {str(finding.outcome) for finding in found}
