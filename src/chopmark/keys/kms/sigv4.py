"""AWS Signature Version 4: a request signed with a key that is derived from day, region and service."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus, urlsplit

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """An access key; `token` goes with temporary ones. `until` is when they end, None when they do not."""

    access_key: str
    secret_key: str
    token: str = ""
    until: dt.datetime | None = None


class Scope(NamedTuple):
    """Where a signature holds."""

    region: str
    service: str


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    scope: Scope,
    at: dt.datetime,
) -> dict[str, str]:
    """The headers with those that sign the request: X-Amz-Date, X-Amz-Security-Token, Authorization."""
    parts = urlsplit(url)
    stamp = f"{at:%Y%m%dT%H%M%SZ}"
    sent = {**headers, "X-Amz-Date": stamp}
    if credentials.token:
        sent["X-Amz-Security-Token"] = credentials.token
    folded = {name.lower(): " ".join(value.split()) for name, value in {**sent, "Host": parts.netloc}.items()}
    names = ";".join(sorted(folded))
    request = "\n".join(
        (
            method,
            quote(parts.path or "/", safe="/-_.~%"),
            _query(parts.query),
            "".join(f"{name}:{folded[name]}\n" for name in sorted(folded)),
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    day = stamp[:8]
    within = f"{day}/{scope.region}/{scope.service}/aws4_request"
    to_sign = "\n".join((_ALGORITHM, stamp, within, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_key}".encode()
    for step in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    sent["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{within}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


def _query(query: str) -> str:
    pairs = (part.partition("=")[::2] for part in query.split("&") if part)
    encoded = sorted(
        (quote(unquote_plus(name), safe="-_.~"), quote(unquote_plus(value), safe="-_.~")) for name, value in pairs
    )
    return "&".join(f"{name}={value}" for name, value in encoded)
