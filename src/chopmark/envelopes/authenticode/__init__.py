"""Authenticode: PKCS #7 over SpcIndirectDataContent, as Windows signs programs and scripts, and nested signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.envelopes.authenticode.envelope import AuthenticodeEnvelope
from chopmark.envelopes.authenticode.indirect import IndirectData, enclosed
from chopmark.envelopes.authenticode.indirect import read as read_indirect
from chopmark.envelopes.authenticode.oids import (
    SPC_CAB_DATA,
    SPC_PE_IMAGE_DATA,
    SPC_SIPINFO,
)
from chopmark.envelopes.authenticode.reading import read

if TYPE_CHECKING:
    from chopmark.envelopes.authenticode.building import nest, pe_content, sip_content

__all__ = [
    "SPC_CAB_DATA",
    "SPC_PE_IMAGE_DATA",
    "SPC_SIPINFO",
    "AuthenticodeEnvelope",
    "IndirectData",
    "enclosed",
    "nest",
    "pe_content",
    "read",
    "read_indirect",
    "sip_content",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    """What makes signatures is loaded by those who make some."""
    if name in {"nest", "pe_content", "sip_content"}:
        from chopmark.envelopes.authenticode import building

        return getattr(building, name)
    raise AttributeError(name)
