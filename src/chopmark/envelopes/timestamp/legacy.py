"""Authenticode's time stamps from before RFC 3161: a countersignature (PKCS #9) by a time-stamp authority.

The request is the DER of SEQUENCE { countersignatureType, ContentInfo with the signature to be stamped }, the answer a
SignedData over that signature whose only signer states a signing time; both travel in base64 ("Time Stamping
Authenticode Signatures", Microsoft). There is no nonce and no policy: an answer is known by its message digest alone.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.contracts import Content, Countersignature
from chopmark.core.errors import MalformedError
from chopmark.envelopes import algorithms, cms, der
from chopmark.envelopes.cms import oids
from chopmark.envelopes.cms.reading import read

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.contracts import Signer

LEGACY_TYPE = "application/octet-stream"
"""The content type of both directions."""
_REQUEST = "1.3.6.1.4.1.311.3.2.1"


def legacy_request(signature: bytes) -> bytes:
    """What is sent to have a signature countersigned, in base64."""
    content = der.sequence(der.oid(oids.DATA), der.explicit(0, der.octet_string(signature)))
    return base64.b64encode(der.sequence(der.oid(_REQUEST), content))


def read_legacy_request(data: bytes) -> bytes:
    """The signature that is to be countersigned. Raises MalformedError for what is no such request."""
    fields = der.parse(_decoded(data)).fields()
    if fields.take().oid() != _REQUEST:
        raise der.DerError("not a request for a countersignature")
    fields.optional(der.SET)  # attributes, which nobody sends
    content = fields.take(der.SEQUENCE).fields()
    fields.done()
    if content.take().oid() != oids.DATA:
        raise der.DerError("what is to be countersigned is no data")
    signature = content.take(der.context(0)).only_child().octets()
    content.done()
    if not 0 < len(signature) <= limits.LEGACY_SIGNATURE_MAX:
        raise der.DerError(f"a signature of {len(signature)} bytes")
    return signature


def make_countersignature(
    signature: bytes,
    at: dt.datetime,
    signer: Signer,
    certificates: Sequence[bytes],
    *,
    digest_algorithm: str = "sha256",
) -> bytes:
    """Countersign a signature: the DER of a SignedData over it; `certificates` are DER, the signer's own first."""
    fitting = algorithms.message_digests(signer.algorithm)
    algorithm = digest_algorithm if digest_algorithm in fitting else fitting[0]
    draft = cms.draft(Content(oids.DATA, algorithm, b"", signature), signer, certificates, signing_time=at)
    return draft.finish(signer.sign(draft.to_be_signed, algorithm))


def legacy_response(signed_data: bytes) -> bytes:
    """The answer, in base64."""
    return base64.b64encode(signed_data)


def countersignature(response: bytes, signature: bytes) -> Countersignature:
    """The countersignature in an answer, as an unsigned attribute holds it, and the certificates that came with it.

    That it holds is not checked here. Raises MalformedError when the answer is not one to this signature.
    """
    signed = read(_decoded(response), allow_ber=True)
    if len(signed.signers) != 1:
        raise MalformedError("the time-stamp authority's answer has not one signature")
    if signed.content_type != oids.DATA or signed.content not in (None, signature):
        raise MalformedError("the time-stamp authority countersigned something else than it was asked to")
    if not signed.certificates:
        raise MalformedError("the time-stamp authority left its certificate out")
    return Countersignature(signed.signers[0].node.raw, signed.certificates)


def _decoded(data: bytes) -> bytes:
    """Base64 with line ends anywhere, as some send it, and with what C programs put behind a string."""
    if len(data) > limits.TIMESTAMP_RESPONSE_MAX:
        raise MalformedError("longer than any request or answer for a time stamp")
    try:
        return base64.b64decode(b"".join(data.rstrip(b"\0").split()), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedError("not in base64") from None
