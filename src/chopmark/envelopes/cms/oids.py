"""Object identifiers of CMS and of what it carries here."""

from __future__ import annotations

from chopmark.core import seal

# Content types (RFC 5652, RFC 3161, Microsoft)
DATA = seal.DATA
SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
SPC_INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"
WRAPPED = frozenset({DATA, TST_INFO})
"""Content types that always stand in an OCTET STRING."""

OCSP_RESPONSE = "1.3.6.1.5.5.7.16.2"
"""Revocation data of another kind than a CRL (RFC 5940)."""

# Signed attributes
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"

# Unsigned attributes
COUNTERSIGNATURE = "1.2.840.113549.1.9.6"
RFC3161_TIMESTAMP = "1.2.840.113549.1.9.16.2.14"
MICROSOFT_TIMESTAMP = "1.3.6.1.4.1.311.3.3.1"
NESTED_SIGNATURE = "1.3.6.1.4.1.311.2.4.1"

STAMPS = frozenset({COUNTERSIGNATURE, RFC3161_TIMESTAMP, MICROSOFT_TIMESTAMP})
"""Unsigned attributes whose values are time stamps over the signature value; each is checked, wherever it stands."""
