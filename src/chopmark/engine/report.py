"""Verdicts as plain data: the versioned shape that `--json` prints, one object per artifact (verdict.schema.json)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.core import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.core.finding import Finding
    from chopmark.core.signer import SignerId
    from chopmark.core.verdict import SealVerdict, Verdict

VERSION = 1
"""Of the shape. Fields may be added under the same number; anything else raises it."""


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON-able data."""
    return {
        "version": VERSION,
        "path": verdict.path,
        "format": verdict.format,
        "status": str(verdict.status),
        "seals": [_seal(seal) for seal in verdict.seals],
        "findings": _findings(verdict.findings),
    }


def signer_as_dict(signer: SignerId | None) -> dict[str, Any] | None:
    """A signer with its claims spread out; None for nobody."""
    if signer is None:
        return None
    return {"kind": signer.kind, "subject": signer.subject, "key_sha256": signer.fingerprint, **dict(signer.claims)}


def _seal(seal: SealVerdict) -> dict[str, Any]:
    return {
        "where": seal.where,
        "scheme": seal.scheme,
        "status": str(seal.status),
        "intact": seal.intact,
        "digest_algorithm": seal.digest_algorithm,
        "signer": signer_as_dict(seal.signer),
        "signed_at": clock.show(seal.signed_at) if seal.signed_at else None,
        "nested": seal.nested,
        "findings": _findings(seal.findings),
    }


def _findings(findings: Iterable[Finding]) -> list[dict[str, str]]:
    return [
        {
            key: value
            for key, value in (
                ("code", finding.code),
                ("outcome", str(finding.outcome)),
                ("subject", finding.subject),
                ("detail", finding.detail),
                ("cites", finding.cites),
            )
            if value or key in ("code", "outcome", "detail")
        }
        for finding in findings
    ]
