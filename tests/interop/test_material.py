"""Revocation material beside peers: large lists and bundles by openssl, version resources by LIEF."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from pathlib import Path

import pytest

from chopmark.cli import main
from chopmark.core import clock, limits
from chopmark.core.artifact import Artifact
from chopmark.envelopes import pem, x509
from chopmark.formats.pe import version
from chopmark.trust.crl import origins
from chopmark.trust.crl.entry import KEY_COMPROMISE, UnusableError
from tests.interop.corpus import corpus
from tests.support import pki
from tests.support.desk import SAMPLES

pytestmark = pytest.mark.interop
WORLD = pki.world()


def openssl(*arguments: str | Path, cwd: Path, expect: int | None = 0) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)
    assert expect is None or done.returncode == expect, done.stderr
    return done.stdout + done.stderr


CONFIG = """
[ca]
default_ca = own
[own]
database = index.txt
crlnumber = number
default_md = sha256
default_crl_days = 30
private_key = ca.key
certificate = ca.pem
unique_subject = no
crl_extensions = ext
[ext]
authorityKeyIdentifier = keyid
"""
COUNT = 8_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large list by openssl ca, which names the test world's signer as compromised."""
    folder = tmp_path_factory.mktemp("openssl")
    (folder / "ca.cnf").write_text(CONFIG)
    (folder / "number").write_text("01\n")
    (folder / "ca.key").write_bytes(WORLD.issuing.private_pem())
    (folder / "ca.pem").write_bytes(WORLD.issuing.pem)
    own = f"{WORLD.signer.certificate.serial_number:X}"
    rows = [
        f"R\t351231235959Z\t260501000000Z,keyCompromise\t{serial}\tunknown\t/CN=x"
        for serial in [*(f"{0x7A << 120 | number * 977:X}" for number in range(COUNT)), own]
    ]
    (folder / "index.txt").write_text("\n".join(rows) + "\n")
    openssl("ca", "-gencrl", "-config", "ca.cnf", "-out", "large.pem", cwd=folder)
    openssl("crl", "-in", "large.pem", "-outform", "DER", "-out", "large.crl", cwd=folder)
    assert (folder / "large.crl").stat().st_size > limits.CRL_INDEX_MIN
    return folder / "large.crl"


def test_a_large_list_by_openssl_is_looked_up_by_its_index(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    path = tmp_path / "large.crl"
    shutil.copy(large, path)
    leaf, other = x509.certificate(WORLD.signer.der), x509.certificate(WORLD.tsa.der)
    for kept in (False, True):
        [found] = origins.CrlSource([str(path)], cache=str(tmp_path)).by_issuer(x509.name_key(leaf.issuer))
        found.check_signature(x509.certificate(WORLD.issuing.der))
        assert (found.size == 0) is kept
        entry = found.find(leaf)
        assert entry is not None
        assert (entry.revoked, entry.reason) == (
            dt.datetime(2026, 5, 1, tzinfo=dt.UTC),
            KEY_COMPROMISE,
        )
        assert found.find(other) is None
    tampered = bytearray(path.read_bytes())
    tampered[-1] ^= 1
    path.write_bytes(tampered)
    [broken] = origins.CrlSource([str(path)], cache=str(tmp_path)).by_issuer(x509.name_key(leaf.issuer))
    with pytest.raises(UnusableError):
        broken.check_signature(x509.certificate(WORLD.issuing.der))
    said = openssl("crl", "-inform", "DER", "-in", path, "-CAfile", large.with_name("ca.pem"), "-noout", cwd=tmp_path)
    assert "verify failure" in said


def test_openssl_agrees_about_a_bundle_and_refuses_a_tampered_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    now = clock.now()
    since, until = now - dt.timedelta(hours=1), now + dt.timedelta(days=2)
    Path("root.crl").write_bytes(pki.crl(WORLD.root, since=since, until=until))
    Path("issuing.crl").write_bytes(pki.crl(WORLD.issuing, since=since, until=until))
    Path("root.pem").write_bytes(WORLD.root.pem)
    Path("signer.key").write_bytes(WORLD.signer.private_pem())
    Path("signer.key").chmod(0o600)
    Path("signer.pem").write_bytes(WORLD.signer.pem + WORLD.issuing.pem)
    shutil.copy(SAMPLES["script"], "s.sh")
    assert main(["sign", "s.sh", "--key", "signer.key", "--cert", "signer.pem"]) == 0
    lists = ["--crl", "root.crl", "--crl", "issuing.crl", "--revocation", "require"]
    assert main(["verify", "s.sh", "--store", "root.pem", "--offline", *lists, "--collect", "bundle"]) == 0

    def judged_by_both() -> tuple[bool, bool]:
        ours = ["verify", "s.sh", "--store", "root.pem", "--offline", "--revocation", "require"]
        mine = main([*ours, "--evidence", "bundle"]) == 0
        bundle = [path.read_bytes() for path in sorted(Path("bundle").iterdir())]
        Path("all.pem").write_bytes(
            b"".join(pem.encode("X509 CRL" if b"\x55\x1d\x14" in raw else "CERTIFICATE", raw) for raw in bundle)
        )
        arguments = ["-CAfile", "root.pem", "-no-CApath", "-no-CAstore", "-crl_check_all", "-purpose", "any"]
        said = openssl(
            "verify",
            *arguments,
            "-untrusted",
            "all.pem",
            "-CRLfile",
            "all.pem",
            "signer.pem",
            cwd=tmp_path,
            expect=None,
        )
        return mine, "signer.pem: OK" in said

    assert judged_by_both() == (True, True)
    for path in sorted(Path("bundle").glob("*.crl")):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes((whole[-1] ^ 1,)))
        assert judged_by_both() == (False, False)
        path.write_bytes(whole)
    for path in sorted(Path("bundle").glob("*.crl")):
        whole = path.read_bytes()
        path.unlink()
        assert judged_by_both() == (False, False)
        path.write_bytes(whole)


def test_version_resources_are_what_lief_reads() -> None:
    lief = pytest.importorskip("lief")
    compared = 0
    for path in corpus("bench-500"):
        parsed = lief.PE.parse(str(path))
        versions = parsed.resources_manager.version if parsed is not None and parsed.has_resources else []
        if not versions:
            continue
        theirs = versions[0]
        with Artifact.open(path) as artifact:
            strings, number = version.read(artifact.view)
        info = theirs.file_info
        high, low = info.file_version_ms, info.file_version_ls
        assert number == (high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF), path
        named: dict[str, str] = {}
        for table in theirs.string_file_info.children if theirs.string_file_info else ():
            for entry in table.entries:
                named.setdefault(str(entry.key), str(entry.value).strip("\0").strip())
        for key in ("OriginalFilename", "InternalName", "ProductName"):
            assert strings.get(key, "") == named.get(key, ""), path
        compared += 1
    assert compared > 20
