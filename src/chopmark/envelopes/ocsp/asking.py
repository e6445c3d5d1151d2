"""OCSPRequest (RFC 6960 clause 4.1)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der
from chopmark.envelopes.ocsp import certid, extensions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chopmark.envelopes import x509
    from chopmark.envelopes.ocsp.certid import CertId


class Asked(NamedTuple):
    """One certificate that is asked about; `raw` is its CertID in DER, for an answer that repeats it."""

    cert_id: CertId
    raw: bytes
    extensions: Mapping[str, x509.Extension]


class Request(NamedTuple):
    """What is asked. Signatures on requests are not evaluated; `plain` says that there is nothing besides CertIDs."""

    asked: tuple[Asked, ...]
    nonce: bytes | None
    extensions: Mapping[str, x509.Extension]
    plain: bool


def request(cert_ids: Sequence[CertId], nonce: bytes | None = None) -> bytes:
    """The DER of a request; with a nonce no answer that was made before will do."""
    listed = der.sequence(*(der.sequence(each.encoded()) for each in cert_ids))
    block = (der.explicit(2, der.sequence(extensions.nonce(nonce))),) if nonce is not None else ()
    return der.sequence(der.sequence(listed, *block))


def request_path(raw: bytes) -> str:
    """What a GET has behind the responder's address and a slash: base64, then percent-encoded (appendix A.1)."""
    return quote(base64.b64encode(raw).decode(), safe="")


def read_request(raw: bytes) -> Request:
    """Read a request. Raises DerError."""
    if len(raw) > limits.OCSP_REQUEST_MAX:
        raise der.DerError(f"a request of {len(raw)} bytes; {limits.OCSP_REQUEST_MAX} are the limit")
    outer = der.parse(raw).fields()
    fields = outer.take().fields()
    signature = outer.optional(der.context(0))
    outer.done()
    _first_version(fields)
    name = fields.optional(der.context(1))
    if name is not None:
        name.only_child()
    listed = fields.take(der.SEQUENCE).children()
    block = fields.optional(der.context(2))
    fields.done()
    if not 0 < len(listed) <= limits.OCSP_ASKED_MAX:
        raise der.DerError(f"a request about {len(listed)} certificates")
    asked = tuple(_asked(node) for node in listed)
    found = extensions.read(block)
    plain = signature is None and name is None and not found and not any(each.extensions for each in asked)
    return Request(asked, extensions.nonce_in(found), found, plain)


def _asked(node: der.Node) -> Asked:
    fields = node.fields()
    identifier = fields.take(der.SEQUENCE)
    block = fields.optional(der.context(0))
    fields.done()
    return Asked(certid.read(identifier), identifier.raw, extensions.read(block))


def _first_version(fields: der.Fields) -> None:
    """There is no other version; DER does not write this one, because it is the default (X.690 clause 11.5)."""
    if fields.optional(der.context(0)) is not None:
        raise der.DerError("a request of another version, or one that writes its default")
