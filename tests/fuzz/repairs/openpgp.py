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
HEAD = bytes([mathematics.EDDSA, _SHA512])
"""Algorithm and digest of the signatures here."""
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
        covered = bytes([4, kind]) + HEAD + packets.number(len(hashed), 2) + hashed
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
_DAY = 86400
KINDS = (
    (
        signatures.CREATED,
        (packets.number(MADE, 4), packets.number(MADE - _DAY, 4), b"\xf0\0\0\0", b"\0\0\0\0"),
    ),
    (signatures.EXPIRES, (packets.number(_DAY, 4), packets.number(0, 4), b"\x7f\xff\xff\xff", b"\0\0")),
    (signatures.KEY_EXPIRES, (packets.number(_DAY, 4), packets.number(0, 4), b"\x7f\xff\xff\xff")),
    (signatures.KEY_FLAGS, (b"\0", b"\1", b"\2", b"\3", b"\x0c", b"", b"\2\0", b"\x22")),
    (signatures.ISSUER, (PRIMARY.fingerprint[-8:], SUBKEY.fingerprint[-8:], bytes(8), bytes(7))),
    (
        signatures.ISSUER_FINGERPRINT,
        (b"\4" + PRIMARY.fingerprint, b"\4" + SUBKEY.fingerprint, b"\4" + bytes(20)),
    ),
    (signatures.NOTATION, (b"\x80\0\0\0\0\7\0\1a@b.orgx", b"\0\0\0\0\0\1\0\1xy", b"\x80\0")),
    (signatures.PRIMARY_USER_ID, (b"\0", b"\1")),
    (signatures.SIGNERS_USER_ID, (NAME, b"Somebody")),
    (signatures.REASON, (b"\0", b"\2no", b"")),
    (signatures.REVOKER, (b"\x80\x16" + SUBKEY.fingerprint,)),
    (4, (b"\0", b"\1")),
    (7, (b"\0", b"\1")),
    (11, (b"\7\2", b"")),
    (24, (b"https://example.org/",)),
    (30, (b"\1", b"\7")),
    (37, (b"", bytes(32))),
    (0, (b"x",)),
    (100, (b"", b"x")),
    (127, (b"x",)),
)
"""Kinds of subpackets, and what may stand in them, rightly or not."""


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
