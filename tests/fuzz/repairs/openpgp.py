"""Signatures of OpenPGP's that hold, whatever their subpackets say: over a document, and of a key about itself.

RFC 9580 clauses 5.2.3 and 5.2.4; version 4, Ed25519 in its older form, which GnuPG 2.2 knows as well.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from chopmark.envelopes.openpgp import mathematics, packets, signatures

MADE = 1_700_000_000
"""When the keys were made, in seconds."""
NAME = b"Test <t@example.org>"
_SHA512 = 10
_RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw


class Key(NamedTuple):
    """A test key, the same one for the same number."""

    private: ed25519.Ed25519PrivateKey

    @classmethod
    def of(cls, number: int) -> Key:
        return cls(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))

    @property
    def body(self) -> bytes:
        curve = bytes([len(mathematics.EDDSA_CURVE)]) + mathematics.EDDSA_CURVE
        point = b"\x40" + self.private.public_key().public_bytes(*_RAW)
        head = b"\4" + packets.number(MADE, 4) + bytes([mathematics.EDDSA])
        return head + curve + packets.mpi(int.from_bytes(point, "big"))

    @property
    def covered(self) -> bytes:
        return b"\x99" + packets.number(len(self.body), 2) + self.body

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha1(self.covered, usedforsecurity=False).digest()

    def signature(self, kind: int, over: bytes, hashed: bytes, unhashed: bytes = b"") -> bytes:
        """The body of a signature packet with these subpackets, whatever they are; it holds."""
        covered = bytes([4, kind, mathematics.EDDSA, _SHA512]) + packets.number(len(hashed), 2) + hashed
        data = over + covered + b"\4\xff" + packets.number(len(covered), 4)
        digest = hashlib.sha512(data, usedforsecurity=False).digest()
        value = self.private.sign(digest)
        halves = b"".join(packets.mpi(int.from_bytes(half, "big")) for half in (value[:32], value[32:]))
        return covered + packets.number(len(unhashed), 2) + unhashed + digest[:2] + halves


def subpacket(kind: int, body: bytes, *, critical: bool = False) -> bytes:
    """One statement."""
    return bytes([len(body) + 1, kind | 0x80 * critical]) + body


def created(after: int = 0) -> bytes:
    """When a signature was made: so many seconds after the keys."""
    return subpacket(signatures.CREATED, packets.number(MADE + after, 4))


class Said(NamedTuple):
    """Subpackets, signed and not: about the name, about the subkey, of the subkey about the key, of a document."""

    name: bytes = created() + subpacket(signatures.KEY_FLAGS, b"\3")
    binding: bytes = created() + subpacket(signatures.KEY_FLAGS, b"\2")
    back: bytes = created()
    document: bytes = created(9)
    beside: bytes = b""
    beside_binding: bytes = b""


PRIMARY, SUBKEY = Key.of(1), Key.of(2)


def ring(said: Said) -> bytes:
    """A key with a name and a subkey, which says these things of itself."""
    mark = b"\xb4" + packets.number(len(NAME), 4) + NAME
    issuer = subpacket(signatures.ISSUER, PRIMARY.fingerprint[-8:])
    about = PRIMARY.signature(0x13, PRIMARY.covered + mark, said.name, issuer)
    both = PRIMARY.covered + SUBKEY.covered
    back = SUBKEY.signature(signatures.PRIMARY_BINDING, both, said.back)
    embedded = bytes([255]) + packets.number(len(back) + 1, 4) + bytes([signatures.EMBEDDED]) + back
    binding = PRIMARY.signature(signatures.SUBKEY_BINDING, both, said.binding, issuer + embedded + said.beside_binding)
    found = (
        (packets.PUBLIC_KEY, PRIMARY.body),
        (packets.USER_ID, NAME),
        (packets.SIGNATURE, about),
        (packets.PUBLIC_SUBKEY, SUBKEY.body),
        (packets.SIGNATURE, binding),
    )
    return b"".join(packets.write(tag, body) for tag, body in found)


def signed(document: bytes, said: Said, *, by_subkey: bool, kind: int = signatures.BINARY) -> bytes:
    """A detached signature over a document."""
    key = SUBKEY if by_subkey else PRIMARY
    issuer = subpacket(signatures.ISSUER, key.fingerprint[-8:])
    return packets.write(packets.SIGNATURE, key.signature(kind, document, said.document, issuer + said.beside))
