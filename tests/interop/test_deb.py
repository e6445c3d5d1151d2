"""debsigs, debsig-verify, dpkg-deb, apt: they accept what we sign, we accept what they sign, both refuse the rest."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chopmark.cli import main
from chopmark.core.artifact import Artifact
from chopmark.formats.deb import contents
from tests.support import debs
from tests.support.debs import File

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop

LISTS, CACHE = Path("/var/lib/apt/lists"), Path("/var/cache/apt/archives")
POLICY = """<?xml version="1.0"?>
<!DOCTYPE Policy SYSTEM "https://www.debian.org/debsig/1.0/policy.dtd">
<Policy xmlns="https://www.debian.org/debsig/1.0/">
  <Origin Name="Test" id="{key}" Description="for tests"/>
  <Selection><Required Type="{role}" File="ring.gpg" id="{key}"/></Selection>
  <Verification MinOptional="0"><Required Type="{role}" File="ring.gpg" id="{key}"/></Verification>
</Policy>
"""


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, check=False)


class Peer(NamedTuple):
    """A home of gpg's with one key, what debsig-verify has to know of it, and a package."""

    folder: Path
    home: Path
    public: Path
    secret: Path
    key: str
    file: Path

    def policy(self, role: str) -> None:
        place = self.folder / "policies" / self.key
        place.mkdir(parents=True, exist_ok=True)
        (place / "test.pol").write_text(POLICY.format(key=self.key, role=role))

    def theirs(self, file: Path | None = None) -> int:
        rings = self.folder / "keyrings"
        options = ("--policies-dir", self.folder / "policies", "--keyrings-dir", rings)
        return run("debsig-verify", *options, file or self.file).returncode

    def ours(self, file: Path | None = None) -> int:
        return main(["verify", str(file or self.file), "--store", str(self.public), "-q"])


@pytest.fixture(scope="module", params=["rsa3072", "ed25519"])
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("deb")
    home = folder / "h"
    home.mkdir(mode=0o700)
    (home / "gpg.conf").write_text("digest-algo SHA512\n")
    quiet = ("gpg", "-q", "--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", "")
    assert run(*quiet, "--quick-generate-key", "Test <t@example.org>", request.param, "sign", "never").returncode == 0
    listed = run(*quiet, "--with-colons", "--list-keys").stdout.decode()
    key = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))[-16:]
    public, secret = folder / "public.gpg", folder / "secret.gpg"
    assert run(*quiet, "-o", public, "--export").returncode == 0
    assert run(*quiet, "-o", secret, "--export-secret-keys").returncode == 0
    secret.chmod(0o600)
    ring = folder / "keyrings" / key / "ring.gpg"
    ring.parent.mkdir(parents=True)
    ring.write_bytes(public.read_bytes())
    yield Peer(folder, home, public, secret, key, folder / "x.deb")
    run("gpgconf", "--homedir", home, "--kill", "all")


@pytest.fixture
def peer(keys: Peer, tmp_path: Path) -> Peer:
    """With a package of dpkg-deb's own."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: tool\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: tool\n"
    )
    (tree / "usr").mkdir()
    (tree / "usr/file").write_text("content\n")
    (tree / "usr/link").symlink_to("file")
    file = tmp_path / "x.deb"
    assert run("dpkg-deb", "--root-owner-group", "-b", tree, file).returncode == 0
    return keys._replace(file=file)


@pytest.mark.parametrize("role", ["origin", "maint", "archive"])
def test_debsig_verify_accepts_what_we_sign(peer: Peer, role: str) -> None:
    """It looks for the policy by the origin's signature, so that one is there in any case."""
    peer.policy(role)
    assert peer.theirs() != 0
    words = ["sign", str(peer.file), "--format", "deb", "--key", f"openpgp:{peer.secret}", "--digest", "sha512"]
    assert main(words) == 0
    if role != "origin":
        assert peer.theirs() != 0
        assert main([*words, "--append", "--variant", role]) == 0
    assert peer.theirs() == 0
    assert peer.ours() == 0
    assert run("dpkg-deb", "-x", peer.file, peer.file.parent / "out").returncode == 0
    assert main(["strip", str(peer.file)]) == 0
    assert peer.theirs() != 0


@pytest.mark.parametrize("role", ["origin", "maint", "archive"])
def test_we_accept_what_debsigs_signs(peer: Peer, role: str) -> None:
    peer.policy(role)
    for each in dict.fromkeys(("origin", role)):
        done = run("debsigs", f"--sign={each}", f"--default-key={peer.key}", peer.file, GNUPGHOME=str(peer.home))
        assert done.returncode == 0, done.stderr
    assert peer.theirs() == 0
    assert peer.ours() == 0


def test_both_refuse_what_was_changed(peer: Peer, tmp_path: Path) -> None:
    peer.policy("origin")
    assert (
        main(["sign", str(peer.file), "--format", "deb", "--key", f"openpgp:{peer.secret}", "--digest", "sha512"]) == 0
    )
    signed = peer.file.read_bytes()
    changed = tmp_path / "changed.deb"
    for name in (b"control.tar", b"data.tar", b"_gpgorigin"):
        place = signed.index(name) + 60 + 40
        changed.write_bytes(signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :])
        assert peer.theirs(changed) != 0
        assert peer.ours(changed) in (1, 3)  # where the name of the key was hit, nobody knows it
    changed.write_bytes(signed[: signed.index(b"_gpgorigin")])
    assert peer.theirs(changed) != 0
    assert peer.ours(changed) == 1


def test_we_refuse_what_is_put_into_the_archive_and_dpkg_deb_reads(peer: Peer, tmp_path: Path) -> None:
    """Members behind the signature that nothing covers: dpkg-deb and debsig-verify pass over them."""
    peer.policy("origin")
    assert (
        main(["sign", str(peer.file), "--format", "deb", "--key", f"openpgp:{peer.secret}", "--digest", "sha512"]) == 0
    )
    extra = tmp_path / "extra"
    extra.write_text("evil")
    assert run("ar", "q", peer.file, extra).returncode == 0
    assert run("dpkg-deb", "-I", peer.file).returncode == 0
    assert peer.theirs() == 0
    assert peer.ours() == 1


def test_we_refuse_files_that_were_moved_behind_control_tar(peer: Peer, tmp_path: Path) -> None:
    """The signature still holds, and debsig-verify takes it, but the file is not among those that dpkg installs."""
    control = debs.tar([File("./control", b"Package: tool\nVersion: 1\nArchitecture: all\nDescription: tool\n")])
    data = debs.tar([File("./guard", b"on"), File("./tool", b"tool")])
    peer.file.write_bytes(debs.assembled(("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", data)))
    peer.policy("origin")
    words = ["sign", str(peer.file), "--format", "deb", "--key", f"openpgp:{peer.secret}", "--digest", "sha512"]
    assert main(words) == 0
    assert (peer.theirs(), peer.ours()) == (0, 0)
    whole = peer.file.read_bytes()
    end = whole.index(b"_gpgorigin")
    moved = debs.assembled(
        ("debian-binary", b"2.0\n"), ("control.tar", control + data[:1024]), ("data.tar", data[1024:])
    )
    file = tmp_path / "moved.deb"
    file.write_bytes(moved + whole[end:])
    assert (peer.theirs(file), peer.ours(file)) == (0, 1)
    assert b"guard" not in run("dpkg-deb", "-c", file).stdout


def test_dpkg_deb_reads_what_we_build_and_refuses_what_we_refuse(tmp_path: Path) -> None:
    file = tmp_path / "x.deb"
    file.write_bytes(debs.deb([File("./usr/file", b"content")]))
    assert run("dpkg-deb", "-x", file, tmp_path / "out").returncode == 0
    assert (tmp_path / "out/usr/file").read_bytes() == b"content"


@pytest.mark.skipif(not list(CACHE.glob("*.deb")), reason="no packages in apt's cache")
def test_contents_are_those_that_dpkg_deb_unpacks(tmp_path: Path) -> None:
    smallest = sorted(CACHE.glob("*.deb"), key=lambda path: path.stat().st_size)[:20]
    for number, path in enumerate(smallest):
        out = tmp_path / str(number)
        assert run("dpkg-deb", "-x", path, out).returncode == 0
        with Artifact.open(path) as artifact:
            said = contents.control(artifact.view)
            found = {entry.path.decode(): entry for entry in contents.files(artifact.view)}
        shown = run("dpkg-deb", "-f", path, "Package", "Version", "Architecture").stdout.decode()
        assert f"Package: {said.package.decode()}\nVersion: {said.version.decode()}" in shown
        there = {str(each.relative_to(out)) for each in out.rglob("*")}
        assert there == set(found) - {""}
        for name, entry in found.items():
            if entry.kind == b"f":
                assert hashlib.sha256((out / name).read_bytes()).digest() == entry.content
            elif entry.kind == b"l":
                assert str((out / name).readlink()).encode() == entry.content


@pytest.mark.skipif(not list(LISTS.glob("*_InRelease")), reason="apt has no lists here")
def test_debians_own_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The lists and packages of this very host, with Debian's keys; and the same with a byte changed."""
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    assert main(["apt", "verify", "--json"]) in (0, 1)  # old lists may have expired
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    codes = {finding["code"] for each in told for finding in each["findings"] if finding["outcome"] != "info"}
    assert codes <= {"apt.release", "apt.fresh", "apt.index", "apt.expired"}
    listed = [path for path in sorted(CACHE.glob("*.deb")) if path.stat().st_size < 200_000]
    proven = 0
    for path in listed[:40]:
        status = main(["apt", "verify", str(path), "-q"])
        if status == 0:
            proven += 1
            changed = tmp_path / "changed.deb"
            data = path.read_bytes()
            changed.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
            assert main(["apt", "verify", str(changed), "-q"]) == 1
            if proven > 2:
                break
    assert proven or not listed
