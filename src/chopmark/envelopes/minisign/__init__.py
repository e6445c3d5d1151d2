"""Signatures of minisign and OpenBSD's signify: Ed25519, by keys that have a number instead of a certificate.

Both write the same kind of file: a comment, then base64 of algorithm, key number and signature. Minisign adds a comment
that is signed, and signs the BLAKE2b-512 digest of the file instead of the file itself.
"""

from __future__ import annotations

from chopmark.envelopes.minisign.envelope import MinisignEnvelope
from chopmark.envelopes.minisign.reading import KIND, Signature, key_number, public_keys, read

__all__ = ["KIND", "MinisignEnvelope", "Signature", "envelope_in", "key_number", "public_keys", "read", "seal"]


def envelope_in(data: bytes) -> MinisignEnvelope:
    """The signature in a file. Raises BrokenError (a MalformedError)."""
    return MinisignEnvelope(read(data))


def __getattr__(name: str) -> object:
    """What only signers need is loaded when it is asked for."""
    if name != "seal":
        raise AttributeError(name)
    from chopmark.envelopes.minisign.making import seal

    return seal
