"""Signing an export for a target that takes it only signed: CMS with the text inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.contracts import Content
from chopmark.envelopes.cms import building, oids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.contracts import Signer
    from chopmark.harden.contract import Signing


def by(signer: Signer, certificates: Sequence[bytes], digest_algorithm: str = "sha256") -> Signing:
    """What signs as somebody; no time is claimed, so that RSA signs the same text the same way each time."""

    def sign(body: bytes) -> bytes:
        content = Content(oids.DATA, digest_algorithm, b"", body=body)
        draft = building.draft(content, signer, certificates, signing_time=None)
        return draft.finish(signer.sign(draft.to_be_signed, draft.digest_algorithm))

    return sign
