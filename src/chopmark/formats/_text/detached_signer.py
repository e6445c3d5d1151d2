"""A signer whose content stands outside of the signature, where the seal's claim compares it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes import cms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.proof import Proof
    from chopmark.core.seal import Payload


class DetachedSigner:
    """One signer of a SignedData. `expected` is what the digest of the content must be, for the claim of the seal."""

    scheme = "cms"

    def __init__(
        self, signed: cms.SignedData, signer: cms.SignerInfo, *, allowed_unsigned: frozenset[str] = frozenset()
    ) -> None:
        """`allowed_unsigned` are unsigned attributes that may stand beside time stamps."""
        self._signed = signed
        self._allowed_unsigned = allowed_unsigned
        self._signer = signer
        # Without a message digest nothing matches.
        self.expected = signer.message_digest or b""
        self.digest_algorithm = signer.digest_algorithm

    @property
    def raw(self) -> bytes:
        """The ContentInfo as found."""
        return self._signed.raw

    def check(self, payloads: Sequence[Payload]) -> Proof:  # noqa: ARG002 - the claim of the seal compares them
        """Verify attributes, signature and time stamps, and a content that came along."""
        return cms.check(self._signed, self._signer, allowed_unsigned=self._allowed_unsigned)
