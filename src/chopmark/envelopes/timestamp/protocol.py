"""Time-stamp requests and responses (RFC 3161 clauses 2.4.1 and 2.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError, RefusedError, UnavailableError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, x509
from chopmark.envelopes.cms import oids
from chopmark.envelopes.cms.reading import read
from chopmark.envelopes.timestamp.info import imprint, read_imprint, read_info

if TYPE_CHECKING:
    from collections.abc import Mapping

QUERY_TYPE = "application/timestamp-query"
REPLY_TYPE = "application/timestamp-reply"

GRANTED, GRANTED_WITH_MODS, REJECTION, WAITING = 0, 1, 2, 3
FAILURES = {
    "badAlg": 0,
    "badRequest": 2,
    "badDataFormat": 5,
    "timeNotAvailable": 14,
    "unacceptedPolicy": 15,
    "unacceptedExtension": 16,
    "addInfoNotAvailable": 17,
    "systemFailure": 25,
}
"""PKIFailureInfo by name: the number of the bit."""


class Request(NamedTuple):
    """What is asked of an authority: a stamp over this digest; `nonce` and `policy` are None when not given."""

    algorithm: str
    digest: bytes
    nonce: int | None
    policy: str | None
    wants_certificates: bool
    extensions: Mapping[str, x509.Extension]


def request(
    digest: bytes, algorithm: str, *, nonce: int | None, policy: str | None = None, certificates: bool = True
) -> bytes:
    """The DER of a TimeStampReq over a digest; `certificates` asks for the authority's to be in the token."""
    parts = [der.integer(1), imprint(algorithm, digest)]
    if policy is not None:
        parts.append(der.oid(policy))
    if nonce is not None:
        parts.append(der.integer(nonce))
    if certificates:
        parts.append(der.boolean(certificates))
    return der.sequence(*parts)


def read_request(raw: bytes) -> Request:
    """Read a TimeStampReq. Raises DerError; UnsupportedError (a MalformedError too) for an unknown digest algorithm."""
    fields = der.parse(raw).fields()
    if fields.take(der.INTEGER).integer() != 1:
        raise der.DerError("not version 1 of a time-stamp request")
    algorithm, digest = read_imprint(fields.take())
    policy = fields.optional(der.OBJECT_IDENTIFIER)
    nonce = fields.optional(der.INTEGER)
    wanted = fields.optional(der.BOOLEAN)
    block = fields.optional(der.context(0))
    fields.done()
    return Request(
        algorithm=algorithm,
        digest=digest,
        nonce=nonce.integer() if nonce else None,
        policy=policy.oid() if policy else None,
        wants_certificates=wanted.boolean() if wanted else False,
        extensions=x509.extensions(der.parse(block.retagged(der.SEQUENCE))) if block else {},
    )


def response(token: bytes | None, status: int = GRANTED, *, failure: str | None = None, text: str = "") -> bytes:
    """The DER of a TimeStampResp: a token when granted, else a status, the name of a failure, and a text for people.

    Raises RefusedError when the two do not go together.
    """
    if (status in (GRANTED, GRANTED_WITH_MODS)) != (token is not None):
        raise RefusedError(f"a time-stamp response with status {status} and {'a' if token else 'no'} token")
    parts = [der.integer(status)]
    if text:
        parts.append(der.sequence(der.utf8(text)))
    if failure is not None:
        parts.append(_named_bit(FAILURES[failure]))
    return der.sequence(der.sequence(*parts), *(() if token is None else (token,)))


def granted(response_der: bytes) -> bool:
    """Whether a TimeStampResp holds a token. Raises MalformedError for what is none."""
    status = der.parse(response_der).fields().take().fields().take(der.INTEGER).integer()
    return status in (GRANTED, GRANTED_WITH_MODS)


def token(response_der: bytes, request_der: bytes) -> bytes:
    """The token in a TimeStampResp, which must answer this request: imprint, nonce, policy, certificates.

    Its signature is not checked here. Raises UnavailableError when the authority declined, MalformedError when the
    answer is not one to this request.
    """
    fields = der.parse(response_der).fields()
    status = fields.take().fields()
    code = status.take(der.INTEGER).integer()
    if code not in (GRANTED, GRANTED_WITH_MODS):
        raise UnavailableError(f"the time-stamp authority declined: {_why(code, status)}")
    found = fields.take(der.SEQUENCE).raw
    fields.done()
    asked = read_request(request_der)
    signed = read(found)
    if signed.content_type != oids.TST_INFO or signed.content is None:
        raise MalformedError("the time-stamp authority's answer holds no time-stamp information")
    info = read_info(signed.content)
    if (info.algorithm, info.digest) != (asked.algorithm, asked.digest):
        raise MalformedError("the time-stamp authority stamped something else than it was asked to")
    if info.nonce != asked.nonce:
        raise MalformedError("the time-stamp authority's answer is to another request (nonce)")
    if asked.policy is not None and info.policy != asked.policy:
        raise MalformedError(f"the time-stamp authority stamped under policy {info.policy}, not {asked.policy}")
    if asked.wants_certificates and not signed.certificates:
        raise MalformedError("the time-stamp authority left its certificate out")
    return found


def _why(code: int, status: der.Fields) -> str:
    """Status, texts and failure for people; what is malformed here does not matter any more."""
    words = [f"status {code}"]
    try:
        if texts := status.optional(der.SEQUENCE):
            words += [repr(node.text()) for node in texts.children()]
        if bits := status.optional(der.BIT_STRING):
            words += [next((name for name, bit in FAILURES.items() if bit == one), str(one)) for one in bits.bits()]
    except der.DerError:
        pass
    return ", ".join(words)


def _named_bit(number: int) -> bytes:
    """A BIT STRING with one named bit set, without trailing zero bits."""
    octets = bytes(number // 8) + bytes((0x80 >> number % 8,))
    return der.encode(der.BIT_STRING, bytes((7 - number % 8,)), octets)
