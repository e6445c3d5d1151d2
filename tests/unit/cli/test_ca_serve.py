"""`chopmark ca serve`: everything over HTTP from one folder, and what happens when something is missing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Self

import pytest

from chopmark.authority.ca import Authority, Order
from chopmark.authority.hierarchy import founding
from chopmark.authority.ocsp.delegates import Delegates
from chopmark.authority.tsa import tsa
from chopmark.cli import main
from chopmark.envelopes import ocsp, timestamp, x509
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner
from chopmark.server.http import serve
from tests.support import preloaded
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A folder, and an OCSP request for a certificate from it, and its serial number."""
    folder = tmp_path_factory.mktemp("served") / "ca"
    with founding.found(str(folder), founding.Setup("Example Ltd", "http://127.0.0.1/pki", "p256")) as authority:
        key = generate.new("p256")
        tsa.create(authority, tsa.usual_order(authority, key), key, None)
        for issuer in authority.issuers():
            Delegates(authority).create(issuer)
        issued = authority.issue(Order("internal", [("CN", "x")], SoftwareSigner(key).public_key))
        issuer = authority.issuer("code-signing")
        request = ocsp.request([ocsp.for_certificate(x509.certificate(issued.certificate), issuer.certificate)])
    return folder, request, issued.serial.encode()


@pytest.fixture
def folder(made: tuple[Path, bytes, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "config").mkdir(parents=True)
    shutil.copytree(made[0], tmp_path / "ca", symlinks=True)
    return tmp_path / "ca"


class Served:
    """The command, running."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = ["ca", "serve", "--ca", str(folder), "--workers", "1"]
        command += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *options]
        self.log = folder.parent / "stderr"
        soon = {**os.environ, "LIMITS": json.dumps({"SERVER_FACTS_SECONDS": 0.2})}
        with self.log.open("w") as errors:
            self.process = preloaded.Process(*command, stdout=subprocess.PIPE, stderr=errors, env=soon)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().split()[-1]
        eventually(lambda: "health and metrics on http" in self.log.read_text())
        [line] = [line for line in self.log.read_text().splitlines() if line.startswith("health and metrics")]
        self.admin = line.split()[-1]

    def get(self, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        asked = urllib.request.Request(self.url + path, body, {"Content-Type": kind} if kind else {})  # noqa: S310
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310 - loopback
            content: bytes = answer.read()
        return content

    def ready(self) -> list[str]:
        """What is wrong."""
        try:
            with urllib.request.urlopen(self.admin + "health/ready", timeout=PATIENCE) as answer:  # noqa: S310
                assert answer.status == 200
                problems: list[str] = json.load(answer)["problems"]
        except urllib.error.HTTPError as error:
            problems = [*json.load(error)["problems"], f"status {error.code}"]
        return problems

    def metrics(self) -> str:
        with urllib.request.urlopen(self.admin + "metrics", timeout=PATIENCE) as answer:  # noqa: S310
            return str(answer.read().decode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0
        if self.process.stdout:
            self.process.stdout.close()


def status(served: Served, request: bytes) -> str:
    response = ocsp.read_response(served.get("ocsp", request, ocsp.REQUEST_TYPE))
    if response.basic is None:
        return str(response.status)
    [single] = response.basic.singles
    return str(single.status)


def test_everything(folder: Path, made: tuple[Path, bytes, bytes]) -> None:
    _, request, serial = made
    stamp = timestamp.request(bytes(32), "sha256", nonce=7)
    with Served(folder, "--access-log", str(folder.parent / "access.log")) as served:
        for base in ("", "pki/"):
            for path in ("crl/code-signing.crl", "crl/root.crl", "aia/root.cer"):
                assert served.get(base + path)[:1] == b"0"
            assert served.get(base + "log/checkpoint").startswith(b"127.0.0.1/pki/log\n")
            assert timestamp.token(served.get(base + "tsa", stamp, timestamp.QUERY_TYPE), stamp)
            assert ocsp.read_response(served.get(base + "ocsp", request, ocsp.REQUEST_TYPE)).status == ocsp.SUCCESSFUL
        eventually(lambda: served.ready() == [])
        before = status(served, request)
        with Authority.open(str(folder)) as authority:
            authority.revoke(serial.decode(), "keyCompromise")
        assert status(served, request) != before
        metrics = served.metrics()
        for line in (
            'chopmark_ocsp_answers_total{status="revoked"} 1',
            'chopmark_time_stamps_total{result="granted"} 2',
            "chopmark_database_up 1",
            'chopmark_http_requests_total{route="log",status="200"} 2',
        ):
            assert line in metrics.splitlines()
    assert '"POST /pki/ocsp HTTP/1.1" 200' in (folder.parent / "access.log").read_text()
    assert "Traceback" not in served.log.read_text()


def test_lists_that_are_missing_are_published_in_the_background(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "authority.sqlite3", isolation_level=None)) as register:
        register.execute("DELETE FROM crls")
    with Served(folder) as served:
        eventually(lambda: served.log.read_text().count("published list 2") == 3)
        eventually(lambda: served.ready() == [])
        assert 'chopmark_crl_number{issuer="code-signing"} 2' in served.metrics().splitlines()
        eventually(lambda: 'chopmark_due_done_total{work="publish"} 3' in served.metrics().splitlines())


def test_settings_are_read_again(folder: Path, tmp_path: Path) -> None:
    settings = tmp_path / "home" / "config" / "chopmark.toml"
    with Served(folder) as served:
        settings.write_text('[serve]\naccess_log = "relative/nowhere/access.log"\n')
        served.process.send_signal(signal.SIGHUP)
        eventually(lambda: "not reloaded" in served.log.read_text())
        settings.write_text(f'[serve]\naccess_log = "{tmp_path}/second.log"\nlog_format = "json"\n')
        served.process.send_signal(signal.SIGHUP)
        eventually(lambda: "reloaded: generation" in served.log.read_text())
        eventually(  # the generation before may answer the first
            lambda: bool(served.get("crl/root.crl")) and "/crl/root.crl" in (tmp_path / "second.log").read_text()
        )


def test_without_its_database_lists_are_served_and_health_says_so(
    folder: Path, made: tuple[Path, bytes, bytes]
) -> None:
    (folder / "authority.toml").write_text('database = "postgresql://nobody@127.0.0.1:1/nothing"\n')
    with Served(folder) as served:
        assert served.get("crl/code-signing.crl")[:1] == b"0"
        assert status(served, made[1]) == str(ocsp.TRY_LATER)
        eventually(lambda: any("database" in problem for problem in served.ready()))
        assert "status 503" in served.ready()
        assert "chopmark_database_up 0" in served.metrics().splitlines()


def test_a_register_that_somebody_writes_to_does_not_hold_up_answers(
    folder: Path, made: tuple[Path, bytes, bytes]
) -> None:
    with Served(folder) as served:
        other = sqlite3.connect(folder / "authority.sqlite3", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            assert status(served, made[1])
            assert served.get("crl/root.crl")
        finally:
            other.execute("ROLLBACK")
            other.close()


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--listen", "nonsense"], 2),
        (["--listen", "127.0.0.1:99999"], 2),
        (["--listen", "::1:80"], 2),
        (["--admin", "x"], 2),
        (["--workers", "0"], 2),
        (["--workers", "65"], 2),
        (["--log-format", "xml"], 2),
        (["--policy", "1.x"], 2),
        (["--passphrase", "secret"], 2),
        (["--access-log", "/nonexistent/log"], 4),
    ],
)
def test_options_that_are_wrong(
    options: list[str], wanted: int, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["ca", "serve", "--ca", str(folder), "--listen", "127.0.0.1:0", "--admin", "none"]
    if "--listen" in options:
        command[4:6] = []
    assert main([*command, *options]) == wanted
    assert "Traceback" not in capfd.readouterr().err


def test_where_it_cannot_start(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with serve({}) as url:
        taken = url.removeprefix("http://").rstrip("/")
        assert main(["ca", "serve", "--ca", str(folder), "--listen", taken, "--admin", "none"]) == 4
    assert "cannot listen" in capfd.readouterr().err
    assert main(["ca", "serve", "--ca", str(tmp_path / "nothing"), "--listen", "127.0.0.1:0"]) == 2
    os.truncate(folder / "tsa.pem", 10)
    assert main(["ca", "serve", "--ca", str(folder), "--listen", "127.0.0.1:0", "--admin", "none"]) == 4
