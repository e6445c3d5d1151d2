"""Responses as a responder writes them (RFC 6960 clause 4.2.1)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.envelopes import der
from chopmark.envelopes.ocsp import extensions
from chopmark.envelopes.ocsp.reading import GOOD, SUCCESSFUL, UNKNOWN

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

UNREVOKED = {GOOD: der.implicit(0, b""), UNKNOWN: der.implicit(2, b"")}
"""The two statuses that say nothing more."""


@lru_cache(maxsize=64)
def _time(moment: dt.datetime) -> bytes:
    """A GeneralizedTime; thousands of answers in a second have the same ones."""
    return der.generalized_time(moment)


def revoked(since: dt.datetime, reason: int = 0) -> bytes:
    """The status `revoked`; the reason 0 (unspecified) is left out, as in CRLs (RFC 5280 clause 5.3.1)."""
    given = (der.explicit(0, der.encode(der.ENUMERATED, bytes((reason,)))),) if reason else ()
    return der.explicit(1, _time(since.replace(microsecond=0)), *given)


def single(
    cert_id: bytes,
    status: bytes,
    this_update: dt.datetime,
    next_update: dt.datetime,
    more: Sequence[bytes] = (),
) -> bytes:
    """A SingleResponse: a CertID in DER, a status of UNREVOKED or `revoked`, its times, encoded extensions."""
    block = (der.explicit(1, der.sequence(*more)),) if more else ()
    return der.sequence(
        cert_id,
        status,
        _time(this_update),
        der.explicit(0, _time(next_update)),
        *block,
    )


def response_data(
    responder_key: bytes, produced_at: dt.datetime, singles: Sequence[bytes], nonce: bytes | None = None
) -> bytes:
    """A ResponseData by the responder whose key has this SHA-1 (byKey: shorter, and of one form)."""
    block = (der.explicit(1, der.sequence(extensions.nonce(nonce))),) if nonce is not None else ()
    return der.sequence(
        der.explicit(2, der.octet_string(responder_key)),
        _time(produced_at),
        der.sequence(*singles),
        *block,
    )


def response(tbs: bytes, algorithm: bytes, signature: bytes, certificates: Sequence[bytes] = ()) -> bytes:
    """A whole OCSPResponse: signed ResponseData, with the responder's certificates."""
    block = (der.explicit(0, der.sequence(*certificates)),) if certificates else ()
    basic = der.sequence(tbs, algorithm, der.bit_string(signature), *block)
    answer = der.sequence(der.oid(extensions.BASIC), der.octet_string(basic))
    return der.sequence(_status(SUCCESSFUL), der.explicit(0, answer))


def failure(status: int) -> bytes:
    """A response that says why there is no answer (clause 2.3). Such responses are not signed."""
    return der.sequence(_status(status))


def _status(status: int) -> bytes:
    return der.encode(der.ENUMERATED, bytes((status,)))
