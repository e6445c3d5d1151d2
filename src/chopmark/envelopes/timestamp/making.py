"""Making time-stamp tokens: the authority's side (RFC 3161 clause 2.4.2, RFC 5816)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core.contracts import Content
from chopmark.envelopes import algorithms, cms
from chopmark.envelopes.cms import oids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.contracts import Signer
    from chopmark.envelopes.timestamp.info import TstInfo


def make_token(
    info: TstInfo,
    signer: Signer,
    certificates: Sequence[bytes],
    *,
    include_certificates: bool = True,
    digest_algorithm: str = "sha256",
) -> bytes:
    """Sign a TSTInfo: the DER of a TimeStampToken.

    `certificates` are DER, the authority's own first; they stay out of the token when the request did not ask for them.
    Raises RefusedError as `cms.draft` does.
    """
    body = info.encoded()
    fitting = algorithms.message_digests(signer.algorithm)
    algorithm = digest_algorithm if digest_algorithm in fitting else fitting[0]
    content = Content(oids.TST_INFO, algorithm, digests.of(body, algorithm), body)
    draft = cms.draft(content, signer, certificates, signing_time=info.time, include_certificates=include_certificates)
    return draft.finish(signer.sign(draft.to_be_signed, algorithm))
