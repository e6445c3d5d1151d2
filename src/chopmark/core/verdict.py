"""Verdicts: the facts about one artifact, and the one word they come to."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from chopmark.core.finding import AGAINST
from chopmark.core.named import NamedTuple
from chopmark.core.reasons import DIGEST_WEAK, SEAL_NONE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from chopmark.core.finding import Finding
    from chopmark.core.signer import Authority, SignerId


class Status(StrEnum):
    """The word for an artifact or a seal. UNDECIDED: something needed was missing, which is not the same as bad."""

    TRUSTED = "trusted"
    UNSIGNED = "unsigned"
    UNDECIDED = "undecided"
    REJECTED = "rejected"


class SealVerdict(NamedTuple):
    """One seal judged. `intact` is integrity alone; `signed_at` is a trusted time, or None.

    `authorities` are the certificates above the signer's own on the way that was judged, the root's last; `purposes`
    the extended key usages of the signer's own; `store` is the trust store that the way ends in, or that has the bare
    key (empty: none). `catalog` is the signed list through which the file has this seal (empty: its own).
    """

    where: str
    scheme: str
    intact: bool
    digest_algorithm: str
    signer: SignerId | None
    signed_at: dt.datetime | None
    nested: int
    findings: tuple[Finding, ...]
    authorities: tuple[Authority, ...] = ()
    purposes: tuple[str, ...] = ()
    store: str = ""
    catalog: str = ""

    @property
    def status(self) -> Status:
        """Trusted, undecided or rejected: the worst of the findings, and never trusted unless intact."""
        worst = worst_of(self.findings)
        return worst if self.intact or worst is not Status.TRUSTED else Status.REJECTED

    @property
    def only_weak(self) -> bool:
        """Whether nothing speaks against this seal but the age of its digest algorithm."""
        against = {finding.code for finding in self.findings if finding.outcome in AGAINST}
        return against == {DIGEST_WEAK.code} and self.intact


class Verdict(NamedTuple):
    """Everything that was found about one artifact."""

    path: str
    format: str
    seals: tuple[SealVerdict, ...]
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """The worst of all seals and of the artifact's own findings; unsigned when it is sound but has no seal.

        A seal that is merely weak (SHA-1 beside SHA-256 for old systems) does not spoil a file that another seal
        vouches for, and never vouches for one itself.
        """
        own = worst_of([finding for finding in self.findings if finding.code != SEAL_NONE.code])
        if not self.seals:
            return Status.UNSIGNED if own is Status.TRUSTED else own
        states = [seal.status for seal in self.seals]
        if Status.TRUSTED in states and len(states) > 1:
            states = [seal.status for seal in self.seals if not seal.only_weak]
        return max((own, *states), key=SEVERITY.index)


_NO, _UNKNOWN = AGAINST
SEVERITY = (Status.TRUSTED, Status.UNDECIDED, Status.UNSIGNED, Status.REJECTED)
"""From good to bad, for taking the worst."""

EXIT_STATUS = {Status.TRUSTED: 0, Status.UNSIGNED: 1, Status.REJECTED: 1, Status.UNDECIDED: 3}


def worst_of(findings: Iterable[Finding]) -> Status:
    """REJECTED if any check said no, else UNDECIDED if any could not answer, else TRUSTED."""
    outcomes = [finding.outcome for finding in findings]
    if _NO in outcomes:
        return Status.REJECTED
    return Status.UNDECIDED if _UNKNOWN in outcomes else Status.TRUSTED
