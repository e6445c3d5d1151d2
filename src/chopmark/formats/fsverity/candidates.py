"""A signature that does not say how the digest under it was made: the usual way is tried first, then the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.core.contracts import KeySource
    from chopmark.core.proof import Proof
    from chopmark.core.seal import Payload
    from chopmark.envelopes.module import ModuleEnvelope


class Candidates:
    """An envelope whose first payload may be the wrong one; `others` computes the rest, reading the file once more."""

    def __init__(self, envelope: ModuleEnvelope, others: Callable[[], Sequence[Payload]]) -> None:
        self._envelope = envelope
        self._others = others
        self.scheme = envelope.scheme

    @property
    def raw(self) -> bytes:
        """The ContentInfo as found."""
        return self._envelope.raw

    @property
    def digest_algorithm(self) -> str:
        """Of the signature."""
        return self._envelope.digest_algorithm

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Whom the signature names, for people."""
        return self._envelope.facts

    def check(self, payloads: Sequence[Payload]) -> Proof:
        """What can be said without the certificates of a store."""
        return self._envelope.check(payloads)

    def check_with(self, payloads: Sequence[Payload], keys: KeySource) -> Proof:
        """Verify over the usual digest; if that is not what was signed, over each of the others."""
        first = self._envelope.check_with(payloads, keys)
        if first.intact or not first.certificates:
            return first
        for payload in self._others():
            proof = self._envelope.check_with([payload], keys)
            if proof.intact:
                return proof
        return first
