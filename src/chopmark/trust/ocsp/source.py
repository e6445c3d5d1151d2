"""Where OCSP answers come from: files, the cache, and the responders that certificates name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import limits, places
from chopmark.core.artifact import read_small
from chopmark.core.errors import BrokenError, InputError, MalformedError, UnavailableError, UsageError
from chopmark.envelopes import pem, x509
from chopmark.trust.cache import FetchCache

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from chopmark.core.contracts import Fetcher
    from chopmark.trust.ocsp.answer import Answer, Doubt

SUFFIXES = (".ors", ".ocsp")
"""Of the files with answers in a folder."""
LABEL = "OCSP RESPONSE"


class OcspSource:
    """Answers by serial number: those in files at once, those of responders when they are needed.

    A responder's answer is taken from the cache while it counts; otherwise the responder is asked, without a nonce, so
    that an answer signed ahead will do. Who could not be reached, or did not answer, is not asked again.
    """

    def __init__(self, files: Sequence[str] = (), *, cache: str | None = None, fetcher: Fetcher | None = None) -> None:
        """Read the files (DER or PEM, or folders of them). Raises UsageError when one holds no answer.

        `cache` is a folder, the user's own by default; without `fetcher` nobody is asked.
        """
        self._answers: dict[bytes, list[Answer]] = {}
        for path in files:
            for each in _files(path):
                for answer in _read(each):
                    for serial in answer.serials:
                        self._answers.setdefault(serial, []).append(answer)
        folder = cache if cache is not None else os.path.join(places.cache(), "ocsp")
        self._cache = FetchCache(folder, fetcher, limits.OCSP_RESPONSE_MAX)
        self._published: dict[str, Answer | None] = {}
        self._kept_size = 0
        self._refused: dict[str, Doubt] = {}
        self._dead: dict[str, str] = {}
        self._asked: dict[bytes, int] = {}

    def about(self, certificate: x509.Certificate) -> list[Answer]:
        """The answers in the files about certificates with this serial number."""
        return self._answers.get(certificate.serial_octets, [])

    def concerns(self, certificate: x509.Certificate) -> bool:
        """Whether there can be an answer about a certificate: one is in the files, or it names a responder."""
        if certificate.serial_octets in self._answers:
            return True
        try:
            return bool(certificate.access_urls(x509.ACCESS_OCSP))
        except MalformedError:
            return True

    def prefers_lists(self, issuer: x509.Certificate) -> bool:
        """Whether so many answers of an issuer were fetched that its list is the shorter way."""
        return self._asked.get(issuer.spki, 0) >= limits.OCSP_PER_ISSUER_MAX

    def published(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: dt.datetime
    ) -> Iterator[tuple[Answer | None, Doubt | None]]:
        """What the responders that a certificate names say, one by one, with what went wrong.

        An answer from the cache that does not count any more is given all the same when there is no newer one: whom it
        revokes is still revoked. Raises MalformedError when the certificate's addresses cannot be read.
        """
        for url in dict.fromkeys(certificate.access_urls(x509.ACCESS_OCSP)[: limits.OCSP_URLS_MAX]):
            yield self._asked_at(url, certificate, issuer, at)

    def _asked_at(
        self, url: str, certificate: x509.Certificate, issuer: x509.Certificate, at: dt.datetime
    ) -> tuple[Answer | None, Doubt | None]:
        from chopmark.envelopes.ocsp import asking, certid  # few certificates get so far
        from chopmark.trust.ocsp import reasons
        from chopmark.trust.ocsp.answer import Doubt

        request = asking.request([certid.for_certificate(certificate, issuer)])
        address = f"{url.rstrip('/')}/{asking.request_path(request)}"
        if address not in self._published:
            self._remember(address, _kept(self._cache.kept(address)))
        known = self._published[address]
        if known is not None and _counts(known, certificate, issuer, at):
            return known, None
        if address in self._refused:
            return known, self._refused[address]
        if url in self._dead:
            return known, Doubt(reasons.UNAVAILABLE, self._dead[url])
        self._asked[issuer.spki] = self._asked.get(issuer.spki, 0) + 1
        try:
            return self._fetch(address, url, request, certificate, issuer, at), None
        except BrokenError as error:
            self._refused[address] = Doubt(error.reason, error.detail)
            return known, self._refused[address]
        except UnavailableError as error:
            self._dead[url] = str(error).replace(address, url)
            return known, Doubt(reasons.UNAVAILABLE, self._dead[url])

    def _fetch(
        self,
        address: str,
        url: str,
        request: bytes,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        at: dt.datetime,
    ) -> Answer:
        """The responder's answer, kept if it counts. Raises BrokenError when it is none, UnavailableError."""
        from chopmark.envelopes.ocsp import extensions
        from chopmark.trust.ocsp.answer import Answer

        came: list[Answer | BrokenError] = []

        def accept(body: bytes) -> bool:
            try:
                answer = Answer(body)
            except BrokenError as error:
                came.append(error)
                return False
            came.append(answer)
            return _counts(answer, certificate, issuer, at) and all(each.next_update for each in answer.basic.singles)

        def post(fetcher: Fetcher) -> bytes:
            return fetcher.post(url, request, extensions.REQUEST_TYPE, limits.OCSP_RESPONSE_MAX)

        try:
            self._cache.fetch(address, accept, post if len(address) > limits.OCSP_GET_MAX else None)
        except UnavailableError:
            if not came:
                raise
        [answer] = came
        if isinstance(answer, BrokenError):
            raise answer
        known = self._published.get(address)
        # An older answer than the one that is there already must not take its place.
        if known is None or answer.basic.produced_at >= known.basic.produced_at:
            self._remember(address, answer)
        return answer

    def _remember(self, address: str, answer: Answer | None) -> None:
        size = len(answer.raw) if answer is not None else 0
        if self._kept_size + size > limits.OCSP_KEPT_MAX:
            self._published.clear()
            self._kept_size = 0
        self._published[address] = answer
        self._kept_size += size


def _counts(answer: Answer, certificate: x509.Certificate, issuer: x509.Certificate, at: dt.datetime) -> bool:
    """Whether an answer needs no newer one."""
    try:
        return not answer.says(certificate, issuer, at).doubts
    except BrokenError:
        return False


def _kept(body: bytes | None) -> Answer | None:
    from chopmark.trust.ocsp.answer import Answer

    try:
        return Answer(body) if body else None
    except BrokenError:
        return None


def parse(data: bytes) -> list[Answer]:
    """The answers in PEM or DER. Raises MalformedError (BrokenError where it is a responder's refusal)."""
    from chopmark.trust.ocsp.answer import Answer

    if b"-----BEGIN " not in data:
        return [Answer(data)]
    found = [Answer(block.der) for block in pem.blocks(data) if block.label == LABEL]
    if not found:
        raise MalformedError("there is no OCSP response in it")
    return found


def carried(raws: Sequence[bytes]) -> list[Answer]:
    """Answers (DER) that came with a signature or lie in a folder of evidence; what is none is as if it were not there.

    They are asked last: whoever put them there may have chosen old ones.
    """
    found = (_kept(raw) for raw in raws)
    return [answer for answer in found if answer is not None]


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    from chopmark.trust.source import listed

    return listed(path, SUFFIXES)


def _read(path: str) -> list[Answer]:
    try:
        return parse(read_small(path, limits.OCSP_RESPONSE_MAX * 2))
    except InputError as error:
        raise UsageError(str(error)) from None
    except MalformedError as error:
        raise UsageError(f"{path}: {error}") from None
