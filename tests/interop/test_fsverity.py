"""fsverity (fsverity-utils) and openssl: the same digests, and each other's signatures; both refuse the tampered."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.core.verdict import Status
from chopmark.engine import sign
from chopmark.formats._verity import fsverity
from tests.contract import laws
from tests.support import pki
from tests.support.court import judged

pytestmark = pytest.mark.interop

SUFFIX = ".fsv_sig"
KINDS = ("rsa2048", "rsa4096", "p256", "p384")


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False)


def signer(kind: str) -> pki.Entity:
    return pki.leaf(None, f"Example fs-verity Signer {kind}", kind=kind, purposes=())


def material(folder: Path, entity: pki.Entity) -> tuple[Path, Path]:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    key.write_bytes(entity.private_pem())
    certificate.write_bytes(entity.pem)
    return key, certificate


def tamper(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_bytes(Path("/bin/true").read_bytes())
    return path


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 128 * 4096, 128 * 4096 + 1, 3_000_000])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("block", [1024, 4096, 65536])
@pytest.mark.parametrize("salt", ["", "00112233", "ab" * 32])
def test_the_digests_are_theirs(size: int, algorithm: str, block: int, salt: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(range(251)) * (size // 251) + bytes(size % 251))
    options = [f"--hash-alg={algorithm}", f"--block-size={block}", *([f"--salt={salt}"] if salt else [])]
    theirs = run("fsverity", "digest", "--compact", *options, path).stdout.decode().strip()
    with Artifact.open(path) as artifact:
        wanted = fsverity.Parameters(algorithm, block, bytes.fromhex(salt))
        [ours] = fsverity.digests(artifact.view, [wanted])
    assert ours.hex() == theirs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [("sha256", 4096), ("sha512", 4096), ("sha512", 1024)])
def test_we_trust_what_fsverity_signs(tool: Path, kind: str, form: tuple[str, int]) -> None:
    entity = signer(kind)
    key, certificate = material(tool.parent, entity)
    options = [f"--hash-alg={form[0]}", f"--block-size={form[1]}", f"--key={key}", f"--cert={certificate}"]
    assert run("fsverity", "sign", tool, f"{tool}{SUFFIX}", *options).returncode == 0
    verdict = judged(tool, entity)
    assert verdict.status is Status.TRUSTED, verdict
    tamper(tool)
    assert judged(tool, entity).status is Status.REJECTED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_openssl_accepts_what_we_sign_over_their_digest(tool: Path, kind: str, digest: str) -> None:
    """fsverity itself has no command that verifies; only a kernel does (tests/vm)."""
    entity = signer(kind)
    _, certificate = material(tool.parent, entity)
    with Artifact.open(tool) as artifact:
        request = laws.request(entity, SealOptions(digest_algorithm=digest), format_name="fsverity")
        sign.write(artifact, sign.sign(artifact, request))
    content = tool.with_name("content")

    def accepted() -> bool:
        said = run("fsverity", "digest", "--compact", "--for-builtin-sig", tool).stdout.decode().strip()
        content.write_bytes(bytes.fromhex(said))
        asking: list[str | Path] = ["openssl", "smime", "-verify", "-binary", "-inform", "DER", "-noverify"]
        asking += ["-in", f"{tool}{SUFFIX}", "-certfile", certificate, "-content", content, "-out", "/dev/null"]
        return run(*asking).returncode == 0

    assert accepted()
    assert judged(tool, entity).status is Status.TRUSTED
    tamper(tool)
    assert not accepted()
    assert judged(tool, entity).status is Status.REJECTED
