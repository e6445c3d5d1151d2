"""What a responder says about one certificate: a SingleResponse (RFC 6960 clause 4.2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes import ocsp
from chopmark.envelopes.ocsp import writing

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.authority.register.records import Issuer
    from chopmark.authority.register.status import State


def encoded(
    cert_id: bytes, state: State | None, issuer: Issuer, this_update: dt.datetime, next_update: dt.datetime
) -> bytes:
    """The answer about one certificate; None is a number that nobody has."""
    if state is None:
        return writing.single(cert_id, writing.UNREVOKED[ocsp.UNKNOWN], this_update, next_update)
    more = []
    if state.not_after < next_update:
        # The register forgets nothing, so the answer says since when there is one (RFC 6960 clause 4.4.4).
        more.append(ocsp.archive_cutoff(issuer.certificate.not_before))
    if state.invalidity is not None and state.invalidity != state.revoked:
        more.append(ocsp.invalidity_date(state.invalidity))
    if state.revoked is None:
        return writing.single(cert_id, writing.UNREVOKED[ocsp.GOOD], this_update, next_update, more)
    status = writing.revoked(state.revoked, state.reason)
    return writing.single(cert_id, status, this_update, next_update, more)
