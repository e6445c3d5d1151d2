"""Signed notes: text with signatures by named keys (C2SP signed-note), and the keys that check them.

Ed25519 alone: type 0x01 over the text, and type 0x04, a witness's cosignature with its time (C2SP tlog-cosignature).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import re
from typing import TYPE_CHECKING, Self

from chopmark.core import limits
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, der, public_keys, signatures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.core.contracts import Signer

ED25519 = 0x01
COSIGNATURE = 0x04

_DASH = "\u2014 "
_KINDS = {ED25519: "Ed25519", COSIGNATURE: "Ed25519 cosignature"}
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_ID = re.compile(r"[0-9a-f]{8}")
_TIME_MAX = 2**63 - 1
_SPKI = der.sequence(der.oid(algorithms.ED25519))


class Verified(NamedTuple):
    """A key whose signature holds; `at` is when a witness says that it saw the note."""

    key: VerifierKey
    at: dt.datetime | None = None


class Signature(NamedTuple):
    """A signature line: the key's name, its ID (4 bytes), and what follows the ID."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """As it stands in a note."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


class VerifierKey(NamedTuple):
    """A public key with its name (clause "Verifier keys"): `kind` is the signature type, `public` 32 bytes."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NAME+ID+BASE64`. Raises MalformedError."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not valid_name(parts[0]) or not _KEY_ID.fullmatch(parts[1]):
            raise MalformedError(f"not a verifier key (NAME+ID+KEY): {text[:64]!r}")
        raw = decoded(parts[2])
        kind, public = raw[:1], raw[1:]
        if not kind or kind[0] not in _KINDS or len(public) != 32:
            raise algorithms.UnsupportedError(f"{parts[0]}: a verifier key that is not Ed25519")
        key = cls(parts[0], kind[0], public)
        if key.key_id.hex() != parts[1]:
            raise MalformedError(f"{parts[0]}: a verifier key whose ID is not that of its name and key")
        return key

    @classmethod
    def of(cls, name: str, spki: bytes, kind: int = ED25519) -> Self:
        """The verifier key for an Ed25519 SubjectPublicKeyInfo. Raises RefusedError for other keys and bad names."""
        if not valid_name(name):
            message = f"not a name for a key: {name!r} (no spaces, no plus)"
            raise RefusedError(message)
        if public_keys.kind(spki) != "ed25519":
            message = "notes are signed with Ed25519 keys alone (chopmark key new --type ed25519)"
            raise RefusedError(message)
        return cls(name, kind, spki[-32:])

    @property
    def key_id(self) -> bytes:
        """SHA-256(name, newline, type, public key), the first four bytes."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes((self.kind,)) + self.public).digest()[:4]

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo (RFC 8410)."""
        return der.sequence(_SPKI, der.bit_string(self.public))

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes((self.kind,)) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def check(self, signature: Signature, text: str) -> Verified:
        """Check one of its signatures over a note's text. Raises signatures.BadSignatureError, MalformedError."""
        value, message, at = signature.value, text, None
        if self.kind == COSIGNATURE:
            seconds = int.from_bytes(value[:8], "big")
            if len(value) != 72 or seconds > _TIME_MAX:
                raise MalformedError(f"{self.name}: a cosignature that is not a time and 64 bytes")
            value, message = value[8:], f"cosignature/v1\ntime {seconds}\n{text}"
            try:
                at = dt.datetime.fromtimestamp(seconds, dt.UTC)
            except (OverflowError, ValueError, OSError):
                raise MalformedError(f"{self.name}: a cosignature from beyond the calendar") from None
        signatures.verify(self.spki, algorithms.SignatureAlgorithm("ed25519", None), value, message.encode())
        return Verified(self, at)


class Note(NamedTuple):
    """A signed note as it was read: `text` ends with a newline; nobody has checked the signatures."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a signed note (clause "Format"). Raises MalformedError."""
        if len(raw) > limits.NOTE_MAX:
            raise MalformedError(f"a note of more than {limits.NOTE_MAX} bytes")
        try:
            whole = raw.decode()
        except UnicodeDecodeError:
            raise MalformedError("a note that is not UTF-8") from None
        if _CONTROL.search(whole):
            raise MalformedError("a note with control characters")
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n"):
            raise MalformedError("a note without signatures")
        found = lines[:-1].split("\n")
        if len(found) > limits.NOTE_SIGNATURES_MAX:
            raise MalformedError(f"a note with more than {limits.NOTE_SIGNATURES_MAX} signatures")
        return cls(text + "\n", tuple(_signature(line) for line in found))

    def encode(self) -> bytes:
        """As bytes."""
        return f"{self.text}\n{''.join(signature.line() for signature in self.signatures)}".encode()

    def verify(self, keys: Iterable[VerifierKey]) -> list[Verified]:
        """The keys among these that signed it, in their order; what others signed is ignored.

        Raises signatures.BadSignatureError when a signature in the name of one of them is not its own: then nothing
        in the note is to be believed.
        """
        verified = []
        for key in dict.fromkeys(keys):
            own = [signature for signature in self.signatures if signature[:2] == (key.name, key.key_id)]
            checked = [key.check(signature, self.text) for signature in own]
            verified += checked[:1]
        return verified


def sign(text: str, key: VerifierKey, signer: Signer, at: dt.datetime | None = None) -> Signature:
    """The signature of `key`'s private half over a note's text; a cosignature says when, to the second.

    Raises RefusedError when the signer is not the key's private half or signs wrongly.
    """
    if signer.public_key != key.spki:
        message = f"{key.name}: this is not the private key of {key}"
        raise RefusedError(message)
    prefix, message = b"", text
    if key.kind == COSIGNATURE and at is not None:
        seconds = int(at.timestamp())
        prefix, message = seconds.to_bytes(8, "big"), f"cosignature/v1\ntime {seconds}\n{text}"
    signature = Signature(key.name, key.key_id, prefix + signer.sign(message.encode(), "sha512"))
    try:
        key.check(signature, text)
    except MalformedError as error:
        message = f"{key.name}: the key made a signature that does not hold ({error})"
        raise RefusedError(message) from None
    return signature


def valid_name(name: str) -> bool:
    """Whether a key can have this name: not empty, no spaces of any kind, no plus, no control characters."""
    return bool(name) and "+" not in name and not any(letter.isspace() or letter < " " for letter in name)


def decoded(text: str) -> bytes:
    """Base 64 as RFC 4648 clause 4 writes it, and in no other way. Raises MalformedError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise MalformedError(f"not base 64: {text[:32]!r}") from None
    if base64.b64encode(raw).decode() != text:
        raise MalformedError(f"not base 64 as it has to be written: {text[:32]!r}")
    return raw


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not valid_name(name):
        raise MalformedError(f"not a signature line: {line[:64]!r}")
    raw = decoded(encoded)
    if len(raw) < 5:
        raise MalformedError(f"{name}: a signature that is too short")
    return Signature(name, raw[:4], raw[4:])
