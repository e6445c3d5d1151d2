"""Signatures made with SSH keys: what is read, what is refused, whom a list of signers allows."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import digest, limits
from chopmark.core.contracts import Content, SealOptions
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.core.seal import Payload, Recipe
from chopmark.core.signer import Terms
from chopmark.envelopes import ssh
from chopmark.envelopes.ssh import bare_keys as allowed
from chopmark.envelopes.ssh import keys, making, sshsig, wire
from tests.support import bare_keys, pki

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIGNER = bare_keys.signer("ssh")
BODY = b"content"
NOON = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
HASHED = digest.of(BODY, "sha512")
CONTENT = Content("ssh", "sha512", HASHED)
MADE = making.seal(CONTENT, SIGNER, NOON, SealOptions())
RAW = base64.b64decode(b"".join(MADE.split(b"\n")[1:-2]))
PUBLIC = (bare_keys.VECTORS / "ssh" / "signer.pub").read_text()
WORDS = " ".join(PUBLIC.split()[:2])


def codes(data: bytes, value: bytes = HASHED) -> set[str]:
    proof = ssh.envelope_in(data).check([Payload(Recipe("sha512", ()), value, len(BODY))])
    return {finding.code for finding in proof.findings}


def refused(data: bytes) -> str:
    with pytest.raises(BrokenError) as caught:
        ssh.envelope_in(data)
    return caught.value.reason.code


def test_what_was_signed_holds() -> None:
    assert codes(MADE) == {"ssh.signature"}
    assert codes(MADE, digest.of(b"other", "sha512")) == {"ssh.signature_wrong"}


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa3072", "ed25519"])
def test_every_kind_of_key(kind: str) -> None:
    signer = pki.world(kind).signer
    assert codes(making.seal(CONTENT, signer, NOON, SealOptions())) == {"ssh.signature"}
    assert keys.read(making.public_blob(signer)).spki == signer.public_key


def test_keys_that_ssh_does_not_have_are_refused() -> None:
    class Pss:
        algorithm, certificates, public_key = "rsa-pss", (), pki.world("rsa3072").signer.public_key

        def sign(self, data: bytes, digest_algorithm: str) -> bytes:
            raise AssertionError(data, digest_algorithm)

    with pytest.raises(RefusedError):
        making.seal(CONTENT, Pss(), NOON, SealOptions())


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:0],
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"SSH SIGNATURE", b"SSH SIGNATUR"),
        lambda data: data.replace(b"U1NI", b"V1NI"),
        lambda data: data[:60] + b"\n" + data[60:],
        lambda data: data[:30] + b"A" * limits.SSH_SIGNATURE_MAX + data[30:],
        lambda data: data[:30] + sshsig.END,
        lambda data: data[:30] + b"\n" + sshsig.END,
    ],
)
def test_what_ssh_keygen_would_not_write_is_refused(change: Callable[[bytes], bytes]) -> None:
    assert refused(change(MADE)) == "ssh.form"


def rebuilt(**changes: bytes) -> bytes:
    """The signature with some of its fields replaced."""
    reader = wire.Reader(RAW[10:])
    fields = dict(zip(("blob", "namespace", "reserved", "digest", "value"), iter(reader.string, None), strict=False))
    return sshsig.armoured(RAW[:10] + b"".join(wire.string(each) for each in (fields | changes).values()))


def test_fields_that_mean_something_else() -> None:
    assert codes(rebuilt()) == {"ssh.signature"}
    assert codes(rebuilt(namespace=b"git")) == {"ssh.signature_wrong", "ssh.namespace"}
    assert codes(rebuilt(reserved=b"x")) == {"ssh.signature_wrong"}
    assert refused(rebuilt(namespace=b"")) == "ssh.form"
    assert refused(rebuilt(namespace=b"\xff")) == "ssh.form"
    assert refused(rebuilt(digest=b"sha1")) == "ssh.algorithm"
    assert refused(rebuilt(blob=wire.string(b"ssh-dss") + wire.string(b"x"))) == "ssh.algorithm"
    assert refused(rebuilt(blob=b"")) == "ssh.form"
    assert codes(rebuilt(value=wire.string(b"ssh-rsa") + wire.string(b"x"))) == {"ssh.algorithm"}
    assert codes(rebuilt(value=wire.string(b"ssh-ed25519") + wire.string(b"x" * 64) + b"more")) == {"ssh.algorithm"}


def covered() -> bytes:
    """What the key signs of BODY (PROTOCOL.sshsig)."""
    return b"SSHSIG" + b"".join(wire.string(each) for each in (b"file", b"", b"sha512", HASHED))


@pytest.mark.parametrize(("flags", "expected"), [(1, {"ssh.signature"}), (0, {"ssh.signature", "ssh.untouched"})])
def test_a_security_key_says_whether_somebody_was_there(flags: int, expected: set[str]) -> None:
    """PROTOCOL.u2f: the token signs the digests of application and message, with flags and a counter."""
    token = ed25519.Ed25519PrivateKey.generate()
    kind, application = b"sk-ssh-ed25519@openssh.com", b"ssh:"
    blob = wire.string(kind) + wire.string(token.public_key().public_bytes_raw()) + wire.string(application)
    about = bytes([flags]) + (7).to_bytes(4, "big")
    signed = token.sign(hashlib.sha256(application).digest() + about + hashlib.sha256(covered()).digest())
    value = wire.string(kind) + wire.string(signed) + about
    assert codes(rebuilt(blob=blob, value=value)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ssh.certificate"),
        ({"kind": 2}, "ssh.certificate_wrong"),
        ({"name": b"m\xf6ller"}, "ssh.certificate_wrong"),  # in a list in Latin-1, müller would be the same
        ({"options": wire.string(b"force-command") + wire.string(wire.string(b"x"))}, "ssh.certificate_wrong"),
        ({"signed": b"otherwise"}, "ssh.certificate_wrong"),
        ({"name": b"alice,root"}, "ssh.certificate_wrong"),
    ],
)
def test_a_certificate_around_the_key(changes: dict[str, Any], expected: str) -> None:
    """PROTOCOL.certkeys: nonce, key, serial, kind, name, principals, times, options, extensions, CA, signature."""
    key, authority = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    own = key.public_key().public_bytes_raw()
    by = wire.string(b"ssh-ed25519") + wire.string(authority.public_key().public_bytes_raw())
    body = b"".join(
        (
            wire.string(b"ssh-ed25519-cert-v01@openssh.com") + wire.string(bytes(32)) + wire.string(own),
            (1).to_bytes(8, "big") + int(changes.get("kind", 1)).to_bytes(4, "big"),
            wire.string(b"alice") + wire.string(wire.string(changes.get("name", b"alice"))),
            bytes(8) + b"\xff" * 8,
            wire.string(changes.get("options", b"")) + wire.string(b"") + wire.string(b"") + wire.string(by),
        )
    )
    sealed = wire.string(b"ssh-ed25519") + wire.string(authority.sign(changes.get("signed", body)))
    value = wire.string(b"ssh-ed25519") + wire.string(key.sign(covered()))
    assert codes(rebuilt(blob=body + wire.string(sealed), value=value)) == {"ssh.signature", expected}


def test_rsa_with_sha1_is_refused() -> None:
    key = keys.read(making.public_blob(pki.world("rsa3072").signer))
    with pytest.raises(MalformedError):
        keys.verify(key, wire.string(b"ssh-rsa") + wire.string(b"x" * 384), b"data")


@pytest.mark.parametrize(
    ("line", "terms"),
    [
        (PUBLIC, Terms()),
        (f"a@b {WORDS}", Terms(("a@b",))),
        (f'"a@b" {WORDS} words', Terms(("a@b",))),
        (f"# words\n\na@b,*@c cert-authority {WORDS}", Terms(("a@b", "*@c"), authority=True)),
        (f'a@b namespaces="file,git",cert-authority {WORDS}', Terms(("a@b",), ("file", "git"), authority=True)),
        (
            f'a@b valid-after="20260101Z",valid-before="202607011230Z" {WORDS}',
            Terms(
                ("a@b",),
                valid_after=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
                valid_before=dt.datetime(2026, 7, 1, 12, 30, tzinfo=dt.UTC),
            ),
        ),
    ],
)
def test_allowed_signers(line: str, terms: Terms) -> None:
    found = allowed.public_keys(line.encode())
    assert found is not None
    [key] = found
    assert key.terms == terms
    assert key.raw == making.public_blob(SIGNER)


@pytest.mark.parametrize(
    "line",
    [
        f"a@b no-such-option {WORDS}",
        f'a@b namespaces="" {WORDS}',
        f'a@b valid-after="2026" {WORDS}',
        f'a@b valid-after="20269999Z" {WORDS}',
        f"a@b cert-authority, {WORDS.split()[0]} !!!!",
        f"a@b {WORDS.split()[0]}",
        f"a@b ssh-rsa {WORDS.split()[1]}",
        f"a@b {WORDS}\na@b cert-authority=1 {WORDS}",
        f'a@b namespaces="git",namespaces="file" {WORDS}',
        f'a@b valid-before="20200101Z",valid-before="20990101Z" {WORDS}',
        f'a@b valid-before="{"".join(chr(0x660 + int(each)) for each in "20990101")}" {WORDS}',
    ],
)
def test_lines_that_cannot_be_followed_are_refused(line: str) -> None:
    with pytest.raises(MalformedError, match="line"):
        allowed.public_keys(line.encode())


@pytest.mark.parametrize("end", ["\v", "\f", "\x1c", "\x1e", "\x85", "\u2028", "\u2029", "\r"])
def test_only_a_line_feed_ends_a_line(end: str) -> None:
    """Else the comment of a key could allow another: editors, and ssh-keygen, show and read one line."""
    other = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    eve = base64.b64encode(wire.string(b"ssh-ed25519") + wire.string(other)).decode()
    found = allowed.public_keys(f"a@b {WORDS} note{end}eve ssh-ed25519 {eve}\n".encode())
    assert found is not None
    assert [key.raw for key in found] == [making.public_blob(SIGNER)]


@pytest.mark.parametrize("data", [b"", b"\n# nothing\n", b"words", pki.world().root.pem, b"\0ssh-ed25519 x"])
def test_other_files_are_no_keys(data: bytes) -> None:
    assert allowed.public_keys(data) is None


@given(st.binary(max_size=300))
def test_anything_is_a_signature_or_refused(data: bytes) -> None:
    for whole in (data, sshsig.armoured(RAW[: len(data)] + data), rebuilt(blob=data), rebuilt(value=data)):
        with suppress(MalformedError):
            codes(whole)
    for text in (data, b"a@b ssh-ed25519 " + data, b"a " + data + b" " + WORDS.encode()):
        with suppress(MalformedError):
            allowed.public_keys(text)


def test_a_key_file_of_ssh_is_opened(tmp_path: Path) -> None:
    from chopmark.keys import open_key
    from chopmark.keys.errors import UnusableKeyError

    assert SIGNER.algorithm == "ed25519"
    path = tmp_path / "key"
    for junk in (b"", pki.world().signer.private_pem(), b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"):
        path.touch(0o600)
        path.write_bytes(junk)
        with pytest.raises(UnusableKeyError):
            open_key(f"ssh:{path}")
    path.write_bytes((bare_keys.VECTORS / "ssh" / "signer.key").read_bytes())
    assert open_key(f"ssh:{path}").public_key == SIGNER.public_key
    path.chmod(0o644)
    with pytest.raises(UnusableKeyError, match="chmod"):
        open_key(f"ssh:{path}")
