"""Keys, CA, CRLs and time stamps with openssl and osslsigncode: each reads what the other makes, both ways."""

from __future__ import annotations

import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import distlib
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chopmark import keys
from chopmark.authority.ca import Authority, Order
from chopmark.authority.hierarchy import founding
from chopmark.authority.tsa import tsa
from chopmark.cli import main
from chopmark.core.digest import of
from chopmark.envelopes import names, pem, pkcs10, public_keys, timestamp
from chopmark.keys import generate
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from chopmark.keys.software import SoftwareSigner
from chopmark.server import http, routes
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.contracts import Signer

pytestmark = pytest.mark.interop

SUBJECT = names.parse("CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB")
LAUNCHER = Path(distlib.__file__).with_name("t64.exe")
PASS = "pass:open"


def run(*command: str | Path, status: int = 0) -> str:
    """Run a peer; its whole output. Fails unless it ends with this status."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == status, f"{command}: {done.returncode}\n{output[-3000:]}"
    return output


def private(path: Path, data: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(data)
    return path


def fixed_keys(patch: pytest.MonkeyPatch) -> None:
    """RSA keys that need no search for primes."""
    patch.setitem(generate.KINDS, "rsa-3072", lambda: pki.key("rsa3072"))
    patch.setitem(generate.KINDS, "rsa-4096", lambda: pki.key("rsa4096"))


@dataclass
class Stage:
    """An authority that is being served, a signer, and everything as PEM files for the peers."""

    folder: Path
    authority: Authority
    signer: Signer
    url: str
    serial: str

    def publish(self) -> Path:
        """Publish all CRLs; one PEM file with all of them."""
        path = self.folder / "crls.pem"
        names_ = [issuer.name for issuer in self.authority.issuers()]
        path.write_bytes(b"".join(pem.encode("X509 CRL", self.authority.publish(name).raw) for name in names_))
        return path


@pytest.fixture(scope="module", params=["p384", "p256", "rsa-4096"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Made with one kind of key throughout: the CAs, the signer and the time-stamp authority."""
    folder: Path = tmp_path_factory.mktemp("authority")
    kind: str = request.param
    served: dict[str, http.Handler] = {}
    with pytest.MonkeyPatch.context() as patch, http.serve(served) as url:
        fixed_keys(patch)
        with founding.found(str(folder / "ca"), founding.Setup("Example Ltd", url, kind, "GB")) as authority:
            # One key for the time-stamp authority of its own size: the CAs' key would be refused.
            stamping = generate.new("rsa-3072" if kind.startswith("rsa") else kind)
            tsa.create(authority, tsa.usual_order(authority, stamping), stamping, None)
            served |= routes.published(authority.folder) | routes.time_stamps(tsa.in_folder(authority.folder))
            key = generate.new("rsa-3072" if kind.startswith("rsa") else kind)
            signer = SoftwareSigner(key)
            issued = authority.issue(Order("code-signing", SUBJECT, signer.public_key))
            private(folder / "signer.key", generate.encode(key, None))
            chain = [issued.certificate, *issued.chain]
            (folder / "signer.pem").write_bytes(b"".join(pem.encode("CERTIFICATE", raw) for raw in chain))
            for issuer in authority.issuers():
                path = folder / f"{issuer.name}.pem"
                path.write_bytes(pem.encode("CERTIFICATE", issuer.certificate.raw))
            yield Stage(folder, authority, signer, url, issued.serial)


def ask(url: str, query: bytes) -> bytes:
    """What a time-stamp authority answers."""
    question = urllib.request.Request(url, query, {"Content-Type": timestamp.QUERY_TYPE})  # noqa: S310 - loopback
    with urllib.request.urlopen(question, timeout=30) as answer:  # noqa: S310
        assert answer.headers["Content-Type"] == timestamp.REPLY_TYPE
        content: bytes = answer.read()
        return content


class TestCertificates:
    def test_openssl_verifies_the_chain_with_all_crls(self, stage: Stage) -> None:
        crls = stage.publish()
        for purpose, above, leaf in (
            ("any", "code-signing", "signer.pem"),
            ("timestampsign", "time-stamping", "ca/tsa.pem"),
        ):
            certificate = stage.folder / "leaf.pem"
            raw = pem.certificates((stage.folder / leaf).read_bytes())[0]
            certificate.write_bytes(pem.encode("CERTIFICATE", raw))
            where = ("-CAfile", stage.folder / "root.pem", "-untrusted", stage.folder / f"{above}.pem")
            strict = ("-x509_strict", "-check_ss_sig", "-crl_check_all", "-CRLfile", crls, "-purpose", purpose)
            assert "OK" in run("openssl", "verify", *strict, *where, certificate)

    def test_openssl_reads_every_extension(self, stage: Stage) -> None:
        text = run("openssl", "x509", "-in", stage.folder / "signer.pem", "-noout", "-text")
        for line in (
            "Version: 3 (0x2)",
            "X509v3 Key Usage: critical\n                Digital Signature\n",
            "X509v3 Extended Key Usage: \n                Code Signing\n",
            "Policy: 2.23.140.1.4.1",
            f"URI:{stage.url}crl/code-signing.crl",
            f"CA Issuers - URI:{stage.url}aia/code-signing.cer",
            "Subject: C = GB, L = Leeds, O = Example Ltd, CN = Example Ltd\n",
        ):
            assert line in text

    def test_openssl_refuses_the_revoked(self, stage: Stage) -> None:
        issued = stage.authority.issue(Order("internal", SUBJECT, stage.signer.public_key))
        certificate = stage.folder / "revoked.pem"
        certificate.write_bytes(pem.encode("CERTIFICATE", issued.certificate))
        where = ("-CAfile", stage.folder / "root.pem", "-untrusted", stage.folder / "code-signing.pem")
        assert "OK" in run("openssl", "verify", "-crl_check_all", "-CRLfile", stage.publish(), *where, certificate)
        stage.authority.revoke(issued.serial, "superseded")
        command = ("openssl", "verify", "-crl_check_all", "-CRLfile", stage.publish(), *where, certificate)
        assert "certificate revoked" in run(*command, status=2)

    def test_what_urls_name_is_there(self, stage: Stage) -> None:
        stage.publish()
        for name in ("root", "code-signing", "time-stamping"):
            for path, label in ((f"crl/{name}.crl", "crl"), (f"aia/{name}.cer", "x509")):
                with urllib.request.urlopen(stage.url + path, timeout=30) as answer:  # noqa: S310
                    file = stage.folder / "fetched"
                    file.write_bytes(answer.read())
                run("openssl", label, "-inform", "DER", "-in", file, "-noout")


class TestCrls:
    def test_openssl_verifies_and_reads(self, stage: Stage) -> None:
        issued = stage.authority.issue(Order("internal", SUBJECT, stage.signer.public_key))
        stage.authority.revoke(issued.serial, "privilegeWithdrawn", invalidity=stage.authority.clock())
        published = stage.authority.publish("code-signing")
        ca = stage.folder / "code-signing.pem"
        output = run("openssl", "crl", "-inform", "DER", "-in", published.path, "-CAfile", ca, "-text")
        assert "verify OK" in output
        assert issued.serial.upper() in output
        assert "Privilege Withdrawn" in output
        assert "Invalidity Date" in output
        assert f"X509v3 CRL Number: \n                {published.number}\n" in output

    def test_what_we_sign_it_does_not_accept_changed(self, stage: Stage, tmp_path: Path) -> None:
        published = stage.authority.publish("code-signing")
        changed = tmp_path / "changed.crl"
        changed.write_bytes(published.raw[:-1] + bytes([published.raw[-1] ^ 1]))
        ca = stage.folder / "code-signing.pem"
        command = ("openssl", "crl", "-inform", "DER", "-in", changed, "-noout")
        assert "verify failure" in run(*command, "-CAfile", ca)
        run(*command, "-CAfile", stage.folder / "time-stamping.pem", status=1)


class TestTimeStamps:
    @pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
    def test_openssl_verifies(self, stage: Stage, digest: str, tmp_path: Path) -> None:
        query, reply = tmp_path / "query", tmp_path / "reply"
        run("openssl", "ts", "-query", "-data", LAUNCHER, f"-{digest}", "-cert", "-out", query)
        reply.write_bytes(ask(stage.url, query.read_bytes()))
        trusted = ("-CAfile", stage.folder / "root.pem", "-untrusted", stage.folder / "time-stamping.pem")
        assert "Verification: OK" in run("openssl", "ts", "-verify", "-queryfile", query, "-in", reply, *trusted)
        assert "Verification: OK" in run("openssl", "ts", "-verify", "-data", LAUNCHER, "-in", reply, *trusted)
        command = ("openssl", "ts", "-verify", "-data", stage.folder / "root.pem", "-in", reply, *trusted)
        assert "message imprint mismatch" in run(*command, status=1)

    def test_openssl_verifies_without_certificates_and_nonce(self, stage: Stage, tmp_path: Path) -> None:
        query, reply, chain = tmp_path / "query", tmp_path / "reply", tmp_path / "chain"
        run("openssl", "ts", "-query", "-data", LAUNCHER, "-sha256", "-no_nonce", "-out", query)
        reply.write_bytes(ask(stage.url, query.read_bytes()))
        held = pem.certificates((stage.folder / "ca" / tsa.FILE).read_bytes())
        chain.write_bytes(b"".join(pem.encode("CERTIFICATE", raw) for raw in held))
        trusted = ("-CAfile", stage.folder / "root.pem", "-untrusted", chain)
        assert "Verification: OK" in run("openssl", "ts", "-verify", "-queryfile", query, "-in", reply, *trusted)

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            (["-sha1"], "unrecognized or unsupported algorithm identifier"),
            (["-md5"], "unrecognized or unsupported algorithm identifier"),
            (["-sha256", "-tspolicy", "1.2.3.4"], "the requested TSA policy is not supported by the TSA"),
        ],
    )
    def test_openssl_understands_refusals(self, stage: Stage, options: list[str], why: str, tmp_path: Path) -> None:
        query, reply = tmp_path / "query", tmp_path / "reply"
        run("openssl", "ts", "-query", "-data", LAUNCHER, *options, "-out", query)
        reply.write_bytes(ask(stage.url, query.read_bytes()))
        output = run("openssl", "ts", "-reply", "-in", reply, "-text")
        assert "Status: Rejected." in output
        assert why in output

    def test_openssl_stamps_with_a_certificate_of_ours(self, stage: Stage, tmp_path: Path) -> None:
        key, certificate, chain = tmp_path / "tsa.key", tmp_path / "tsa.crt", tmp_path / "chain.pem"
        made = generate.new("p256")
        private(key, generate.encode(made, None))
        issued = stage.authority.issue(tsa.usual_order(stage.authority, made))
        certificate.write_bytes(pem.encode("CERTIFICATE", issued.certificate))
        chain.write_bytes(pem.encode("CERTIFICATE", issued.chain[0]))
        (tmp_path / "serial").write_text("01\n")
        (tmp_path / "ts.cnf").write_text(
            "[tsa]\ndefault_tsa = own\n[own]\n"
            f"serial = {tmp_path}/serial\nsigner_cert = {certificate}\nsigner_key = {key}\ncerts = {chain}\n"
            "signer_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\nordering = yes\n"
        )
        request = timestamp.request(of(b"a signature value", "sha256"), "sha256", nonce=12345)
        (tmp_path / "query").write_bytes(request)
        where = ("-queryfile", tmp_path / "query", "-out", tmp_path / "reply", "-config", tmp_path / "ts.cnf")
        run("openssl", "ts", "-reply", *where)
        token = timestamp.token((tmp_path / "reply").read_bytes(), request)
        assert timestamp.check(token, b"a signature value").proof.intact


class TestOsslsigncode:
    def test_it_signs_with_our_certificate_and_our_time(self, stage: Stage, tmp_path: Path) -> None:
        signed = tmp_path / "signed.exe"
        who = ("-certs", stage.folder / "signer.pem", "-key", stage.folder / "signer.key", "-h", "sha256")
        run("osslsigncode", "sign", *who, "-ts", stage.url, "-in", LAUNCHER, "-out", signed)
        root = stage.folder / "root.pem"
        output = run("osslsigncode", "verify", "-CAfile", root, "-TSA-CAfile", root, "-in", signed)
        assert "Timestamp Server Signature verification: ok" in output
        assert "Signature verification: ok" in output
        changed = tmp_path / "changed.exe"
        data = bytearray(signed.read_bytes())
        data[0x500] ^= 1
        changed.write_bytes(data)
        run("osslsigncode", "verify", "-CAfile", root, "-TSA-CAfile", root, "-in", changed, status=1)

    def test_it_honours_our_crl(self, stage: Stage, tmp_path: Path) -> None:
        issued = stage.authority.issue(Order("internal", SUBJECT, stage.signer.public_key))
        chain, signed = tmp_path / "chain.pem", tmp_path / "signed.exe"
        chain.write_bytes(b"".join(pem.encode("CERTIFICATE", raw) for raw in (issued.certificate, *issued.chain)))
        who = ("-certs", chain, "-key", stage.folder / "signer.key", "-h", "sha256")
        run("osslsigncode", "sign", *who, "-in", LAUNCHER, "-out", signed)
        root = stage.folder / "root.pem"
        verify = ("osslsigncode", "verify", "-CAfile", root, "-CRLfile", stage.publish(), "-in", signed)
        assert "Signature verification: ok" in run(*verify)
        stage.authority.revoke(issued.serial, "keyCompromise")
        stage.publish()
        assert "revoked" in run(*verify, status=1)


class TestRequests:
    @pytest.mark.parametrize("kind", [["rsa:3072"], ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"], ["ed25519"]])
    def test_openssls_requests_are_read(self, kind: list[str], tmp_path: Path) -> None:
        where = ("-keyout", tmp_path / "key", "-out", tmp_path / "csr", "-noenc", "-subj", "/C=GB/O=Example/CN=Example")
        run("openssl", "req", "-new", "-newkey", *kind, *where, "-addext", "subjectAltName=DNS:example.com")
        request = pkcs10.read((tmp_path / "csr").read_bytes())
        request.verify()
        assert names.parts(request.subject) == [("C", "GB"), ("O", "Example"), ("CN", "Example")]
        assert keys.open_key(str(tmp_path / "key")).public_key == request.spki

    @pytest.mark.parametrize("kind", ["rsa-3072", "p256", "p384", "p521", "ed25519"])
    def test_openssl_reads_ours(self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fixed_keys(monkeypatch)
        private(tmp_path / "key", generate.encode(generate.new(kind), None))
        for uri in (str(tmp_path / "key"), *([f"file:{tmp_path}/key?padding=pss"] if kind.startswith("rsa") else [])):
            target = str(tmp_path / "csr")
            assert main(["key", "csr", "--key", uri, "--subject", "CN=Example, C=GB", "-o", target]) == 0
            output = run("openssl", "req", "-in", target, "-noout", "-verify", "-subject")
            assert "self-signature verify OK" in output
            assert "subject=C = GB, CN = Example" in output


class TestKeys:
    @pytest.mark.parametrize("kind", ["rsa-3072", "p256", "p384", "p521", "ed25519"])
    def test_openssl_opens_ours(self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fixed_keys(monkeypatch)
        key = generate.new(kind)
        plain = private(tmp_path / "plain", generate.encode(key, None))
        locked = private(tmp_path / "locked", generate.encode(key, b"open"))
        public = run("openssl", "pkey", "-in", plain, "-pubout")
        assert run("openssl", "pkey", "-in", locked, "-passin", PASS, "-pubout") == public
        assert pem.single(public.encode(), "PUBLIC KEY") == SoftwareSigner(key).public_key
        run("openssl", "pkey", "-in", locked, "-passin", "pass:shut", "-noout", status=1)

    @pytest.mark.parametrize(
        "form",
        [
            ["pkcs8", "-topk8", "-nocrypt"],
            ["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"],
            ["pkcs8", "-topk8", "-passout", PASS],
            ["pkcs8", "-topk8", "-passout", PASS, "-outform", "DER"],
            ["pkcs8", "-topk8", "-passout", PASS, "-scrypt"],
            ["pkcs8", "-topk8", "-passout", PASS, "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"],
            ["pkcs8", "-topk8", "-passout", PASS, "-v1", "PBE-SHA1-3DES"],
            ["pkey", "-traditional"],
            ["pkey", "-traditional", "-outform", "DER"],
            ["pkey", "-traditional", "-aes256", "-passout", PASS],
        ],
    )
    @pytest.mark.parametrize("kind", ["rsa3072", "p384"])
    def test_openssls_forms_are_opened(self, kind: str, form: list[str], tmp_path: Path) -> None:
        source = private(tmp_path / "source", _pkcs8(kind))
        target = private(tmp_path / "target", b"")
        run("openssl", *form, "-in", source, "-out", target)
        target.chmod(0o600)
        signer = keys.open_key(str(target), lambda _: b"open")
        assert public_keys.size(signer.public_key) == int(kind.strip("rsap"))
        if PASS in form:
            with pytest.raises(PassphraseError):
                keys.open_key(str(target), lambda _: b"shut")

    def test_ecparam_with_its_parameters_in_front(self, tmp_path: Path) -> None:
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-out", tmp_path / "key")
        assert keys.open_key(str(tmp_path / "key")).algorithm == "ec"

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["ecparam", "-name", "prime256v1", "-genkey", "-param_enc", "explicit"], "explicit parameters"),
            (["ecparam", "-name", "secp224r1", "-genkey"], "secp224r1"),
            (["genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"], "padding=pss"),
            (["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "1024 bits"),
            (["genpkey", "-algorithm", "X25519"], "X25519"),
            (["genpkey", "-algorithm", "ED448"], "Ed448"),
        ],
    )
    def test_openssls_keys_that_do_not_sign(self, options: list[str], said: str, tmp_path: Path) -> None:
        run("openssl", *options, "-out", tmp_path / "key")
        with pytest.raises(UnusableKeyError, match=said):
            keys.open_key(str(tmp_path / "key"))

    @pytest.mark.parametrize("form", [[], ["-legacy"], ["-keypbe", "NONE", "-certpbe", "NONE"], ["-nomac"]])
    def test_openssls_pkcs12(self, form: list[str], tmp_path: Path) -> None:
        world = pki.world()
        source = private(tmp_path / "source", world.signer.private_pem())
        (tmp_path / "own.pem").write_bytes(world.signer.pem)
        (tmp_path / "chain.pem").write_bytes(world.issuing.pem)
        target = private(tmp_path / "target.p12", b"")
        what = ("-inkey", source, "-in", tmp_path / "own.pem", "-certfile", tmp_path / "chain.pem")
        run("openssl", "pkcs12", "-export", *form, *what, "-passout", PASS, "-out", target)
        target.chmod(0o600)
        signer = keys.open_key(f"pkcs12:{target}", lambda _: b"open")
        assert signer.certificates == (world.signer.der, world.issuing.der)

    @pytest.mark.parametrize("kind", ["rsa3072", "p256", "p384", "ed25519"])
    def test_openssl_verifies_our_signatures(self, kind: str, tmp_path: Path) -> None:
        source = private(tmp_path / "source", _pkcs8(kind))
        (tmp_path / "data").write_bytes(b"data")
        public = tmp_path / "public"
        variants: list[tuple[str, list[str]]] = [(str(source), [])]
        if kind.startswith("rsa"):
            pss = ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
            variants.append((f"file:{source}?padding=pss", pss))
        for uri, options in variants:
            signer = keys.open_key(uri)
            public.write_bytes(pem.encode("PUBLIC KEY", signer.public_key))
            (tmp_path / "signature").write_bytes(signer.sign(b"data", "sha256"))
            digest = [] if kind == "ed25519" else ["-digest", "sha256"]
            where = ("-in", tmp_path / "data", "-sigfile", tmp_path / "signature", "-pubin", "-inkey", public)
            output = run("openssl", "pkeyutl", "-verify", "-rawin", *digest, *where, *options)
            assert "Verified Successfully" in output


def _pkcs8(kind: str) -> bytes:
    return pki.key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
