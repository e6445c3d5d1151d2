"""What is in a file's signatures, with no judgement: every fact, nobody trusted, nothing fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.core import clock
from chopmark.core import digest as digests
from chopmark.core.contracts import Shows
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.core.reasons import CATALOG
from chopmark.core.seal import CONTENT
from chopmark.engine import check, elsewhere, identify, report
from chopmark.envelopes import x509

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Format
    from chopmark.core.finding import Finding
    from chopmark.core.proof import Proof, Stamp
    from chopmark.core.seal import Payload, Seal

_DIGEST_MAX = 64
"""Bytes of the longest digest; anything longer is a table of them."""


def inspect(artifact: Artifact, format_name: str = "") -> dict[str, Any]:
    """The artifact and its seals as JSON-able data.

    Raises UnreadableError, AmbiguousError and UsageError; a broken structure is told in "broken".
    """
    format_ = identify.identify(artifact, format_name)
    found, broken = check.seals_of(artifact, format_, alone=bool(format_name))
    payloads = check.payloads_of(artifact, found)
    broken += [each for each in check.examined(artifact) if each.outcome in (Outcome.NO, Outcome.UNKNOWN)]
    return {
        "path": artifact.name,
        "format": format_.name,
        "title": format_.title,
        "size": artifact.view.size,
        "facts": dict(_facts(artifact, format_)),
        "seals": [_seal(owned.seal, computed) for owned, computed in zip(found, payloads, strict=True)],
        "signature_of": elsewhere.signed_by(artifact.name),
        "broken": "; ".join(map(_broken, broken)),
    }


def _facts(artifact: Artifact, format_: Format) -> Sequence[tuple[str, str]]:
    """What the format has to show beside signatures; what breaks it is told elsewhere."""
    if not isinstance(format_, Shows):
        return ()
    try:
        return format_.facts(artifact)
    except MalformedError:
        return ()


def _seal(seal: Seal, payloads: list[Payload]) -> dict[str, Any]:
    proof = seal.envelope.check(payloads)
    return {
        "where": seal.where,
        "scheme": seal.envelope.scheme,
        "nested": seal.nested,
        "size": len(seal.envelope.raw),
        "digest_algorithm": proof.digest_algorithm,
        "claims": [
            {
                "what": claim.what,
                "algorithm": claim.recipe.algorithm,
                "covers": payload.length,
                "claimed": _short(claim.expected),
                "computed": _short(_computed(payload)),
            }
            for claim, payload in zip(seal.claims, payloads, strict=True)
        ],
        "signer": report.signer_as_dict(proof.signer),
        "claimed_time": clock.show(proof.claimed_time) if proof.claimed_time else None,
        "certificates": _certificates(proof),
        "time_stamps": [_stamp(stamp) for stamp in proof.stamps],
        "facts": dict(getattr(seal.envelope, "facts", ())),
    }


def _broken(finding: Finding) -> str:
    """Which rule, and where."""
    text = f"{CATALOG[finding.code].sentence} [{finding.code}]"
    return f"{text} {finding.detail}" if finding.detail else text


def _computed(payload: Payload) -> bytes:
    """The digest; also of a payload that is the content itself, because all of it was signed."""
    whole = len(payload.value) == payload.length and payload.recipe.transform == CONTENT
    return digests.of(payload.value, payload.recipe.algorithm) if whole else payload.value


def _short(value: bytes | None) -> str | None:
    """In hex; tables of digests are cut."""
    if value is None:
        return None
    return value.hex() if len(value) <= _DIGEST_MAX else f"{value[:32].hex()} ... ({len(value)} bytes)"


def _certificates(proof: Proof) -> list[dict[str, Any]]:
    shown = []
    for raw in proof.certificates:
        try:
            certificate = x509.certificate(raw)
            shown.append({**dict(certificate.signer_id.claims), "subject": certificate.subject_text})
        except MalformedError as error:
            shown.append({"broken": str(error)})
    return shown


def _stamp(stamp: Stamp) -> dict[str, Any]:
    return {
        "kind": stamp.kind,
        "time": clock.show(stamp.time),
        "policy": stamp.policy,
        "serial": stamp.serial,
        "accuracy": stamp.accuracy,
        "authority": report.signer_as_dict(stamp.proof.signer),
        "certificates": _certificates(stamp.proof),
    }
