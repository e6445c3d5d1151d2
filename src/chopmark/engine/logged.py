"""Whether a trusted log has recorded the signature of a file: the proof lies beside it."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError
from chopmark.trust.log import judging, reasons

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.core.verdict import SealVerdict
    from chopmark.trust.log.keys import Trusted

SUFFIX = ".tlog-proof"


def findings(artifact: Artifact, seals: Iterable[SealVerdict], trusted: Trusted) -> list[Finding]:
    """What FILE.tlog-proof says about a file and those who signed it."""
    signers = {seal.signer.fingerprint for seal in seals if seal.intact and seal.signer}
    if not signers:
        return [reasons.PROOF_UNCHECKED.found()]
    path = artifact.name + SUFFIX
    proof = None
    if os.path.lexists(path):
        try:
            proof = read_small(path, limits.LOG_PROOF_MAX)
        except InputError as error:
            return [reasons.PROOF_MALFORMED.found(str(error))]
    return judging.judge(proof, trusted, sha256(artifact) if proof is not None else "", signers)


def signer(artifact: Artifact, format_name: str, key_sha256: str) -> str:
    """What verification recognises the signer by who just signed a file with this key (see `SignerId.fingerprint`)."""
    from chopmark.engine import check, identify

    seals, _ = check.seals_of(artifact, identify.identify(artifact, format_name), alone=True)
    found = set()
    for owned, payloads in zip(seals, check.payloads_of(artifact, seals), strict=True):
        proof = owned.seal.envelope.check(payloads)
        if proof.signer and proof.signer.fingerprint:
            found.add(proof.signer.fingerprint)
    # Only a kind of key with a form of its own (ssh) is not found by the usual one, and it signs alone.
    return found.pop() if len(found) == 1 and key_sha256 not in found else key_sha256


def sha256(artifact: Artifact) -> str:
    """The digest of a whole file, in hex."""
    state = hashlib.sha256()
    for chunk in artifact.chunks():
        state.update(chunk)
    return state.hexdigest()
