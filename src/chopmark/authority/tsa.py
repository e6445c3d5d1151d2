"""The time-stamp authority (RFC 3161): over HTTP by `respond`, in the same process by `stamp`."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from chopmark import keys
from chopmark.authority import ca, profiles
from chopmark.authority.certificates import digest_for
from chopmark.core import clock as clocks
from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UnavailableError, UsageError
from chopmark.envelopes import algorithms, der, pem, timestamp, x509
from chopmark.keys import generate
from chopmark.keys.software import PrivateKey, SoftwareSigner

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from chopmark.core.contracts import Signer

FILE = "tsa.pem"
"""The time-stamp authority's key and certificates in the folder of a CA: one file, so that they always fit."""

ACCURACY = 1.0
"""Seconds: the clock is read in whole ones."""

_SERIAL_BITS = 158
_KEY_MONTHS = 15
"""How long a key stamps after its certificate was issued (CSBR 6.3.2), however long that one is valid."""


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
    ) -> None:
        """`certificates` are DER, its own first. Raises RefusedError when it is not for this (RFC 3161 clause 2.3)."""
        self._signer = signer
        self._certificates = tuple(certificates)
        self._policy = policy
        self._clock = clock
        self.certificate = _fitting(signer, self._certificates)
        self._digest = _digest(self.certificate, signer)

    def respond(self, request_der: bytes) -> bytes:
        """The DER of a TimeStampResp to a TimeStampReq: a token, or a refusal that says why. Raises nothing."""
        try:
            request = self._accepted(request_der)
            wanted = request.wants_certificates
            return timestamp.response(
                self._token(request.algorithm, request.digest, request.nonce, certificates=wanted)
            )
        except _RequestRefusedError as error:
            failure, text = error.failure, str(error)
        except UnavailableError as error:
            failure, text = "timeNotAvailable", str(error)
        except ChopmarkError:
            failure, text = "systemFailure", "the key does not answer"
        return timestamp.response(None, timestamp.REJECTION, failure=failure, text=text)

    def stamp(self, signature: bytes, digest_algorithm: str) -> bytes:
        """A token over a signature value. Raises UnavailableError when the key must not stamp now."""
        return self._token(digest_algorithm, digests.of(signature, digest_algorithm), None, certificates=True)

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
        if digests.ALGORITHMS[request.algorithm].strength is not digests.Strength.STRONG:
            raise _RequestRefusedError("badAlg", f"{request.algorithm} is not accepted any more")
        if request.policy not in (None, self._policy):
            raise _RequestRefusedError("unacceptedPolicy", f"this authority stamps under {self._policy}")
        if request.extensions:  # critical or not (clause 2.4.1)
            raise _RequestRefusedError("unacceptedExtension", "no extension is known here")
        return request

    def _token(self, algorithm: str, digest: bytes, nonce: int | None, *, certificates: bool) -> bytes:
        now = self._clock()
        self._require_usable(now)
        info = timestamp.TstInfo(
            policy=self._policy,
            algorithm=algorithm,
            digest=digest,
            serial=secrets.randbits(_SERIAL_BITS) | 1 << _SERIAL_BITS,
            time=now,
            accuracy=ACCURACY,
            nonce=nonce,
        )
        return timestamp.make_token(
            info, self._signer, self._certificates, include_certificates=certificates, digest_algorithm=self._digest
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
) -> TimeStampAuthority:
    """The time-stamp authority that `create` has put into a folder. Raises UsageError when there is none."""
    path = os.path.join(os.path.abspath(folder), FILE)
    if not os.path.isfile(path):
        message = f"{folder}: there is no time-stamp authority (chopmark tsa init makes one)"
        raise UsageError(message)
    signer = keys.open_key(path, passphrase)
    return TimeStampAuthority(signer, signer.certificates, policy=policy, clock=clock)
