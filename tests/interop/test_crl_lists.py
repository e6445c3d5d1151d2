"""Deltas and shards with openssl, GnuTLS and osslsigncode; and with chopmark's own verifier over HTTP."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import distlib
import pytest

from chopmark.authority.ca import Authority, Order
from chopmark.authority.crl.publisher import Wanted
from chopmark.authority.hierarchy import founding
from chopmark.cli import main
from chopmark.envelopes import names, pem, x509
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner
from chopmark.server import http, routes
from tests.interop.test_authority import private, run

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop

SUBJECT = names.parse("CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB")
LAUNCHER = Path(distlib.__file__).with_name("t64.exe")
CODE = "code-signing"
SHARDS = 3


@dataclass
class Stage:
    """A served authority with shards and deltas, a signer's key, and the CAs as PEM."""

    folder: Path
    authority: Authority
    key: Path
    spki: bytes

    def issue(self) -> x509.Certificate:
        issued = self.authority.issue(Order("internal", SUBJECT, self.spki))
        certificate = x509.Certificate(issued.certificate)
        self.file(certificate).write_bytes(
            b"".join(pem.encode("CERTIFICATE", raw) for raw in (issued.certificate, *issued.chain))
        )
        return certificate

    def file(self, certificate: x509.Certificate) -> Path:
        return self.folder / f"{certificate.serial:x}.pem"

    def lists(self, *, shard: int, deltas: bool = True) -> Path:
        """The lists of one shard (0: about all), base and delta, as one PEM file."""
        path = self.folder / "lists.pem"
        chosen = [each for each in self.authority.published(CODE) if each.shard == shard and (deltas or not each.delta)]
        path.write_bytes(b"".join(pem.encode("X509 CRL", Path(each.path).read_bytes()) for each in chosen))
        return path

    def verify(self, certificate: x509.Certificate, lists: Path, *options: str, status: int = 0) -> str:
        where = ("-CAfile", self.folder / "root.pem", "-untrusted", self.folder / f"{CODE}.pem")
        checks: tuple[str | Path, ...] = ("-crl_check", "-CRLfile", lists, *options)
        return run("openssl", "verify", *checks, *where, self.file(certificate), status=status)


def shard_of(certificate: x509.Certificate) -> int:
    return certificate.serial % SHARDS + 1


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("lists")
    served: dict[str, http.Handler] = {}
    with http.serve(served) as url:
        setup = founding.Setup("Example Ltd", url, "p384", "GB", shards=SHARDS, deltas=True)
        with founding.found(str(folder / "ca"), setup) as authority:
            served |= routes.published(authority.folder)
            key = generate.new("p256")
            path = private(folder / "signer.key", generate.encode(key, None))
            for issuer in authority.issuers():
                (folder / f"{issuer.name}.pem").write_bytes(pem.encode("CERTIFICATE", issuer.certificate.raw))
            yield Stage(folder, authority, path, SoftwareSigner(key).public_key)


class TestOpenssl:
    def test_every_list_is_read_and_verified(self, stage: Stage, tmp_path: Path) -> None:
        stage.authority.publish(CODE)
        assert len(stage.authority.published(CODE)) == 2 * (SHARDS + 1)
        for each in stage.authority.published(CODE):
            command = ("openssl", "crl", "-inform", "DER", "-CAfile", stage.folder / f"{CODE}.pem", "-noout", "-text")
            text = run(*command, "-in", each.path)
            assert "verify OK" in text
            assert ("X509v3 Delta CRL Indicator: critical" in text) is each.delta
            assert ("X509v3 Freshest CRL: \n" in text) is not each.delta
            assert ("X509v3 Issuing Distribution Point: critical" in text) is bool(each.shard)
            if each.shard:
                assert f"URI:{each.url.replace('.delta', '')}" in text
                assert "Only User Certificates" in text
            changed = tmp_path / "changed.crl"
            raw = Path(each.path).read_bytes()
            changed.write_bytes(raw[:-1] + bytes((raw[-1] ^ 1,)))
            assert "verify failure" in run(*command, "-in", changed)

    def test_a_shard_decides_about_its_own(self, stage: Stage) -> None:
        good, bad = (stage.issue() for _ in range(2))
        while shard_of(bad) != shard_of(good):
            bad = stage.issue()
        stage.authority.revoke(f"{bad.serial:x}", "superseded")
        stage.authority.publish(CODE)
        own = stage.lists(shard=shard_of(good), deltas=False)
        assert "OK" in stage.verify(good, own, "-extended_crl")
        assert "certificate revoked" in stage.verify(bad, own, "-extended_crl", status=2)
        other = stage.lists(shard=shard_of(good) % SHARDS + 1, deltas=False)
        assert "different CRL scope" in stage.verify(good, other, "-extended_crl", status=2)
        everything = stage.lists(shard=0, deltas=False)
        assert "OK" in stage.verify(good, everything)
        assert "certificate revoked" in stage.verify(bad, everything, status=2)

    @pytest.mark.parametrize("about_all", [True, False])
    def test_a_delta_is_added(self, stage: Stage, *, about_all: bool) -> None:
        late, held = stage.issue(), stage.issue()
        stage.authority.revoke(f"{held.serial:x}", "certificateHold")
        stage.authority.publish(CODE)
        stage.authority.revoke(f"{late.serial:x}", "superseded")
        stage.authority.release(f"{held.serial:x}")
        stage.authority.publish(CODE, Wanted(delta=True))
        options = ("-extended_crl", "-use_deltas")
        shard = 0 if about_all else shard_of(late)
        assert "OK" in stage.verify(late, stage.lists(shard=shard, deltas=False), *options)
        assert "certificate revoked" in stage.verify(late, stage.lists(shard=shard), *options, status=2)
        shard = 0 if about_all else shard_of(held)
        assert "revoked" in stage.verify(held, stage.lists(shard=shard, deltas=False), *options, status=2)
        assert "OK" in stage.verify(held, stage.lists(shard=shard), *options)


class TestGnutls:
    def test_every_list_is_verified(self, stage: Stage, tmp_path: Path) -> None:
        assert shutil.which("certtool"), "make interop installs it"
        stage.authority.publish(CODE)
        ca = tmp_path / "ca.der"
        ca.write_bytes(stage.authority.issuer(CODE).certificate.raw)
        for each in stage.authority.published(CODE):
            command = ["certtool", "--verify-crl", "--load-ca-certificate", str(ca), "--inder", "--infile"]
            assert "Verified" in run(*command, each.path)
            changed = tmp_path / "changed.crl"
            raw = bytearray(Path(each.path).read_bytes())
            raw[-1] ^= 1
            changed.write_bytes(raw)
            done = subprocess.run([*command, str(changed)], capture_output=True, text=True, check=False)
            assert "Verified" not in done.stdout


class TestOsslsigncode:
    def test_it_honours_a_shard(self, stage: Stage, tmp_path: Path) -> None:
        certificate, signed = stage.issue(), tmp_path / "signed.exe"
        who = ("-certs", stage.file(certificate), "-key", stage.key, "-h", "sha256")
        run("osslsigncode", "sign", *who, "-in", LAUNCHER, "-out", signed)
        stage.authority.publish(CODE)
        stage.authority.publish("root")
        root = Path(stage.authority.crl_path("root")).read_bytes()

        def lists() -> Path:
            path = stage.lists(shard=shard_of(certificate), deltas=False)
            path.write_bytes(path.read_bytes() + pem.encode("X509 CRL", root))
            return path

        verify = ("osslsigncode", "verify", "-CAfile", stage.folder / "root.pem", "-in", signed, "-CRLfile")
        assert "Signature verification: ok" in run(*verify, lists())
        stage.authority.revoke(f"{certificate.serial:x}", "superseded")
        stage.authority.publish(CODE)
        assert "revoked" in run(*verify, lists(), status=1)


class TestChopmark:
    """Our own verifier, which fetches the shard that the certificate names."""

    def verify(self, stage: Stage, path: Path, *options: str) -> int:
        store = str(stage.folder / "root.pem")
        return main(["verify", str(path), "--store", store, "--revocation", "require", "-q", *options])

    def test_shards_and_deltas(self, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
        certificate = stage.issue()
        script = tmp_path / "hello.py"
        script.write_text('print("hello")\n')
        sign = ["sign", str(script), "--key", str(stage.key), "--cert", str(stage.file(certificate))]
        assert main(sign) == 0
        stage.authority.publish("root")
        stage.authority.publish(CODE)
        assert self.verify(stage, script) == 0
        stage.authority.revoke(f"{certificate.serial:x}", "superseded")
        stage.authority.publish(CODE, Wanted(delta=True))
        shard = shard_of(certificate)
        root = str(stage.authority.crl_path("root"))
        base = [each.path for each in stage.authority.published(CODE) if each.shard == shard and not each.delta]
        both = [each.path for each in stage.authority.published(CODE) if each.shard == shard]
        other = [each.path for each in stage.authority.published(CODE) if each.shard == shard % SHARDS + 1]
        for files, status in ((base, 0), (both, 1), (other, 3)):
            monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / f"home-{status}"))
            crls = [option for path in (*files, root) for option in ("--crl", path)]
            assert self.verify(stage, script, "--offline", *crls) == status
        monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "fresh"))
        stage.authority.publish(CODE)
        assert self.verify(stage, script) == 1
