"""OCSP with openssl and GnuTLS: they accept what we answer, we accept what openssl answers, nobody takes a forgery."""

from __future__ import annotations

import contextlib
import datetime as dt
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.authority.ca import Authority, Order
from chopmark.authority.hierarchy import founding
from chopmark.authority.ocsp.responder import Responder
from chopmark.cli import main
from chopmark.core import clock
from chopmark.envelopes import names, ocsp, pem, x509
from chopmark.keys import generate
from chopmark.trust.ocsp.answer import Answer
from chopmark.trust.ocsp.source import OcspSource
from tests.support import pki, ports
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.trust.ocsp.answer import Said

pytestmark = pytest.mark.interop

SUBJECT = names.parse("CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB")


def run(*command: str | Path, status: int | None = 0) -> str:
    """Run a peer; its whole output. Fails unless it ends with this status."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)
    output = done.stdout + done.stderr
    assert status is None or done.returncode == status, f"{command}: {done.returncode}\n{output[-3000:]}"
    return output


def spki(label: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return pki.key("p256", label).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# Our responder, their clients


@dataclass
class Ours:
    """An authority whose responder listens on loopback, and certificates as files."""

    authority: Authority
    responder: Responder
    url: str
    folder: Path

    def issued(self, label: str) -> tuple[Path, str]:
        """A new certificate in a PEM file, and its serial number."""
        made = self.authority.issue(Order("internal", SUBJECT, spki(label)))
        path = self.folder / f"{label}.pem"
        path.write_bytes(pem.encode("CERTIFICATE", made.certificate))
        return path, made.serial

    @property
    def issuer(self) -> Path:
        return self.folder / "issuer.pem"

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"


def bridge(responder: Responder) -> ThreadingHTTPServer:
    """A server that hands each request to the responder, as `ca serve` does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def answer(self, body: bytes) -> None:
            path = self.path.removeprefix("/ocsp")
            reply = responder.respond_http(self.command, path, body, self.headers.get("Content-Type", ""))
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module", params=["p256", "rsa-3072"])
def ours(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    folder = tmp_path_factory.mktemp("ours")
    setup = founding.Setup("Example Ltd", "http://127.0.0.1:9", "p384", "GB")
    with (
        pytest.MonkeyPatch.context() as patch,
        founding.found(str(folder / "ca"), setup) as authority,
        Responder(authority) as responder,
    ):
        patch.setitem(generate.KINDS, "rsa-3072", lambda: pki.key("rsa3072"))
        for issuer in authority.issuers():
            responder.delegates.create(issuer, request.param)
        server = bridge(responder)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/ocsp"
        authority.register.set_ocsp_url(url, clock.now())
        (folder / "issuer.pem").write_bytes(pem.encode("CERTIFICATE", authority.issuer("code-signing").certificate.raw))
        (folder / "root.pem").write_bytes(pem.encode("CERTIFICATE", authority.root))
        yield Ours(authority, responder, url, folder)
        server.shutdown()
        server.server_close()
        thread.join()


def openssl_asks(ours: Ours, certificate: Path, *more: str | Path, status: int | None = 0) -> str:
    command = ("openssl", "ocsp", "-issuer", ours.issuer, "-cert", certificate, "-CAfile", ours.root, "-no-CApath")
    return run(*command, *(more or ("-url", ours.url)), status=status)


def gnutls_asks(ours: Ours, certificate: Path) -> str:
    return run(
        "ocsptool",
        f"--ask={ours.url}",
        "--load-cert",
        certificate,
        "--load-issuer",
        ours.issuer,
        "--load-trust",
        ours.issuer,
        status=None,
    )


def test_openssl_and_gnutls_accept_our_answers(ours: Ours) -> None:
    certificate, serial = ours.issued("asked")
    told = openssl_asks(ours, certificate)
    assert "Response verify OK" in told
    assert ": good" in told
    assert "Response verify OK" in openssl_asks(ours, certificate, "-url", ours.url, "-no_nonce")
    told = gnutls_asks(ours, certificate)
    assert "Success" in told
    assert "Certificate Status: good" in told
    ours.authority.revoke(serial, "keyCompromise")
    told = openssl_asks(ours, certificate)
    assert "Response verify OK" in told
    assert ": revoked" in told
    assert "keyCompromise" in told
    told = gnutls_asks(ours, certificate)
    assert "Success" in told
    assert "Certificate Status: revoked" in told


@pytest.mark.parametrize("digest", ["-sha1", "-sha256", "-sha384", "-sha512"])
def test_openssl_asks_with_every_digest(ours: Ours, digest: str) -> None:
    certificate, _ = ours.issued(f"digest{digest}")
    command = ("openssl", "ocsp", "-issuer", ours.issuer, digest, "-cert", certificate)
    assert ": good" in run(*command, "-url", ours.url, "-CAfile", ours.root, "-no-CApath")


def test_openssl_asks_about_several_at_once_and_about_nobodys_number(ours: Ours) -> None:
    (one, _), (two, serial) = ours.issued("one"), ours.issued("two")
    ours.authority.revoke(serial, "superseded")
    command = ("openssl", "ocsp", "-issuer", ours.issuer, "-cert", one, "-cert", two, "-serial", "0x1234")
    told = run(*command, "-url", ours.url, "-CAfile", ours.root, "-no-CApath")
    assert "one.pem: good" in told
    assert "two.pem: revoked" in told
    assert "0x1234: unknown" in told
    assert "Response verify OK" in told


def test_a_changed_answer_is_refused_by_everybody(ours: Ours, tmp_path: Path) -> None:
    certificate, _ = ours.issued("changed")
    read = x509.certificate(pem.certificates(certificate.read_bytes())[0])
    issuer = ours.authority.issuer("code-signing").certificate
    raw = bytearray(ours.responder.respond(ocsp.request([ocsp.for_certificate(read, issuer)])))
    path = tmp_path / "answer.ors"
    path.write_bytes(raw)
    assert "Response verify OK" in openssl_asks(ours, certificate, "-respin", path, "-no_nonce")
    check = ("ocsptool", "--verify-response", "--load-response", path, "--load-trust", ours.issuer)
    assert "Verifying OCSP Response: Success" in run(*check, status=None)
    assert main(["ocsp", "query", str(certificate), "--issuer", str(ours.issuer), "--answer", str(path)]) == 0
    raw[raw.rindex(read.serial_octets, 0, 300)] ^= 1
    path.write_bytes(raw)
    assert "Response Verify Failure" in openssl_asks(ours, certificate, "-respin", path, "-no_nonce", status=None)
    assert "Failure" in run(*check, status=None)
    assert main(["ocsp", "query", str(certificate), "--issuer", str(ours.issuer), "--answer", str(path)]) == 3


def test_our_own_client_over_http(ours: Ours, capsys: pytest.CaptureFixture[str]) -> None:
    certificate, serial = ours.issued("own")
    command = ["ocsp", "query", str(certificate), "--issuer", str(ours.issuer)]
    assert main(command) == 0
    assert main([*command, "--nonce", "--hash", "sha256"]) == 0
    ours.authority.revoke(serial)
    assert main(command) == 1
    assert "revoked" in capsys.readouterr().out


# openssl's responder, our client


@dataclass
class Theirs:
    """`openssl ocsp` as a server over an index of its own."""

    url: str
    issuer: x509.Certificate
    certificates: dict[str, x509.Certificate]
    root: pki.Entity


@pytest.fixture(scope="module", params=["delegated", "direct"])
def theirs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    folder: Path = tmp_path_factory.mktemp("theirs")
    root = pki.authority("OCSP Root")
    delegate = pki.leaf(root, "OCSP Responder", purposes=[ExtendedKeyUsageOID.OCSP_SIGNING])
    made = {label: pki.leaf(root, label) for label in ("good", "revoked", "missing")}
    lines = []
    for label, state in (
        ("good", "V\t350101000000Z\t\t"),
        ("revoked", "R\t350101000000Z\t260501000000Z,keyCompromise\t"),
    ):
        serial = f"{made[label].certificate.serial_number:X}"
        lines.append(f"{state}{serial:0>{len(serial) + len(serial) % 2}}\tunknown\t/CN={label}\n")
    (folder / "index.txt").write_text("".join(lines))
    signer = delegate if request.param == "delegated" else root
    for name, content in (
        ("ca.pem", root.pem),
        ("signer.pem", signer.pem),
        ("signer.key", signer.private_pem()),
    ):
        (folder / name).write_bytes(content)
    read = {label: x509.certificate(each.der) for label, each in made.items()}
    with ports.held() as port, answering(folder, port):
        yield Theirs(f"http://127.0.0.1:{port}", x509.certificate(root.der), read, root)


@contextlib.contextmanager
def answering(folder: Path, port: int) -> Iterator[None]:
    command = [
        "openssl",
        "ocsp",
        "-index",
        "index.txt",
        "-CA",
        "ca.pem",
        "-rsigner",
        "signer.pem",
        "-rkey",
        "signer.key",
    ]
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, "-port", str(port), "-ndays", "2", "-rmd", "sha256"], cwd=folder, stdout=stream, stderr=stream
        )
    try:
        # Not by connecting: it would wait for a request on that connection and answer nobody else.
        eventually(lambda: b"waiting for OCSP client" in log.read_bytes())
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def fetched(theirs: Theirs, label: str, nonce: bytes | None = None) -> bytes:
    from chopmark.net import http

    request = ocsp.request([ocsp.for_certificate(theirs.certificates[label], theirs.issuer)], nonce)
    with contextlib.closing(http.HttpFetcher(PATIENCE)) as fetcher:
        if nonce is not None:
            return fetcher.post(theirs.url, request, ocsp.REQUEST_TYPE, 10_000)
        return fetcher.get(f"{theirs.url}/{ocsp.request_path(request)}", 10_000)


def says(theirs: Theirs, label: str, raw: bytes, nonce: bytes | None = None) -> Said:
    return Answer(raw).says(theirs.certificates[label], theirs.issuer, clock.now(), nonce=nonce)


def test_what_openssl_answers_is_understood(theirs: Theirs) -> None:
    for nonce in (None, b"n" * 32):
        good = says(theirs, "good", fetched(theirs, "good", nonce), nonce)
        assert (good.entry, good.unknown, good.doubts) == (None, False, ())
        revoked = says(theirs, "revoked", fetched(theirs, "revoked", nonce), nonce).entry
        assert revoked is not None
        assert (revoked.revoked, revoked.reason) == (dt.datetime(2026, 5, 1, tzinfo=dt.UTC), 1)
        assert says(theirs, "missing", fetched(theirs, "missing", nonce), nonce).unknown


def test_every_changed_byte_of_what_openssl_signed_is_noticed(theirs: Theirs) -> None:
    from chopmark.core.errors import BrokenError

    raw = fetched(theirs, "good")
    signed = Answer(raw).basic.tbs
    begin = raw.index(signed)
    for position in range(begin, begin + len(signed)):
        changed = bytearray(raw)
        changed[position] ^= 1
        with pytest.raises(BrokenError):
            says(theirs, "good", bytes(changed))


def test_a_source_asks_openssl_and_keeps_the_answer(theirs: Theirs, tmp_path: Path) -> None:
    from cryptography import x509 as builders

    from chopmark.net import http

    access = builders.AuthorityInformationAccess(
        [
            builders.AccessDescription(
                builders.oid.AuthorityInformationAccessOID.OCSP, builders.UniformResourceIdentifier(theirs.url)
            )
        ]
    )
    # The same key and name give the same serial number as the certificate in the index.
    named = x509.certificate(pki.leaf(theirs.root, "good", more=[pki.Extension(access)]).der)
    assert named.serial_octets == theirs.certificates["good"].serial_octets
    with contextlib.closing(http.HttpFetcher(PATIENCE)) as fetcher:
        source = OcspSource(cache=str(tmp_path), fetcher=fetcher)
        [(answer, doubt)] = source.published(named, theirs.issuer, clock.now())
    assert doubt is None
    assert answer is not None
    assert answer.says(named, theirs.issuer, clock.now()).doubts == ()
    [(again, doubt)] = OcspSource(cache=str(tmp_path)).published(named, theirs.issuer, clock.now())
    assert doubt is None
    assert again is not None
    assert again.raw == answer.raw
