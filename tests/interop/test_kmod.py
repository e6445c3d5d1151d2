"""The kernel's own sign-file, openssl, and Debian's signed modules: both ways, and both refuse the tampered."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.core.artifact import Artifact
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check, sign
from chopmark.envelopes import der, module, pem, x509
from chopmark.formats.kmod import trailer
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.contract import laws
from tests.support import pki

if TYPE_CHECKING:
    import datetime as dt

pytestmark = pytest.mark.interop

SAMPLE = laws.VECTORS / "kmod" / "sample-tiny.ko"
IMAGE = "linux-image-6.1.0-56-cloud-amd64"
"""Debian's kernel package; gone from the mirrors when the next one comes."""


def run(*command: str | Path, where: Path | None = None) -> int:
    return subprocess.run(command, capture_output=True, cwd=where, check=False).returncode


@pytest.fixture(scope="module")
def sign_file() -> Path:
    [tool, *_] = Path("/usr/lib").glob("linux-kbuild-*/scripts/sign-file")
    return tool


def judged(path: Path, folder: Path, *known: bytes, at: dt.datetime = pki.NOW) -> Verdict:
    file = folder / "store.pem"
    file.write_bytes(b"".join(known))
    court = contexts.Context(store.load([str(file)]), at, contexts.OFF, origins.CrlSource(cache=str(folder)))
    return check.check_path(str(path), court)


def signer(kind: str) -> pki.Entity:
    return pki.leaf(None, f"Example Module Signer {kind}", kind=kind, purposes=())


def material(folder: Path, entity: pki.Entity) -> tuple[Path, Path]:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    key.write_bytes(entity.private_pem())
    certificate.write_bytes(entity.pem)
    return key, certificate


@pytest.mark.parametrize("kind", ["rsa2048", "rsa4096", "p256", "p384"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("named_by", ["", "-k"])
def test_we_trust_what_sign_file_signs(sign_file: Path, kind: str, digest: str, named_by: str, tmp_path: Path) -> None:
    entity = signer(kind)
    key, certificate = material(tmp_path, entity)
    path = tmp_path / "tiny.ko"
    shutil.copy(SAMPLE, path)
    options = [named_by] if named_by else []
    assert run(sign_file, *options, digest, key, certificate, path) == 0
    verdict = judged(path, tmp_path, entity.pem)
    assert verdict.status is Status.TRUSTED, verdict
    assert verdict.seals[0].digest_algorithm == digest
    data = bytearray(path.read_bytes())
    data[70] ^= 1
    path.write_bytes(data)
    assert judged(path, tmp_path, entity.pem).status is Status.REJECTED


@pytest.mark.parametrize("kind", ["rsa2048", "rsa4096"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_ours_is_theirs_to_the_byte(sign_file: Path, kind: str, digest: str, tmp_path: Path) -> None:
    entity = signer(kind)
    key, certificate = material(tmp_path, entity)
    theirs, ours = tmp_path / "theirs.ko", tmp_path / "ours.ko"
    for path in (theirs, ours):
        shutil.copy(SAMPLE, path)
    assert run(sign_file, digest, key, certificate, theirs) == 0
    with Artifact.open(ours) as artifact:
        options = laws.OPTIONS._replace(digest_algorithm=digest)
        sign.write(artifact, sign.sign(artifact, laws.request(entity, options)))
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384"])
def test_openssl_accepts_what_we_sign(kind: str, tmp_path: Path) -> None:
    entity = signer(kind)
    _, certificate = material(tmp_path, entity)
    artifact = Artifact.from_bytes(SAMPLE.read_bytes(), "tiny.ko")
    made = sign.sign(artifact, laws.request(entity))
    envelope, content = tmp_path / "envelope.der", tmp_path / "content"
    envelope.write_bytes(made.envelope)
    content.write_bytes(SAMPLE.read_bytes())
    # What it is trusted for is not openssl's question here.
    command: list[str | Path] = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-noverify", "-nointern"]
    command += ["-in", envelope]
    command += ["-certfile", certificate, "-content", content, "-out", "/dev/null"]
    assert run(*command) == 0
    content.write_bytes(SAMPLE.read_bytes()[:-1] + b"?")
    assert run(*command) != 0


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("debian")
    if run("apt-get", "download", IMAGE, where=folder):
        pytest.skip(f"{IMAGE} cannot be downloaded here, or not any more")
    [package] = folder.glob("*.deb")
    assert run("dpkg", "-x", package, folder / "image") == 0
    return folder / "image"


def kernels_own(image: Path) -> x509.Certificate:
    """The certificate of the build's own key, which stands in the kernel's keyring and so in its vmlinux."""
    [boot] = (image / "boot").glob("vmlinuz-*")
    data = boot.read_bytes()
    start = (data[0x1F1] or 4) * 512 + 512  # Documentation/arch/x86/boot.rst: setup_sects, payload_offset and _length
    offset, length = struct.unpack_from("<II", data, 0x248)
    payload = data[start + offset : start + offset + length - 4]  # its length stands behind it
    vmlinux = subprocess.run(["lz4", "-dc"], input=payload, capture_output=True, check=True).stdout
    position = vmlinux.find(b"Build time autogenerated kernel key")
    for begin in range(position, max(0, position - 200), -1):
        if vmlinux[begin : begin + 2] == b"\x30\x82":
            raw = vmlinux[begin : begin + 4 + int.from_bytes(vmlinux[begin + 2 : begin + 4], "big")]
            try:
                return x509.certificate(der.parse(raw).raw)
            except der.DerError:
                continue
    pytest.fail("no certificate in vmlinux")


def test_debians_modules_are_signed_by_debians_key(debian: Path, tmp_path: Path) -> None:
    own = kernels_own(debian)
    known = pem.encode("CERTIFICATE", own.raw)
    modules = sorted(debian.rglob("*.ko"))
    assert len(modules) > 500
    for path in modules[::40]:
        verdict = judged(path, tmp_path, known, at=own.not_before)
        assert verdict.status is Status.TRUSTED, (path, verdict)
        assert verdict.seals[0].signer == own.signer_id
    data = modules[0].read_bytes()
    for place in (100, len(data) // 2, len(data) - 300):
        changed = tmp_path / "changed.ko"
        changed.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        assert judged(changed, tmp_path, known, at=own.not_before).status is Status.REJECTED
    assert judged(modules[0], tmp_path, pki.world().root.pem).status is Status.UNDECIDED
    size = len(data)
    start = trailer.below(Artifact.from_bytes(data).view, size)
    assert start is not None
    envelope = module.envelope_in(trailer.envelope(Artifact.from_bytes(data).view, start, size))
    assert envelope.signer.serial_octets == own.serial_octets
