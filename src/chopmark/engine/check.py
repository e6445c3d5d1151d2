"""Checking one artifact: where formats, envelopes and trust meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import reasons
from chopmark.core.artifact import Artifact, UnreadableError
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.verdict import SealVerdict, Verdict
from chopmark.engine import identify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.contracts import Format
    from chopmark.core.finding import Finding
    from chopmark.core.proof import Proof
    from chopmark.core.seal import Payload, Seal
    from chopmark.trust.context import Context


def check_path(path: str, context: Context, format_name: str = "") -> Verdict:
    """Judge the file at `path`. What cannot be opened or read becomes a finding, never an exception."""
    try:
        with Artifact.open(path) as artifact:
            return check(artifact, context, format_name)
    except UnreadableError as error:
        return Verdict(path, "", (), (error.reason.found(error.detail),))


def check(artifact: Artifact, context: Context, format_name: str = "") -> Verdict:
    """Judge an open artifact: every seal in it by itself, and what the format says of the whole.

    Raises UnreadableError when the artifact cannot be read, UsageError for an unknown format name; nothing else.
    """
    try:
        format_ = identify.identify(artifact, format_name)
    except identify.AmbiguousError as error:
        return Verdict(artifact.name, "", (), (reasons.FORMAT_AMBIGUOUS.found(str(error)),))
    findings = [reasons.FORMAT_DETECTED.found(format_.title)]
    seals: list[SealVerdict] = []
    try:
        owner, found, broken = seals_of(artifact, format_)
        for seal, payloads in zip(found, payloads_of(artifact, owner, found), strict=True):
            seals.append(judge_seal(seal, payloads, context))
        if broken:
            findings.append(broken)
        elif not found:
            findings.append(reasons.SEAL_NONE.found())
    except MalformedError as error:
        findings.append(_malformed(error))
    if artifact.view.changed():
        findings.append(reasons.INPUT_CHANGED.found())
    return Verdict(artifact.name, format_.name, tuple(seals), tuple(findings))


def seals_of(artifact: Artifact, format_: Format) -> tuple[Format, list[Seal], Finding | None]:
    """The seals in an artifact, the format that found them, and what broke the search, if something did.

    When there are none, a format that keeps its signatures beside the file is asked.
    """
    found, broken = _extracted(artifact, format_)
    if not found and not broken and (other := identify.beside(artifact, format_)):
        return other, *_extracted(artifact, other)
    return format_, found, broken


def _extracted(artifact: Artifact, format_: Format) -> tuple[list[Seal], Finding | None]:
    found = []
    try:
        for seal in format_.extract(artifact):
            found.append(seal)  # noqa: PERF402 - what came before the break still counts
    except MalformedError as error:
        return found, _malformed(error)
    return found, None


def _malformed(error: MalformedError) -> Finding:
    """The rule that was broken, if the format says which."""
    if isinstance(error, BrokenError):
        return error.reason.found(error.detail)
    return reasons.FORMAT_MALFORMED.found(str(error))


def payloads_of(artifact: Artifact, format_: Format, seals: Sequence[Seal]) -> list[list[Payload]]:
    """What every claim of every seal comes to; all recipes are handed to the format at once, each only once."""
    recipes = list(dict.fromkeys(claim.recipe for seal in seals for claim in seal.claims))
    computed = dict(zip(recipes, format_.digest(artifact, recipes), strict=True)) if recipes else {}
    return [[computed[claim.recipe] for claim in seal.claims] for seal in seals]


def judge_seal(seal: Seal, payloads: Sequence[Payload], context: Context) -> SealVerdict:
    """One seal: placement, content, signature, and then whom to believe."""
    from chopmark.trust import judge  # unsigned files need no trust

    integrity = [*seal.findings, *content_findings(seal, payloads)]
    proof: Proof = seal.envelope.check(payloads)
    integrity += proof.findings
    judgement = judge.judge(proof, seal.purpose, context)
    return SealVerdict(
        where=seal.where,
        scheme=seal.envelope.scheme,
        intact=proof.intact and not any(finding.outcome in ("no", "unknown") for finding in integrity),
        digest_algorithm=proof.digest_algorithm,
        signer=proof.signer,
        signed_at=judgement.signed_at,
        nested=seal.nested,
        findings=(*integrity, *judgement.findings),
    )


def content_findings(seal: Seal, payloads: Sequence[Payload]) -> list[Finding]:
    """Compare what was claimed with what is; the envelope itself answers for claims that expect nothing."""
    findings = []
    for claim, payload in zip(seal.claims, payloads, strict=True):
        if claim.expected is None:
            continue
        reason = reasons.DIGEST_MATCH if payload.value == claim.expected else reasons.DIGEST_MISMATCH
        findings.append(reason.found(f"{claim.what}, {claim.recipe.algorithm}", subject=claim.what))
    return findings
