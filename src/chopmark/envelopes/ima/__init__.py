"""Signatures of IMA and EVM, the kernel's integrity subsystem: a short header that names a key, and the bare signature.

They carry no certificate: the kernel has the key in a keyring, chopmark the certificate in a trust store. A key is
named by the last four octets of its identifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes.ima.envelope import ImaEnvelope
from chopmark.envelopes.ima.header import ALGORITHMS, CONTENT, EVM, FILE, NUMBERS, VERITY, VERSIONS, Header, read

if TYPE_CHECKING:
    from chopmark.envelopes.ima.building import ImaDraft, draft, resume

__all__ = [
    "ALGORITHMS",
    "CONTENT",
    "EVM",
    "FILE",
    "NUMBERS",
    "VERITY",
    "VERSIONS",
    "Header",
    "ImaDraft",
    "ImaEnvelope",
    "draft",
    "envelope_in",
    "resume",
]


def envelope_in(raw: bytes, below: str = "") -> ImaEnvelope:
    """The signature in an extended attribute or a .sig file. Raises BrokenError (a MalformedError)."""
    return ImaEnvelope(read(raw), below)


def __getattr__(name: str) -> object:
    """What only signers need is loaded when it is asked for."""
    if name not in __all__:
        raise AttributeError(name)
    from chopmark.envelopes.ima import building

    return getattr(building, name)
