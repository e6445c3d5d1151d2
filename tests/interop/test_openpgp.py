"""gpg and gpgv: they accept what we sign, we accept what they sign, and both refuse the tampered."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chopmark.cli import main
from chopmark.envelopes import openpgp

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop

KINDS = ("rsa3072", "ed25519", "nistp256", "nistp384")
NAME = "Release <release@example.org>"
DEBIAN = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LISTS = Path("/var/lib/apt/lists")


def run(*command: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


class Peer(NamedTuple):
    """A home of gpg's with one key, its public and secret halves in files, and a file to sign."""

    home: Path
    public: Path
    secret: Path
    file: Path

    def gpg(self, *arguments: str | Path, stdin: bytes = b"") -> int:
        command = ("gpg", "--homedir", self.home, "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "")
        return run(*command, *arguments, stdin=stdin).returncode

    def export(self) -> None:
        for path, what in ((self.public, "--export"), (self.secret, "--export-secret-keys")):
            assert self.gpg("-o", path, what) == 0
            path.chmod(0o600)

    def theirs(self, suffix: str = ".asc") -> bool:
        signature = (f"{self.file}{suffix}", self.file) if suffix else (self.file,)
        return run("gpgv", "--keyring", self.public, *signature).returncode == 0

    def ours(self) -> int:
        return main(["verify", str(self.file), "--store", str(self.public)])


def home(folder: Path) -> Iterator[Peer]:
    place = folder / "h"
    place.mkdir(mode=0o700)
    peer = Peer(place, folder / "public.gpg", folder / "secret.gpg", folder / "file")
    peer.file.write_bytes(b"one\n- two \n-----BEGIN three\nFrom four\n\n")
    yield peer
    run("gpgconf", "--homedir", place, "--kill", "all")


@pytest.fixture(params=KINDS)
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Peer]:
    for made in home(tmp_path):
        assert made.gpg("--quick-generate-key", NAME, request.param, "cert,sign", "1y") == 0
        made.export()
        yield made


@pytest.fixture
def with_subkey(tmp_path: Path) -> Iterator[Peer]:
    for made in home(tmp_path):
        assert made.gpg("--quick-generate-key", NAME, "ed25519", "cert", "1y") == 0
        assert made.gpg("--quick-add-key", fingerprints(made)[0], "ed25519", "sign", "1y") == 0
        made.export()
        yield made


def fingerprints(peer: Peer) -> list[str]:
    shown = run("gpg", "--homedir", peer.home, "--with-colons", "--fingerprint", "--fingerprint", "-k").stdout.decode()
    return [line.split(":")[9] for line in shown.splitlines() if line.startswith("fpr")]


@pytest.mark.parametrize(
    ("options", "suffix"),
    [
        (("--armor", "--detach-sign"), ".asc"),
        (("--detach-sign",), ".sig"),
        (("--detach-sign", "--textmode"), ".sig"),
        (("--detach-sign", "--digest-algo", "SHA512"), ".sig"),
    ],
)
def test_theirs_here(peer: Peer, options: tuple[str, ...], suffix: str) -> None:
    assert peer.gpg(*options, peer.file) == 0
    assert peer.theirs(suffix)
    assert peer.ours() == 0
    peer.file.write_bytes(peer.file.read_bytes() + b"x")
    assert not peer.theirs(suffix)
    assert peer.ours() == 1


def test_version_3_of_theirs_here(tmp_path: Path) -> None:
    """As GnuPG 1.4 makes it when asked to; GnuPG 2 only checks it."""
    file, signature, ring = (tmp_path / name for name in ("file", "file.sig", "public.gpg"))
    file.write_bytes(b"content")
    (tmp_path / "h").mkdir(mode=0o700)
    gpg = ("gpg1", "--homedir", tmp_path / "h", "--batch", "--no-tty", "--yes")
    made = run(*gpg, "--gen-key", stdin=b"Key-Type: RSA\nKey-Length: 2048\nName-Real: Old\nExpire-Date: 0\n%commit\n")
    assert made.returncode == 0
    assert run(*gpg, "--export", "-o", ring).returncode == 0
    assert run(*gpg, "--force-v3-sigs", "--digest-algo", "SHA256", "-o", signature, "-b", file).returncode == 0
    assert openpgp.envelope_in(signature.read_bytes()).signature.version == 3
    good = signature.read_bytes()

    def both() -> tuple[int, int]:
        peer = run("gpgv", "--keyring", ring, signature, file).returncode
        return peer, main(["verify", str(file), "--store", str(ring)])

    assert both() == (0, 0)
    for place in (6, 12, len(good) - 1):  # its time, its key, its value
        signature.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert 0 not in both()
    signature.write_bytes(good)
    file.write_bytes(b"contents")
    assert both() == (1, 1)


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_ours_there(peer: Peer, size: int) -> None:
    peer.file.write_bytes(b"x" * size)
    assert main(["sign", str(peer.file), "--format", "openpgp", "--key", f"openpgp:{peer.secret}"]) == 0
    assert peer.theirs()
    assert peer.ours() == 0
    peer.file.write_bytes(b"y" + b"x" * size)
    assert not peer.theirs()
    assert peer.ours() == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a\n", b"a\n\n", b"- a\r\nFrom b\n-----BEGIN PGP\nc"])
def test_in_the_open_both_ways(peer: Peer, content: bytes) -> None:
    peer.file.write_bytes(content)
    assert main(["sign", str(peer.file), "--format", "clearsigned", "--key", f"openpgp:{peer.secret}"]) == 0
    assert peer.theirs("")
    assert peer.ours() == 0
    peer.file.write_bytes(peer.file.read_bytes().replace(b"\n\n", b"\n\nx", 1))
    assert not peer.theirs("")
    assert peer.ours() == 1
    peer.file.write_bytes(content)
    assert peer.gpg("--clear-sign", "-o", f"{peer.file}.txt", peer.file) == 0
    signed = peer._replace(file=Path(f"{peer.file}.txt"))
    assert signed.theirs("")
    assert signed.ours() == 0


def test_tampered_signatures_are_refused_by_both(peer: Peer) -> None:
    assert peer.gpg("--detach-sign", peer.file) == 0
    signature = Path(f"{peer.file}.sig")
    good = signature.read_bytes()
    for place in (10, 30, len(good) - 1):
        signature.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert not peer.theirs(".sig")
        assert peer.ours() != 0


def test_a_signing_subkey(with_subkey: Peer) -> None:
    peer = with_subkey
    assert peer.gpg("--armor", "--detach-sign", peer.file) == 0
    assert peer.theirs()
    assert peer.ours() == 0
    Path(f"{peer.file}.asc").unlink()
    assert main(["sign", str(peer.file), "--format", "openpgp", "--key", f"openpgp:{peer.secret}"]) == 0
    assert peer.theirs()
    assert peer.ours() == 0


def test_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "open sesame")
    for peer in home(tmp_path):
        protected = ("--passphrase", "open sesame")
        assert peer.gpg(*protected, "--quick-generate-key", NAME, "ed25519", "sign", "1y") == 0
        assert peer.gpg("-o", peer.public, "--export") == 0
        assert peer.gpg(*protected, "--armor", "-o", peer.secret, "--export-secret-keys") == 0
        sign = [
            "sign",
            str(peer.file),
            "--format",
            "openpgp",
            "--key",
            f"openpgp:{peer.secret}",
            "--passphrase",
            "env:SECRET",
        ]
        assert main(sign) == 0
        assert peer.theirs()
        assert peer.ours() == 0
        monkeypatch.setenv("SECRET", "wrong")
        assert main(sign) == 2


@pytest.mark.parametrize("reason", ["0", "1", "2", "3"])
def test_revoked_keys(with_subkey: Peer, reason: str) -> None:
    peer = with_subkey
    assert peer.gpg("--armor", "--detach-sign", peer.file) == 0
    assert peer.ours() == 0
    ask = ("--no-tty", "--pinentry-mode", "loopback", "--passphrase", "", "--command-fd", "0", "--gen-revoke")
    answers = f"y\n{reason}\n\ny\n".encode()
    certificate = run("gpg", "--homedir", peer.home, *ask, fingerprints(peer)[0], stdin=answers).stdout
    assert certificate
    assert peer.gpg("--import", stdin=certificate) == 0
    assert peer.gpg("-o", peer.public, "--export") == 0
    assert peer.ours() == 1


@pytest.mark.skipif(not DEBIAN.exists(), reason="not a Debian")
def test_debians_own_releases(tmp_path: Path) -> None:
    releases = list(LISTS.glob("*_InRelease"))
    if not releases:
        pytest.skip("apt has no lists here")
    for release in releases:
        assert run("gpgv", "--keyring", DEBIAN, release).returncode == 0
        assert main(["verify", str(release), "--store", str(DEBIAN)]) == 0
        changed = tmp_path / "InRelease"
        changed.write_bytes(release.read_bytes().replace(b"Suite: ", b"suite: ", 1))
        assert main(["verify", str(changed), "--store", str(DEBIAN)]) == 1
