"""Time stamps over signatures: RFC 3161 tokens, requests and responses, and the legacy countersignature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes.cms.oids import COUNTERSIGNATURE as COUNTERSIGNATURE_ATTRIBUTE
from chopmark.envelopes.cms.oids import MICROSOFT_TIMESTAMP as MICROSOFT_ATTRIBUTE
from chopmark.envelopes.cms.oids import RFC3161_TIMESTAMP as RFC3161_ATTRIBUTE
from chopmark.envelopes.timestamp.checking import check, check_countersignature
from chopmark.envelopes.timestamp.info import TstInfo, read_info

if TYPE_CHECKING:
    from chopmark.envelopes.timestamp.legacy import (
        LEGACY_TYPE,
        countersignature,
        legacy_request,
        legacy_response,
        make_countersignature,
        read_legacy_request,
    )
    from chopmark.envelopes.timestamp.making import make_token
    from chopmark.envelopes.timestamp.protocol import (
        FAILURES,
        GRANTED,
        GRANTED_WITH_MODS,
        QUERY_TYPE,
        REJECTION,
        REPLY_TYPE,
        Request,
        granted,
        read_request,
        request,
        response,
        token,
    )
    from chopmark.envelopes.timestamp.stamper import HttpCountersigner, HttpStamper

__all__ = [
    "COUNTERSIGNATURE_ATTRIBUTE",
    "FAILURES",
    "GRANTED",
    "GRANTED_WITH_MODS",
    "LEGACY_TYPE",
    "MICROSOFT_ATTRIBUTE",
    "QUERY_TYPE",
    "REJECTION",
    "REPLY_TYPE",
    "RFC3161_ATTRIBUTE",
    "HttpCountersigner",
    "HttpStamper",
    "Request",
    "TstInfo",
    "check",
    "check_countersignature",
    "countersignature",
    "granted",
    "legacy_request",
    "legacy_response",
    "make_countersignature",
    "make_token",
    "read_info",
    "read_legacy_request",
    "read_request",
    "request",
    "response",
    "token",
]


def __getattr__(name: str) -> object:
    """What only authorities and those who ask them need is loaded when it is asked for: verifying starts sooner."""
    if name not in __all__:
        raise AttributeError(name)
    from chopmark.envelopes.timestamp import legacy, making, protocol, stamper

    modules = (making, stamper, legacy, protocol)
    found = next(getattr(module, name) for module in modules if name in vars(module))
    globals()[name] = found  # the next one who asks need not come here
    return found
