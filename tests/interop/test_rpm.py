"""rpm 4.18, and rpm 6 where it is: they accept what we sign, we accept what they sign, both refuse the rest."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chopmark.cli import main
from chopmark.core.artifact import Artifact
from chopmark.formats.rpm import contents, facts, files, header, package, signatures, tags
from tests.support import rpms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.formats.rpm.header import Value

pytestmark = pytest.mark.interop

RPM6 = Path(__file__).parents[2] / "build/peers/rpm6"
MATERIAL = Path(__file__).parents[2] / "build/peers/rpm-tests"
needs_rpm6 = pytest.mark.skipif(not RPM6.exists(), reason="no rpm 6 (tools/newer_rpm.sh)")
SPEC = """Name: tool
Version: 1.0
Release: 1
Epoch: 2
Summary: tool
License: MIT
BuildArch: noarch
%description
tool
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc
echo hello > %{buildroot}/usr/bin/tool
ln %{buildroot}/usr/bin/tool %{buildroot}/usr/bin/hard
ln -s tool %{buildroot}/usr/bin/link
touch %{buildroot}/usr/bin/empty
echo x > %{buildroot}/etc/tool.conf
%files
%dir /usr/bin
/usr/bin/tool
/usr/bin/hard
/usr/bin/link
%caps(cap_net_raw=ep) /usr/bin/empty
%config(noreplace) /etc/tool.conf
%ghost /var/lib/tool.state
"""


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, capture_output=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


class Peer(NamedTuple):
    """A key in a home of gpg's and in rpm's database, and which rpm that is (empty: the system's)."""

    folder: Path
    public: Path
    secret: Path
    program: tuple[str | Path, ...] = ()

    def rpm(self, program: str, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        version = "6" if self.program else "4"
        return run(*self.program, program, "--dbpath", self.folder / f"db{version}", *arguments, check=check)

    def build(self, folder: Path, *defines: str) -> Path:
        """A package of rpmbuild's own."""
        (folder / "tool.spec").write_text(SPEC)
        options = [word for each in (f"_topdir {folder}/top", *defines) for word in ("--define", each)]
        run(*self.program, "rpmbuild", "-bb", *options, folder / "tool.spec")
        [built] = folder.glob("top/RPMS/noarch/*.rpm")
        return built

    def sign(self, file: Path, *options: str) -> None:
        """With rpmsign."""
        settings = ["__gpg /usr/bin/gpg", f"_gpg_path {self.folder}/h", "_gpg_name t@example.org"]
        defines = [word for each in settings for word in ("--define", each)]
        run(*self.program, "rpmsign", *defines, *options, "--addsign", file)

    def accepts(self, file: Path) -> bool:
        """Whether all is in order for rpmkeys, a signature included (which it asks for at this level alone)."""
        level = ("--define", "_pkgverify_level all")
        return self.rpm("rpmkeys", *level, "-K", file, check=False).returncode == 0

    def ours(self, file: Path) -> int:
        return main(["verify", str(file), "--store", str(self.public), "-q"])

    @property
    def key(self) -> tuple[str, str]:
        return "--key", f"openpgp:{self.secret}"

    def make(self, file: Path, *options: str) -> int:
        return main(
            ["sign", str(file), "--format", "rpm", "--key", f"openpgp:{self.secret}", "--digest", "sha512", *options]
        )


@pytest.fixture(scope="module", params=["rsa3072", "ed25519"])
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("rpm")
    (folder / "h").mkdir(mode=0o700)
    quiet = ("gpg", "-q", "--homedir", folder / "h", "--batch", "--pinentry-mode", "loopback", "--passphrase", "")
    run(*quiet, "--quick-generate-key", "Test <t@example.org>", request.param, "sign", "never")
    public, secret = folder / "public.asc", folder / "secret.gpg"
    run(*quiet, "-a", "-o", public, "--export")
    run(*quiet, "-o", secret, "--export-secret-keys")
    secret.chmod(0o600)
    found = Peer(folder, public, secret)
    for each in (found, found._replace(program=(RPM6,))) if RPM6.exists() else (found,):
        each.rpm("rpmkeys", "--import", public)
    yield found
    run("gpgconf", "--homedir", folder / "h", "--kill", "all")


@pytest.fixture(params=["4", pytest.param("6", marks=needs_rpm6)])
def peer(keys: Peer, request: pytest.FixtureRequest) -> Peer:
    return keys._replace(program=(RPM6,) if request.param == "6" else ())


@pytest.fixture
def built(peer: Peer, tmp_path: Path) -> Path:
    return peer.build(tmp_path)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_they_accept_what_we_sign(peer: Peer, built: Path) -> None:
    bare = built.read_bytes()
    assert not peer.accepts(built)
    assert peer.ours(built) == 1
    for _ in range(2):  # signing anew replaces
        assert peer.make(built) == 0
        assert peer.accepts(built)
        assert peer.ours(built) == 0
        assert len(built.read_bytes()) == len(bare)
    assert main(["strip", str(built)]) == 0
    assert built.read_bytes() == bare


def test_we_accept_what_they_sign_and_take_it_away(peer: Peer, built: Path) -> None:
    bare = built.read_bytes()
    peer.sign(built)
    assert peer.accepts(built)
    assert peer.ours(built) == 0
    assert main(["strip", str(built)]) == 0
    assert built.read_bytes() == bare
    assert peer.make(built) == 0
    peer.sign(built, *(() if peer.program else ("--define", "_gpg_digest_algo sha256")))
    assert peer.accepts(built)
    assert peer.ours(built) == 0
    assert peer.make(built) == 0
    run(*peer.program, "rpmsign", "--delsign", built)
    assert peer.ours(built) == 1


@pytest.mark.parametrize("part", ["signature", "header", "payload", "end", "behind"])
def test_both_refuse_what_was_changed(peer: Peer, built: Path, part: str) -> None:
    assert peer.make(built) == 0
    data = built.read_bytes()
    with Artifact.open(built) as artifact:
        found = package.read(artifact.view)
    tag = next(tag for tag in (tags.OPENPGP, tags.RSA, tags.DSA) if tag in found.signatures.entries)
    behind = found.end - len(found.signatures.data) + found.signatures.entries[tag][-1]
    places = {
        "signature": behind - 8,
        "header": found.payload - 40,
        "payload": found.payload + 20,
        "end": len(data) - 3,
    }
    built.write_bytes(flipped(data, places[part]) if part in places else data + b"\0")
    assert not peer.accepts(built)
    assert peer.ours(built) == 1


def test_another_key_is_nobodys(peer: Peer, built: Path) -> None:
    built.write_bytes(rpms.signed(built.read_bytes()))
    assert not peer.accepts(built)
    assert peer.ours(built) == 3


def test_a_signature_over_header_and_payload(keys: Peer, tmp_path: Path) -> None:
    built = keys.build(tmp_path)
    assert keys.make(built, "--variant", "v3") == 0
    assert keys.accepts(built)
    assert keys.ours(built) == 0
    signed = built.read_bytes()
    built.write_bytes(flipped(signed, -5 % len(signed)))
    assert not keys.accepts(built)
    assert keys.ours(built) == 1
    built.write_bytes(signed)
    keys.sign(built, "--rpmv3")
    with Artifact.open(built) as artifact:
        assert len(package.read(artifact.view).signatures.entries.keys() & signatures.EVERY) == 2
    assert keys.accepts(built)
    assert keys.ours(built) == 0


def test_a_signature_over_sha1_is_weak(keys: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built = keys.build(tmp_path)
    keys.sign(built, "--define", "_gpg_digest_algo sha1")
    assert keys.accepts(built)
    assert main(["verify", str(built), "--store", str(keys.public), "--json"]) == 1
    [seal] = json.loads(capsys.readouterr().out)["seals"]
    assert [each["code"] for each in seal["findings"] if each["outcome"] == "no"] == ["digest.weak"]


def test_neither_signs_what_is_damaged(keys: Peer, tmp_path: Path) -> None:
    built = keys.build(tmp_path)
    built.write_bytes(flipped(built.read_bytes(), -5 % built.stat().st_size))
    with pytest.raises(AssertionError, match="not signing corrupt package"):
        keys.sign(built)
    assert keys.make(built) == 1


@needs_rpm6
def test_a_package_of_version_4_with_signatures_of_6(keys: Peer, tmp_path: Path) -> None:
    newer = keys._replace(program=(RPM6,))
    built = newer.build(tmp_path, "_rpmformat 4")
    for options in (("--rpmv4",), ("--rpmv6",), ("--rpmv4", "--rpmv6")):
        newer.sign(built, *options)
        assert newer.accepts(built)
        assert newer.ours(built) == 0
    several = keys.build(tmp_path)
    assert newer.make(several) == 0
    newer.sign(several, "--rpmv6")
    assert newer.accepts(several)
    assert newer.ours(several) == 0


@needs_rpm6
def test_several_signatures_of_version_6(keys: Peer, tmp_path: Path) -> None:
    newer = keys._replace(program=(RPM6,))
    built = newer.build(tmp_path)
    newer.sign(built)
    assert newer.make(built, "--append") == 0
    with Artifact.open(built) as artifact:
        assert len(package.read(artifact.view).signatures.strings(tags.OPENPGP)) == 2
    assert newer.accepts(built)
    assert newer.ours(built) == 0


@pytest.mark.parametrize("how", ["w9.gzdio", "w6.xzdio", "w9.bzdio", "w3.zstdio", "w.ufdio"])
def test_contents_are_those_that_rpm_lists(peer: Peer, tmp_path: Path, how: str) -> None:
    built = peer.build(tmp_path, f"_binary_payload {how}")
    with Artifact.open(built) as artifact:
        found = package.read(artifact.view)
        compared = contents.compare(artifact.view, found)
        released = facts.release(artifact)
    query = "[%{FILENAMES} %{FILEDIGESTS} %{FILEMODES} %{FILEFLAGS} %{FILELINKTOS} %{FILECAPS}\\n]"
    listed = run(*peer.program, "rpm", "-qp", "--qf", query, built).stdout.decode().splitlines()
    assert compared == (len(listed), ())
    for line, each in zip(listed, files.listed(found.header), strict=True):
        caps = each.capabilities.decode()
        said = f"/{each.path.decode()} {each.digest.hex()} {each.mode} {each.flags} {each.target.decode()} {caps}"
        assert line.split() == said.split()
    evr = run(*peer.program, "rpm", "-qp", "--qf", "%{NAME} %{EVR}", built).stdout.decode()
    assert released is not None
    assert evr == f"{released.product} {released.version}"


@pytest.mark.skipif(not MATERIAL.exists(), reason="no packages of rpm's own tests (tools/rpm_packages.sh)")
def test_packages_of_rpms_own_tests(tmp_path: Path) -> None:
    """Built by rpm 4.0 to 4.17 in twenty years: read as they are, and the signed one is trusted by both."""
    public = MATERIAL / "keys/rpm.org-rsa-2048-test.pub"
    peer = Peer(tmp_path, public, tmp_path / "none")
    peer.rpm("rpmkeys", "--import", public)
    found = sorted(MATERIAL.glob("*RPMS/*.rpm"))
    trusted = set()
    for path in found:
        status = peer.ours(path)
        assert peer.accepts(path) is (status == 0), path
        if status == 0:
            trusted.add(path.name)
        with Artifact.open(path) as artifact:
            opened = package.read(artifact.view)
            if "corrupted" not in path.name:
                assert contents.compare(artifact.view, opened).differing == ()
    assert trusted == {"hello-2.0-1.x86_64-signed.rpm"}
    assert len(found) > 5


# What rpm lets pass, and chopmark does not


def with_signature_header(data: bytes, *more: Value) -> bytes:
    artifact = Artifact.from_bytes(data)
    found = package.read(artifact.view)
    made = header.written(tags.SIGNATURES, [*header.values(found.signatures), *more])
    return rpms.assembled(made, data[found.start : found.payload], data[found.payload :], data[:96])


def test_we_refuse_what_hides_in_the_signature_header_and_rpm_passes_over(keys: Peer, tmp_path: Path) -> None:
    built = keys.build(tmp_path)
    assert keys.make(built) == 0
    data = built.read_bytes()
    built.write_bytes(with_signature_header(data, rpms.text(5000, "evil")))
    assert keys.accepts(built)
    assert keys.ours(built) == 1
    place = data.index(bytes(500)) + 100  # the reserved room
    built.write_bytes(flipped(data, place))
    assert keys.accepts(built)
    assert keys.ours(built) == 1


def test_both_refuse_tags_outside_of_the_region(keys: Peer, tmp_path: Path) -> None:
    built = keys.build(tmp_path)
    assert keys.make(built) == 0
    data = built.read_bytes()
    with Artifact.open(built) as artifact:
        found = package.read(artifact.view)
    head = data[found.start : found.payload]
    count, size = (int.from_bytes(head[at : at + 4], "big") for at in (8, 12))
    row = (1000).to_bytes(4, "big") + (6).to_bytes(4, "big") + size.to_bytes(4, "big") + (1).to_bytes(4, "big")
    index = head[16 : 16 + 16 * count] + row
    intro = head[:8] + (count + 1).to_bytes(4, "big") + (size + 5).to_bytes(4, "big")
    built.write_bytes(data[: found.start] + intro + index + head[16 + 16 * count :] + b"evil\0" + data[found.payload :])
    assert not keys.accepts(built)
    assert keys.ours(built) == 1
