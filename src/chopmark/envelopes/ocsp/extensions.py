"""Extensions of OCSP (RFC 6960 clause 4.4, RFC 9654), and the object identifiers around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.envelopes import der, x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

REQUEST_TYPE = "application/ocsp-request"
RESPONSE_TYPE = "application/ocsp-response"

BASIC = "1.3.6.1.5.5.7.48.1.1"
"""The one type of response that there is."""
NONCE = "1.3.6.1.5.5.7.48.1.2"
CRL_REFERENCE = "1.3.6.1.5.5.7.48.1.3"
ARCHIVE_CUTOFF = "1.3.6.1.5.5.7.48.1.6"
EXTENDED_REVOKE = "1.3.6.1.5.5.7.48.1.9"
_SIGNED_CERTIFICATE_TIMESTAMPS = "1.3.6.1.4.1.11129.2.4.5"

OF_RESPONSE = frozenset({NONCE, EXTENDED_REVOKE})
"""Extensions of a whole response that may be critical: they are evaluated, or can change nothing."""
OF_SINGLE = frozenset(
    {ARCHIVE_CUTOFF, CRL_REFERENCE, _SIGNED_CERTIFICATE_TIMESTAMPS, x509.CRL_REASON, x509.INVALIDITY_DATE}
)
"""Those of the answer about one certificate: entries of CRLs have the same (clause 4.4.5)."""


def read(block: der.Node | None) -> Mapping[str, x509.Extension]:
    """The extensions inside an explicit tag, by identifier. Raises DerError."""
    return x509.extensions(block.only_child()) if block is not None else {}


def unknown_critical(found: Mapping[str, x509.Extension], known: frozenset[str]) -> str:
    """The first critical extension that is not evaluated; empty when there is none."""
    return next((oid for oid, each in found.items() if each.critical and oid not in known), "")


def nonce_in(found: Mapping[str, x509.Extension]) -> bytes | None:
    """The nonce, of 1 to 128 octets (RFC 9654 clause 2.1). Raises DerError for another one."""
    extension = found.get(NONCE)
    if extension is None:
        return None
    value = der.parse(extension.value).octets()
    if not 0 < len(value) <= limits.OCSP_NONCE_MAX:
        raise der.DerError(f"a nonce of {len(value)} octets")
    return value


def nonce(value: bytes) -> bytes:
    """The nonce extension, not critical."""
    return encoded(NONCE, der.octet_string(value))


def archive_cutoff(since: dt.datetime) -> bytes:
    """ArchiveCutoff: answers are given about certificates that expired since then (clause 4.4.4)."""
    return encoded(ARCHIVE_CUTOFF, der.generalized_time(since.replace(microsecond=0)))


def invalidity_date(since: dt.datetime) -> bytes:
    """InvalidityDate, as in an entry of a CRL (clause 4.4.5)."""
    return encoded(x509.INVALIDITY_DATE, der.generalized_time(since.replace(microsecond=0)))


def encoded(oid: str, value: bytes) -> bytes:
    """An Extension that is not critical."""
    return der.sequence(der.oid(oid), der.octet_string(value))
