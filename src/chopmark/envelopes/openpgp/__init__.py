"""OpenPGP (RFC 9580, RFC 4880): signatures beside files and in texts, and the keys that make them."""

from __future__ import annotations

from chopmark.envelopes.openpgp.bare_keys import public_keys
from chopmark.envelopes.openpgp.envelope import OpenPgpEnvelope, envelope_in, envelopes_in

__all__ = ["OpenPgpEnvelope", "envelope_in", "envelopes_in", "public_keys", "seal"]


def __getattr__(name: str) -> object:
    """What only signers need is loaded when it is asked for."""
    if name != "seal":
        raise AttributeError(name)
    from chopmark.envelopes.openpgp.making import seal

    return seal
