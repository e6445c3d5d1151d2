"""ML-DSA with OpenSSL 3.6, both ways: keys, requests, certificates, lists, CMS and time stamps."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from chopmark import keys
from chopmark.cli import main
from chopmark.envelopes import pem
from chopmark.envelopes.timestamp import info, making
from tests.support import pki

pytestmark = pytest.mark.interop

OPENSSL = Path(sys.executable).parent.parent / "peers" / "openssl"
KINDS = ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
DATA = b"name,price\nchop,1\n"


@cache
def able() -> bool:
    """Whether there is an OpenSSL that has ML-DSA in CMS."""
    return OPENSSL.exists()


@pytest.fixture(autouse=True)
def newer_openssl() -> None:
    if not able():
        pytest.skip("no OpenSSL 3.6: tools/newer_openssl.sh gets it from a Debian mirror")


@dataclass(frozen=True)
class Bench:
    """A folder with a file to sign and the chain of a kind."""

    folder: Path
    kind: str

    def __post_init__(self) -> None:
        root = pki.authority("Quantum Root", kind=self.kind)
        issuing = pki.authority("Quantum Issuing", issuer=root, kind=self.kind, path_length=0)
        signer = pki.leaf(issuing, "Quantum Signer", kind=self.kind)
        self.write("root.pem", root.pem)
        self.write("issuing.pem", issuing.pem)
        self.write("signer.pem", signer.pem)
        self.write("chain.pem", signer.pem + issuing.pem)
        self.write("signer.key", signer.private_pem()).chmod(0o600)
        self.write("prices.csv", DATA)
        lists = (pki.crl(one, until=pki.UNTIL) for one in (root, issuing))
        self.write("lists.pem", b"".join(pem.encode("X509 CRL", raw) for raw in lists))

    def write(self, name: str, data: bytes) -> Path:
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def openssl(self, *words: str, fails: bool = False) -> str:
        done = subprocess.run(
            [OPENSSL, *words], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode != 0) == fails, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def verified(self, status: int = 0, *more: str) -> None:
        words = ["verify", "--store", "root.pem", "--revocation", "off", *more, "prices.csv"]
        assert main(words) == status


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, request.param)


def test_our_signature_is_believed_by_openssl_and_a_changed_file_by_neither(bench: Bench) -> None:
    assert main(["sign", "--key", "signer.key", "--cert", "chain.pem", "prices.csv"]) == 0
    signature = ("-inform", "DER", "-in", "prices.csv.p7s", "-binary", "-purpose", "any")
    how = ("cms", "-verify", *signature, "-content", "prices.csv", "-CAfile", "root.pem", "-out", "out")
    bench.openssl(*how)
    bench.verified()
    bench.write("prices.csv", DATA + b"!")
    bench.openssl(*how, fails=True)
    bench.verified(1)


def test_openssls_signature_is_believed_here_and_a_changed_one_by_neither(bench: Bench) -> None:
    sign = ("cms", "-sign", "-in", "prices.csv", "-signer", "signer.pem", "-inkey", "signer.key", "-binary")
    bench.openssl(*sign, "-certfile", "issuing.pem", "-md", "sha512", "-nosmimecap", "-outform", "DER", "-out", "s.p7s")
    assert main(["sign", "--attach", "s.p7s", "prices.csv"]) == 0
    bench.verified()
    raw = bytearray((bench.folder / "prices.csv.p7s").read_bytes())
    raw[-100] ^= 1  # within the signature value
    bench.write("prices.csv.p7s", bytes(raw))
    bench.verified(1)
    how = ("cms", "-verify", "-inform", "DER", "-in", "prices.csv.p7s", "-binary", "-purpose", "any")
    bench.openssl(*how, "-content", "prices.csv", "-CAfile", "root.pem", "-out", "out", fails=True)


def test_openssls_weaker_digest_is_refused_here(bench: Bench) -> None:
    """OpenSSL lets the signer choose; below ML-DSA-65 and 87, SHA-256 is the weaker half (RFC 9882 clause 3.3)."""
    sign = ("cms", "-sign", "-in", "prices.csv", "-signer", "signer.pem", "-inkey", "signer.key", "-binary")
    bench.openssl(*sign, "-certfile", "issuing.pem", "-md", "sha256", "-outform", "DER", "-out", "prices.csv.p7s")
    bench.verified(0 if bench.kind == "ml-dsa-44" else 1)


def test_our_chain_and_lists_are_believed_by_openssl(bench: Bench) -> None:
    how = ("verify", "-crl_check_all", "-CRLfile", "lists.pem", "-CAfile", "root.pem", "-untrusted", "issuing.pem")
    assert "signer.pem: OK" in bench.openssl(*how, "signer.pem")


@pytest.mark.parametrize("form", ["seed-only", "seed-priv", "priv-only"])
def test_openssls_keys_are_read_where_the_seed_is_there(bench: Bench, form: str) -> None:
    output = f"ml-dsa.output_formats={form}"
    bench.openssl("genpkey", "-algorithm", bench.kind.upper(), "-provparam", output, "-out", "new.key")
    bench.openssl("pkcs8", "-topk8", "-in", "new.key", "-out", "locked.key", "-passout", "pass:open")
    for name in ("new.key", "locked.key"):
        (bench.folder / name).chmod(0o600)
    if form == "priv-only":
        assert main(["key", "show", "new.key"]) == 2
        return
    bench.openssl("pkey", "-in", "new.key", "-pubout", "-outform", "DER", "-out", "new.pub")
    for name in ("new.key", "locked.key"):
        signer = keys.open_key(name, lambda _: b"open")
        assert signer.public_key == (bench.folder / "new.pub").read_bytes()


def test_our_keys_and_requests_are_read_by_openssl(bench: Bench) -> None:
    assert main(["key", "new", "--type", bench.kind, "-o", "new.key", "--no-passphrase"]) == 0
    assert main(["key", "csr", "--key", "new.key", "--subject", "CN=Signer", "-o", "new.csr"]) == 0
    assert "verify OK" in bench.openssl("req", "-in", "new.csr", "-verify", "-noout")
    bench.openssl("pkey", "-in", "new.key", "-pubout", "-outform", "DER", "-out", "new.pub")
    assert keys.open_key("new.key").public_key == (bench.folder / "new.pub").read_bytes()
    bench.openssl("pkeyutl", "-sign", "-rawin", "-inkey", "new.key", "-in", "prices.csv", "-out", "signature")
    signature = keys.open_key("new.key").sign(DATA, "sha512")
    bench.write("ours", signature)
    check = ("pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "new.pub", "-in", "prices.csv")
    bench.openssl(*check, "-sigfile", "ours")
    bench.write("ours", signature[:-1] + bytes([signature[-1] ^ 1]))
    bench.openssl(*check, "-sigfile", "ours", fails=True)


def test_our_time_stamp_is_believed_by_openssl(bench: Bench) -> None:
    """As the CMS that it is: `openssl ts` goes by the older PKCS #7, which has no ML-DSA."""
    root = pki.authority("Quantum Root", kind=bench.kind)
    tsa = pki.stamper(root, kind=bench.kind)
    stamped = info.TstInfo("1.2.3", "sha512", hashlib.sha512(DATA).digest(), 42, pki.NOW)
    token = making.make_token(stamped, tsa, tsa.certificates)
    bench.write("token", token)
    how = ("cms", "-verify", "-inform", "DER", "-in", "token", "-binary", "-purpose", "any", "-out", "out")
    at = ("-CAfile", "root.pem", "-attime", str(int(pki.NOW.timestamp())))
    bench.openssl(*how, *at)
    assert (bench.folder / "out").read_bytes() == stamped.encoded()
    bench.write("token", token[:-1] + bytes([token[-1] ^ 1]))
    bench.openssl(*how, *at, fails=True)


def test_an_authority_of_such_keys_is_believed_by_openssl(bench: Bench) -> None:
    """Its chain, lists and answers; neither a changed list nor a changed answer is believed, nor who was revoked."""
    ca = str(bench.folder / "ca")
    told = ["--name", "Example Ltd", "--url", "http://pki.example.com", "--no-passphrase", "--no-trust"]
    assert main(["ca", "init", *told, "--type", bench.kind, "--ca", ca]) == 0
    subject = "CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB"
    new = ["--new-key", "own.key", "--type", bench.kind, "--no-key-passphrase"]
    assert main(["ca", "issue", "--profile", "internal", *new, "--subject", subject, "--ca", ca, "-o", "own.pem"]) == 0
    assert main(["ocsp", "init", "--type", bench.kind, "--no-key-passphrase", "--ca", ca]) == 0
    for name in ("root", "code-signing"):
        raw = (bench.folder / f"ca/public/aia/{name}.cer").read_bytes()
        bench.write(f"ca-{name}.pem", pem.encode("CERTIFICATE", raw))

    def lists(change: int = 0) -> None:
        raws = [
            bytearray((bench.folder / f"ca/public/crl/{name}.crl").read_bytes()) for name in ("root", "code-signing")
        ]
        raws[1][-9] ^= change
        bench.write("ca-lists.pem", b"".join(pem.encode("X509 CRL", bytes(raw)) for raw in raws))

    trust = ("-CAfile", "ca-root.pem", "-untrusted", "ca-code-signing.pem")
    how = ("verify", "-crl_check_all", "-CRLfile", "ca-lists.pem", *trust, "own.pem")
    lists()
    assert "own.pem: OK" in bench.openssl(*how)
    lists(1)
    bench.openssl(*how, fails=True)
    about = ("-issuer", "ca-code-signing.pem", "-cert", "own.pem", "-verify_other", "ca-code-signing.pem")
    question = ("ocsp", *about, "-CAfile", "ca-root.pem")
    bench.openssl(*question, "-no_nonce", "-reqout", "own.req")
    assert main(["ocsp", "respond", "--ca", ca, "own.req"]) == 0
    assert "own.pem: good" in bench.openssl(*question, "-no_nonce", "-respin", "own.req.ors")
    answer = bytearray((bench.folder / "own.req.ors").read_bytes())
    answer[answer.index(b"\x18\x0f20") + 6] ^= 1  # within the time of the answer, which is signed
    bench.write("changed.ors", bytes(answer))
    bench.openssl(*question, "-no_nonce", "-respin", "changed.ors", fails=True)
    assert main(["ca", "revoke", "own.pem", "--reason", "keyCompromise", "--ca", ca]) == 0
    assert main(["ca", "crl", "--issuer", "code-signing", "--ca", ca]) == 0
    lists()
    assert "revoked" in bench.openssl(*how, fails=True)
