"""Signature packets of OpenPGP's mutated along their structure: fields, numbers, and what subpackets say.

`mutate` changes one to a few things of a packet of version 4 and sees to it that lengths fit; `read` takes it apart.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidSignature

from chopmark.envelopes.openpgp import packets
from tests.fuzz.repairs import openpgp as made

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

_V4, _HEAD = 4, 4
_BYTES = (0, 1, 2, 3, 4, 6, 8, 9, 10, 11, 16, 17, 18, 19, 22, 27, 0x10, 0x13, 0x40, 0x50, 0xFF)
"""Versions, types, algorithms and digests that there are, and some that there are not."""


class Parts(NamedTuple):
    """A packet of version 4 (RFC 9580 clause 5.2.3): version to digest, its subpackets signed and not, the rest.

    The lengths of subpackets are kept as they were written.
    """

    head: bytes
    hashed: tuple[bytes, ...]
    unhashed: tuple[bytes, ...]
    rest: bytes

    def body(self) -> bytes:
        """With lengths that fit."""
        areas = (b"".join(area) for area in (self.hashed, self.unhashed))
        return self.head + b"".join(packets.number(len(area) & 0xFFFF, 2) + area for area in areas) + self.rest


def read(body: bytes) -> Parts | None:
    """None for what has other versions or ends too early."""
    if len(body) < _HEAD + 2 or body[0] != _V4:
        return None
    hashed, place = _area(body, _HEAD)
    unhashed, place = _area(body, place)
    return Parts(body[:_HEAD], hashed, unhashed, body[place:]) if place <= len(body) else None


def _area(body: bytes, place: int) -> tuple[tuple[bytes, ...], int]:
    end = place + 2 + int.from_bytes(body[place : place + 2], "big")
    return _subpackets(body[place + 2 : end]), end


def _subpackets(area: bytes) -> tuple[bytes, ...]:
    """Each with its length; what is behind the last whole one is one more."""
    found, place = [], 0
    while place < len(area):
        first = area[place]
        width = 1 if first < 192 else 2 if first < 255 else 5
        length = first if width == 1 else int.from_bytes(area[place + 1 : place + 5], "big")
        if width == 2:
            length = (first - 192 << 8) + int.from_bytes(area[place + 1 : place + 2], "big") + 192
        end = min(place + width + length, len(area))
        found.append(area[place:end])
        place = end
    return tuple(found)


def mutate(body: bytes, random: Random, donors: Sequence[bytes]) -> bytes | None:
    """None for what is no such packet."""
    parts = read(body)
    if parts is None:
        return None
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        parts = _changed(parts, random, [each for each in map(read, donors) if each is not None])
    return parts.body()


def _changed(parts: Parts, random: Random, donors: Sequence[Parts]) -> Parts:
    kind = random.random()
    if kind < 0.1:
        at = random.randrange(len(parts.head))
        return parts._replace(head=parts.head[:at] + bytes([random.choice(_BYTES)]) + parts.head[at + 1 :])
    if kind < 0.2 and parts.rest:
        at = random.randrange(len(parts.rest))
        value = random.choice((b"", b"\0", b"\xff", bytes([parts.rest[at] ^ 1 << random.randrange(8)])))
        return parts._replace(rest=parts.rest[:at] + value + parts.rest[at + random.randrange(2) :])
    if kind < 0.25 and donors:
        return parts._replace(rest=random.choice(donors).rest)
    if kind < 0.35:
        return _exchanged(parts, random)
    if random.random() < 0.7:
        return parts._replace(hashed=_said(parts.hashed, random))
    return parts._replace(unhashed=_said(parts.unhashed, random))


def _exchanged(parts: Parts, random: Random) -> Parts:
    """A statement that is signed is so no longer, or the other way round."""
    hashed, unhashed = list(parts.hashed), list(parts.unhashed)
    taken, other = (hashed, unhashed) if random.random() < 0.5 else (unhashed, hashed)
    if taken:
        other.append(taken.pop(random.randrange(len(taken))))
    return parts._replace(hashed=tuple(hashed), unhashed=tuple(unhashed))


def _said(those: tuple[bytes, ...], random: Random) -> tuple[bytes, ...]:
    """One statement more, less, twice, in another place, or another one."""
    found, kind = list(those), random.random()
    at = random.randrange(len(found) + 1)
    if kind < 0.4 or not found:
        tag, bodies = random.choice(made.KINDS)
        found.insert(at, made.subpacket(tag, random.choice(bodies), critical=random.random() < 0.3))
    elif kind < 0.5:
        del found[at - 1]
    elif kind < 0.6:
        found.insert(at, random.choice(found))
    elif kind < 0.7:
        random.shuffle(found)
    else:
        found[at - 1] = _odd(found[at - 1], random)
    return tuple(found)


def _odd(one: bytes, random: Random) -> bytes:
    """A statement of another kind, one that is critical, has other octets, or a length written otherwise."""
    if len(one) < 2 or one[0] >= 192:
        return one
    body, kind = one[1:], random.randrange(4)
    if kind == 0:
        body = bytes([random.randrange(128) | body[0] & 0x80]) + body[1:]
    elif kind == 1:
        body = bytes([body[0] ^ 0x80]) + body[1:]
    elif kind == 2:
        at = random.randrange(1, len(body) + 1)
        body = body[:at] + bytes([random.choice((0, 1, 0x7F, 0xFF))]) + body[at + random.randrange(2) :]
    else:
        return b"\xff" + packets.number(len(body), 4) + body
    return bytes([len(body)]) + body


def signed_again(body: bytes, content: bytes) -> bytes:
    """With a signature that holds over the content, by the test key that is named, whatever the subpackets say.

    The same packet where it is of another version, digest or kind of key.
    """
    parts = read(body)
    if parts is None or parts.head[2:] != made.HEAD:
        return body
    said = (*parts.hashed, *parts.unhashed)
    key = made.SUBKEY if any(made.SUBKEY.fingerprint[-8:] in each for each in said) else made.PRIMARY
    hashed, unhashed = (b"".join(area)[:0xFFFF] for area in (parts.hashed, parts.unhashed))
    return key.signature(parts.head[1], content, hashed, unhashed)


def holds(body: bytes, content: bytes) -> bool:
    """Whether one of the test keys signed this, read here once more and verified with cryptography."""
    parts = read(body)
    if parts is None or parts.head[2:] != made.HEAD:
        return False
    hashed = b"".join(parts.hashed)
    covered = parts.head + packets.number(len(hashed), 2) + hashed
    digest = hashlib.sha512(content + covered + b"\4\xff" + packets.number(len(covered), 4)).digest()
    value = b"".join(_halves(parts.rest[2:]))
    for key in (made.PRIMARY, made.SUBKEY):
        with suppress(InvalidSignature):
            key.private.public_key().verify(value, digest)
            return True
    return False


def _halves(data: bytes) -> Iterator[bytes]:
    for _ in range(2):
        end = 2 + (int.from_bytes(data[:2], "big") + 7) // 8
        yield data[2:end].rjust(32, b"\0")
        data = data[end:]
