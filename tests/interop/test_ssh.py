"""ssh-keygen -Y: it accepts what we sign, we accept what it signs, and both refuse the tampered and the disallowed."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chopmark.cli import main
from chopmark.envelopes.ssh import sshsig, wire

pytestmark = pytest.mark.interop

KINDS = {
    "ed25519": ("-t", "ed25519"),
    "p256": ("-t", "ecdsa", "-b", "256"),
    "p384": ("-t", "ecdsa", "-b", "384"),
    "p521": ("-t", "ecdsa", "-b", "521"),
    "rsa": ("-t", "rsa", "-b", "3072"),
}
WHO = "release@example.org"


def run(*command: str | Path, stdin: bytes = b"") -> int:
    return subprocess.run(command, input=stdin, capture_output=True, check=False).returncode


class World(NamedTuple):
    """A folder with a key, its public half, the list of allowed signers, and a file."""

    key: Path
    public: Path
    allowed: Path
    file: Path

    def allow(self, options: str = "", key: Path | None = None) -> None:
        words = (key or self.public).read_text().split()[:2]
        self.allowed.write_text(" ".join(filter(None, [WHO, options, *words])) + "\n")

    def theirs(self, *options: str) -> bool:
        command = ("ssh-keygen", "-Y", "verify", "-f", self.allowed, "-I", WHO, "-n", "file", "-s", f"{self.file}.sig")
        return run(*command, *options, stdin=self.file.read_bytes()) == 0

    def ours(self) -> int:
        return main(["verify", str(self.file), "--store", str(self.allowed)])


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    key = tmp_path / "key"
    assert run("ssh-keygen", "-q", *KINDS[request.param], "-N", "", "-C", WHO, "-f", key) == 0
    made = World(key, tmp_path / "key.pub", tmp_path / "allowed", tmp_path / "file")
    made.file.write_bytes(b"content")
    made.allow()
    return made


def signed_by_them(world: World, *options: str | Path, namespace: str = "file") -> None:
    Path(f"{world.file}.sig").unlink(missing_ok=True)
    assert run("ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", world.key, *options, world.file) == 0


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_both_ways(world: World, size: int) -> None:
    world.file.write_bytes(b"x" * size)
    signed_by_them(world)
    assert world.theirs()
    assert world.ours() == 0
    assert main(["sign", str(world.file), "--format", "ssh", "--key", f"ssh:{world.key}"]) == 0
    assert world.theirs()
    assert world.ours() == 0


def test_sha256_is_read_too(world: World) -> None:
    signed_by_them(world, "-O", "hashalg=sha256")
    assert world.theirs()
    assert world.ours() == 0


def test_both_refuse_the_tampered(world: World) -> None:
    signed_by_them(world)
    signature = Path(f"{world.file}.sig")
    good, content = signature.read_bytes(), world.file.read_bytes()
    world.file.write_bytes(content + b"x")
    assert not world.theirs()
    assert world.ours() == 1
    world.file.write_bytes(content)
    lines = good.split(b"\n")
    for number in (2, len(lines) - 3):
        changed = bytearray(lines[number])
        changed[10] = ord("A") if changed[10] != ord("A") else ord("B")
        signature.write_bytes(b"\n".join([*lines[:number], bytes(changed), *lines[number + 1 :]]))
        assert not world.theirs()
        assert world.ours() == 1


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ('namespaces="file"', True),
        ('namespaces="git,fi*"', True),
        ('namespaces="git"', False),
        ('namespaces="fil?"', True),
        ('namespaces="[f]ile"', False),
        ('namespaces="!file,*"', False),
        ('namespaces="*,!git"', True),
        ('namespaces="!git"', False),
        ('namespaces="git",namespaces="file"', False),
        ('valid-before="20200101Z",valid-before="20990101Z"', False),
        ('valid-after="20200101Z"', True),
        ('valid-after="20990101Z"', False),
        ('valid-before="20990101Z"', True),
        ('valid-before="20200101Z"', False),
        ("cert-authority", False),
    ],
)
def test_the_options_of_allowed_signers(tmp_path: Path, options: str, allowed: bool) -> None:  # noqa: FBT001 - a case
    key = tmp_path / "key"
    assert run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key) == 0
    world = World(key, tmp_path / "key.pub", tmp_path / "allowed", tmp_path / "file")
    world.file.write_bytes(b"content")
    world.allow(options)
    signed_by_them(world)
    assert world.theirs() is allowed
    assert (world.ours() == 0) is allowed


@pytest.mark.parametrize("end", ["\f", "\x85", "\u2028"])
def test_a_comment_allows_nobody(tmp_path: Path, end: str) -> None:
    """What ends a line for Unicode ends none for ssh-keygen: behind it stands a comment still."""
    keys = [tmp_path / "alice", tmp_path / "eve"]
    for key in keys:
        assert run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key) == 0
    alice, eve = (key.with_suffix(".pub").read_text().strip() for key in keys)
    world = World(keys[1], keys[1].with_suffix(".pub"), tmp_path / "allowed", tmp_path / "file")
    world.file.write_bytes(b"content")
    world.allowed.write_text(f"{WHO} {alice} note{end}{WHO} {eve}\n")
    signed_by_them(world)
    assert not world.theirs()
    assert world.ours() == 1


def test_another_namespace_is_refused_by_both(world: World) -> None:
    signed_by_them(world, namespace="git")
    assert not world.theirs()
    assert world.ours() == 1


def test_a_stranger_is_refused_by_both(world: World, tmp_path: Path) -> None:
    assert run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other") == 0
    world.allow(key=tmp_path / "other.pub")
    signed_by_them(world)
    assert not world.theirs()
    assert world.ours() == 1


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        (("-n", WHO, "-V", "-1d:+1d"), True),
        (("-n", WHO, "-V", "-3d:-1d"), False),
        (("-n", WHO, "-V", "+1d:+3d"), False),
        (("-n", "somebody@else", "-V", "-1d:+1d"), False),
        (("-V", "-1d:+1d"), False),
        (("-h", "-n", WHO, "-V", "-1d:+1d"), False),
    ],
    ids=lambda value: "-".join(value).replace("/", "") if isinstance(value, tuple) else str(value),
)
def test_certificates(world: World, tmp_path: Path, options: tuple[str, ...], allowed: bool) -> None:  # noqa: FBT001 - a case
    authority = tmp_path / "ca"
    assert run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority) == 0
    assert run("ssh-keygen", "-q", "-s", authority, "-I", "an id", *options, world.public) == 0
    world.allow("cert-authority", tmp_path / "ca.pub")
    Path(f"{world.file}.sig").unlink(missing_ok=True)
    sign = ("ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", tmp_path / "key-cert.pub", world.file)
    assert run(*sign) == 0
    assert world.theirs() is allowed
    assert (world.ours() == 0) is allowed


def security_key_signature(world: World, flags: int, *, curve: bool) -> None:
    """What a security key would make (PROTOCOL.u2f), and the list that allows it."""
    string = wire.string
    private, other = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    if curve:
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        kind, key = b"sk-ecdsa-sha2-nistp256@openssh.com", string(b"nistp256") + string(point)
    else:
        kind, key = b"sk-ssh-ed25519@openssh.com", string(other.public_key().public_bytes_raw())
    blob = string(kind) + key + string(b"ssh:")
    digest = hashlib.sha512(world.file.read_bytes()).digest()
    covered = b"SSHSIG" + string(b"file") + string(b"") + string(b"sha512") + string(digest)
    tail = bytes([flags]) + (7).to_bytes(4, "big")
    signed = hashlib.sha256(b"ssh:").digest() + tail + hashlib.sha256(covered).digest()
    if curve:
        first, second = utils.decode_dss_signature(private.sign(signed, ec.ECDSA(hashes.SHA256())))
        value = wire.mpint(first) + wire.mpint(second)
    else:
        value = other.sign(signed)
    signature = string(kind) + string(value) + tail
    raw = b"SSHSIG" + (1).to_bytes(4, "big") + b"".join(map(string, (blob, b"file", b"", b"sha512", signature)))
    Path(f"{world.file}.sig").write_bytes(sshsig.armoured(raw))
    world.public.write_text(f"{kind.decode()} {base64.b64encode(blob).decode()} x\n")
    world.allow()


@pytest.mark.parametrize("curve", [False, True])
@pytest.mark.parametrize("flags", [1, 5, 0])
def test_security_keys(tmp_path: Path, flags: int, curve: bool) -> None:  # noqa: FBT001 - a case
    world = World(tmp_path / "key", tmp_path / "key.pub", tmp_path / "allowed", tmp_path / "file")
    world.file.write_bytes(b"content")
    security_key_signature(world, flags, curve=curve)
    assert world.theirs()
    assert world.ours() == 0
    signature = Path(f"{world.file}.sig")
    whole = bytearray(base64.b64decode(b"".join(signature.read_bytes().split(b"\n")[1:-2])))
    whole[-1] ^= 1  # the counter
    signature.write_bytes(sshsig.armoured(bytes(whole)))
    assert not world.theirs()
    assert world.ours() == 1
