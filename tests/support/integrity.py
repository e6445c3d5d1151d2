"""What a format and its envelopes say about an artifact, without asking anybody's trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chopmark.core import reasons
from chopmark.core.finding import Outcome

if TYPE_CHECKING:
    from chopmark.core.artifact import Artifact
    from chopmark.core.contracts import Format
    from chopmark.core.finding import Finding


class Answer(NamedTuple):
    """One seal: where it is, whether its integrity holds, and all findings, those on its claims among them."""

    where: str
    intact: bool
    findings: tuple[Finding, ...]

    @property
    def codes(self) -> set[str]:
        return {finding.code for finding in self.findings}

    @property
    def wrong(self) -> set[str]:
        return {finding.code for finding in self.findings if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)}

    def detail(self, reason: reasons.Reason) -> str:
        [finding] = [finding for finding in self.findings if finding.code == reason.code]
        return finding.detail


def examine(format_: Format, artifact: Artifact) -> list[Answer]:
    """Every seal, as the engine would see it. Raises what the format raises."""
    answers = []
    for seal in format_.extract(artifact):
        payloads = format_.digest(artifact, [claim.recipe for claim in seal.claims])
        matches = all(payload.value == claim.expected for payload, claim in zip(payloads, seal.claims, strict=True))
        compared = (reasons.DIGEST_MATCH if matches else reasons.DIGEST_MISMATCH).found()
        findings = (*seal.findings, compared, *seal.envelope.check(payloads).findings)
        bad = any(finding.outcome in (Outcome.NO, Outcome.UNKNOWN) for finding in findings)
        answers.append(Answer(seal.where, not bad, findings))
    return answers
