"""The time-stamp authority (RFC 3161): over HTTP by `respond`, in the same process by `stamp`."""

from __future__ import annotations

import os
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chopmark import keys
from chopmark.authority import ca
from chopmark.authority.issuing import profiles
from chopmark.authority.issuing.certificates import digest_for
from chopmark.authority.tsa import timekeeping
from chopmark.core import clock as clocks
from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UnavailableError, UsageError
from chopmark.envelopes import algorithms, der, pem, timestamp, x509
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from chopmark.core.contracts import Signer
    from chopmark.keys.software import PrivateKey

FILE = "tsa.pem"
"""The time-stamp authority's key and certificates in the folder of a CA: one file, so that they always fit."""

SEQUENCE_FILE = "tsa.order"
"""The time of the last token, in the folder of a CA whose tokens are ordered."""

ACCURACY = 1.0
"""Seconds that a clock is taken to be right within when nobody says better: it is read in whole ones."""

_POLICIES_TOLD = 8
_SERIAL_BITS = 158
_KEY_MONTHS = 15
"""How long a key stamps after its certificate was issued (CSBR 6.3.2), however long that one is valid."""
_RENEWED_MONTHS = 12
"""After this long a new key is due."""
_LOOKED_AFTER = 1.0
"""Seconds after which a process looks whether there is a new key."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How an authority stamps: under which policies (the first is the usual one), by which clock, and in which order.

    `time` raises UnavailableError when it does not know the time well enough. With `sequence` the tokens are ordered.
    """

    policies: tuple[str, ...] = (profiles.POLICY_TIME_STAMPING,)
    time: Callable[[], timekeeping.Reading] = field(
        default_factory=lambda: timekeeping.unmeasured(clocks.now, ACCURACY)
    )
    sequence: timekeeping.Sequence | None = None


class TimeStampAuthority:
    """Stamps digests with the time of its clock; a Stamper (core.contracts). Several threads may use it at once.

    Serial numbers are random, of 20 octets, so that none comes twice and nothing has to be kept.
    """

    def __init__(
        self,
        signer: Signer,
        certificates: Sequence[bytes],
        *,
        policy: str = profiles.POLICY_TIME_STAMPING,
        clock: Callable[[], dt.datetime] = clocks.now,
        terms: Terms | None = None,
    ) -> None:
        """`certificates` are DER, its own first; `terms` take the place of `policy` and `clock`.

        Raises RefusedError when the certificate is not for this (RFC 3161 clause 2.3).
        """
        self._signer = signer
        self._certificates = tuple(certificates)
        self._terms = terms or Terms((policy,), timekeeping.unmeasured(clock, ACCURACY))
        self.certificate = _fitting(signer, self._certificates)
        self._digest = _digest(self.certificate, signer)

    def respond(self, request_der: bytes) -> bytes:
        """The DER of a TimeStampResp to a TimeStampReq: a token, or a refusal that says why. Raises nothing."""
        try:
            return timestamp.response(self._token(self._accepted(request_der)))
        except _RequestRefusedError as error:
            failure, text = error.failure, str(error)
        except UnavailableError as error:
            failure, text = "timeNotAvailable", str(error)
        except ChopmarkError:
            failure, text = "systemFailure", "the key does not answer"
        return timestamp.response(None, timestamp.REJECTION, failure=failure, text=text)

    def stamp(self, signature: bytes, digest_algorithm: str) -> bytes:
        """A token over a signature value. Raises UnavailableError when the key must not stamp now."""
        digest = digests.of(signature, digest_algorithm)
        return self._token(
            timestamp.Request(digest_algorithm, digest, None, None, wants_certificates=True, extensions={})
        )

    def respond_legacy(self, request: bytes) -> bytes:
        """The answer to a request for a countersignature (`timestamp.legacy`), both as Authenticode sends them.

        Raises MalformedError for what is no such request, UnavailableError when the key must not stamp now, and what
        the key raises: this protocol has no way to say no.
        """
        signature = timestamp.read_legacy_request(request)
        now = self._terms.time().time
        self._require_usable(now)
        made = timestamp.make_countersignature(
            signature, now, self._signer, self._certificates, digest_algorithm=self._digest
        )
        return timestamp.legacy_response(made)

    def _accepted(self, raw: bytes) -> timestamp.Request:
        """The request, if it can be granted; else _RequestRefusedError."""
        if len(raw) > limits.TIMESTAMP_REQUEST_MAX:
            raise _RequestRefusedError("badDataFormat", "the request is too long")
        try:
            request = timestamp.read_request(raw)
        except algorithms.UnsupportedError as error:
            raise _RequestRefusedError("badAlg", str(error)) from None
        except MalformedError as error:
            raise _RequestRefusedError("badDataFormat", str(error)) from None
        if request.algorithm not in digests.STRONG:
            raise _RequestRefusedError("badAlg", f"{request.algorithm} is not accepted any more")
        if request.policy is not None and request.policy not in self._terms.policies:
            offered = ", ".join(self._terms.policies[:_POLICIES_TOLD])
            raise _RequestRefusedError("unacceptedPolicy", f"this authority stamps under {offered}")
        if request.extensions:  # critical or not (clause 2.4.1)
            raise _RequestRefusedError("unacceptedExtension", "no extension is known here")
        return request

    def _token(self, request: timestamp.Request) -> bytes:
        terms = self._terms
        reading = terms.time()
        self._require_usable(reading.time)
        info = timestamp.TstInfo(
            policy=request.policy or terms.policies[0],
            algorithm=request.algorithm,
            digest=request.digest,
            serial=secrets.randbits(_SERIAL_BITS) | 1 << _SERIAL_BITS,
            time=terms.sequence.next(reading.time) if terms.sequence else reading.time,
            accuracy=reading.accuracy,
            ordering=terms.sequence is not None,
            nonce=request.nonce,
        )
        return timestamp.make_token(
            info,
            self._signer,
            self._certificates,
            include_certificates=request.wants_certificates,
            digest_algorithm=self._digest,
        )

    def _require_usable(self, now: dt.datetime) -> None:
        certificate = self.certificate
        if not certificate.not_before <= now <= certificate.not_after:
            message = f"the authority's certificate is not valid at {clocks.show(now)}"
            raise UnavailableError(message)
        public = x509.CERTIFICATE_POLICIES in certificate.extensions
        if public and now >= profiles.months_after(certificate.not_before, _KEY_MONTHS):
            message = f"the authority's key is older than {_KEY_MONTHS} months (CSBR 6.3.2)"
            raise UnavailableError(message)


class _RequestRefusedError(ChopmarkError):
    """Why a request is refused: the name of a PKIFailureInfo bit, and words."""

    def __init__(self, failure: str, text: str) -> None:
        super().__init__(text)
        self.failure = failure


def _fitting(signer: Signer, certificates: Sequence[bytes]) -> x509.Certificate:
    if not certificates:
        message = "a time-stamp authority needs its certificate"
        raise RefusedError(message)
    certificate = x509.certificate(certificates[0])
    purpose = certificate.extensions.get(x509.EXTENDED_KEY_USAGE)
    if certificate.spki != signer.public_key:
        message = f"the certificate {certificate.subject_text} belongs to another key"
        raise RefusedError(message)
    if certificate.extended_key_usage != (x509.EKU_TIME_STAMPING,) or purpose is None or not purpose.critical:
        message = f"the certificate {certificate.subject_text} is not for time stamping alone, marked critical"
        raise RefusedError(message)
    return certificate


def _digest(certificate: x509.Certificate, signer: Signer) -> str:
    """That of the certificate's own signature (CSBR 6.8), else one that suits the key."""
    digest = algorithms.signature_algorithm(der.parse(certificate.signature_algorithm_raw)).digest
    return digest if digest in digests.SIGNING_ALGORITHMS else digest_for(signer.public_key)


def policy_named(text: str) -> str:
    """The object identifier that a text is. Raises UsageError."""
    try:
        if der.parse(der.oid(text)).oid() == text:
            return text
    except (ValueError, IndexError, MalformedError):
        pass
    message = f"not an object identifier: {text!r}"
    raise UsageError(message)


def policies_named(texts: Sequence[str]) -> tuple[str, ...]:
    """The policies that texts name, the usual one without any. Raises UsageError."""
    if len(texts) > limits.TSA_POLICIES_MAX:
        message = f"{len(texts)} policies; {limits.TSA_POLICIES_MAX} are the limit"
        raise UsageError(message)
    return tuple(map(policy_named, texts)) or (profiles.POLICY_TIME_STAMPING,)


def token_in(data: bytes) -> bytes:
    """The token in a file with a token or a TimeStampResp, in DER or PEM. Raises MalformedError."""
    raw = pem.single(data, *pem.CMS)
    fields = der.parse(raw).fields()
    if fields.take().tag == der.OBJECT_IDENTIFIER:
        return raw
    rest = fields.rest()
    if not rest:
        message = "the response holds no token: the authority declined"
        raise MalformedError(message)
    return rest[0].raw


def create(
    authority: ca.Authority,
    order: ca.Order,
    key: PrivateKey,
    passphrase: bytes | None,
    *,
    replace: bool = False,
) -> ca.Issued:
    """Give an authority its time-stamp key: issue its certificate and store both in the authority's folder.

    Raises UsageError when there is one already and `replace` is not set, or when the profile is not for time stamps.
    """
    path = os.path.join(authority.folder, FILE)
    if not authority.profile(order.profile).stamps:
        message = f"the profile {order.profile} is not for time stamping"
        raise UsageError(message)
    if os.path.lexists(path) and not replace:
        message = f"{path}: there is a time-stamp key already (--force replaces it)"
        raise UsageError(message)
    issued = authority.issue(order)
    held = [generate.encode(key, passphrase)]
    held += [pem.encode("CERTIFICATE", raw) for raw in (issued.certificate, *issued.chain)]
    generate.store(path, b"".join(held), replace=replace)
    return issued


def usual_order(authority: ca.Authority, key: PrivateKey, profile: str = profiles.TIME_STAMPING) -> ca.Order:
    """What `create` is usually given: a certificate that carries the authority's name."""
    name = authority.register.setting("name")
    subject = [("CN", f"{name} Time Stamping"), ("O", name)]
    return ca.Order(profile, subject, SoftwareSigner(key).public_key)


def in_folder(
    folder: str,
    passphrase: keys.Passphrase = keys.nothing,
    *,
    policy: str = profiles.POLICY_TIME_STAMPING,
    clock: Callable[[], dt.datetime] = clocks.now,
    terms: Terms | None = None,
) -> TimeStampAuthority:
    """The time-stamp authority that `create` has put into a folder. Raises UsageError when there is none."""
    path = os.path.join(os.path.abspath(folder), FILE)
    if not os.path.isfile(path):
        message = f"{folder}: there is no time-stamp authority (chopmark tsa init makes one)"
        raise UsageError(message)
    signer = keys.open_key(path, passphrase)
    return TimeStampAuthority(signer, signer.certificates, policy=policy, clock=clock, terms=terms)


def is_due(authority: ca.Authority, now: dt.datetime) -> bool:
    """Whether the key in an authority's folder should be replaced by now: long before it must not stamp any more."""
    path = os.path.join(authority.folder, FILE)
    certificate = x509.certificate(pem.certificates(read_small(path, limits.KEY_FILE_MAX))[0])
    since, until = certificate.not_before, certificate.not_after
    return now >= min(profiles.months_after(since, _RENEWED_MONTHS), until - (until - since) / 5)


class Rolling:
    """The time-stamp authority in a folder, whichever key that has: a new one counts within a second.

    When a new file cannot be opened, the former key goes on, and `problem` says why.
    """

    def __init__(self, folder: str, passphrase: keys.Passphrase = keys.nothing, terms: Terms | None = None) -> None:
        """Open it. Raises what `in_folder` raises."""
        self._folder = os.path.abspath(folder)
        self._passphrase = passphrase
        self._terms = terms or Terms()
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._identity = self._found()
        self._authority = in_folder(self._folder, passphrase, terms=self._terms)
        self.problem = ""

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate of the key that stamps now."""
        return self._current().certificate

    def respond(self, request_der: bytes) -> bytes:
        """As TimeStampAuthority."""
        return self._current().respond(request_der)

    def stamp(self, signature: bytes, digest_algorithm: str) -> bytes:
        """As TimeStampAuthority."""
        return self._current().stamp(signature, digest_algorithm)

    def respond_legacy(self, request: bytes) -> bytes:
        """As TimeStampAuthority."""
        return self._current().respond_legacy(request)

    def _current(self) -> TimeStampAuthority:
        if time.monotonic() - self._looked > _LOOKED_AFTER and self._lock.acquire(blocking=False):
            try:
                self._looked = time.monotonic()
                found = self._found()
                if found != self._identity:
                    self._identity = found
                    self._authority = in_folder(self._folder, self._passphrase, terms=self._terms)
                    self.problem = ""
            except ChopmarkError as error:
                self.problem = str(error)
            finally:
                self._lock.release()
        return self._authority

    def _found(self) -> tuple[int, int, int]:
        try:
            state = os.stat(os.path.join(self._folder, FILE))
        except OSError:
            return 0, 0, 0
        return state.st_dev, state.st_ino, state.st_mtime_ns
