"""Issuer certificates from where certificates say they are published (RFC 5280 clause 4.2.2.1)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import limits, places
from chopmark.core.errors import MalformedError, UnavailableError
from chopmark.core.lazy import lazy
from chopmark.envelopes import pem
from chopmark.trust.cache import FetchCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.contracts import Fetcher


class IssuerSource:
    """Fetches certificates and keeps them.

    Nobody trusts them for where they come from: they have to lead to an anchor.
    """

    def __init__(self, fetcher: Fetcher | None, cache: str | None = None) -> None:
        """`cache` is a folder, the user's own by default; without `fetcher` there is only what it holds."""
        self._folder = cache
        self._fetcher = fetcher

    @lazy
    def _cache(self) -> FetchCache:
        folder = self._folder if self._folder is not None else os.path.join(places.cache(), "issuers")
        return FetchCache(folder, self._fetcher, limits.ISSUER_MAX)

    def fetch(self, urls: Sequence[str]) -> tuple[list[bytes], str]:
        """The DER certificates at the first address that answers, and what went wrong when none does."""
        problem = ""
        for url in urls:
            kept = _certificates(self._cache.kept(url, limits.ISSUER_KEPT) or b"")
            if kept:
                return kept, ""
            try:
                return _certificates(self._cache.fetch(url, lambda data: bool(_certificates(data)))), ""
            except UnavailableError as error:
                problem = str(error)
        for url in urls:
            old = _certificates(self._cache.kept(url) or b"")
            if old:
                return old, ""
        return [], problem


def _certificates(data: bytes) -> list[bytes]:
    """One certificate in DER, or a certificates-only CMS (RFC 5280 clause 4.2.2.1); PEM is in use as well."""
    try:
        return pem.certificates(data)
    except MalformedError:
        return []
