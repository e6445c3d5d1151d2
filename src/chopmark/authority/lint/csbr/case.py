"""What a rule looks at, and what a rule is."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, x509

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason

IN_FORCE = dt.datetime(2019, 8, 13, tzinfo=dt.UTC)
"""Version 1.2, the Forum's first (1.2.1). What was issued before is held against RFC 5280 alone."""


class Kind(StrEnum):
    """What a certificate is, as far as the requirements tell certificates apart."""

    ROOT = "root CA"
    SUBORDINATE = "subordinate CA"
    CODE = "code signing"
    TIME = "time stamping"
    OCSP = "OCSP responder"
    OTHER = "something else"


ANY = frozenset(Kind)
AUTHORITIES = frozenset((Kind.ROOT, Kind.SUBORDINATE))
SIGNERS = frozenset((Kind.CODE, Kind.TIME))
BOUND = ANY - {Kind.OTHER}


class Case(NamedTuple):
    """A certificate, the one above it when that is known, whether it is our own, which is asked more, or a draft."""

    certificate: x509.Certificate
    kind: Kind
    issuer: x509.Certificate | None = None
    own: bool = False
    signed: bool = True

    @property
    def since(self) -> dt.datetime:
        """When it was issued, as far as it says: whose rules it is judged by."""
        return self.certificate.not_before


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `check` answers what is wrong, the empty string when nothing is, None when it does not apply.

    `csbr` says that the requirements alone want it; `since` and `until` when it holds, by the date of issue. A fault
    has the reason's own outcome: no, or info for what only SHOULD be.
    """

    reason: Reason
    check: Callable[[Case], str | None]
    kinds: frozenset[Kind] = ANY
    csbr: bool = False
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def holds(self, case: Case, *, public: bool) -> bool:
        """Whether the rule is for this certificate; `public` says whether the requirements bind it at all."""
        in_time = (self.since is None or case.since >= self.since) and (self.until is None or case.since < self.until)
        return case.kind in self.kinds and in_time and (public or not self.csbr)

    def findings(self, case: Case) -> Iterator[Finding]:
        """What it says: nothing where it does not apply, unknown where it cannot be checked."""
        try:
            fault = self.check(case)
        except algorithms.UnsupportedError as error:
            yield self.reason.found(str(error), outcome=Outcome.UNKNOWN)
        except MalformedError as error:
            yield self.reason.found(f"cannot be read: {error}", outcome=Outcome.NO)
        else:
            if fault is not None:
                yield self.reason.found(fault, outcome=self.reason.outcome if fault else Outcome.OK)


def run(rules: Iterable[Rule], case: Case, *, public: bool) -> Iterator[Finding]:
    """The findings of every rule that holds."""
    for rule in rules:
        if rule.holds(case, public=public):
            yield from rule.findings(case)


def kind_of(certificate: x509.Certificate) -> Kind:
    """What a certificate is for, by what it says itself."""
    try:
        constraints = certificate.basic_constraints
        if constraints is not None and constraints.ca:
            return Kind.ROOT if certificate.self_issued else Kind.SUBORDINATE
        return kind_for(certificate.extended_key_usage or ())
    except MalformedError:
        return Kind.OTHER


def kind_for(purposes: Sequence[str]) -> Kind:
    """What a certificate with these purposes is, if it is no CA's."""
    for purpose, kind in (
        (x509.EKU_CODE_SIGNING, Kind.CODE),
        (x509.EKU_TIME_STAMPING, Kind.TIME),
        (x509.EKU_OCSP_SIGNING, Kind.OCSP),
    ):
        if purpose in purposes:
            return kind
    return Kind.OTHER


def at(year: int, month: int, day: int) -> dt.datetime:
    """Midnight in UTC, when a rule begins to hold."""
    return dt.datetime(year, month, day, tzinfo=dt.UTC)
