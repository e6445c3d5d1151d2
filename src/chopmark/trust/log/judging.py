"""Proofs that came with a file: that a trusted log has recorded this signature of this file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chopmark.core.errors import MalformedError
from chopmark.envelopes.tlog.proof import Proof
from chopmark.trust.log import reasons

if TYPE_CHECKING:
    from collections.abc import Container

    from chopmark.core.finding import Finding
    from chopmark.trust.log.keys import Trusted

_TYPE = "chopmark.event.v1"


def judge(raw: bytes | None, trusted: Trusted, file_sha256: str, signers: Container[str]) -> list[Finding]:
    """Hold a proof (None when there is none) against trusted keys and the file.

    `file_sha256` is the digest of the file as it is, in hex; `signers` the SHA-256 of the keys whose signatures it
    has. A proof counts whole or not at all.
    """
    if raw is None:
        return [reasons.PROOF_MISSING.found()]
    try:
        proof = Proof.parse(raw)
        if proof.extra is None:
            raise MalformedError("the entry is not in it")
        entry = _event(proof.extra)
    except MalformedError as error:
        return [reasons.PROOF_MALFORMED.found(str(error))]
    try:
        checkpoint = proof.check(proof.extra)
    except MalformedError as error:
        return [reasons.PROOF_BROKEN.found(str(error))]
    findings = trusted.judge(proof.note, checkpoint)
    if entry.get("action") != "sign" or entry.get("file_sha256") != file_sha256:
        findings.append(reasons.PROOF_OF_ANOTHER.found("the entry is about another file"))
    elif entry.get("signer_sha256") not in signers:
        findings.append(reasons.PROOF_OF_ANOTHER.found("the entry is about another signer"))
    elif reasons.CHECKPOINT_UNTRUSTED.code not in {finding.code for finding in findings}:
        when = f", {entry['at'][:32]}" if isinstance(entry.get("at"), str) else ""
        findings.append(reasons.PROOF_HOLDS.found(f"entry {proof.number} of {checkpoint.origin}{when}"))
    return findings


def _event(raw: bytes) -> dict[str, Any]:
    """An entry as chopmark writes them. Raises MalformedError for anything else."""
    try:
        found = json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise MalformedError("the entry is not JSON") from None
    if not isinstance(found, dict) or found.get("type") != _TYPE:
        raise MalformedError("the entry is not one of chopmark's")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a name that is there twice"
        raise ValueError(message)
    return found
