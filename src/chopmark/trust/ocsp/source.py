"""Where OCSP answers come from: files, the cache, and the responders that certificates name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import limits, places
from chopmark.core.artifact import read_small
from chopmark.core.errors import BrokenError, InputError, MalformedError, UnavailableError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import pem, x509
from chopmark.trust.cache import FetchCache

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from chopmark.core.contracts import Fetcher
    from chopmark.trust.ocsp.answer import Answer, Said
    from chopmark.trust.ocsp.reasons import Doubt

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
        self._heard: set[str] = set()
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
        from chopmark.trust.ocsp import reasons  # few certificates get so far

        for url in dict.fromkeys(certificate.access_urls(x509.ACCESS_OCSP)[: limits.OCSP_URLS_MAX]):
            if nothing := self._cache.nothing(url):  # offline, and never was online: what would be asked, nobody hears
                yield None, reasons.Doubt(reasons.UNAVAILABLE, nothing)
            else:
                yield from self._asked_at(url, certificate, issuer, at)

    def _asked_at(
        self, url: str, certificate: x509.Certificate, issuer: x509.Certificate, at: dt.datetime
    ) -> Iterator[tuple[Answer | None, Doubt | None]]:
        from chopmark.envelopes.ocsp import asking, certid  # likewise
        from chopmark.trust.ocsp import reasons
        from chopmark.trust.ocsp.reasons import Doubt

        request = asking.request([certid.for_certificate(certificate, issuer)])
        question = _Question(url, f"{url.rstrip('/')}/{asking.request_path(request)}", request, certificate, issuer, at)
        address = question.address
        if address not in self._published:
            self._remember(address, _kept(self._cache.kept(address)))
        known = self._published[address]
        said = question.says(known) if known is not None else None
        if (said is not None and not said.doubts) or address in self._heard:
            yield known, None
            return
        revokes = said is not None and said.entry is not None
        if revokes:  # also beside a newer answer: it is revoked, and a hold is not ended by what is older
            yield known, None
        doubt = self._refused.get(address)
        if doubt is None and url in self._dead:
            doubt = Doubt(reasons.UNAVAILABLE, self._dead[url])
        if doubt is None:
            self._asked[issuer.spki] = self._asked.get(issuer.spki, 0) + 1
            try:
                yield self._fetch(question, said), None
            except BrokenError as error:
                doubt = self._refused[address] = Doubt(error.reason, error.detail)
            except UnavailableError as error:
                self._dead[url] = str(error).replace(address, url)
                doubt = Doubt(reasons.UNAVAILABLE, self._dead[url])
        if doubt is not None:
            yield None if revokes else known, doubt

    def _fetch(self, question: _Question, known: Said | None) -> Answer:
        """The responder's answer, kept if it counts. Raises BrokenError when it is none, UnavailableError."""
        from chopmark.envelopes.ocsp import extensions
        from chopmark.trust.ocsp.answer import Answer

        came: list[Answer] = []

        def accept(body: bytes) -> bool:
            answer = Answer(body)
            came.append(answer)
            said = question.says(answer)
            if said is None:
                if known is None:  # the certificate of who signed it may come with the next signature
                    self._remember(question.address, answer)
                return False
            if not _follows(said, known):
                return False
            self._remember(question.address, answer)
            return said.until is not None and not said.doubts

        def post(fetcher: Fetcher) -> bytes:
            return fetcher.post(question.url, question.request, extensions.REQUEST_TYPE, limits.OCSP_RESPONSE_MAX)

        long = len(question.address) > limits.OCSP_GET_MAX
        try:
            self._cache.fetch(question.address, accept, post if long else None)
        except UnavailableError:
            if not came:
                raise
        [answer] = came
        self._heard.add(question.address)
        return answer

    def _remember(self, address: str, answer: Answer | None) -> None:
        size = len(answer.raw) if answer is not None else 0
        if self._kept_size + size > limits.OCSP_KEPT_MAX:
            self._published.clear()
            self._kept_size = 0
        self._published[address] = answer
        self._kept_size += size


class _Question(NamedTuple):
    """One certificate at one responder; `address` has the request in it, and is what the answer is kept under."""

    url: str
    address: str
    request: bytes
    certificate: x509.Certificate
    issuer: x509.Certificate
    at: dt.datetime

    def says(self, answer: Answer) -> Said | None:
        """What an answer says about it; None for nothing."""
        try:
            return answer.says(self.certificate, self.issuer, self.at)
        except BrokenError:
            return None


def _follows(said: Said, known: Said | None) -> bool:
    """Whether an answer may take the place of the one before: it is no older, and takes no revocation back."""
    from chopmark.trust.crl.entry import CERTIFICATE_HOLD

    if known is None:
        return True
    final = known.entry is not None and known.entry.reason != CERTIFICATE_HOLD
    return said.as_of >= known.as_of and (said.entry is not None or not final)


def _kept(body: bytes | None) -> Answer | None:
    from chopmark.trust.ocsp.answer import Answer

    try:
        return Answer(body) if body else None
    except BrokenError:
        return None


def parse(data: bytes) -> list[Answer]:
    """The answers in PEM or DER. Raises MalformedError (BrokenError where it is a responder's refusal)."""
    from chopmark.trust.ocsp.answer import Answer

    return [Answer(raw) for raw in pem.several(data, LABEL)]


def carried(raws: Sequence[bytes]) -> list[Answer]:
    """Answers (DER) that came with a signature or lie in a folder of evidence; what is none is as if it were not there.

    They are asked last: whoever put them there may have chosen old ones.
    """
    found = (_kept(raw) for raw in raws)
    return [answer for answer in found if answer is not None]


def _files(path: str) -> list[str]:
    from chopmark.trust.stores.source import named  # hardly anybody has answers in files

    return named(path, SUFFIXES)


def _read(path: str) -> list[Answer]:
    try:
        return parse(read_small(path, limits.OCSP_RESPONSE_MAX * 2))
    except InputError as error:
        raise UsageError(str(error)) from None
    except BrokenError as error:  # of a file it is not "what the responder sent"
        raise UsageError(f"{path}: no OCSP answer that can be used: {error.detail}") from None
    except MalformedError as error:
        raise UsageError(f"{path}: no OCSP answer that can be used: {error}") from None
