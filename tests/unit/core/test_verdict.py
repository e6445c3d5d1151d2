"""Verdicts: the one word that findings and seals come to."""

from __future__ import annotations

import itertools

import pytest

from chopmark.core import reasons
from chopmark.core.finding import Finding, Outcome
from chopmark.core.reasons import INFO, NO, OK, UNKNOWN
from chopmark.core.verdict import EXIT_STATUS, SEVERITY, SealVerdict, Status, Verdict, worst_of

TRUSTED, UNSIGNED, UNDECIDED, REJECTED = Status.TRUSTED, Status.UNSIGNED, Status.UNDECIDED, Status.REJECTED


def seal(*outcomes: Outcome | Finding, intact: bool = True) -> SealVerdict:
    findings = tuple(
        outcome if isinstance(outcome, Finding) else Finding(f"test.{outcome}", outcome) for outcome in outcomes
    )
    return SealVerdict("signature 1", "cms", intact, "sha256", None, None, 0, findings)


def verdict(*seals: SealVerdict, own: tuple[Finding, ...] = ()) -> Verdict:
    return Verdict("file", "script", seals, own)


GOOD, MISSING, BAD = seal(OK), seal(OK, UNKNOWN), seal(OK, NO)
WEAK = seal(OK, reasons.DIGEST_WEAK.found())


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((), TRUSTED),
        ((OK,), TRUSTED),
        ((OK, INFO), TRUSTED),
        ((OK, UNKNOWN), UNDECIDED),
        ((UNKNOWN, NO), REJECTED),
        ((NO, UNKNOWN), REJECTED),
        ((NO, OK), REJECTED),
    ],
)
def test_a_seal_is_its_worst_finding(outcomes: tuple[Outcome, ...], expected: Status) -> None:
    assert seal(*outcomes).status is expected
    assert worst_of(seal(*outcomes).findings) is expected


def test_a_seal_that_is_not_intact_is_never_trusted() -> None:
    assert seal(OK, intact=False).status is REJECTED
    assert seal(UNKNOWN, intact=False).status is UNDECIDED


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (verdict(), UNSIGNED),
        (verdict(own=(reasons.SEAL_NONE.found(),)), UNSIGNED),
        (verdict(GOOD), TRUSTED),
        (verdict(GOOD, GOOD), TRUSTED),
        (verdict(GOOD, MISSING), UNDECIDED),
        (verdict(GOOD, BAD), REJECTED),
        (verdict(MISSING, BAD), REJECTED),
        (verdict(BAD, GOOD), REJECTED),
    ],
)
def test_every_seal_counts(given: Verdict, expected: Status) -> None:
    assert given.status is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (verdict(WEAK), REJECTED),
        (verdict(WEAK, GOOD), TRUSTED),
        (verdict(GOOD, WEAK), TRUSTED),
        (verdict(WEAK, MISSING), REJECTED),
        (verdict(WEAK, GOOD, MISSING), UNDECIDED),
        (verdict(WEAK, GOOD, BAD), REJECTED),
        (verdict(seal(reasons.DIGEST_WEAK.found(), intact=False), GOOD), REJECTED),
        (verdict(seal(reasons.DIGEST_WEAK.found(), NO), GOOD), REJECTED),
        (verdict(seal(reasons.DIGEST_WEAK.found(), UNKNOWN), GOOD), REJECTED),
    ],
)
def test_a_merely_weak_seal_neither_vouches_nor_spoils(given: Verdict, expected: Status) -> None:
    assert given.status is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (verdict(own=(reasons.INPUT_MISSING.found(),)), UNDECIDED),
        (verdict(own=(reasons.FORMAT_MALFORMED.found(),)), REJECTED),
        (verdict(GOOD, own=(reasons.FORMAT_MALFORMED.found(),)), REJECTED),
        (verdict(GOOD, own=(reasons.FORMAT_AMBIGUOUS.found(),)), REJECTED),
        (verdict(GOOD, own=(reasons.INPUT_CHANGED.found(),)), UNDECIDED),
        (verdict(BAD, own=(reasons.INPUT_CHANGED.found(),)), REJECTED),
        (verdict(GOOD, own=(reasons.FORMAT_DETECTED.found(),)), TRUSTED),
    ],
)
def test_what_is_said_of_the_whole_counts_too(given: Verdict, expected: Status) -> None:
    assert given.status is expected


def test_nothing_added_ever_makes_it_better() -> None:
    """Except the one rule about weak seals, another seal or finding leaves the verdict as it is or makes it worse."""
    seals = (GOOD, MISSING, BAD)
    own = (reasons.INPUT_CHANGED.found(), reasons.FORMAT_MALFORMED.found(), reasons.FORMAT_DETECTED.found())
    for count in range(1, 3):
        for chosen in itertools.product(seals, repeat=count):
            before = SEVERITY.index(verdict(*chosen).status)
            for more in seals:
                assert SEVERITY.index(verdict(*chosen, more).status) >= before
            for finding in own:
                assert SEVERITY.index(verdict(*chosen, own=(finding,)).status) >= before


def test_exit_statuses_are_those_of_the_design() -> None:
    assert {TRUSTED: 0, UNSIGNED: 1, REJECTED: 1, UNDECIDED: 3} == EXIT_STATUS
    assert set(SEVERITY) == set(Status) == set(EXIT_STATUS)
