"""Run the cases and say for each what was expected and what was said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.core.finding import Outcome
from chopmark.core.reasons import CATALOG, DIGEST_MATCH
from chopmark.demo.cases import CASES
from chopmark.demo.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.verdict import Verdict
    from chopmark.demo.cases import Case


_CLAUSE_END = re.compile(r"[.,:;]( |$)")


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of a case. `why` is the reason that decided it, in one clause."""

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
            yield Shown(case, verdict, _why(verdict, case.because))


def _why(verdict: Verdict, because: str) -> str:
    """The reason that was expected, in one clause, or else the first one against it; who and when, if all is well."""
    every = [
        finding for findings in (*(seal.findings for seal in verdict.seals), verdict.findings) for finding in findings
    ]
    against = [finding for finding in every if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)]
    expected = [finding for finding in (against or every) if finding.code == because]
    said = (expected or against or every)[0]
    if said.code == DIGEST_MATCH.code:
        [seal] = verdict.seals
        when = f", stamped {seal.signed_at:%Y-%m-%d}" if seal.signed_at else ""
        return f"{said.code}: {seal.signer.subject if seal.signer else 'nobody'}{when}"
    clause = _CLAUSE_END.split(CATALOG[said.code].sentence, maxsplit=1)[0]
    return f"{said.code}: {clause[0].lower()}{clause[1:]}"
