"""A plain CMS signature as the contract of core wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes.cms import reasons
from chopmark.envelopes.cms.stamped import check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.proof import Proof
    from chopmark.core.seal import Payload
    from chopmark.envelopes.cms.reading import SignedData, SignerInfo


class CmsEnvelope:
    """One signer of a SignedData. Detached content is one of the payloads, digested by the signer's own algorithm."""

    scheme = "cms"

    def __init__(
        self, signed: SignedData, signer: SignerInfo, *, allowed_unsigned: frozenset[str] = frozenset()
    ) -> None:
        self.signed = signed
        self.signer = signer
        self._allowed_unsigned = allowed_unsigned

    @property
    def raw(self) -> bytes:
        """The ContentInfo as found."""
        return self.signed.raw

    def check(self, payloads: Sequence[Payload]) -> Proof:
        """Verify it; without a payload, detached content leaves the question open (UNKNOWN)."""
        values = [payload.value for payload in payloads if payload.recipe.algorithm == self.signer.digest_algorithm]
        # Several payloads: the one that was signed, if it is among them, else any, which then is a mismatch.
        digest = self.signer.message_digest if self.signer.message_digest in values else next(iter(values), None)
        proof = check(self.signed, self.signer, allowed_unsigned=self._allowed_unsigned, digest=digest)
        if self.signed.content is None and digest is None:
            return proof._replace(findings=(*proof.findings, reasons.CONTENT_MISSING.found()))
        return proof
