"""Authenticode's old time stamps with osslsigncode, both ways; and rfc3161-client with the new ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import distlib
import pytest

from chopmark.authority.ca import Order
from chopmark.authority.hierarchy import founding
from chopmark.authority.tsa import tsa
from chopmark.cli import main
from chopmark.core.digest import of
from chopmark.envelopes import names, pem, timestamp
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner
from chopmark.server import http, routes
from tests.interop.test_authority import ask, private, run

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop

SUBJECT = names.parse("CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB")
LAUNCHER = Path(distlib.__file__).with_name("t64.exe")
DATA = b"a signature value"


@pytest.fixture(scope="module", params=["p384", "rsa-4096"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with a signer's key and certificates, and the URL of an authority that stamps both ways."""
    folder: Path = tmp_path_factory.mktemp("countersign")
    served: dict[str, http.Handler] = {}
    with http.serve(served) as url:
        with founding.found(str(folder / "ca"), founding.Setup("Example Ltd", url, "p256", "GB")) as authority:
            stamping = generate.new(request.param)
            tsa.create(authority, tsa.usual_order(authority, stamping), stamping, None)
            stamper = tsa.Rolling(authority.folder)
            served |= (
                routes.published(authority.folder) | routes.time_stamps(stamper) | routes.countersignatures(stamper)
            )
            key = generate.new("p256")
            issued = authority.issue(Order("code-signing", SUBJECT, SoftwareSigner(key).public_key))
            private(folder / "signer.key", generate.encode(key, None))
            chain = (issued.certificate, *issued.chain)
            (folder / "signer.pem").write_bytes(b"".join(pem.encode("CERTIFICATE", raw) for raw in chain))
            (folder / "root.pem").write_bytes(pem.encode("CERTIFICATE", authority.root))
        yield folder, url


def verify(folder: Path, signed: Path) -> str:
    root = folder / "root.pem"
    return run("osslsigncode", "verify", "-CAfile", root, "-TSA-CAfile", root, "-in", signed)


def test_osslsigncode_asks_us(stage: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = stage
    signed = tmp_path / "signed.exe"
    who = ("-certs", folder / "signer.pem", "-key", folder / "signer.key", "-h", "sha256")
    run("osslsigncode", "sign", *who, "-t", f"{url}authenticode", "-in", LAUNCHER, "-out", signed)
    output = verify(folder, signed)
    assert "Timestamp Server Signature verification: ok" in output
    assert "Signature verification: ok" in output
    store = ("--store", str(folder / "root.pem"))
    assert main(["verify", str(signed), *store, "--offline", "-q"]) == 0


def test_osslsigncode_verifies_what_we_ask_for(stage: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = stage
    signed = tmp_path / "signed.exe"
    shutil.copy(LAUNCHER, signed)
    who = ["--key", str(folder / "signer.key"), "--cert", str(folder / "signer.pem")]
    assert main(["sign", str(signed), *who, "--timestamp-legacy", f"{url}authenticode"]) == 0
    output = verify(folder, signed)
    assert "Timestamp Server Signature verification: ok" in output
    assert "Signature verification: ok" in output
    store = ("--store", str(folder / "root.pem"))
    assert main(["verify", str(signed), *store, "--offline", "-q"]) == 0

    # The last octets of the countersignature's own signature: both notice, though osslsigncode calls the file good.
    data = bytearray(signed.read_bytes())
    place = len(bytes(data).rstrip(b"\0")) - 4
    data[place] ^= 1
    tampered = tmp_path / "tampered.exe"
    tampered.write_bytes(data)
    assert main(["verify", str(tampered), *store, "--offline", "-q"]) == 1
    assert "Timestamp Server Signature verification: failed" in verify(folder, tampered)


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_rfc3161_client_takes_our_tokens(stage: tuple[Path, str], digest: str) -> None:
    """It rejects what is not in the order of DER, and anything that is not over this message."""
    client = pytest.importorskip("rfc3161_client", reason="make interop installs it")
    from cryptography import x509 as other

    folder, url = stage
    algorithm = {"sha256": client.HashAlgorithm.SHA256, "sha512": client.HashAlgorithm.SHA512}.get(digest)
    nonce = 12345
    if algorithm is None:
        query = timestamp.request(of(DATA, digest), digest, nonce=nonce)
    else:
        request = client.TimestampRequestBuilder().data(DATA).hash_algorithm(algorithm).build()
        query, nonce = request.as_bytes(), request.nonce
    response = client.decode_timestamp_response(ask(url, query))
    root = other.load_pem_x509_certificate((folder / "root.pem").read_bytes())
    verifier = client.VerifierBuilder().add_root_certificate(root).nonce(nonce).build()
    if algorithm is not None:
        assert verifier.verify_message(response, DATA)
        with pytest.raises(client.VerificationError):
            verifier.verify_message(response, DATA + b"!")
    assert verifier.verify(response, of(DATA, digest))
    raw = bytearray(ask(url, query))
    raw[-1] ^= 1
    with pytest.raises((client.VerificationError, ValueError)):
        verifier.verify(client.decode_timestamp_response(bytes(raw)), of(DATA, digest))


def test_we_take_what_rfc3161_client_asked_for(stage: tuple[Path, str]) -> None:
    client = pytest.importorskip("rfc3161_client", reason="make interop installs it")
    _, url = stage
    request = client.TimestampRequestBuilder().data(DATA).build().as_bytes()
    token = timestamp.token(ask(url, request), request)
    assert timestamp.check(token, DATA).proof.intact
    assert timestamp.read_request(request).wants_certificates
