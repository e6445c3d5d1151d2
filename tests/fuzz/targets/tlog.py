"""Proofs from logs, entry bundles, and what is said of a file whose proof this is."""

from collections.abc import Iterable
from contextlib import suppress

from chopmark.core.errors import ChopmarkError
from chopmark.envelopes.note import Note, VerifierKey
from chopmark.envelopes.tlog import merkle, tiles
from chopmark.envelopes.tlog.checkpoint import Checkpoint
from chopmark.envelopes.tlog.proof import Proof
from chopmark.trust.log import judging
from chopmark.trust.log.keys import Trusted

_TRUSTED = Trusted((VerifierKey("example.com/log", 1, bytes(32)),))
_ENTRY = (
    b'{"action":"sign","at":"2026-11-22T12:00:00Z","file_sha256":"00","signer_sha256":"11","type":"chopmark.event.v1"}'
)


def seeds() -> Iterable[bytes]:
    other = merkle.leaf(b"other")
    checkpoint = Checkpoint("example.com/log", 2, merkle.node(merkle.leaf(_ENTRY), other))
    note = Note.parse(f"{checkpoint.text}\n\u2014 example.com/log AAAAAAAAAAA=\n".encode())
    yield Proof(0, (other,), note, _ENTRY).encode()
    yield tiles.bundle([_ENTRY, b"", b"other"])


def run(data: bytes) -> None:
    with suppress(ChopmarkError):
        assert tiles.bundle(tiles.entries(data)) == data
    findings = judging.judge(data, _TRUSTED, "00", {"11"})
    assert all(finding.outcome != "ok" for finding in findings), "nobody has the key"
    try:
        proof = Proof.parse(data)
    except ChopmarkError:
        return
    assert proof.encode() == data
