"""Proofs from logs, entry bundles, and what is said of a file whose proof this is, also where the log's key is ours."""

import json
from collections.abc import Iterable
from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric import ed25519

from chopmark.core.errors import ChopmarkError
from chopmark.envelopes.note import Note, Signature, VerifierKey
from chopmark.envelopes.tlog import merkle, tiles
from chopmark.envelopes.tlog.checkpoint import Checkpoint
from chopmark.envelopes.tlog.proof import Proof
from chopmark.trust.log import judging
from chopmark.trust.log.keys import Trusted

_TRUSTED = Trusted((VerifierKey("example.com/log", 1, bytes(32)),))
_ENTRY = (
    b'{"action":"sign","at":"2026-11-22T12:00:00Z","file_sha256":"00","signer_sha256":"11","type":"chopmark.event.v1"}'
)


_LOG = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
_OWN = VerifierKey("example.com/log", 1, _LOG.public_key().public_bytes_raw())


def seeds() -> Iterable[bytes]:
    other = merkle.leaf(b"other")
    checkpoint = Checkpoint("example.com/log", 2, merkle.node(merkle.leaf(_ENTRY), other))
    note = Note.parse(f"{checkpoint.text}\n\u2014 example.com/log AAAAAAAAAAA=\n".encode())
    yield Proof(0, (other,), note, _ENTRY).encode()
    yield tiles.bundle([_ENTRY, b"", b"other"])
    yield _ENTRY
    yield checkpoint.text.encode()


def run(data: bytes) -> None:
    with suppress(ChopmarkError):
        assert tiles.bundle(tiles.entries(data)) == data
    findings = judging.judge(data, _TRUSTED, "00", {"11"})
    assert all(finding.outcome != "ok" for finding in findings), "nobody has the key"
    _recorded(data)
    _signed(data)
    try:
        proof = Proof.parse(data)
    except ChopmarkError:
        return
    assert proof.encode() == data


def _note(text: str) -> Note:
    """Signed by the log's own key."""
    return Note(text, (Signature(_OWN.name, _OWN.key_id, _LOG.sign(text.encode())),))


def _recorded(entry: bytes) -> None:
    """An entry that is really in the log holds for the file and signer that it names, and for no others."""
    other = merkle.leaf(b"other")
    checkpoint = Checkpoint(_OWN.name, 2, merkle.node(merkle.leaf(entry), other))
    try:
        raw = Proof(0, (other,), _note(checkpoint.text), entry).encode()
    except ChopmarkError:
        return
    findings = judging.judge(raw, Trusted((_OWN,)), "00", {"11"})
    if any(finding.code == "log.proof_holds" for finding in findings):
        said = json.loads(entry)
        assert (said["action"], said["file_sha256"], said["signer_sha256"]) == ("sign", "00", "11")


def _signed(data: bytes) -> None:
    """A text that is signed is read as just that text, or refused; a checkpoint in it is written the same again.

    Texts of notes end with a newline, and whoever signs one sees to it.
    """
    text = data.decode(errors="replace").rstrip("\n") + "\n" * (1 + len(data) % 2)
    with suppress(ChopmarkError):
        read = Note.parse(_note(text).encode())
        assert read.text == text
        assert read.verify([_OWN])
        assert Checkpoint.parse(text).text == text
