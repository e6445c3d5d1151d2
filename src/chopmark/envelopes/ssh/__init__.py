"""Signatures made with SSH keys (PROTOCOL.sshsig), the keys and certificates, and the list of allowed signers."""

from __future__ import annotations

from chopmark.envelopes.ssh.bare_keys import public_keys
from chopmark.envelopes.ssh.envelope import SshEnvelope
from chopmark.envelopes.ssh.sshsig import KIND, Signature, read

__all__ = ["KIND", "Signature", "SshEnvelope", "envelope_in", "public_keys", "read", "seal"]


def envelope_in(data: bytes) -> SshEnvelope:
    """The signature in a file. Raises BrokenError (a MalformedError)."""
    return SshEnvelope(read(data))


def __getattr__(name: str) -> object:
    """What only signers need is loaded when it is asked for."""
    if name != "seal":
        raise AttributeError(name)
    from chopmark.envelopes.ssh.making import seal

    return seal
