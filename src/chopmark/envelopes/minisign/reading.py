"""Reading signature files and public keys, to the byte: what minisign and signify would not write is refused.

Minisign: <https://jedisct1.github.io/minisign/>, "Signature format" and "Public key format"; signify: signify(1).
"""

from __future__ import annotations

import binascii

from chopmark.core import limits
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.named import NamedTuple
from chopmark.core.signer import PublicKey
from chopmark.envelopes import spki
from chopmark.envelopes.minisign import reasons

KIND = "minisign"
"""PublicKey.kind; signify's keys are of the same kind, and may verify minisign's signatures."""

UNTRUSTED = b"untrusted comment: "
TRUSTED = b"trusted comment: "
PURE, PREHASHED = b"Ed", b"ED"
_NUMBER, _KEY, _SIGNATURE = 8, 32, 64


class Signature(NamedTuple):
    """A signature file: who is meant (`number`), over what (`prehashed`: the digest), and the comments.

    `comment` is covered by `comment_signature` together with the signature; both are None in signify's files.
    """

    raw: bytes
    prehashed: bool
    number: bytes
    signature: bytes
    untrusted: str
    comment: bytes | None
    comment_signature: bytes | None


def read(data: bytes) -> Signature:
    """Read a signature file. Raises BrokenError (a MalformedError) for anything but its two or four lines."""
    if len(data) > limits.MINISIGN_MAX:
        raise BrokenError(reasons.FORM, f"{len(data)} bytes")
    lines = data.split(b"\n")
    if lines[-1] or len(lines) not in (3, 5):
        raise BrokenError(reasons.FORM, "not two or four whole lines")
    untrusted = _comment(lines[0], UNTRUSTED)
    body = _decoded(lines[1], 2 + _NUMBER + _SIGNATURE)
    if body[:2] not in (PURE, PREHASHED):
        raise BrokenError(reasons.ALGORITHM, body[:2].hex())
    number, signature = body[2 : 2 + _NUMBER], body[2 + _NUMBER :]
    comment = comment_signature = None
    if len(lines) == 5:
        comment = _comment(lines[2], TRUSTED)
        comment_signature = _decoded(lines[3], _SIGNATURE)
    elif body[:2] == PREHASHED:
        raise BrokenError(reasons.FORM, "a signature over a digest without a trusted comment")
    text = untrusted.decode("utf-8", "replace")
    return Signature(data, body[:2] == PREHASHED, number, signature, text, comment, comment_signature)


def public_keys(data: bytes) -> list[PublicKey] | None:
    """The key in a public key file of minisign or signify; None when the bytes are no such file.

    Raises MalformedError where they begin like one and are not.
    """
    if not data.startswith(UNTRUSTED):
        return None
    lines = data[: limits.MINISIGN_MAX].split(b"\n")
    if len(lines) != 3 or lines[2] or len(data) > limits.MINISIGN_MAX:
        raise MalformedError("a key of minisign or signify is a comment and one line")
    raw = _decoded(lines[1], 2 + _NUMBER + _KEY)
    if raw[:2] != PURE:
        raise MalformedError(f"a key for an unknown algorithm ({raw[:2].hex()})")
    number = raw[2 : 2 + _NUMBER]
    key = spki.ed25519_key(raw[2 + _NUMBER :])
    return [PublicKey(KIND, number, key, f"key {key_number(number)}")]


def key_number(number: bytes) -> str:
    """A key's number as minisign shows it."""
    return number[::-1].hex().upper()


def _comment(line: bytes, prefix: bytes) -> bytes:
    if not line.startswith(prefix):
        raise BrokenError(reasons.FORM, f"no {prefix[:-2].decode()}")
    text = line[len(prefix) :]
    if any(octet < 0x20 and octet != 0x09 for octet in text) or 0x7F in text:
        raise BrokenError(reasons.FORM, "control characters in a comment")
    return text


def _decoded(line: bytes, size: int) -> bytes:
    """Base64 in its one canonical form."""
    try:
        raw = binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error:
        raise BrokenError(reasons.FORM, "not base64") from None
    if len(raw) != size or binascii.b2a_base64(raw, newline=False) != line:
        raise BrokenError(reasons.FORM, f"not {size} bytes in base64")
    return raw
