"""The OCSP responder (RFC 6960, RFC 5019, RFC 9654): over HTTP by `respond_http`, in the same process by `respond`.

An answer is looked for in memory, then among those signed ahead, then it is signed. Whatever is done to a certificate
reaches its answers at once: nothing is taken from memory or from the file that the register does not say any more.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import time
from typing import TYPE_CHECKING

from chopmark import keys
from chopmark.authority.ocsp import http, single
from chopmark.authority.ocsp.ahead import Ahead
from chopmark.authority.ocsp.cache import Cache
from chopmark.authority.ocsp.delegates import FOLDER, Delegates
from chopmark.authority.ocsp.framing import Frame
from chopmark.authority.ocsp.presigning import Presigned, Presigner
from chopmark.authority.ocsp.store import AnswerStore, StoreError, state_text
from chopmark.authority.register.records import Issuer, serial_text
from chopmark.core import limits
from chopmark.core.closing import Closing
from chopmark.core.errors import ChopmarkError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import ocsp
from chopmark.envelopes.ocsp import certid, extensions, writing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chopmark.authority.ca import Authority
    from chopmark.authority.ocsp.delegates import Delegate
    from chopmark.authority.ocsp.http import HttpAnswer
    from chopmark.authority.register.status import State
    from chopmark.envelopes import x509

PATH = "ocsp"
"""Where it is below the authority's address, as certificates name it."""

HOURS = 96
"""How long an answer counts. It is signed anew after half of it: at least every four days (CSBR 4.9.10)."""
HOURS_MAX = 192
UNKNOWN_SECONDS = 300
"""Who is not known now may be issued in a moment."""


KINDS = ("good", "revoked", "unknown", "several", "malformed", "try_later", "unauthorized")
"""What an answer says: the status of the certificate, that it is about several, or why there is none."""


class Answer(NamedTuple):
    """A response; its times as Unix seconds, 0 where nobody must keep it, and the HTTP headers that follow from them.

    `fresh_until` is when the next one is due; `kind` is one of KINDS, for those who count; `about` are the certificates
    (issuer, serial) that it rests on, and `version` that of the cache when they were looked up.
    """

    body: bytes
    this_update: int = 0
    fresh_until: int = 0
    next_update: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    about: tuple[tuple[int, str], ...] = ()
    version: int = 0
    kind: str = "good"


class Prepared(NamedTuple):
    """A response that was signed ahead, its tag in HTTP, its times in Unix seconds, and of which kind it is."""

    body: bytes
    tag: str
    this_update: int
    next_update: int
    kind: str

    @property
    def answer(self) -> Answer:
        """With its headers."""
        begin, end = self.this_update, self.next_update
        return Answer(self.body, begin, (begin + end) // 2, end, http.lasting(self.tag, begin, end), kind=self.kind)


class Responder(Closing):
    """Answers for all CAs of an authority that have a delegated responder. Several threads may use it at once.

    It belongs to the process that first asked it; whoever forks makes one in each process.
    """

    def __init__(self, authority: Authority, passphrase: keys.Passphrase = keys.nothing, *, hours: int = HOURS) -> None:
        """`passphrase` is for the keys of the responders, `hours` how long answers count. Raises UsageError."""
        if not 0 < hours <= HOURS_MAX:
            message = f"an OCSP answer counts for 1 to {HOURS_MAX} hours (CSBR 4.9.10), not {hours}"
            raise UsageError(message)
        self.delegates = Delegates(authority, passphrase)
        self._authority = authority
        self._validity = dt.timedelta(hours=hours)
        self._statuses = authority.statuses()
        self._table = Ahead(authority.folder, self._statuses)
        self._frames: dict[tuple[int, str, int, int], Frame] = {}
        self._frames_again = 0
        self._cache = Cache(self._statuses, limits.OCSP_CACHE_SIZE, self._table.changed)
        self._store = AnswerStore(os.path.join(os.path.abspath(authority.folder), FOLDER))
        self._presigner = Presigner(authority, self.delegates, self._statuses, self._store, self._table, self._validity)
        self._issuers: dict[tuple[str, bytes, bytes], Issuer] = {}
        self._issuers_again = 0.0

    def respond(self, request_der: bytes) -> bytes:
        """The DER of the OCSPResponse to an OCSPRequest. Raises nothing."""
        return self.answer(request_der).body

    def respond_http(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> HttpAnswer:
        """The answer to an HTTP request (RFC 6960 appendix A, RFC 5019 clauses 5 and 6). Raises nothing.

        `path` is what stands behind the responder's own address, still percent-encoded; it is ignored for POST.
        """
        request = http.request_in(method, path, body, content_type)
        if not isinstance(request, bytes):
            return request
        return http.reply(self.answer(request), int(self._authority.clock().timestamp()), method)

    def answer(self, request_der: bytes, *, looked: bool = False) -> Answer:
        """The response to a request, with its times. Raises nothing.

        `looked` says that `version` was asked for this very moment.
        """
        moment = self._authority.clock()
        seconds = int(moment.timestamp())
        try:
            if not looked:
                self._cache.look()
            found = self._cache.get(request_der, seconds)
            if found is not None:
                return found
            prepared = self.prepared(request_der, seconds)
            return prepared.answer if prepared else self._answered(request_der, moment.replace(microsecond=0))
        except MalformedError:
            return _MALFORMED
        except (ChopmarkError, OSError):  # the database, or a key, which may be back in a moment
            return _TRY_LATER

    def prepared(self, request_der: bytes, now: int) -> Prepared | None:
        """The answer that lies in the table, if it still says what is so (Unix time); the register is not asked.

        Whoever calls it has asked for `version` just before, as `answer` does. Raises ChopmarkError and OSError.
        """
        entry = self._table.find(request_der, now)
        if entry is None:
            return None
        if now >= self._frames_again:
            self._frames = {}
            self._frames_again = now + _FRAMES_SECONDS
        key = entry.issuer, entry.delegate, len(entry.data), len(entry.signature)
        frame = self._frames.get(key)
        if frame is None:
            delegate = self.delegates.of_serial(entry.issuer, entry.delegate, self._authority.clock())
            if delegate is None:
                return None
            frame = Frame.around(delegate, entry.data, entry.signature)
            if hashlib.sha256(frame.whole(entry.data, entry.signature)).digest() != entry.digest:
                return None  # the table is of another version, which framed answers in another way
            self._frames[key] = frame
        body = frame.whole(entry.data, entry.signature)
        return Prepared(body, http.tag(entry.digest), entry.this_update, entry.next_update, entry.kind)

    def seconds(self) -> int:
        """What time it is (Unix)."""
        return int(self._authority.clock().timestamp())

    def version(self) -> int:
        """Grows whenever something was done that the register tells; who keeps an answer keeps it with this number.

        Raises DatabaseError when the register does not tell. With SQLite it is known without waiting.
        """
        return self._cache.look()

    def _answered(self, request_der: bytes, now: dt.datetime) -> Answer:
        request = ocsp.read_request(request_der)
        if any(extensions.unknown_critical(each, _KNOWN) for each in (request.extensions, *_singly(request))):
            return _MALFORMED
        issuer = self._issuer(request)
        if issuer is None:
            return _UNAUTHORIZED
        version = self._cache.version
        serials = [_serial(each.cert_id.serial) for each in request.asked]
        delegate, states = self._delegate(issuer, serials, now)
        if delegate is None:
            return _UNAUTHORIZED
        if not (request.plain and len(serials) == 1 and serials[0] in states):
            return self._signed(issuer, delegate, request, [states.get(serial) for serial in serials], now)
        [serial] = serials
        answer = self._ready(issuer, serial, states[serial], request.asked[0], now)
        if answer is None:
            answer = self._signed(issuer, delegate, request, [states[serial]], now)
        about = ((issuer.id, serial), (issuer.id, delegate.serial))
        answer = answer._replace(about=about, version=version)
        self._cache.put(request_der, answer)
        return answer

    def _delegate(
        self, issuer: Issuer, serials: Sequence[str], now: dt.datetime
    ) -> tuple[Delegate | None, dict[str, State]]:
        """Who answers, and what the register says; who was revoked answers no more."""
        for _ in range(2):
            delegate = self.delegates.current(issuer, now)
            if delegate is None:
                break
            states = self._statuses.look_up(issuer.id, [*filter(None, serials), delegate.serial])
            own = states.get(delegate.serial)
            if own is not None and own.revoked is None:
                return delegate, states
            self.delegates.look_again()
        return None, {}

    def _issuer(self, request: ocsp.Request) -> Issuer | None:
        """Whose certificates are asked about. One response has one signer, so they must all be of one CA."""
        found = [self._issuers.get(each.cert_id.issuer) for each in request.asked]
        if None in found and time.monotonic() > self._issuers_again:  # a CA may be new
            self._issuers = {
                (algorithm, *certid.issuer_hashes(each.certificate.subject, each.certificate.spki, algorithm)): each
                for each in self._authority.issuers()
                for algorithm in certid.DIGESTS
            }
            self._issuers_again = time.monotonic() + limits.OCSP_RECHECK_SECONDS
            found = [self._issuers.get(each.cert_id.issuer) for each in request.asked]
        first = found[0]
        return first if first is not None and all(each is not None and each.id == first.id for each in found) else None

    def _signed(
        self,
        issuer: Issuer,
        delegate: Delegate,
        request: ocsp.Request,
        states: Sequence[State | None],
        now: dt.datetime,
    ) -> Answer:
        validity = self._validity if None not in states else dt.timedelta(seconds=UNKNOWN_SECONDS)
        next_update = min(now + validity, delegate.certificate.not_after)
        singles = [
            single.encoded(asked.raw, state, issuer, now, next_update)
            for asked, state in zip(request.asked, states, strict=True)
        ]
        body = delegate.response(*delegate.sign(singles, now, request.nonce))
        kind = _kind(states)
        if request.nonce is not None or None in states:
            return Answer(body, kind=kind)
        return _dated(body, now, next_update, kind)

    def _ready(self, issuer: Issuer, serial: str, state: State, asked: ocsp.Asked, now: dt.datetime) -> Answer | None:
        """The answer that was signed ahead, if it still says what is so, in the words of the question."""
        if asked.cert_id.algorithm != certid.DIGESTS[0] or asked.cert_id.encoded() != asked.raw:
            return None
        try:
            kept = self._store.get(issuer.id, serial)
        except StoreError:
            return None  # it is only a cache
        if kept is None or kept.state != state_text(state):
            return None
        this_update, next_update = (
            dt.datetime.fromtimestamp(each, dt.UTC) for each in (kept.this_update, kept.next_update)
        )
        delegate = self.delegates.of_serial(issuer.id, kept.delegate, now)
        if delegate is None or not this_update <= now < this_update + (next_update - this_update) / 2:
            return None
        return _dated(delegate.response(kept.data, kept.signature), this_update, next_update, _kind([state]))

    def presign(self, count: int = 1000) -> Presigned:
        """Sign answers ahead, as far as they are due (Presigner.run). Raises ChopmarkError."""
        return self._presigner.run(count)

    def close(self) -> None:
        """Close its files; the authority stays open."""
        self._statuses.close()
        self._store.close()
        self._table.close()


_KNOWN = frozenset({extensions.NONCE})
_MALFORMED, _TRY_LATER, _UNAUTHORIZED = (
    Answer(writing.failure(status), kind=kind)
    for status, kind in (
        (ocsp.MALFORMED_REQUEST, "malformed"),
        (ocsp.TRY_LATER, "try_later"),
        (ocsp.UNAUTHORIZED, "unauthorized"),
    )
)
_FRAMES_SECONDS = 60
"""For so long nobody looks again whether the file of a responder is still there; that one was revoked shows at once."""


def _singly(request: ocsp.Request) -> list[Mapping[str, x509.Extension]]:
    return [each.extensions for each in request.asked]


def _serial(octets: bytes) -> str:
    """As the register has it; empty for numbers that it cannot have."""
    number = int.from_bytes(octets, "big", signed=True)
    return serial_text(number) if number > 0 else ""


def _dated(body: bytes, this_update: dt.datetime, next_update: dt.datetime, kind: str) -> Answer:
    begin, end = int(this_update.timestamp()), int(next_update.timestamp())
    return Answer(body, begin, (begin + end) // 2, end, http.lasting(http.tag_of(body), begin, end), kind=kind)


def _kind(states: Sequence[State | None]) -> str:
    if len(states) != 1:
        return "several"
    [state] = states
    return "unknown" if state is None else "good" if state.revoked is None else "revoked"
