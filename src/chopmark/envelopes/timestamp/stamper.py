"""Asking time-stamp authorities on the network for a token."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.errors import MalformedError, UnavailableError, UsageError
from chopmark.core.finding import Outcome
from chopmark.envelopes.timestamp import checking, protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.contracts import Fetcher


class HttpStamper:
    """A Stamper over HTTP (RFC 3161 clause 3.4): asks each URL in turn until one gives a sound token.

    `critical_purpose` is that of `check`: whoever puts tokens on other signatures than Authenticode wants True.
    """

    def __init__(
        self, fetcher: Fetcher, urls: Sequence[str], policy: str | None = None, *, critical_purpose: bool = False
    ) -> None:
        """Raises UsageError without a URL."""
        if not urls:
            raise UsageError("no time-stamp authority was given")
        self._fetcher = fetcher
        self._urls = tuple(urls)
        self._policy = policy
        self._critical_purpose = critical_purpose

    def stamp(self, signature: bytes, digest_algorithm: str) -> bytes:
        """A TimeStampToken over the signature value that chopmark itself accepts. Raises UnavailableError."""
        failures = []
        for url in self._urls:
            try:
                return self._ask(url, signature, digest_algorithm)
            except (UnavailableError, MalformedError) as error:
                text = str(error)
                failures.append(text if text.startswith(url) else f"{url}: {text}")
        raise UnavailableError("no time stamp: " + "; ".join(failures))

    def _ask(self, url: str, signature: bytes, digest_algorithm: str) -> bytes:
        nonce = int.from_bytes(os.urandom(8), "big")
        digest = digests.of(signature, digest_algorithm)
        request = protocol.request(digest, digest_algorithm, nonce=nonce, policy=self._policy)
        response = self._fetcher.post(url, request, protocol.QUERY_TYPE, limits.TIMESTAMP_RESPONSE_MAX)
        token = protocol.token(response, request)
        proof = checking.check(token, signature, critical_purpose=self._critical_purpose).proof
        against = [finding.code for finding in proof.findings if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)]
        if against:
            raise MalformedError(f"its token does not hold ({', '.join(against)})")
        return token
