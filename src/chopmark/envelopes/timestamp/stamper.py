"""Asking time-stamp authorities on the network, one after another and not just once, until a sound answer comes."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TypeVar

from chopmark.core import clock, limits
from chopmark.core import digest as digests
from chopmark.core.errors import MalformedError, UnavailableError, UsageError
from chopmark.core.finding import Outcome
from chopmark.envelopes import der, x509
from chopmark.envelopes.timestamp import checking, legacy, protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.core.contracts import Countersignature, Fetcher
    from chopmark.core.proof import Stamp

_T = TypeVar("_T")


class _Authorities:
    """Addresses in the order in which they are asked; who failed comes last from then on."""

    def __init__(self, urls: Sequence[str], pause: Callable[[float], None]) -> None:
        if not urls:
            raise UsageError("no time-stamp authority was given")
        self._urls = list(dict.fromkeys(urls))
        self._pause = pause

    def first(self, ask: Callable[[str], _T]) -> _T:
        """The first sound answer. Raises UnavailableError, which tells what went wrong with each of them.

        Who does not answer is asked again (TIMESTAMP_ROUNDS times in all), who answers wrongly is not.
        """
        failures: dict[str, str] = {}
        left = list(self._urls)
        for again in range(limits.TIMESTAMP_ROUNDS):
            if again and left:
                self._pause(limits.TIMESTAMP_PAUSE)
            for url in tuple(left):
                try:
                    answer = ask(url)
                except (UnavailableError, MalformedError) as error:
                    text = str(error)
                    failures[url] = text if text.startswith(url) else f"{url}: {text}"
                    if isinstance(error, MalformedError):
                        left.remove(url)
                else:
                    self._urls.sort(key=lambda each: each in failures)
                    return answer
        raise UnavailableError("no time stamp: " + "; ".join(failures.values()))


class HttpStamper:
    """A Stamper over HTTP (RFC 3161 clause 3.4): asks each URL in turn until one gives a sound token.

    `critical_purpose` is that of `check`: whoever puts tokens on other signatures than Authenticode wants True.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        urls: Sequence[str],
        policy: str | None = None,
        *,
        critical_purpose: bool = False,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises UsageError without a URL."""
        self._fetcher = fetcher
        self._authorities = _Authorities(urls, pause)
        self._policy = policy
        self._critical_purpose = critical_purpose

    def stamp(self, signature: bytes, digest_algorithm: str) -> bytes:
        """A TimeStampToken over the signature value that chopmark itself accepts. Raises UnavailableError."""
        return self._authorities.first(lambda url: self._ask(url, signature, digest_algorithm))

    def _ask(self, url: str, signature: bytes, digest_algorithm: str) -> bytes:
        nonce = int.from_bytes(os.urandom(8), "big")
        digest = digests.of(signature, digest_algorithm)
        request = protocol.request(digest, digest_algorithm, nonce=nonce, policy=self._policy)
        response = self._fetcher.post(url, request, protocol.QUERY_TYPE, limits.TIMESTAMP_RESPONSE_MAX)
        token = protocol.token(response, request)
        _require_sound(checking.check(token, signature, critical_purpose=self._critical_purpose))
        return token


class HttpCountersigner:
    """A Countersigner over HTTP: asks each URL in turn until one countersigns as Authenticode did before RFC 3161."""

    def __init__(self, fetcher: Fetcher, urls: Sequence[str], *, pause: Callable[[float], None] = time.sleep) -> None:
        """Raises UsageError without a URL."""
        self._fetcher = fetcher
        self._authorities = _Authorities(urls, pause)

    def countersign(self, signature: bytes) -> Countersignature:
        """A countersignature that chopmark itself accepts. Raises UnavailableError."""
        return self._authorities.first(lambda url: self._ask(url, signature))

    def _ask(self, url: str, signature: bytes) -> Countersignature:
        request = legacy.legacy_request(signature)
        response = self._fetcher.post(url, request, legacy.LEGACY_TYPE, limits.TIMESTAMP_RESPONSE_MAX)
        found = legacy.countersignature(response, signature)
        _require_sound(checking.check_countersignature(der.parse(found.value), signature, found.certificates))
        return found


def _require_sound(stamp: Stamp) -> None:
    """Raise MalformedError for a stamp that no verifier would take."""
    against = [finding.code for finding in stamp.proof.findings if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)]
    if against:
        raise MalformedError(f"its token does not hold ({', '.join(against)})")
    certificate = x509.certificate(stamp.proof.certificates[0])
    if not certificate.not_before <= stamp.time <= certificate.not_after:
        raise MalformedError(f"its certificate is not valid at the time that it states ({clock.show(stamp.time)})")
