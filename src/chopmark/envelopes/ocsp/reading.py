"""OCSPResponse and BasicOCSPResponse (RFC 6960 clause 4.2.1), parsed, not verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, x509
from chopmark.envelopes.ocsp import certid, extensions

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from chopmark.envelopes.ocsp.certid import CertId

SUCCESSFUL, MALFORMED_REQUEST, INTERNAL_ERROR, TRY_LATER, SIG_REQUIRED, UNAUTHORIZED = 0, 1, 2, 3, 5, 6
STATUSES = {
    SUCCESSFUL: "successful",
    MALFORMED_REQUEST: "malformedRequest",
    INTERNAL_ERROR: "internalError",
    TRY_LATER: "tryLater",
    SIG_REQUIRED: "sigRequired",
    UNAUTHORIZED: "unauthorized",
}

GOOD, REVOKED, UNKNOWN = "good", "revoked", "unknown"

_BY_NAME, _BY_KEY = der.context(1), der.context(2)
_KEY_HASH = 20


class Single(NamedTuple):
    """The answer about one certificate: GOOD, REVOKED or UNKNOWN, as of when, until when (None: it does not say).

    `revoked` and `reason` (a number of RFC 5280 clause 5.3.1; 0 when none is given) are those of REVOKED.
    """

    cert_id: CertId
    status: str
    this_update: dt.datetime
    next_update: dt.datetime | None
    revoked: dt.datetime | None
    reason: int
    extensions: Mapping[str, x509.Extension]

    @property
    def unknown_critical(self) -> str:
        """A critical extension that is not evaluated; empty when there is none."""
        return extensions.unknown_critical(self.extensions, extensions.OF_SINGLE)

    @property
    def archive_cutoff(self) -> dt.datetime | None:
        """Since when certificates must have expired to be answered about (clause 4.4.4). Raises DerError."""
        return self._time(extensions.ARCHIVE_CUTOFF)

    @property
    def invalid_since(self) -> dt.datetime | None:
        """When the key became doubtful: an extension of CRL entries, allowed here too (clause 4.4.5). DerError."""
        return self._time(x509.INVALIDITY_DATE)

    def _time(self, oid: str) -> dt.datetime | None:
        extension = self.extensions.get(oid)
        return _time(der.parse(extension.value)) if extension else None


class Basic(NamedTuple):
    """A BasicOCSPResponse. `tbs` is what the signature is over; of the responder it has a Name in DER or a key's SHA-1.

    `certificates` are DER; `algorithm` is the AlgorithmIdentifier in DER.
    """

    tbs: bytes
    algorithm: bytes
    signature: bytes
    responder_name: bytes
    responder_key: bytes
    produced_at: dt.datetime
    singles: tuple[Single, ...]
    extensions: Mapping[str, x509.Extension]
    nonce: bytes | None
    certificates: tuple[bytes, ...]

    @property
    def unknown_critical(self) -> str:
        """A critical extension of the whole response that is not evaluated; empty when there is none."""
        return extensions.unknown_critical(self.extensions, extensions.OF_RESPONSE)


class Response(NamedTuple):
    """An OCSPResponse: one of STATUSES, and what it says when that is SUCCESSFUL."""

    status: int
    basic: Basic | None

    @property
    def status_text(self) -> str:
        """The status by its name."""
        return STATUSES[self.status]


def read_response(raw: bytes) -> Response:
    """Read an OCSPResponse. Raises DerError."""
    if len(raw) > limits.OCSP_RESPONSE_MAX:
        raise der.DerError(f"an OCSP response of {len(raw)} bytes; {limits.OCSP_RESPONSE_MAX} are the limit")
    fields = der.parse(raw).fields()
    status = fields.take(der.ENUMERATED).integer()
    block = fields.optional(der.context(0))
    fields.done()
    if status not in STATUSES:
        raise der.DerError(f"an OCSP response with the status {status}, which there is not")
    if (block is None) is (status == SUCCESSFUL):
        raise der.DerError(
            f"an OCSP response that is {STATUSES[status]} {'without' if block is None else 'with'} answers"
        )
    if block is None:
        return Response(status, None)
    inner = block.only_child().fields()
    kind, octets = inner.take().oid(), inner.take().octets()
    inner.done()
    if kind != extensions.BASIC:
        raise der.DerError(f"an OCSP response of the unknown type {kind}")
    return Response(status, read_basic(octets))


def read_basic(raw: bytes) -> Basic:
    """Read a BasicOCSPResponse. Raises DerError."""
    fields = der.parse(raw).fields()
    tbs = fields.take(der.SEQUENCE)
    algorithm = fields.take(der.SEQUENCE).raw
    signature = fields.take().bit_string()
    block = fields.optional(der.context(0))
    fields.done()
    certificates = block.only_child().expect(der.SEQUENCE).children() if block is not None else []
    if len(certificates) > limits.OCSP_CERTIFICATES_MAX:
        raise der.DerError(f"{len(certificates)} certificates in an OCSP response")
    data = tbs.fields()
    if data.optional(der.context(0)) is not None:
        raise der.DerError("an OCSP response of another version, or one that writes its default")
    responder = data.take()
    produced_at = _time(data.take())
    listed = data.take(der.SEQUENCE).children()
    more = data.optional(der.context(1))
    data.done()
    if len(listed) > limits.OCSP_SINGLES_MAX:
        raise der.DerError(f"an OCSP response about {len(listed)} certificates")
    found = extensions.read(more)
    name, key = _responder(responder)
    return Basic(
        tbs=tbs.raw,
        algorithm=algorithm,
        signature=signature,
        responder_name=name,
        responder_key=key,
        produced_at=produced_at,
        singles=tuple(_single(node) for node in listed),
        extensions=found,
        nonce=extensions.nonce_in(found),
        certificates=tuple(node.expect(der.SEQUENCE).raw for node in certificates),
    )


def _responder(node: der.Node) -> tuple[bytes, bytes]:
    """ResponderID: a Name, or the SHA-1 of a key's bits."""
    inner = node.only_child()
    if node.tag == _BY_NAME:
        return inner.expect(der.SEQUENCE).raw, b""
    if node.tag != _BY_KEY:
        raise der.DerError(f"a responder identified under tag {node.tag:#04x}")
    key = inner.octets()
    if len(key) != _KEY_HASH:
        raise der.DerError(f"a responder's key hash of {len(key)} octets")
    return b"", key


def _single(node: der.Node) -> Single:
    fields = node.fields()
    identifier = certid.read(fields.take(der.SEQUENCE))
    status, revoked, reason = _status(fields.take())
    this_update = _time(fields.take())
    following = fields.optional(der.context(0))
    block = fields.optional(der.context(1))
    fields.done()
    next_update = _time(following.only_child()) if following is not None else None
    return Single(identifier, status, this_update, next_update, revoked, reason, extensions.read(block))


def _status(node: der.Node) -> tuple[str, dt.datetime | None, int]:
    """CertStatus (IMPLICIT tags over NULL, RevokedInfo and NULL)."""
    for number, status in ((0, GOOD), (2, UNKNOWN)):
        if node.tag == der.context(number, constructed=False):
            if node.value:
                raise der.DerError(f"the status {status} with a value")
            return status, None, 0
    fields = node.fields(der.context(1))
    revoked = _time(fields.take())
    block = fields.optional(der.context(0))
    fields.done()
    reason = block.only_child().expect(der.ENUMERATED).integer() if block is not None else 0
    return REVOKED, revoked, reason


def _time(node: der.Node) -> dt.datetime:
    """A GeneralizedTime as RFC 5280 clause 4.1.2.5.2 has it: without fractions."""
    moment = node.expect(der.GENERALIZED_TIME).time()
    if moment.microsecond:
        raise der.DerError("a fraction of a second")
    return moment
