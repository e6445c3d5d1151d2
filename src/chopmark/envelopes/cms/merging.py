"""Several signers of the same content in one SignedData (RFC 5652 clause 5.1: signerInfos is a set)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import RefusedError
from chopmark.envelopes import der
from chopmark.envelopes.cms import oids
from chopmark.envelopes.cms.reading import read

if TYPE_CHECKING:
    from chopmark.envelopes.cms.reading import SignedData


def merge(existing: bytes, new: bytes) -> bytes:
    """The signers of `new` added to `existing`, in DER; signer infos, certificates, CRLs and content keep their bytes.

    What stands in both stands there once. Where `existing` carries its content along, that stays. Raises MalformedError
    when either cannot be read, RefusedError when they sign different types of content or are too many.
    """
    first, second = read(existing, allow_ber=True), read(new, allow_ber=True)
    if first.content_type != second.content_type:
        raise RefusedError(
            f"the signatures are over different types of content ({first.content_type}, {second.content_type})"
        )
    if first.content_raw is not None and second.content_raw not in (None, first.content_raw):
        raise RefusedError("the signatures carry different contents")
    parts = [_parts(first), _parts(second)]
    digests, certificates, crls, signers = (
        list(dict.fromkeys(node.raw for part in parts for node in part[kind])) for kind in range(4)
    )
    for found, limit, what in (
        (certificates, limits.CERTIFICATES_MAX, "certificates"),
        (signers, limits.SIGNERS_MAX, "signers"),
    ):
        if len(found) > limit:
            raise RefusedError(f"{len(found)} {what}; {limit} are the limit")
    content = first.content_raw or second.content_raw
    signed_data = der.sequence(
        der.integer(max(_version(first), _version(second))),
        der.set_of(digests),
        der.sequence(der.oid(first.content_type), *((der.explicit(0, content),) if content else ())),
        *((der.explicit(0, *sorted(certificates)),) if certificates else ()),
        *((der.explicit(1, *sorted(crls)),) if crls else ()),
        der.set_of(signers),
    )
    return der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, signed_data))


def _version(signed: SignedData) -> int:
    return signed.cms_version


def _parts(signed: SignedData) -> tuple[list[der.Node], list[der.Node], list[der.Node], list[der.Node]]:
    """The elements of digestAlgorithms, certificates, crls and signerInfos."""
    outer = der.parse(signed.definite).fields()
    outer.take()
    fields = outer.take(der.context(0)).only_child().fields()
    fields.take(der.INTEGER)
    digests = fields.take(der.SET).children()
    fields.take(der.SEQUENCE)
    certificates = fields.optional(der.context(0))
    crls = fields.optional(der.context(1))
    signers = fields.take(der.SET).children()
    return digests, certificates.children() if certificates else [], crls.children() if crls else [], signers
