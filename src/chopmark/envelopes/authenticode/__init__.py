"""Authenticode: PKCS #7 over SpcIndirectDataContent, as Windows signs programs and scripts, and nested signatures."""

from chopmark.envelopes.authenticode.building import nest, pe_content, sip_content
from chopmark.envelopes.authenticode.envelope import AuthenticodeEnvelope
from chopmark.envelopes.authenticode.oids import (
    SPC_CAB_DATA,
    SPC_PE_IMAGE_DATA,
    SPC_SIPINFO,
)
from chopmark.envelopes.authenticode.reading import read

__all__ = [
    "SPC_CAB_DATA",
    "SPC_PE_IMAGE_DATA",
    "SPC_SIPINFO",
    "AuthenticodeEnvelope",
    "nest",
    "pe_content",
    "read",
    "sip_content",
]
