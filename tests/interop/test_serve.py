"""`chopmark ca serve` and those who ask it: curl, openssl ocsp and ts, GnuTLS, ab, wrk, systemd, PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.ca import Authority, Order
from chopmark.authority.hierarchy import founding
from chopmark.authority.ocsp import delegates
from chopmark.authority.tsa import tsa
from chopmark.envelopes import ocsp, pem, x509
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner
from tests.support import ports
from tests.support.patience import PATIENCE, eventually
from tests.support.postgres import temporary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop


def run(*command: str | Path, status: int = 0) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, timeout=120, check=False)
    said = (done.stdout + done.stderr).decode("latin-1")
    assert done.returncode == status, said
    return said


class Made:
    """An authority with everything, a certificate from it, and both as PEM for the peers."""

    def __init__(self, folder: Path, stack: ExitStack, database: str = "") -> None:
        self.folder = folder
        self.port, self.admin = (stack.enter_context(ports.held()) for _ in range(2))
        self.url = f"http://127.0.0.1:{self.port}"
        setup = founding.Setup("Example Ltd", self.url, "p256", database=database)
        with founding.found(str(folder / "ca"), setup) as authority:
            key = generate.new("p256")
            tsa.create(authority, tsa.usual_order(authority, key), key, None)
            for issuer in authority.issuers():
                delegates.Delegates(authority).create(issuer)
                pem_ = pem.encode("CERTIFICATE", issuer.certificate.raw)
                (folder / f"{issuer.name}.pem").write_bytes(pem_)
            issued = authority.issue(Order("internal", [("CN", "x")], SoftwareSigner(key).public_key))
            issuer = authority.issuer("code-signing")
            cert_id = ocsp.for_certificate(x509.certificate(issued.certificate), issuer.certificate)
        self.serial = issued.serial
        self.request = folder / "request.der"
        self.request.write_bytes(ocsp.request([cert_id]))
        (folder / "leaf.pem").write_bytes(pem.encode("CERTIFICATE", issued.certificate))

    @contextmanager
    def served(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "chopmark", "ca", "serve", "--ca", str(self.folder / "ca")]
        command += ["--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin}", *options]
        with (self.folder / "log").open("ab") as log:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert server.stdout is not None
        try:
            assert server.stdout.readline().startswith(b"listening")
            yield server
        finally:
            server.terminate()
            assert server.wait(PATIENCE) == 0
            server.stdout.close()

    def status(self, *more: str) -> str:
        where = ["-issuer", str(self.folder / "code-signing.pem"), "-cert", str(self.folder / "leaf.pem")]
        trust = ["-CAfile", str(self.folder / "root.pem"), "-VAfile", str(self.folder / "code-signing.pem")]
        return run("openssl", "ocsp", *where, *trust, "-url", f"{self.url}/ocsp", *more)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with ExitStack() as stack:
        authority = Made(tmp_path_factory.mktemp("served"), stack)
        stack.enter_context(authority.served("--workers", "2"))
        yield authority


def test_curl(made: Made, tmp_path: Path) -> None:
    address = f"{made.url}/crl/code-signing.crl"
    for version in ("--http1.1", "--http1.0"):
        assert run("curl", "-sS", "-o", tmp_path / "list", "-w", "%{http_code} %{content_type}", version, address) == (
            "200 application/pkix-crl"
        )
    published = made.folder / "ca" / "public" / "crl" / "code-signing.crl"
    assert (tmp_path / "list").read_bytes() == published.read_bytes()
    head = run("curl", "-sSI", address)
    tag = re.search(r'^ETag: (".*")\r$', head, re.MULTILINE)
    assert tag
    code = ["-sS", "-o", os.devnull, "-w", "%{http_code}"]
    assert run("curl", *code, "-H", f"If-None-Match: {tag[1]}", address) == "304"
    assert run("curl", *code, "-z", str(published), address) == "304"
    assert run("curl", *code, "-z", "Tue, 01 Jan 2019 00:00:00 GMT", address) == "200"
    assert run("curl", *code, "-X", "DELETE", address) == "501"
    assert run("curl", *code, "-H", "Transfer-Encoding: chunked", "--data-binary", "x", f"{made.url}/ocsp") == "411"
    expecting = ("-H", "Expect: 100-continue", "-H", f"Content-Type: {ocsp.REQUEST_TYPE}")
    assert run("curl", *code, *expecting, "--data-binary", f"@{made.request}", f"{made.url}/ocsp") == "200"
    assert run("curl", "-sS", "-w", "%{num_connects}", *["-o", os.devnull, address] * 3) == "100"  # one connection


def test_openssl_and_gnutls_ask(made: Made) -> None:
    for more in ((), ("-no_nonce",)):
        said = made.status(*more)
        assert "leaf.pem: good" in said
        assert "Response verify OK" in said
    said = run(
        "ocsptool", f"--ask={made.url}/ocsp", "--load-cert", made.folder / "leaf.pem",
        "--load-issuer", made.folder / "code-signing.pem", "--load-trust", made.folder / "code-signing.pem",
    )  # fmt: skip
    assert "Certificate Status: good" in said


def test_openssl_stamps(made: Made, tmp_path: Path) -> None:
    run("openssl", "ts", "-query", "-data", made.folder / "leaf.pem", "-sha256", "-cert", "-out", tmp_path / "q")
    kind = "Content-Type: application/timestamp-query"
    run("curl", "-sSf", "-H", kind, "--data-binary", f"@{tmp_path / 'q'}", "-o", tmp_path / "r", f"{made.url}/tsa")
    chain = ("-CAfile", made.folder / "root.pem", "-untrusted", made.folder / "time-stamping.pem")
    assert "Verification: OK" in run(
        "openssl", "ts", "-verify", "-in", tmp_path / "r", "-queryfile", tmp_path / "q", *chain
    )


def test_openssl_follows_the_certificate(made: Made) -> None:
    """A list downloaded by openssl itself, from where the certificate says it is."""
    trust = ("-CAfile", made.folder / "root.pem", "-untrusted", made.folder / "code-signing.pem")
    assert "OK" in run("openssl", "verify", "-crl_check", "-crl_download", *trust, made.folder / "leaf.pem")


def test_many_at_once_with_ab_and_wrk(made: Made) -> None:
    body = ("-p", made.request, "-T", "application/ocsp-request")
    for more in ((), ("-k",)):
        said = run("ab", "-q", "-l", *more, *body, "-s", "60", "-c", "20", "-n", "2000", f"{made.url}/ocsp")
        assert re.search(r"Complete requests: +2000\n", said)
        assert re.search(r"Failed requests: +0\n", said)
        assert "Non-2xx" not in said
    said = run("wrk", "-t", "1", "-c", "50", "-d", "1", "--timeout", "60s", f"{made.url}/crl/root.crl")
    assert "Socket errors" not in said
    assert "Non-2xx" not in said


def test_reload_under_load(made: Made) -> None:
    with made_elsewhere(made) as (server, url):
        load = subprocess.Popen(
            ["ab", "-q", "-l", "-r", "-s", "60", "-c", "10", "-n", "6000", f"{url}/crl/root.crl"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(3):
            server.send_signal(signal.SIGHUP)
            try:
                load.wait(0.7)
            except subprocess.TimeoutExpired:
                continue
        said = load.communicate(timeout=5 * PATIENCE)[0].decode()
    assert re.search(r"Complete requests: +6000\n", said)
    assert re.search(r"Failed requests: +0\n", said), said
    assert "Non-2xx" not in said


@contextmanager
def made_elsewhere(made: Made) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The same authority, served a second time."""
    command = [sys.executable, "-m", "chopmark", "ca", "serve", "--ca", str(made.folder / "ca"), "--admin", "none"]
    server = subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        yield server, server.stdout.readline().decode().split()[-1].rstrip("/")
    finally:
        server.terminate()
        assert server.wait(PATIENCE) == 0
        server.stdout.close()


def test_a_socket_from_systemd(made: Made) -> None:
    with ports.held() as port:
        _from_systemd(made, port)


def _from_systemd(made: Made, port: int) -> None:
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--fdname=http", sys.executable, "-m", "chopmark"]
    command += ["ca", "serve", "--ca", str(made.folder / "ca"), "--workers", "1", "--no-due"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stderr is not None
    try:
        # It is started by the first who asks, who is answered; nobody else listens there.
        retrying = ("-sS", "--retry", "20", "--retry-connrefused", "-o", os.devnull, "-w", "%{http_code}")
        assert run("curl", *retrying, f"http://127.0.0.1:{port}/crl/root.crl").startswith("200")
        assert f":{port}/".encode() in server.stdout.readline()
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE)


def test_a_register_in_postgresql_that_goes_and_comes_back(tmp_path: Path) -> None:
    later = (AssertionError,)  # whoever could not ask it tells others for some seconds more to try later
    with temporary() as database, ExitStack() as stack:
        made = Made(tmp_path, stack, database.database())
        with made.served("--workers", "1"):
            eventually(lambda: _problems(made) == [])
            eventually(lambda: "leaf.pem: good" in made.status("-no_nonce"), despite=later)
            with Authority.open(str(tmp_path / "ca")) as authority:
                authority.revoke(made.serial, "keyCompromise")
            eventually(lambda: "leaf.pem: revoked" in made.status("-no_nonce"), despite=later)
            database.stop()
            eventually(lambda: any("database" in problem for problem in _problems(made)))
            assert run("curl", "-sSf", "-o", os.devnull, f"{made.url}/crl/code-signing.crl") == ""
            asked = ("--data-binary", f"@{made.request}", "-H", "Content-Type: application/ocsp-request")
            run("curl", "-sSf", *asked, "-o", tmp_path / "answer", f"{made.url}/ocsp")
            assert ocsp.read_response((tmp_path / "answer").read_bytes()).status == ocsp.TRY_LATER
            database.start()
            eventually(lambda: _problems(made) == [])
            eventually(lambda: "leaf.pem: revoked" in made.status("-no_nonce"), despite=later)


def _problems(made: Made) -> list[str]:
    problems: list[str] = json.loads(run("curl", "-sS", f"http://127.0.0.1:{made.admin}/health/ready"))["problems"]
    return problems
