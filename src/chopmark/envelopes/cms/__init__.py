"""CMS SignedData (RFC 5652) and PKCS #7 1.5: read strictly, checked, built; original bytes are what is hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes.cms.alike import read
from chopmark.envelopes.cms.envelope import CmsEnvelope
from chopmark.envelopes.cms.reading import SignedData, SignerInfo
from chopmark.envelopes.cms.stamped import check

if TYPE_CHECKING:
    from chopmark.envelopes.cms.building import Draft, add_certificates, add_unsigned, draft, resume

__all__ = [
    "CmsEnvelope",
    "Draft",
    "SignedData",
    "SignerInfo",
    "add_certificates",
    "add_unsigned",
    "check",
    "draft",
    "read",
    "resume",
]


def __getattr__(name: str) -> object:
    """What only signers need is loaded when it is asked for: verifying starts sooner."""
    if name not in __all__:
        raise AttributeError(name)
    from chopmark.envelopes.cms import building

    return getattr(building, name)
