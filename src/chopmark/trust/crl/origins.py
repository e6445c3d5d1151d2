"""Where revocation lists come from: files, and the addresses that certificates name."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from chopmark.core import limits, places
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, MalformedError, UnavailableError, UsageError
from chopmark.envelopes import pem
from chopmark.trust.cache import FetchCache
from chopmark.trust.stores import source

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence

    from chopmark.core.contracts import Fetcher
    from chopmark.envelopes import x509
    from chopmark.trust.crl.revocation_list import Crl
    from chopmark.trust.crl.stored import Indexes, Kept


class CrlSource:
    """CRLs by issuer: those in files at once, those that are published when they are needed.

    A published list is taken from the cache as long as it is fresh; otherwise it is fetched, once. Neither is anything
    unless it counts for whoever asks: what somebody else put on the way here must not stand for the list until it ends.
    """

    def __init__(self, files: Sequence[str] = (), *, cache: str | None = None, fetcher: Fetcher | None = None) -> None:
        """Read the files (DER or PEM, or folders of them). Raises UsageError when one holds no list.

        `cache` is a folder, the user's own by default; without `fetcher` nothing is fetched.
        """
        self._given = cache
        self._fetcher = fetcher
        self._lists: dict[object, list[Crl]] = {}
        self._files: dict[str, tuple[Crl, ...]] = {}
        for path in files:
            for each in source.named(path, (source.CRL_SUFFIX,)):
                for crl in self.read_file(each):
                    self._lists.setdefault(crl.issuer_key, []).append(crl)
        self._cached: dict[str, Crl | None] = {}
        self._came: dict[str, Crl | None] = {}
        self._kept_size = 0

    @cached_property
    def _folder(self) -> str:
        return self._given if self._given is not None else os.path.join(places.cache(), "crls")

    @cached_property
    def _cache(self) -> FetchCache:
        return FetchCache(self._folder, self._fetcher, limits.CRL_MAX)

    @cached_property
    def _indexes(self) -> Indexes:
        from chopmark.trust.crl.stored import Indexes  # only for large lists

        return Indexes(os.path.join(self._folder, "indexes"))

    def by_issuer(self, issuer: object) -> list[Crl]:
        """The lists in the files by the issuer with this name (x509.name_key)."""
        return self._lists.get(issuer, [])

    def read_file(self, path: str) -> tuple[Crl, ...]:
        """The lists in one file, which is read once. Raises UsageError."""
        if path not in self._files:
            kept = self.kept(path)
            self._files[path] = (kept,) if kept is not None else tuple(self._parsed(_contents(path), path))
        return self._files[path]

    def published(
        self, certificate: x509.Certificate, at: dt.datetime, counts: Callable[[Crl], bool]
    ) -> Iterator[tuple[Crl | None, str]]:
        """The lists at the addresses that a certificate names, one by one, with what went wrong (empty for nothing).

        A list from the cache that has ended by `at` is given all the same when there is no newer one: whom it names is
        still revoked.
        """
        urls = tuple(dict.fromkeys(certificate.crl_urls))
        if not urls:
            yield None, "the certificate names no address of a CRL"
        for url in urls[: limits.CRL_URLS_MAX]:
            yield self.at(url, at, counts)

    def at(self, url: str, at: dt.datetime, counts: Callable[[Crl], bool]) -> tuple[Crl | None, str]:
        """The list at an address, and what went wrong (empty for nothing); an old one with why there is no newer.

        `counts` tells of a list whether it is what is looked for, signed by somebody who may. One that does not count
        is given only where there is no other, for what is wrong with it.
        """
        known = self._from_cache(url)
        older = known if known is not None and counts(known) else None
        if older is not None and older.next_update is not None and at <= older.next_update:
            return older, ""
        came, problem = self._from_network(url, lambda crl: counts(crl) and not _is_older(crl, older))
        if came is None:
            return known, problem
        if older is not None and not counts(came):
            return older, f"{url}: what came is not signed by whoever may"
        if _is_older(came, older):
            return older, f"{url}: what came is older than what is there already"
        return came, ""

    def _from_cache(self, url: str) -> Crl | None:
        if url not in self._cached:
            kept = self.kept(self._cache.path(url))
            if kept is None and (body := self._cache.kept(url)) is not None:
                kept = self._crl(body)
            self._remember(self._cached, url, kept)
        return self._cached[url]

    def _from_network(self, url: str, fits: Callable[[Crl], bool]) -> tuple[Crl | None, str]:
        """What is there now, which is asked for once and kept on disk if it fits; why nothing came."""
        if (known := self._came.get(url)) is not None:
            return known, ""
        came: list[Crl] = []

        def accept(data: bytes) -> bool:
            found = self._crl(data)
            if found is not None:
                came.append(found)
            return found is not None and fits(found)

        try:
            self._cache.fetch(url, accept)
        except UnavailableError as error:
            if not came:
                return None, str(error)
        self._remember(self._came, url, came[0])
        return came[0], ""

    def read(self, raw: bytes) -> Crl:
        """A list in DER, whose index is kept if it is large. Raises MalformedError."""
        return _list(raw, indexes=self._indexes if len(raw) >= limits.CRL_INDEX_MIN else None)

    def kept(self, path: str) -> Crl | None:
        """The list in a file, if its index is on disk: then it need not be read."""
        try:
            if os.stat(path).st_size < limits.CRL_INDEX_MIN:
                return None
        except (OSError, ValueError):
            return None
        kept = self._indexes.open(path)
        if kept is None:
            return None
        try:
            return _list(kept.raw, kept=kept, indexes=self._indexes)
        except MalformedError:
            return None

    def _lists_in(self, data: bytes) -> list[Crl]:
        """The lists in PEM or DER; only one in DER is worth an index on disk. Raises MalformedError."""
        found = pem.several(data, *pem.CRL)
        return [self.read(data)] if found == [data] else [_list(raw) for raw in found]

    def _parsed(self, data: bytes, path: str) -> list[Crl]:
        try:
            return self._lists_in(data)
        except MalformedError as error:
            raise UsageError(f"{path}: no revocation list: {error}") from None

    def _crl(self, data: bytes) -> Crl | None:
        """A fetched list; RFC 5280 clause 4.2.1.13 wants DER, some publish PEM."""
        try:
            return self._lists_in(data)[0]
        except MalformedError:
            return None

    def _remember(self, where: dict[str, Crl | None], url: str, crl: Crl | None) -> None:
        size = crl.size if crl else 0
        if self._kept_size + size > limits.CRLS_KEPT_MAX:
            self._cached.clear()
            self._came.clear()
            self._kept_size = 0
        where[url] = crl
        self._kept_size += size


def _is_older(crl: Crl, known: Crl | None) -> bool:
    """Whether a list must not take the place of another."""
    return known is not None and crl.this_update < known.this_update


def parse(data: bytes) -> list[Crl]:
    """The lists in PEM or DER. Raises MalformedError."""
    return [_list(raw) for raw in pem.several(data, *pem.CRL)]


def _list(raw: bytes, *, kept: Kept | None = None, indexes: Indexes | None = None) -> Crl:
    from chopmark.trust.crl.revocation_list import Crl  # many have no list

    return Crl(raw, kept=kept, indexes=indexes)


def _contents(path: str) -> bytes:
    try:
        return read_small(path, 2 * limits.CRL_MAX)
    except InputError as error:
        raise UsageError(str(error)) from None
