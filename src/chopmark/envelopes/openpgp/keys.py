"""Keys in packets (RFC 9580 clause 5.5), their fingerprints, and what signatures over them cover (clause 5.2.4)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, public_keys
from chopmark.envelopes.openpgp import mathematics, packets, signatures
from chopmark.envelopes.openpgp.packets import Reader
from chopmark.envelopes.openpgp.signatures import V3, V4, V6

if TYPE_CHECKING:
    import datetime as dt

KINDS = {V3: "openpgp", V4: "openpgp", V6: "openpgp-v6"}
"""PublicKey.kind: a signature is by a key of its own version (clause 5.2.3), the oldest ones by keys of version 4."""


class Key(NamedTuple):
    """A public key: `body` is its packet, `spki` the key as others have it, None where it cannot sign."""

    version: int
    created: dt.datetime
    algorithm: int
    body: bytes
    spki: bytes | None

    @property
    def covered(self) -> bytes:
        """The form in which it is signed and has its fingerprint."""
        if self.version == V4:
            return b"\x99" + packets.number(len(self.body), 2) + self.body
        return b"\x9b" + packets.number(len(self.body), 4) + self.body

    @property
    def fingerprint(self) -> bytes:
        """Clause 5.5.4: SHA-1 in version 4, where it names and does not protect; SHA-256 in version 6."""
        if self.version == V4:
            return hashlib.sha1(self.covered, usedforsecurity=False).digest()
        return hashlib.sha256(self.covered).digest()

    @property
    def identifier(self) -> bytes:
        """Eight octets of the fingerprint."""
        return signatures.key_id(self.version, self.fingerprint)


def read(reader: Reader) -> Key:
    """A public key at the beginning of a packet, which may go on with the secret. Raises MalformedError."""
    start = reader.place
    version = reader.number(1)
    if version not in (V4, V6):
        raise algorithms.UnsupportedError(f"a key of version {version}")
    created, algorithm = signatures.moment(reader.number(4)), reader.number(1)
    inner = reader
    if version == V6:
        inner = Reader(reader.take(reader.number(4)))
    spki = None
    if algorithm in mathematics.SIGNING:
        spki = mathematics.public_key(algorithm, inner)
    else:
        inner.rest()
    if version == V6:
        inner.done()
    return Key(version, created, algorithm, reader.data[start : reader.place], spki)


def public(body: bytes) -> Key:
    """The key of a public packet; one of a kind that is not known has no `spki`. Raises MalformedError."""
    reader = Reader(body)
    try:
        key = read(reader)
        reader.done()
    except algorithms.UnsupportedError:
        if body[:1] not in (b"\x04", b"\x06"):
            raise
        return Key(body[0], signatures.moment(int.from_bytes(body[1:5], "big")), body[5], body, None)
    return key


def over_user_id(key: Key, packet: packets.Packet) -> bytes:
    """What a certification of a name covers."""
    mark = b"\xb4" if packet.tag == packets.USER_ID else b"\xd1"
    return key.covered + mark + packets.number(len(packet.body), 4) + packet.body


def shown(fingerprint: bytes) -> str:
    """As people read it."""
    return fingerprint.hex().upper()


def bits(key: Key) -> int:
    """How large an RSA or DSA key is; 0 for others."""
    if key.spki is None or key.algorithm not in (mathematics.RSA, mathematics.RSA_SIGN, mathematics.DSA):
        return 0
    try:
        return public_keys.size(key.spki)
    except MalformedError:
        return 1
