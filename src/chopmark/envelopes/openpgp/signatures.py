"""Signature packets of versions 3, 4 and 6 (RFC 9580 clause 5.2): read, and what they sign."""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms
from chopmark.envelopes.openpgp import mathematics, packets, reasons
from chopmark.envelopes.openpgp.packets import Reader

if TYPE_CHECKING:
    from chopmark.core.seal import Range

BINARY, TEXT = 0x00, 0x01
CERTIFICATIONS = frozenset({0x10, 0x11, 0x12, 0x13})
SUBKEY_BINDING, PRIMARY_BINDING, DIRECT = 0x18, 0x19, 0x1F
KEY_REVOCATION, SUBKEY_REVOCATION, CERTIFICATION_REVOCATION = 0x20, 0x28, 0x30
CREATED, EXPIRES, KEY_EXPIRES, REVOKER, ISSUER, NOTATION = 2, 3, 9, 12, 16, 20
PRIMARY_USER_ID, KEY_FLAGS, SIGNERS_USER_ID, REASON, EMBEDDED, ISSUER_FINGERPRINT, RECIPIENT = (
    25,
    27,
    28,
    29,
    32,
    33,
    35,
)
_KNOWN = frozenset({2, 3, 4, 5, 6, 7, 9, 11, 12, 16, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 39})
"""Subpackets that are understood; a critical notation is not, because no name of one is."""
_ONCE = frozenset({CREATED, EXPIRES, KEY_EXPIRES, KEY_FLAGS, ISSUER_FINGERPRINT})
_ADVISORY = frozenset({ISSUER, ISSUER_FINGERPRINT})
"""What may be outside of the signed part: it only helps to find the key, and the mathematics settles that."""
SALTS = {"sha224": 16, "sha256": 16, "sha384": 24, "sha512": 32, "sha3_256": 16, "sha3_512": 32}
"""Octets of salt in version 6, by digest (clause 9.5)."""
V3, V4, V6 = 3, 4, 6
_BEGINS = {V4: (struct.Struct(">BBBH"), 2), V6: (struct.Struct(">BBBI"), 4)}
"""What stands behind the version: kind, algorithm, digest, length of the signed subpackets; octets of a length."""
_TRAILERS = {V4: b"\x04\xff", V6: b"\x06\xff"}
"""What stands before the length of what a signature covers of itself (clause 5.2.4)."""
_V3_HASHED = 5
"""Octets that a signature of version 3 covers itself: its type and time (RFC 9580 clause 5.2.2)."""
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC)


class Subpacket(NamedTuple):
    """A statement in a signature; one that is critical must be understood."""

    kind: int
    critical: bool
    body: bytes


class Signature(NamedTuple):
    """A signature packet. `salt` goes before what is signed (version 6), `trailer` behind; `left` begins the digest.

    `created` is when its maker says that it was made; `issuer` the identifier of the key, if it is named at all: eight
    octets.
    """

    raw: bytes
    version: int
    kind: int
    algorithm: int
    digest_algorithm: str
    hashed: tuple[Subpacket, ...]
    unhashed: tuple[Subpacket, ...]
    salt: bytes
    trailer: bytes
    left: bytes
    value: bytes
    created: dt.datetime
    issuer: bytes

    @property
    def expires(self) -> dt.datetime | None:
        """When its maker says that it ends to hold."""
        said = self.one(EXPIRES)
        seconds = int.from_bytes(said, "big") if said else 0
        return later(self.created, seconds) if seconds else None

    def one(self, kind: int) -> bytes | None:
        """The body of a signed subpacket."""
        for said, _, body in self.hashed:
            if said == kind:
                return body
        return None

    @property
    def not_understood(self) -> list[int]:
        """The critical subpackets that are not known."""
        return [kind for kind, critical, _ in self.hashed if critical and kind not in _KNOWN]

    @property
    def stray(self) -> list[int]:
        """Subpackets that nobody signed and that say more than where the key is."""
        return [kind for kind, _, _ in self.unhashed if kind not in _ADVISORY]

    def around(self, *parts: Range | bytes) -> tuple[Range | bytes, ...]:
        """All that is hashed where the signature is over these."""
        return (self.salt, *parts, self.trailer) if self.salt else (*parts, self.trailer)

    def digest_of(self, data: bytes) -> bytes:
        """The digest that is signed, of what it is over (a key, a key and a name, ...)."""
        return hashlib.new(self.digest_algorithm, self.salt + data + self.trailer, usedforsecurity=False).digest()

    def holds(self, spki: bytes, digest: bytes) -> bool:
        """Whether it is by this key over this digest. Raises MalformedError, UnsupportedError."""
        if digest[:2] != self.left:
            return False
        exact = self.version == V6  # where anything else must be refused (clause 3.2)
        return mathematics.verify(spki, self.algorithm, Reader(self.value), self.digest_algorithm, digest, exact=exact)


def moment(seconds: int) -> dt.datetime:
    """A time of four octets."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def later(since: dt.datetime, seconds: int) -> dt.datetime:
    """So many seconds after a time."""
    return min(since + dt.timedelta(seconds=seconds), _LAST)


def key_id(version: int, fingerprint: bytes) -> bytes:
    """The eight octets that stand for a fingerprint (clause 5.5.4)."""
    return fingerprint[-8:] if version == V4 else fingerprint[:8]


def read(body: bytes) -> Signature:
    """Read the body of a signature packet. Raises BrokenError."""
    try:
        return _read(body)
    except algorithms.UnsupportedError as error:
        raise BrokenError(reasons.UNSUPPORTED, str(error)) from None
    except MalformedError as error:
        raise BrokenError(reasons.FORM, str(error)) from None


def _read(body: bytes) -> Signature:
    reader = Reader(body)
    version = reader.number(1)
    if version == V3:
        return _read_v3(reader)
    if version not in _BEGINS:
        raise algorithms.UnsupportedError(f"a signature of version {version}")
    begins, width = _BEGINS[version]
    kind, algorithm, number, length = begins.unpack(reader.take(begins.size))
    hashed = _subpackets(reader.take(length))
    covered = body[: reader.place]
    unhashed = _subpackets(reader.take(reader.number(width)))
    left = reader.take(2)
    digest = mathematics.DIGESTS.get(number)
    if digest is None or algorithm not in mathematics.SIGNING:
        raise algorithms.UnsupportedError(f"an algorithm {algorithm} with a digest {number}")
    salt = b""
    if version == V6:
        salt = reader.take(reader.number(1))
        if len(salt) != SALTS.get(digest):
            raise MalformedError(f"a salt of {len(salt)} octets for {digest}")
    once = [(kind, body) for kind, _, body in hashed if kind in _ONCE]
    said = dict(once)
    if len(once) != len(said) or CREATED not in said:
        raise MalformedError("a signature that says something twice, or not when it was made")
    return Signature(
        body,
        version,
        kind,
        algorithm,
        digest,
        hashed,
        unhashed,
        salt,
        covered + _TRAILERS[version] + len(covered).to_bytes(4, "big"),
        left,
        reader.rest(),
        moment(int.from_bytes(said[CREATED], "big")),
        _issuer(hashed + unhashed),
    )


def _read_v3(reader: Reader) -> Signature:
    """Of documents alone: keys and names are not believed on the word of such a signature."""
    covered = reader.take(reader.number(1))
    if len(covered) != _V3_HASHED:
        raise MalformedError(f"a signature of version 3 that covers {len(covered)} octets of itself")
    issuer = reader.take(8)
    algorithm, number = reader.number(1), reader.number(1)
    digest = mathematics.DIGESTS.get(number)
    if digest is None or algorithm not in mathematics.OLDEST or covered[0] not in (BINARY, TEXT):
        raise algorithms.UnsupportedError(f"an algorithm {algorithm} with a digest {number}, of version 3")
    said, named = Subpacket(CREATED, False, covered[1:]), Subpacket(ISSUER, False, issuer)  # noqa: FBT003 - as read
    left = reader.take(2)
    return Signature(
        reader.data,
        V3,
        covered[0],
        algorithm,
        digest,
        (said,),
        (named,),
        salt=b"",
        trailer=covered,
        left=left,
        value=reader.rest(),
        created=moment(int.from_bytes(covered[1:], "big")),
        issuer=issuer,
    )


def _issuer(said: tuple[Subpacket, ...]) -> bytes:
    """Whom the first of the fingerprints names, else the first identifier; what is signed comes first."""
    identifier = b""
    for each in said:
        if each.kind == ISSUER_FINGERPRINT:
            return key_id(each.body[0], each.body[1:])
        if each.kind == ISSUER and not identifier:
            identifier = each.body
    return identifier


_SIZES = {CREATED: 4, EXPIRES: 4, KEY_EXPIRES: 4, ISSUER: 8}
_FINGERPRINTS = {V4: 20, V6: 32}


def _subpackets(data: bytes) -> tuple[Subpacket, ...]:
    """Clause 5.2.3.7. A length counts the octet that says which kind it is."""
    place, size, found = 0, len(data), []
    while place < size:
        length, place = packets.sublength(data, place)
        end = place + length
        if not place < end <= size:
            raise MalformedError("a subpacket that is empty or ends too late")
        said, body = data[place], data[place + 1 : end]
        kind = said & 0x7F
        if kind in _SIZES and length - 1 != _SIZES[kind]:
            raise MalformedError(f"a subpacket {kind} of {length - 1} octets")
        if kind == ISSUER_FINGERPRINT and length - 2 != _FINGERPRINTS.get(body[0] if body else 0):
            raise MalformedError("a fingerprint of an odd length")
        found.append(Subpacket(kind, said > 0x7F, body))
        place = end
    return tuple(found)
