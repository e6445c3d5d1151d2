"""Checking one signature of a SignedData together with the time stamps on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes.cms import alike, oids
from chopmark.envelopes.cms.checking import check_alone

if TYPE_CHECKING:
    from chopmark.core.proof import Proof
    from chopmark.envelopes.cms.reading import SignedData, SignerInfo


def check(
    signed: SignedData,
    signer: SignerInfo,
    *,
    allowed_unsigned: frozenset[str] = frozenset(),
    digest: bytes | None = None,
) -> Proof:
    """Check one of `signed.signers` and every time stamp on it; `allowed_unsigned` is what may stand beside stamps.

    Never raises for what it finds: everything wrong is a finding, a broken time stamp too.
    """
    allowed = allowed_unsigned | oids.STAMPS
    known = alike.proven(signed, signer, allowed) if digest is None else None
    if known is not None:
        return known
    proof = check_alone(signed, signer, allowed_unsigned=allowed, digest=digest)
    if oids.STAMPS.isdisjoint(signer.unsigned_attributes):
        if digest is None:
            alike.keep(signed, signer, allowed, proof)
        return proof
    from chopmark.envelopes.timestamp import attached  # most signatures without a stamp are checked alone

    stamps, about_stamps = attached.check_all(signer, signed.certificates)
    return proof._replace(findings=(*proof.findings, *about_stamps), stamps=stamps)
