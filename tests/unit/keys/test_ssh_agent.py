"""Keys in an ssh agent: what they can sign, which one is meant, and what an agent may answer."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from chopmark import keys
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UnavailableError, UsageError
from chopmark.envelopes import algorithms, der, signatures
from chopmark.envelopes.ssh.wire import Reader
from chopmark.keys import ssh_agent, ssh_wire
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.uri import KeyUri
from tests.support import pki
from tests.support.patience import PATIENCE
from tests.support.ssh_agent import identities, serving, wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = ("rsa2048", "p256", "p384", "p521", "ed25519")
NAMES = {"p256": "nistp256", "p384": "nistp384", "p521": "nistp521"}
DIGESTS = {
    "rsa2048": ("sha256", "sha512"),
    "p256": ("sha256",),
    "p384": ("sha384",),
    "p521": ("sha512",),
    "ed25519": ("sha256", "sha384", "sha512"),
}
DATA = b"what is signed"


def blob(kind: str) -> bytes:
    text = pki.key(kind).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(text.split()[1])


def fingerprint(kind: str) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob(kind)).digest()).decode().rstrip("=")


def mpint(number: int) -> bytes:
    return wire(number.to_bytes(number.bit_length() // 8 + 1, "big"))


class Agent:
    """What an honest agent answers, with keys of every kind."""

    def __init__(self) -> None:
        self.held = [(blob(kind), f"key {kind}") for kind in KINDS]
        self.flags: list[int] = []

    def __call__(self, message: bytes) -> bytes:
        if message == b"\x0b":
            return identities(*self.held)
        reader = Reader(message[1:])
        public, data, flags = reader.string(), reader.string(), reader.number()
        self.flags.append(flags)
        kind = next(kind for kind in KINDS if blob(kind) == public)
        private = pki.key(kind)
        if kind.startswith("rsa"):
            digest, name = {2: ("sha256", b"rsa-sha2-256"), 4: ("sha512", b"rsa-sha2-512")}[flags]
            value = pki.Entity(private, pki.world().root.certificate).sign(data, digest)
        elif isinstance(private, ec.EllipticCurvePrivateKey):
            name = b"ecdsa-sha2-" + NAMES[kind].encode()
            made = private.sign(data, ec.ECDSA(signatures.hash_algorithm(DIGESTS[kind][0])))
            value = b"".join(map(mpint, utils.decode_dss_signature(made)))
        else:
            assert isinstance(private, ed25519.Ed25519PrivateKey)
            name, value = b"ssh-ed25519", private.sign(data)
        return b"\x0e" + wire(wire(name) + wire(value))


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    honest = Agent()
    with serving(tmp_path / "agent", honest):
        yield honest


def uri(tmp_path: Path, key: str) -> str:
    return f"ssh-agent:{key}?socket={tmp_path}/agent"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_signs_with_the_digests_that_ssh_has_for_it(kind: str, agent: Agent, tmp_path: Path) -> None:
    signer = keys.open_key(uri(tmp_path, fingerprint(kind)))
    for digest in ("sha256", "sha384", "sha512"):
        if digest not in DIGESTS[kind]:
            with pytest.raises(RefusedError, match=" or ".join(DIGESTS[kind])):
                signer.sign(DATA, digest)
            continue
        identifier = der.parse(algorithms.signature_identifier(signer, digest))
        signature = signer.sign(DATA, digest)
        signatures.verify(signer.public_key, algorithms.signature_algorithm(identifier), signature, DATA)
    assert algorithms.usual_digest(signer) == {"p384": "sha384", "p521": "sha512", "ed25519": "sha512"}.get(
        kind, "sha256"
    )
    assert set(agent.flags) == ({2, 4} if kind == "rsa2048" else {0})
    with pytest.raises(RefusedError, match="sha1"):
        signer.sign(DATA, "sha1")


def test_a_key_is_named_by_fingerprint_or_comment(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", f"{tmp_path}/agent")
    one = keys.open_key("ssh-agent:comment=key%20p256")
    assert one.public_key == keys.open_key(f"ssh-agent:{fingerprint('p256')}").public_key
    agent.held.append((blob("ed25519"), "key p256"))
    with pytest.raises(UnusableKeyError, match="2 keys match"):
        keys.open_key("ssh-agent:comment=key%20p256")
    with pytest.raises(UnusableKeyError, match=r"those that are: SHA256:"):
        keys.open_key("ssh-agent:comment=other")
    for wrong in ("ssh-agent:key", "ssh-agent:comment", "ssh-agent:SHA1=x"):
        with pytest.raises(UsageError, match="ssh-add -l"):
            keys.open_key(wrong)
    agent.held.clear()
    with pytest.raises(UnusableKeyError, match="locked"):
        keys.open_key("ssh-agent:comment=key")


def test_every_key_is_listed_also_those_that_do_not_sign_here(agent: Agent, tmp_path: Path) -> None:
    agent.held.append((wire(b"sk-ssh-ed25519@openssh.com") + wire(bytes(32)) + wire(b"ssh:"), "stick"))
    here = KeyUri("ssh-agent", "", {"socket": f"{tmp_path}/agent"})
    listed = list(ssh_agent.list_keys(here, keys.nothing))
    assert [each.uri for each in listed[:5]] == [f"ssh-agent:{fingerprint(kind)}" for kind in KINDS]
    assert all(each.public_key for each in listed[:5])
    assert listed[5].public_key is None
    with pytest.raises(UnusableKeyError, match="sk-ssh-ed25519"):
        keys.open_key(uri(tmp_path, "comment=stick"))


def test_keys_that_do_not_sign_here_are_refused(agent: Agent, tmp_path: Path) -> None:
    small = pki.key("rsa1024").public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    agent.held = [(base64.b64decode(small.split()[1]), "small"), (wire(b"ssh-dss") + wire(b"\1"), "dss")]
    with pytest.raises(UnusableKeyError, match="1024 bits"):
        keys.open_key(uri(tmp_path, "comment=small"))
    with pytest.raises(UnusableKeyError, match="ssh-dss"):
        keys.open_key(uri(tmp_path, "comment=dss"))


def test_no_agent_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(UnavailableError, match="SSH_AUTH_SOCK"):
        keys.open_key("ssh-agent:comment=key")
    with pytest.raises(UnavailableError, match="cannot be reached"):
        keys.open_key(uri(tmp_path, "comment=key"))
    with pytest.raises(UnavailableError, match="cannot be reached"):
        keys.open_key(f"ssh-agent:comment=key?socket=/{'x' * 200}")
    with pytest.raises(UsageError, match="no parameter"):
        keys.open_key("ssh-agent:comment=key?pin=1")


@pytest.mark.parametrize(
    "answer", [None, b"\x05", b"\x0c", b"\x0c\0\0\0\1", b"\x0c\xff\xff\xff\xff", b"\x0c\0\0\0\0more", b"\x0e"]
)
def test_answers_that_say_nothing(answer: bytes | None, tmp_path: Path) -> None:
    with serving(tmp_path / "agent", lambda _: answer), pytest.raises(UnavailableError):
        keys.open_key(uri(tmp_path, "comment=key"))


@pytest.mark.parametrize("raw", [b"\0\0\0\0", b"\xff\xff\xff\xff\x0c", b"\0\0\0\x09\x0c\0\0", b"\0"])
def test_lengths_that_are_none(raw: bytes, tmp_path: Path) -> None:
    with serving(tmp_path / "agent", lambda _: raw, raw=True), pytest.raises(UnavailableError):
        keys.open_key(uri(tmp_path, "comment=key"))


def test_an_agent_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AGENT_SECONDS", 0.05)
    release = threading.Event()

    def slow(_: bytes) -> bytes:
        release.wait(PATIENCE)
        return b"\x05"

    with serving(tmp_path / "agent", slow):
        with pytest.raises(UnavailableError, match="no answer within"):
            keys.open_key(uri(tmp_path, "comment=key"))
        release.set()


def test_a_refusal_and_a_signature_of_another_kind(agent: Agent, tmp_path: Path) -> None:
    signer = keys.open_key(uri(tmp_path, fingerprint("rsa2048")))
    ways: list[tuple[bytes, type[ChopmarkError]]] = [
        (b"\x05", RefusedError),
        (b"\x0e" + wire(wire(b"ssh-rsa") + wire(b"x")), UnavailableError),
        (b"\x0e" + wire(wire(b"rsa-sha2-512") + wire(b"x")), UnavailableError),
        (b"\x0e" + wire(wire(b"rsa-sha2-256") + wire(b"x") + b"more"), UnavailableError),
    ]
    del agent
    for number, (answer, error) in enumerate(ways):
        with serving(tmp_path / f"other{number}", lambda _, said=answer: said) as path:  # type: ignore[misc]
            signer._socket = path  # type: ignore[attr-defined]  # noqa: SLF001 - the agent was replaced
            with pytest.raises(error):
                signer.sign(DATA, "sha256")


@given(st.binary(max_size=200))
def test_any_answer_is_read_or_refused(data: bytes) -> None:
    for read in (ssh_wire.identities, ssh_wire.spki, lambda body: ssh_wire.signature(body, b"ecdsa-sha2-nistp256")):
        with contextlib.suppress(MalformedError):
            read(data)


@given(st.binary(max_size=40), st.sampled_from([b"ssh-rsa", b"ssh-ed25519", b"ecdsa-sha2-nistp256"]))
def test_any_public_key_is_read_or_refused(rest: bytes, kind: bytes) -> None:
    for data in (wire(kind) + rest, wire(kind) + wire(rest) + wire(rest), wire(kind) + wire(kind[11:]) + wire(rest)):
        with contextlib.suppress(MalformedError):
            assert ssh_wire.spki(data)
