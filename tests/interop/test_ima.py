"""evmctl (ima-evm-utils), fsverity, openssl, and the kernel's own key service: both ways, both refuse the tampered."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.core.verdict import Status
from chopmark.engine import sign
from chopmark.envelopes import ima
from chopmark.formats.ima import FORMAT
from tests.contract import laws
from tests.support import pki
from tests.support.court import judged

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.getuid() != 0, reason="only root sets security.ima"),
]

KINDS = ("rsa2048", "rsa4096", "p256", "p384")
DIGESTS = ("sha256", "sha384", "sha512")
ATTRIBUTE = "security.ima"


def run(*command: str | Path, where: Path | None = None, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, cwd=where, input=text, check=False)


def signer(kind: str) -> pki.Entity:
    return pki.leaf(None, f"Example IMA Signer {kind}", kind=kind, purposes=())


def sign_ours(path: Path, entity: pki.Entity, *, variant: str = "", digest_algorithm: str = "sha256") -> None:
    with Artifact.open(path) as artifact:
        request = laws.request(
            entity, SealOptions(variant=variant, digest_algorithm=digest_algorithm), format_name="ima"
        )
        sign.write(artifact, sign.sign(artifact, request))


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_bytes(Path("/bin/true").read_bytes())
    path.chmod(0o755)
    return path


def material(folder: Path, entity: pki.Entity) -> tuple[Path, Path]:
    key, certificate = folder / "key.pem", folder / "certificate.der"
    key.write_bytes(entity.private_pem())
    certificate.write_bytes(entity.der)
    return key, certificate


def tamper(path: Path) -> None:
    """In place, so that the attribute stays."""
    with path.open("r+b") as file:
        file.seek(100)
        old = file.read(1)
        file.seek(100)
        file.write(bytes([old[0] ^ 1]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("digest", DIGESTS)
@pytest.mark.parametrize("place", ["", "--sigfile"])
def test_we_trust_what_evmctl_signs(tool: Path, kind: str, digest: str, place: str) -> None:
    entity = signer(kind)
    key, _ = material(tool.parent, entity)
    options = [place] if place else []
    assert run("evmctl", "ima_sign", "-a", digest, *options, "--key", key, tool).returncode == 0
    verdict = judged(tool, entity)
    assert verdict.status is Status.TRUSTED, verdict
    assert verdict.seals[0].digest_algorithm == digest
    tamper(tool)
    assert judged(tool, entity).status is Status.REJECTED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("digest", DIGESTS)
@pytest.mark.parametrize("variant", ["", "file"])
def test_evmctl_accepts_what_we_sign(tool: Path, kind: str, digest: str, variant: str) -> None:
    entity = signer(kind)
    _, certificate = material(tool.parent, entity)
    sign_ours(tool, entity, digest_algorithm=digest, variant=variant)
    options = ["--sigfile"] if variant else []
    asking: list[str | Path] = ["evmctl", "ima_verify", *options, "--key", certificate, tool]
    assert run(*asking).returncode == 0
    assert run(tool).returncode == 0
    tamper(tool)
    assert run(*asking).returncode != 0


@pytest.mark.parametrize("digest", DIGESTS)
def test_ours_is_evmctls_to_the_byte(tool: Path, digest: str) -> None:
    entity = signer("rsa2048")
    key, _ = material(tool.parent, entity)
    sign_ours(tool, entity, digest_algorithm=digest)
    ours = os.getxattr(tool, ATTRIBUTE)
    assert run("evmctl", "ima_sign", "-a", digest, "--key", key, tool).returncode == 0
    assert os.getxattr(tool, ATTRIBUTE) == ours


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_the_fs_verity_kind_signs_what_fsverity_measures(tool: Path, kind: str, digest: str) -> None:
    """evmctl 1.4 does not have this kind; fsverity and openssl together judge it."""
    entity = signer(kind)
    material(tool.parent, entity)
    sign_ours(tool, entity, digest_algorithm=digest, variant="verity")
    raw = os.getxattr(tool, ATTRIBUTE)
    assert raw[:3] == bytes([6, 3, ima.NUMBERS[digest]])
    said = run("fsverity", "digest", "--compact", f"--hash-alg={digest}", tool).stdout
    public, signed, signature = (tool.with_name(name) for name in ("public.pem", "signed", "signature"))
    public.write_bytes(run("openssl", "x509", "-pubkey", "-noout", text=entity.pem).stdout)
    signed.write_bytes(bytes([6, ima.NUMBERS[digest]]) + bytes.fromhex(said.decode().strip()))
    signature.write_bytes(raw[9:])
    asking: list[str | Path] = ["openssl", "dgst", f"-{digest}", "-verify", public, "-signature", signature, signed]
    assert run(*asking).returncode == 0
    assert judged(tool, entity).status is Status.TRUSTED
    tamper(tool)
    assert judged(tool, entity).status is Status.REJECTED


@pytest.fixture(scope="module")
def key_in_the_kernel() -> Iterator[str]:
    """The signer's certificate in the user's keyring: a session's may end with each command."""
    loaded = run("keyctl", "padd", "asymmetric", f"chopmark-test-{os.getpid()}", "@u", text=signer("rsa2048").der)
    if loaded.returncode:
        pytest.skip("this kernel takes no asymmetric keys")
    number = loaded.stdout.decode().strip()
    yield number
    run("keyctl", "unlink", number, "@u")


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_the_kernels_key_service_accepts_it(tool: Path, digest: str, key_in_the_kernel: str) -> None:
    entity = signer("rsa2048")
    sign_ours(tool, entity, digest_algorithm=digest)
    raw = os.getxattr(tool, ATTRIBUTE)
    hashed, signature = tool.with_name("hashed"), tool.with_name("signature")
    said = run("openssl", "dgst", f"-{digest}", "-binary", tool).stdout
    hashed.write_bytes(said)
    signature.write_bytes(raw[9:])
    asking = ("keyctl", "pkey_verify", key_in_the_kernel, "0", hashed, signature, "enc=pkcs1", f"hash={digest}")
    assert run(*asking).returncode == 0
    hashed.write_bytes(bytes([said[0] ^ 1]) + said[1:])
    assert run(*asking).returncode != 0


def test_evmctl_reads_the_key_identifier_as_we_do(tool: Path) -> None:
    entity = signer("rsa2048")
    _, certificate = material(tool.parent, entity)
    sign_ours(tool, entity)
    said = run("evmctl", "-v", "ima_verify", "--key", certificate, tool)
    named = re.search(rb"key 1: ([0-9a-f]+)", said.stdout + said.stderr)
    assert named
    assert named[1].decode().rjust(8, "0") == os.getxattr(tool, ATTRIBUTE)[3:7].hex()


# EVM


CAPABLE = bytes.fromhex("0100000200040000000000000000000000000000")
"""security.capability with cap_net_bind_service."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("digest", DIGESTS)
@pytest.mark.parametrize("below", ["--imahash", "--imasig"])
def test_we_trust_portable_signatures_of_evmctl(tool: Path, kind: str, digest: str, below: str) -> None:
    entity = signer(kind)
    key, _ = material(tool.parent, entity)
    os.setxattr(tool, "security.capability", CAPABLE)
    asking: list[str | Path] = ["evmctl", "sign", "--portable", "-a", digest, below, "--key", key, tool]
    assert run(*asking).returncode == 0
    verdict = judged(tool, entity)
    assert verdict.status is Status.TRUSTED, verdict
    assert len(verdict.seals) == (2 if below == "--imasig" else 1)
    tool.chmod(0o4755)
    assert judged(tool, entity).status is Status.REJECTED
    tool.chmod(0o755)
    os.setxattr(tool, "security.capability", CAPABLE)
    assert judged(tool, entity).status is Status.TRUSTED
    tamper(tool)
    assert judged(tool, entity).status is Status.REJECTED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("digest", DIGESTS)
def test_evmctl_accepts_our_portable_signatures(tool: Path, kind: str, digest: str) -> None:
    entity = signer(kind)
    _, certificate = material(tool.parent, entity)
    os.setxattr(tool, "security.capability", CAPABLE)
    sign_ours(tool, entity, digest_algorithm=digest)
    sign_ours(tool, entity, digest_algorithm=digest, variant="evm")
    asking: list[str | Path] = ["evmctl", "verify", "--key", certificate, tool]
    assert run(*asking).returncode == 0
    assert judged(tool, entity).status is Status.TRUSTED
    tool.chmod(0o711)
    assert run(*asking).returncode != 0
    assert judged(tool, entity).status is Status.REJECTED


@pytest.mark.parametrize("digest", DIGESTS)
def test_our_portable_signature_is_evmctls_to_the_byte(tool: Path, digest: str) -> None:
    entity = signer("rsa2048")
    key, _ = material(tool.parent, entity)
    sign_ours(tool, entity, digest_algorithm=digest)
    sign_ours(tool, entity, digest_algorithm=digest, variant="evm")
    ours = os.getxattr(tool, "security.evm")
    os.removexattr(tool, "security.evm")
    assert run("evmctl", "sign", "--portable", "-a", digest, "--key", key, tool).returncode == 0
    assert os.getxattr(tool, "security.evm") == ours


def test_evmctl_takes_a_signature_of_another_kind_for_that_of_a_file(tool: Path) -> None:
    """The struct that names an fs-verity digest, as a file, with the first two octets of the signature changed."""
    entity = signer("rsa2048")
    _, certificate = material(tool.parent, entity)
    sign_ours(tool, entity, variant="verity")
    options = SealOptions(variant="verity")
    with Artifact.open(tool) as artifact:
        [payload] = FORMAT.digest(artifact, [FORMAT.recipe(artifact, options)])
        message = FORMAT.content(artifact, payload, options).message
    other = tool.with_name("other")
    other.write_bytes(message or b"")
    os.setxattr(other, ATTRIBUTE, b"\3\2" + os.getxattr(tool, ATTRIBUTE)[2:])
    assert run("evmctl", "ima_verify", "--key", certificate, other).returncode == 0
    assert judged(other, entity).status is Status.REJECTED
