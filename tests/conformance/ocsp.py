"""BoringSSL's OCSP cases against the check of one answer: a response, a certificate, its issuer, on 5 March 2017.

They allow answers without nextUpdate for a week, which is an argument of the check. Each case also has the request that
must be made.
"""

from __future__ import annotations

import datetime as dt
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError
from chopmark.envelopes import ocsp, pem, x509
from chopmark.trust.ocsp.answer import Answer
from tests.conformance import suite

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[1] / "vectors" / "ocsp"
AT = dt.datetime(2017, 3, 5, tzinfo=dt.UTC)
WEEK = dt.timedelta(days=7)
CASES = 36

_GOOD, _REVOKED, _UNKNOWN = "good", "revoked", "unknown"
EXPECTED = {
    _GOOD: (
        "good_response",
        "good_response_invalid_serial",
        "good_response_next_update",
        "good_response_sha256",
        "has_critical_ct_extension",
        "has_extension",
        "has_single_extension",
        "has_version",
        "ocsp_extra_certs",
        "ocsp_sign_direct",
        "ocsp_sign_indirect",
        "responder_id",
        "responder_name",
    ),
    _REVOKED: ("multiple_response_good_revoked", "revoke_response", "revoke_response_reason"),
    _UNKNOWN: (
        "bad_ocsp_type",
        "bad_signature",
        "bad_status",
        "future_response",
        "has_critical_response_extension",
        "has_critical_single_extension",
        "invalid_response",
        "invalid_response_data",
        "malformed_request",
        "missing_response",
        "multiple_response",
        "no_response",
        "ocsp_sign_bad_indirect",
        "ocsp_sign_indirect_missing",
        "old_response",
        "other_response",
        "produced_early_response",
        "produced_late_response",
        "stale_response",
        "unknown_response",
    ),
}


class _WrongError(Exception):
    """A case came out in a way that is neither accepted nor refused."""


def cases() -> Iterator[suite.Case]:
    """All of them: only a certificate that is good is accepted."""
    for status, names in EXPECTED.items():
        for name in names:
            yield suite.Case(name, status == _GOOD, partial(judge, name, status))


def judge(name: str, expected: str) -> tuple[bool, str]:
    """Whether the certificate is good, and why not. Raises _WrongError when it is not the status that was expected."""
    held = {block.label: block.der for block in pem.blocks((DATA / f"{name}.pem").read_bytes())}
    certificate, issuer = (x509.certificate(held[label]) for label in ("CERTIFICATE", "CA CERTIFICATE"))
    if ocsp.request([ocsp.for_certificate(certificate, issuer)]) != held["OCSP REQUEST"]:
        raise _WrongError("the request is another one")
    try:
        said = Answer(held["OCSP RESPONSE"]).says(certificate, issuer, AT, undated=WEEK)
    except BrokenError as error:
        status, why = _UNKNOWN, f"{error.reason.code} {error.detail}"
    else:
        status = _REVOKED if said.entry else _UNKNOWN if said.unknown or said.doubts else _GOOD
        why = ", ".join(doubt.reason.code for doubt in said.doubts)
    if _REVOKED in (status, expected) and status != expected:
        raise _WrongError(f"{status} where it is {expected}")
    return status == _GOOD, why


def run() -> bool:
    """Judge all cases; whether none is wrong."""
    every = list(cases())
    if len(every) != CASES:
        raise ValueError(f"{len(every)} cases in the table")
    return suite.run("BoringSSL OCSP", every, {})
