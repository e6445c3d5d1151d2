"""minisign and signify themselves: they accept what we sign, we accept what they sign, both refuse the tampered."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from chopmark.cli import main
from tests.support.bare_keys import VECTORS

pytestmark = pytest.mark.interop

SIZES = (0, 1, 5000, 3_000_000)


def run(*command: str | Path, stdin: str = "") -> int:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False).returncode


class Minisign:
    """minisign 0.11; `legacy` signs the file itself, as it did by default before 0.10."""

    suffix, format = ".minisig", "minisign"
    key, public = VECTORS / "minisign" / "signer.key", VECTORS / "minisign" / "signer.pub"

    def __init__(self, *options: str) -> None:
        self.options = options

    def sign(self, path: Path) -> None:
        assert run("minisign", "-S", "-W", *self.options, "-s", self.key, "-m", path, "-t", "a comment") == 0

    def verify(self, path: Path) -> bool:
        return run("minisign", "-V", "-q", "-p", self.public, "-m", path) == 0


class Signify:
    """OpenBSD's signify, as Debian packages it."""

    suffix, format = ".sig", "signify"
    key, public = VECTORS / "signify" / "signer.key", VECTORS / "signify" / "signer.pub"

    def sign(self, path: Path) -> None:
        key = path.with_name("signer.sec")  # it wants its keys to be called so
        key.write_bytes(self.key.read_bytes())
        assert run("signify-openbsd", "-S", "-s", key, "-m", path) == 0

    def verify(self, path: Path) -> bool:
        return run("signify-openbsd", "-V", "-q", "-p", self.public, "-m", path) == 0


PEERS: dict[str, Minisign | Signify] = {"minisign": Minisign(), "minisign of old": Minisign("-l"), "signify": Signify()}
every_peer = pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)


@pytest.fixture(params=SIZES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * (request.param // 256) + b"x" * (request.param % 256))
    return file


def verified(path: Path, peer: Minisign | Signify) -> bool:
    return main(["verify", str(path), "--store", str(peer.public)]) == 0


def tampered(path: Path, peer: Minisign | Signify) -> list[Path]:
    """Copies with one thing changed each: the file, or a line of the signature."""
    signature = Path(f"{path}{peer.suffix}")
    made = []
    lines = signature.read_bytes().split(b"\n")
    for number in range(1, len(lines) - 1):
        flipped = bytearray(lines[number])
        flipped[30 if number % 2 else -1] ^= 1
        made.append((path.read_bytes(), b"\n".join([*lines[:number], bytes(flipped), *lines[number + 1 :]])))
    made.append((path.read_bytes() + b"x", signature.read_bytes()))
    paths = []
    for number, (content, beside) in enumerate(made):
        copy = path.with_name(f"tampered-{number}")
        copy.write_bytes(content)
        Path(f"{copy}{peer.suffix}").write_bytes(beside)
        paths.append(copy)
    return paths


@every_peer
def test_we_accept_what_they_sign(path: Path, peer: Minisign | Signify) -> None:
    peer.sign(path)
    assert peer.verify(path)
    assert verified(path, peer)


@every_peer
def test_they_accept_what_we_sign(path: Path, peer: Minisign | Signify) -> None:
    key = path.with_name("own.key")
    key.touch(0o600)
    key.write_bytes(peer.key.read_bytes())
    assert main(["sign", str(path), "--format", peer.format, "--key", f"minisign:{key}"]) == 0
    assert peer.verify(path)


@every_peer
def test_both_refuse_the_tampered(tmp_path: Path, peer: Minisign | Signify) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    peer.sign(path)
    for copy in tampered(path, peer):
        assert not peer.verify(copy), copy
        assert not verified(copy, peer), copy


def test_an_encrypted_key_of_theirs_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    monkeypatch.setenv("PASSPHRASE", "correct horse")
    key = VECTORS / "minisign" / "encrypted.key"
    options = ["--format", "minisign", "--key", f"minisign:{key}", "--passphrase", "env:PASSPHRASE"]
    assert main(["sign", str(path), *options]) == 0
    assert run("minisign", "-V", "-q", "-p", VECTORS / "minisign" / "encrypted.pub", "-m", path) == 0


def test_signify_accepts_anything_behind_its_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    peer = PEERS["signify"]
    peer.sign(path)
    signature = Path(f"{path}.sig")
    signature.write_bytes(signature.read_bytes() + b"anything may follow\n")
    assert peer.verify(path)
    assert not verified(path, peer)


def test_they_take_a_digest_for_the_file_that_was_signed(tmp_path: Path) -> None:
    """Nothing signs whether a digest is signed or the file itself: minisign and signify believe two letters."""
    path, digest = tmp_path / "file", tmp_path / "digest"
    path.write_bytes(b"content")
    peer = PEERS["minisign"]
    peer.sign(path)
    digest.write_bytes(hashlib.blake2b(b"content").digest())
    lines = Path(f"{path}.minisig").read_bytes().split(b"\n")
    lines[1] = base64.b64encode(b"Ed" + base64.b64decode(lines[1])[2:])
    for each, suffix, written in ((peer, ".minisig", lines), (Signify(), ".sig", [*lines[:2], b""])):
        Path(f"{digest}{suffix}").write_bytes(b"\n".join(written))
        assert run("minisign" if each is peer else "signify-openbsd", "-V", "-q", "-p", peer.public, "-m", digest) == 0
        assert main(["verify", str(digest), "--format", each.format, "--store", str(peer.public)]) == 1


def test_the_peers_are_there() -> None:
    assert shutil.which("minisign")
    assert shutil.which("signify-openbsd")
