"""Signing as GnuPG does: detached signatures, and those behind a text."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import utils

from chopmark.core.errors import RefusedError
from chopmark.envelopes.openpgp import armor, mathematics, packets, signatures
from chopmark.envelopes.openpgp.signatures import V4, V6

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.core.contracts import Content, SealOptions, Signer
    from chopmark.envelopes.openpgp.keys import Key

CLEARSIGNED = "clearsigned"
_SECONDS_MAX = 1 << 32


def seal(content: Content, signer: Signer, signing_time: dt.datetime, options: SealOptions) -> bytes:  # noqa: ARG001 - the shape of all envelopes
    """An armoured signature over content itself. Raises RefusedError for keys that are not OpenPGP's."""
    key: Key | None = getattr(signer, "openpgp", None)
    if key is None:
        message = "OpenPGP signatures are made with a key of OpenPGP's (openpgp:PATH)"
        raise RefusedError(message)
    if content.digest_algorithm not in getattr(signer, "digests", (content.digest_algorithm,)):
        message = f"{content.digest_algorithm} is too short for this key"
        raise RefusedError(message)
    seconds = int(signing_time.timestamp())
    if not 0 <= seconds < _SECONDS_MAX or signing_time < key.created:
        message = "the time to claim is one that OpenPGP does not have, or before the key was made"
        raise RefusedError(message)
    hashed = (
        _subpacket(signatures.CREATED, packets.number(seconds, 4))
        + _subpacket(signatures.ISSUER_FINGERPRINT, bytes([key.version]) + key.fingerprint)
        + (_subpacket(signatures.ISSUER, key.identifier) if key.version == V4 else b"")
    )
    kind = signatures.TEXT if content.content_type == CLEARSIGNED else signatures.BINARY
    body = _signed(key, signer, content, kind, hashed)
    return armor.wrap(packets.write(packets.SIGNATURE, body), armor.SIGNATURE)


def _subpacket(kind: int, body: bytes) -> bytes:
    return bytes([len(body) + 1, kind]) + body


def _signed(key: Key, signer: Signer, content: Content, kind: int, hashed: bytes) -> bytes:
    """The body of the packet; nothing is in it that is not signed."""
    width = 2 if key.version == V4 else 4
    name = content.digest_algorithm
    head = bytes([key.version, kind, key.algorithm, mathematics.DIGEST_NUMBERS[name]])
    covered = head + packets.number(len(hashed), width) + hashed
    salt = secrets.token_bytes(signatures.SALTS[name]) if key.version == V6 else b""
    data = salt + content.digest + covered + bytes([key.version, 0xFF]) + packets.number(len(covered), 4)
    digest = _digest(name, data)
    value = _value(key, signer.sign(digest if signer.algorithm == "ed25519" else data, name))
    salted = bytes([len(salt)]) + salt if key.version == V6 else b""
    return covered + packets.number(0, width) + digest[:2] + salted + value


def _digest(name: str, data: bytes) -> bytes:
    from chopmark.core import digest

    return digest.of(data, name)


def _value(key: Key, value: bytes) -> bytes:
    if key.algorithm == mathematics.ED25519:
        return value
    if key.algorithm == mathematics.EDDSA:
        return b"".join(packets.mpi(int.from_bytes(half, "big")) for half in (value[:32], value[32:]))
    if key.algorithm == mathematics.ECDSA:
        return b"".join(map(packets.mpi, utils.decode_dss_signature(value)))
    return packets.mpi(int.from_bytes(value, "big"))
