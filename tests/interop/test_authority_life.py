"""Rolled-over and cross-signed hierarchies, requests, profiles and CRLs with openssl and certtool, both ways."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.authority import renewal
from chopmark.authority.backup import continuing, restoring
from chopmark.authority.backup.making import backup
from chopmark.authority.ca import Authority, Order
from chopmark.authority.ceremony import rules
from chopmark.authority.hierarchy import changing, founding
from chopmark.authority.hierarchy.changing import Hierarchy, NewKey
from chopmark.authority.register import schema
from chopmark.authority.register.search import Query
from chopmark.cli import main
from chopmark.core.errors import ChopmarkError, RefusedError, UsageError
from chopmark.envelopes import names, pem, pkcs10, x509
from tests.support import pki
from tests.support.postgres import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop

SUBJECT = names.parse("CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB")
KEY = NewKey("p256")
restore = partial(restoring.restore, later=continuing.NOTHING)


def run(*command: str | Path, status: int = 0) -> str:
    """Run a peer; its whole output. Fails unless it ends with this status."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == status, f"{command}: {done.returncode}\n{output[-3000:]}"
    return output


def openssl(words: str, *paths: Path | str, status: int = 0) -> str:
    """Run openssl; each {} among the words is one of the paths."""
    given = iter(paths)
    return run("openssl", *(next(given) if word == "{}" else word for word in words.split()), status=status)


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    setup = founding.Setup("Example Ltd", "http://pki.example.com", "p256", "GB")
    with founding.found(str(tmp_path / "ca"), setup) as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    place = Path(tempfile.mkdtemp(prefix="chopmark-pg-"))
    place.chmod(0o755)  # the server's own user has to reach its folder
    try:
        with Server(place / "pg") as running:
            yield running
    finally:
        shutil.rmtree(place)


def write(path: Path, *certificates: bytes) -> Path:
    path.write_bytes(b"".join(pem.encode("CERTIFICATE", raw) for raw in certificates))
    return path


def spki(kind: str = "p256") -> bytes:
    return pki.leaf(None, "signer", kind=kind).public_key


def verifies(tmp_path: Path, anchor: bytes, leaf: bytes, others: tuple[bytes, ...], status: int = 0) -> str:
    """Whether openssl builds a path from the leaf to this one root, policies and strictness included."""
    root = write(tmp_path / "anchor.pem", anchor)
    untrusted = write(tmp_path / "others.pem", *others)
    target = write(tmp_path / "target.pem", leaf)
    command = "verify -x509_strict -no-CApath -no-CAstore -explicit_policy -policy 2.23.140.1.4.1"
    return openssl(f"{command} -CAfile {{}} -untrusted {{}} {{}}", root, untrusted, target, status=status)


class TestRollOver:
    def test_old_and_new_anchors_trust_old_and_new_certificates(self, authority: Authority, tmp_path: Path) -> None:
        before = authority.issue(Order("code-signing", SUBJECT, spki()))
        change = Hierarchy(authority)
        old = authority.root
        change.roll("root", KEY)
        change.roll("code-signing", KEY)
        after = authority.issue(Order("code-signing", SUBJECT, spki()))
        new_with_old, old_with_new = (cross.certificate.raw for cross in authority.lineage.crosses())
        new = authority.root
        verifies(tmp_path, old, before.certificate, before.chain)
        verifies(tmp_path, new, before.certificate, (*before.chain, old_with_new))
        verifies(tmp_path, new, after.certificate, after.chain)
        verifies(tmp_path, old, after.certificate, after.chain)  # new with old comes along
        assert new_with_old in after.chain
        # Without the bridges neither anchor helps with the other's certificates; nor does a broken bridge.
        verifies(tmp_path, new, before.certificate, before.chain, status=2)
        verifies(tmp_path, old, after.certificate, after.chain[:1], status=2)
        broken = new_with_old[:-1] + bytes([new_with_old[-1] ^ 1])
        verifies(tmp_path, old, after.certificate, (after.chain[0], broken), status=2)

    def test_our_own_verification(
        self, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
        signer = pki.leaf(None, "signer")
        before = authority.issue(Order("internal", SUBJECT, signer.public_key))
        old = authority.root
        change = Hierarchy(authority)
        change.roll("root", KEY)
        change.roll("code-signing", KEY)
        after = authority.issue(Order("internal", SUBJECT, signer.public_key))
        _, old_with_new = (cross.certificate.raw for cross in authority.lineage.crosses())
        (tmp_path / "key.pem").touch(0o600)
        (tmp_path / "key.pem").write_bytes(signer.private_pem())
        old_store = write(tmp_path / "old.pem", old)
        new_store = write(tmp_path / "new.pem", authority.root)
        for name, leaf, chain, anchors in (
            ("before", before, before.chain, {old_store: 0, new_store: 3}),
            ("bridged", before, (*before.chain, old_with_new), {old_store: 0, new_store: 0}),
            ("after", after, after.chain, {old_store: 0, new_store: 0}),
            ("bare", after, after.chain[:1], {old_store: 3, new_store: 0}),
        ):
            file = tmp_path / name
            file.write_bytes(b"content")
            certificates = write(tmp_path / f"{name}.pem", leaf.certificate, *chain)
            assert main(["sign", "--key", str(tmp_path / "key.pem"), "--cert", str(certificates), str(file)]) == 0
            # Without the bridge the issuer may be had from the network, which nobody may ask: undecided.
            for store, status in anchors.items():
                options = ["--store", str(store), "--offline", "--revocation", "off"]
                assert main(["verify", *options, str(file)]) == status, (name, store)
        capsys.readouterr()


class TestForeign:
    def test_an_openssl_ca_is_certified_and_constrained(self, authority: Authority, tmp_path: Path) -> None:
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", tmp_path / "ca.key")
        subject = "/C=DE/O=Partner/CN=Partner CA"
        run("openssl", "req", "-new", "-key", tmp_path / "ca.key", "-subj", subject, "-out", tmp_path / "ca.csr")
        granted = changing.crossing(["codeSigning"], [], 0, ["dn:O=Partner,C=DE"], [])
        request = pem.single((tmp_path / "ca.csr").read_bytes(), *pkcs10.LABELS)
        made = Hierarchy(authority).certify(changing.foreign(request, request=True), "root", granted)
        write(tmp_path / "ca.crt", made)
        text = run("openssl", "x509", "-in", tmp_path / "ca.crt", "-noout", "-text")
        assert "pathlen:0" in text
        assert "Permitted" in text
        for name, status in (("/C=DE/O=Partner/CN=Inside", 0), ("/C=DE/O=Elsewhere/CN=Outside", 2)):
            run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", tmp_path / "leaf.key")
            run("openssl", "req", "-new", "-key", tmp_path / "leaf.key", "-subj", name, "-out", tmp_path / "leaf.csr")
            command = ("openssl", "x509", "-req", "-in", tmp_path / "leaf.csr", "-CA", tmp_path / "ca.crt")
            run(*command, "-CAkey", tmp_path / "ca.key", "-CAcreateserial", "-days", "9", "-out", tmp_path / "leaf.crt")
            root = write(tmp_path / "root.pem", authority.root)
            openssl(
                "verify -CAfile {} -untrusted {} {}", root, tmp_path / "ca.crt", tmp_path / "leaf.crt", status=status
            )

    def test_our_ca_is_certified_by_openssl(self, authority: Authority, tmp_path: Path) -> None:
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", tmp_path / "their.key")
        key, root = tmp_path / "their.key", tmp_path / "their.crt"
        name, usage = "/CN=Their Root", "keyUsage=critical,keyCertSign,cRLSign"
        openssl("req -x509 -new -key {} -subj {} -days 99 -addext {} -out {}", key, name, usage, root)
        change = Hierarchy(authority)
        (tmp_path / "our.csr").write_bytes(pem.encode("CERTIFICATE REQUEST", change.request("root")))
        assert "verify OK" in run("openssl", "req", "-in", tmp_path / "our.csr", "-noout", "-verify")
        (tmp_path / "ext").write_text(
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
            "authorityKeyIdentifier=keyid\ncertificatePolicies=2.5.29.32.0\n"
        )
        sign = "x509 -req -in {} -CA {} -CAkey {} -CAcreateserial -days 99 -extfile {} -out {}"
        openssl(sign, tmp_path / "our.csr", root, key, tmp_path / "ext", tmp_path / "cross.crt")
        cross, theirs = (pem.certificates((tmp_path / name).read_bytes())[0] for name in ("cross.crt", "their.crt"))
        assert change.accept("root", cross, x509.certificate(theirs)) == "root-by-their-root"
        issued = authority.issue(Order("code-signing", SUBJECT, spki()))
        verifies(tmp_path, theirs, issued.certificate, issued.chain)
        verifies(tmp_path, theirs, issued.certificate, issued.chain[:1], status=2)


class TestRequests:
    @pytest.mark.parametrize("kind", ["openssl-rsa", "openssl-ec", "openssl-ed25519", "openssl-challenge", "certtool"])
    def test_of_others(self, kind: str, authority: Authority, tmp_path: Path) -> None:
        key, csr = tmp_path / "key", tmp_path / "csr"
        if kind == "certtool":
            if shutil.which("certtool") is None:
                pytest.skip("certtool is not installed")
            run("certtool", "--generate-privkey", "--key-type", "ecdsa", "--curve", "secp256r1", "--outfile", key)
            (tmp_path / "template").write_text(
                'organization = "Example Ltd"\ncn = "Example Ltd"\nchallenge_password = 123\n'
            )
            run(
                "certtool",
                "--generate-request",
                "--load-privkey",
                key,
                "--template",
                tmp_path / "template",
                "--outfile",
                csr,
            )
        else:
            algorithm = {
                "openssl-rsa": ("RSA", "rsa_keygen_bits:3072"),
                "openssl-ed25519": ("ED25519", ""),
            }.get(kind, ("EC", "ec_paramgen_curve:P-256"))
            options = ["-pkeyopt", algorithm[1]] if algorithm[1] else []
            run("openssl", "genpkey", "-algorithm", algorithm[0], *options, "-out", key)
            (tmp_path / "config").write_text(
                "[req]\nprompt=no\ndistinguished_name=dn\nattributes=more\nreq_extensions=ext\n[dn]\nCN=Example Ltd\n"
                "[more]\nchallengePassword=secret\n[ext]\nbasicConstraints=critical,CA:TRUE\n"
                if kind == "openssl-challenge"
                else "[req]\nprompt=no\ndistinguished_name=dn\n[dn]\nCN=Example Ltd\n"
            )
            run("openssl", "req", "-new", "-key", key, "-config", tmp_path / "config", "-out", csr)
        request = pkcs10.read(csr.read_bytes())
        request.verify()
        issued = authority.issue(Order("internal", SUBJECT, request.spki))
        certificate = x509.certificate(issued.certificate)
        assert certificate.basic_constraints is None  # what a request asks for beside name and key is not looked at
        verified = write(tmp_path / "leaf.pem", issued.certificate)
        root, others = write(tmp_path / "root.pem", authority.root), write(tmp_path / "others.pem", *issued.chain)
        run("openssl", "verify", "-CAfile", root, "-untrusted", others, verified)
        if shutil.which("certtool"):
            assert "Signature Algorithm" in run("certtool", "--certificate-info", "--infile", verified)
            whole = write(tmp_path / "whole.pem", issued.certificate, *issued.chain, authority.root)
            assert "Verified" in run("certtool", "--verify-chain", "--infile", whole)
        tampered = bytearray(request.raw)
        tampered[len(tampered) // 2] ^= 1
        with pytest.raises(ChopmarkError):
            pkcs10.CertificationRequest(bytes(tampered)).verify()


def test_kernel_modules(authority: Authority, tmp_path: Path) -> None:
    """A module signature is CMS without certificates and attributes, by key identifier: openssl makes and checks it."""
    Hierarchy(authority).add("platform", KEY)
    signer = pki.leaf(None, "modules", kind="rsa2048")
    issued = authority.issue(Order("kernel-module", names.parse("CN=Module signing"), signer.public_key))
    leaf = write(tmp_path / "leaf.pem", issued.certificate)
    text = run("openssl", "x509", "-in", leaf, "-noout", "-text")
    for line in ("Digital Signature", "CA:FALSE", "X509v3 Subject Key Identifier", "1.3.6.1.4.1.2312.16.1.2"):
        assert line in text
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_bytes(signer.private_pem())
    (tmp_path / "module.ko").write_bytes(b"\x7fELF module")
    sign = ("openssl", "cms", "-sign", "-signer", leaf, "-inkey", tmp_path / "key", "-in", tmp_path / "module.ko")
    run(*sign, "-noattr", "-nocerts", "-keyid", "-binary", "-outform", "DER", "-out", tmp_path / "module.p7s")
    above = write(tmp_path / "above.pem", authority.root, *issued.chain)
    check = "cms -verify -inform DER -in {} -binary -certfile {} -CAfile {} -purpose any -content {} -out {}"
    paths = (tmp_path / "module.p7s", leaf, above, tmp_path / "module.ko", tmp_path / "out")
    openssl(check, *paths)
    (tmp_path / "module.ko").write_bytes(b"\x7fELF other")
    openssl(check, *paths, status=4)


def test_an_approval_by_openssl(authority: Authority, tmp_path: Path) -> None:
    """An approver needs no chopmark."""
    from chopmark.authority.ceremony import approval

    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", tmp_path / "key")
    make = ("openssl", "req", "-x509", "-new", "-key", tmp_path / "key", "-subj", "/CN=alice", "-out", tmp_path / "crt")
    run(*make)
    plan = tmp_path / "plan.toml"
    plan.write_bytes(b"ceremony = 1\r\n" + authority.root[:9])
    sign = ("openssl", "cms", "-sign", "-binary", "-signer", tmp_path / "crt", "-inkey", tmp_path / "key", "-in", plan)
    run(*sign, "-outform", "DER", "-out", tmp_path / "approval")
    known = {"alice": x509.certificate(pem.certificates((tmp_path / "crt").read_bytes())[0])}
    raw = (tmp_path / "approval").read_bytes()
    assert approval.check(plan.read_bytes(), raw, known).name == "alice"
    with pytest.raises(ChopmarkError):
        approval.check(plan.read_bytes() + b"\n", raw, known)
    alice = pki.leaf(None, "alice")
    (tmp_path / "ours").write_bytes(approval.approve(plan.read_bytes(), alice, (alice.der,), pki.NOW))
    (tmp_path / "ours.pem").write_bytes(alice.pem)
    check = "cms -verify -inform DER -in {} -content {} -binary -CAfile {} -partial_chain -purpose any -out {}"
    paths = (tmp_path / "ours", plan, tmp_path / "ours.pem", tmp_path / "out")
    openssl(check, *paths)
    plan.write_bytes(b"another")
    openssl(check, *paths, status=4)


class TestPostgresql:
    """A backup goes from either database to the other, and the authority goes on there."""

    def test_there_and_back(self, server: Server, authority: Authority, tmp_path: Path) -> None:
        first = authority.issue(Order("code-signing", SUBJECT, spki()))
        authority.revoke(first.serial, "superseded")
        renewed = renewal.renew(authority, authority.register.find(first.serial), spki("p384"))
        Hierarchy(authority).roll("root", KEY)
        backup(authority, str(tmp_path / "sqlite.tar"))
        restore(str(tmp_path / "sqlite.tar"), str(tmp_path / "there"), database=server.database())
        with Authority.open(str(tmp_path / "there")) as there:
            for name in ("certificates", "crls", "crosses", "settings"):
                assert _rows(there, name) == _rows(authority, name)
            # New rows get numbers of their own behind those that came along.
            Hierarchy(there).roll("code-signing", KEY)
            Hierarchy(there).add("platform", KEY)
            issued = there.issue(Order("internal", SUBJECT, spki()))
            alice = pki.leaf(None, "alice").pem.decode()
            there.ceremonies.set_rules(rules.from_values(1, {"alice": alice}, required=True), there.clock())
            assert there.finder.search(Query(serial=issued.serial[:6], subject="eXample"), there.clock())
            assert there.finder.search(Query(status="revoked"), there.clock())[0].serial == first.serial
            successor = there.finder.successor(there.register.find(first.serial))
            assert successor
            assert successor.serial == renewed.serial
            backup(there, str(tmp_path / "postgresql.tar"))
            restore(str(tmp_path / "postgresql.tar"), str(tmp_path / "back"), database="")
            with Authority.open(str(tmp_path / "back")) as back:
                for name in ("certificates", "crls", "crosses", "settings", "approvers", "log_checkpoints"):
                    assert _rows(back, name) == _rows(there, name)
                assert back.register.find(issued.serial).certificate == issued.certificate
                back.publish("code-signing-2")

    def test_a_database_that_is_taken_and_one_that_fails(
        self, server: Server, authority: Authority, tmp_path: Path
    ) -> None:
        backup(authority, str(tmp_path / "b.tar"))
        url = server.database()
        restore(str(tmp_path / "b.tar"), str(tmp_path / "one"), database=url)
        with pytest.raises(UsageError, match="not empty"):
            restore(str(tmp_path / "b.tar"), str(tmp_path / "two"), database=url)
        with Authority.open(str(tmp_path / "one")) as one:  # which the refusal has left alone
            one.issue(Order("internal", SUBJECT, spki()))
        assert not (tmp_path / "two").exists()
        (tmp_path / "ca" / "keys" / "root.pem").unlink()
        backup(authority, str(tmp_path / "bad.tar"))
        other = server.database()
        with pytest.raises(RefusedError, match="key of the CA root"):
            restore(str(tmp_path / "bad.tar"), str(tmp_path / "two"), database=other)
        restore(str(tmp_path / "b.tar"), str(tmp_path / "three"), database=other)  # it was left empty


def _rows(authority: Authority, name: str) -> list[tuple[object, ...]]:
    table = schema.metadata.tables[name]
    with authority.reading() as connection:
        return [tuple(row) for row in connection.execute(table.select().order_by(*table.primary_key.columns))]
