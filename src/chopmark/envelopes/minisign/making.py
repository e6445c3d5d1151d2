"""Making signatures: as minisign does by default (over the digest, with a trusted comment), or as signify does."""

from __future__ import annotations

import binascii
import hashlib
from typing import TYPE_CHECKING

from chopmark.core.errors import RefusedError, UsageError
from chopmark.envelopes.minisign.envelope import is_like_digest
from chopmark.envelopes.minisign.reading import PREHASHED, PURE, TRUSTED, UNTRUSTED

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.core.contracts import Content, SealOptions, Signer

SIGNIFY = "signify"
"""Content.content_type of what signify signs; anything else is minisign's."""
_NUMBER = 8
_COMMENT_MAX = 1024


def seal(content: Content, signer: Signer, signing_time: dt.datetime, options: SealOptions) -> bytes:
    """A signature file over content.

    Raises RefusedError for a key that is not Ed25519 or what may be a digest, UsageError for the comment.
    """
    if signer.algorithm != "ed25519":
        message = f"minisign and signify sign with Ed25519 keys, not {signer.algorithm}"
        raise RefusedError(message)
    number = number_of(signer)
    if content.content_type == SIGNIFY:
        if is_like_digest(content.digest):
            message = (
                "64 bytes that are no text: signed as they are, that may be a signature over another file's digest"
            )
            raise RefusedError(message)
        signature = signer.sign(content.digest, "sha512")
        return _lines(UNTRUSTED + b"signed with chopmark", PURE + number + signature)
    signature = signer.sign(content.digest, "sha512")
    comment = _comment(signing_time, options.description)
    return _lines(UNTRUSTED + b"signature from chopmark", PREHASHED + number + signature) + _lines(
        TRUSTED + comment, signer.sign(signature + comment, "sha512")
    )


def number_of(signer: Signer) -> bytes:
    """The key's number: the one it brings, else the beginning of its key's digest, the same each time."""
    own: bytes | None = getattr(signer, "number", None)
    return own or hashlib.blake2b(signer.public_key, digest_size=_NUMBER).digest()


def public_key(signer: Signer) -> bytes:
    """The public key file that verifiers need."""
    number = number_of(signer)
    head = f"minisign public key {number[::-1].hex().upper()}".encode()
    return _lines(UNTRUSTED + head, PURE + number + signer.public_key[-32:])


def _comment(signing_time: dt.datetime, description: str) -> bytes:
    comment = f"timestamp:{int(signing_time.timestamp())}" + (f"\t{description}" if description else "")
    if not all(character.isprintable() or character == "\t" for character in comment) or len(comment) > _COMMENT_MAX:
        message = f"a trusted comment is one line of at most {_COMMENT_MAX} characters"
        raise UsageError(message)
    return comment.encode()


def _lines(head: bytes, body: bytes) -> bytes:
    return head + b"\n" + binascii.b2a_base64(body)
