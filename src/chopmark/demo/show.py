"""Run the cases and say for each what was expected and what was said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.core.finding import Outcome
from chopmark.core.reasons import CATALOG
from chopmark.demo.cases import CASES
from chopmark.demo.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.verdict import Verdict
    from chopmark.demo.cases import Case


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of a case. `why` is the sentence of the reason that decided it."""

    case: Case
    verdict: Verdict
    why: str

    @property
    def codes(self) -> set[str]:
        """Every reason code that was given."""
        return {
            finding.code
            for findings in (self.verdict.findings, *(seal.findings for seal in self.verdict.seals))
            for finding in findings
        }

    @property
    def right(self) -> bool:
        """Whether the status is the expected one, for the expected reason."""
        return self.verdict.status is self.case.expected and self.case.because in self.codes


def play(folder: str) -> Iterator[Shown]:
    """Set the stage in an empty folder and run every case on it."""
    with Stage(folder) as stage:
        for case in CASES:
            path = case.prepare(stage)
            verdict = stage.verify(path, revocation=case.revocation, with_crls=case.with_crls)
            yield Shown(case, verdict, _why(verdict))


def _why(verdict: Verdict) -> str:
    """The first reason that spoke against the file; for a good one, who signed it and when."""
    for findings in (*(seal.findings for seal in verdict.seals), verdict.findings):
        for finding in findings:
            if finding.outcome in (Outcome.NO, Outcome.UNKNOWN):
                return f"{finding.code}: {CATALOG[finding.code].sentence}"
    [seal] = verdict.seals
    signer = seal.signer.subject if seal.signer else "nobody"
    when = f", stamped {seal.signed_at:%Y-%m-%d}" if seal.signed_at else ""
    return f"{signer}{when}"
