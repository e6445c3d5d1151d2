"""The Online Certificate Status Protocol: requests and responses (RFC 6960, RFC 5019, RFC 9654), read and written."""

from chopmark.envelopes.ocsp.asking import Request, read_request, request, request_path
from chopmark.envelopes.ocsp.certid import CertId, for_certificate
from chopmark.envelopes.ocsp.extensions import ARCHIVE_CUTOFF, BASIC, NONCE, REQUEST_TYPE, RESPONSE_TYPE
from chopmark.envelopes.ocsp.reading import (
    GOOD,
    INTERNAL_ERROR,
    MALFORMED_REQUEST,
    REVOKED,
    SIG_REQUIRED,
    STATUSES,
    SUCCESSFUL,
    TRY_LATER,
    UNAUTHORIZED,
    UNKNOWN,
    Basic,
    Response,
    Single,
    read_response,
)
from chopmark.envelopes.ocsp.writing import failure, response, response_data, single

__all__ = [
    "ARCHIVE_CUTOFF",
    "BASIC",
    "GOOD",
    "INTERNAL_ERROR",
    "MALFORMED_REQUEST",
    "NONCE",
    "REQUEST_TYPE",
    "RESPONSE_TYPE",
    "REVOKED",
    "SIG_REQUIRED",
    "STATUSES",
    "SUCCESSFUL",
    "TRY_LATER",
    "UNAUTHORIZED",
    "UNKNOWN",
    "Basic",
    "CertId",
    "Request",
    "Response",
    "Single",
    "failure",
    "for_certificate",
    "read_request",
    "read_response",
    "request",
    "request_path",
    "response",
    "response_data",
    "single",
]
