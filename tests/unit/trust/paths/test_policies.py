"""Certificate policies: who demands one gets it, through mappings and bans, and never at great cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from chopmark.core.errors import MalformedError
from chopmark.envelopes import der, x509
from chopmark.trust.moment import Moment
from chopmark.trust.paths import path
from chopmark.trust.paths.policies import ANY_POLICY, Demands, problem
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import CODE, Cert, Extension, codes, make, name, purposes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GOLD, SILVER, BRONZE = "1.2.3.1", "1.2.3.2", "1.2.3.3"
KEY = pki.key("p256", "policies")


def policies(*oids: str) -> Extension:
    return Extension(x509.CERTIFICATE_POLICIES, der.sequence(*(der.sequence(der.oid(each)) for each in oids)))


def mapping(*pairs: tuple[str, str]) -> Extension:
    value = der.sequence(*(der.sequence(der.oid(above), der.oid(below)) for above, below in pairs))
    return Extension(x509.POLICY_MAPPINGS, value, critical=True)


def constraints(*, explicit: int | None = None, no_mapping: int | None = None) -> Extension:
    fields = [
        der.implicit(number, bytes([skip])) for number, skip in ((0, explicit), (1, no_mapping)) if skip is not None
    ]
    return Extension(x509.POLICY_CONSTRAINTS, der.sequence(*fields), critical=True)


def no_any(skip: int) -> Extension:
    return Extension(x509.INHIBIT_ANY_POLICY, der.integer(skip), critical=True)


DEMAND = constraints(explicit=0)
RENAMED = mapping((GOLD, SILVER))


def way(*levels: Sequence[Extension], same_name: bool = False) -> list[Cert]:
    """A path with the extensions of each level, the anchor's first."""
    made: list[Cert] = []
    for number, extensions in enumerate(levels):
        last = number == len(levels) - 1
        label = "Signer" if last else "Authority" if same_name else f"Authority {number}"
        more = [purposes(CODE)] if last else material.ca_extensions()
        key = KEY if last else pki.key("p256", f"policies {number}")
        made.append(make(name(label), key, made[-1] if made else None, extensions=[*more, *extensions]))
    return made[::-1]


def good(*levels: Sequence[Extension], demands: Demands | None = None, same_name: bool = False) -> bool:
    return not problem([each.view for each in way(*levels, same_name=same_name)], demands or Demands())


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([[], [policies(GOLD), DEMAND], [policies(GOLD)]], True),
        ([[], [policies(GOLD), DEMAND], [policies(GOLD, SILVER)]], True),
        ([[], [policies(GOLD), DEMAND], [policies(SILVER)]], False),
        ([[], [policies(GOLD), DEMAND], []], False),
        ([[], [DEMAND], [policies(GOLD)]], False),
        ([[], [policies(ANY_POLICY), DEMAND], [policies(GOLD)]], True),
        ([[], [policies(GOLD), DEMAND], [policies(ANY_POLICY)]], True),
        ([[], [], [policies(GOLD)]], True),
        ([[], [policies(GOLD), constraints(explicit=1)], []], False),
        ([[], [policies(GOLD), constraints(explicit=2)], []], True),
        ([[], [policies(GOLD)], [DEMAND]], False),
        ([[], [policies(GOLD)], [policies(GOLD), DEMAND]], True),
        # What the anchor says holds as well.
        ([[DEMAND], [policies(GOLD)], [policies(GOLD)]], True),
        ([[DEMAND], [policies(GOLD)], [policies(SILVER)]], False),
        ([[policies(SILVER), DEMAND], [policies(GOLD)], [policies(GOLD)]], False),
        # anyPolicy and its ban
        ([[], [policies(ANY_POLICY), DEMAND, no_any(0)], [policies(ANY_POLICY)]], False),
        ([[], [policies(ANY_POLICY), DEMAND, no_any(1)], [policies(ANY_POLICY)]], True),
        ([[], [policies(ANY_POLICY), DEMAND, no_any(1)], [policies(ANY_POLICY)], [policies(ANY_POLICY)]], False),
        ([[], [policies(ANY_POLICY), DEMAND, no_any(0)], [policies(GOLD)]], True),
        # mappings and their ban
        ([[], [policies(GOLD), DEMAND, mapping((GOLD, SILVER))], [policies(SILVER)]], True),
        ([[], [policies(GOLD), DEMAND, mapping((GOLD, SILVER))], [policies(GOLD)]], False),
        ([[], [policies(ANY_POLICY), DEMAND, mapping((GOLD, SILVER))], [policies(SILVER)]], True),
        ([[], [policies(GOLD), DEMAND, mapping((GOLD, SILVER), (GOLD, BRONZE))], [policies(BRONZE)]], True),
        (
            [
                [],
                [policies(GOLD), constraints(explicit=0, no_mapping=0)],
                [policies(GOLD), RENAMED],
                [policies(SILVER)],
            ],
            False,
        ),
        (
            [
                [],
                [policies(GOLD), constraints(explicit=0, no_mapping=1)],
                [policies(GOLD), RENAMED],
                [policies(SILVER)],
            ],
            True,
        ),
    ],
)
def test_a_demand_of_an_authority(levels: list[list[Extension]], *, expected: bool) -> None:
    assert good(*levels) is expected


@pytest.mark.parametrize(
    ("demands", "levels", "expected"),
    [
        (Demands(explicit=True), [[], [policies(GOLD)], [policies(GOLD)]], True),
        (Demands(explicit=True), [[], [], [policies(GOLD)]], False),
        (Demands(frozenset({SILVER})), [[], [policies(GOLD)], [policies(GOLD)]], True),
        (Demands(frozenset({SILVER}), explicit=True), [[], [policies(GOLD)], [policies(GOLD)]], False),
        (Demands(frozenset({GOLD, SILVER}), explicit=True), [[], [policies(GOLD)], [policies(GOLD)]], True),
        (Demands(frozenset({GOLD}), explicit=True), [[], [policies(ANY_POLICY)], [policies(ANY_POLICY)]], True),
        # It is the authority's name for a policy that is accepted, not what it is called below.
        (
            Demands(frozenset({GOLD}), explicit=True),
            [[], [policies(GOLD), mapping((GOLD, SILVER))], [policies(SILVER)]],
            True,
        ),
        (
            Demands(frozenset({SILVER}), explicit=True),
            [[], [policies(GOLD), mapping((GOLD, SILVER))], [policies(SILVER)]],
            False,
        ),
        (
            Demands(explicit=True, inhibit_mapping=True),
            [[], [policies(GOLD), mapping((GOLD, SILVER))], [policies(SILVER)]],
            False,
        ),
        (Demands(explicit=True, inhibit_any=True), [[], [policies(ANY_POLICY)], [policies(GOLD)]], False),
    ],
)
def test_a_demand_of_the_relying_party(demands: Demands, levels: list[list[Extension]], *, expected: bool) -> None:
    assert good(*levels, demands=demands) is expected


def test_what_an_authority_issues_to_itself_is_not_counted() -> None:
    levels = [[], [policies(GOLD), constraints(explicit=1)], [policies(GOLD)], []]
    assert not good(*levels)
    levels = [[], [policies(ANY_POLICY), DEMAND, no_any(0)], [policies(ANY_POLICY)], [policies(GOLD)]]
    assert not good(*levels)
    assert good(*levels, same_name=True)


@pytest.mark.parametrize(
    "extension",
    [
        mapping((ANY_POLICY, GOLD)),
        mapping((GOLD, ANY_POLICY)),
        mapping(),
        constraints(),
        constraints(explicit=0x80),
        no_any(-1),
        policies(),
        policies(GOLD, GOLD),
    ],
)
def test_what_nobody_may_write_is_refused(extension: Extension) -> None:
    with pytest.raises(MalformedError):
        good([], [extension], [policies(GOLD)])


@pytest.mark.parametrize(
    ("signer", "demands", "expected"),
    [
        ([policies(GOLD)], None, set()),
        ([], None, {"path.policy"}),
        ([policies(GOLD)], Demands(frozenset({GOLD}), explicit=True), set()),
        ([policies(GOLD)], Demands(frozenset({SILVER}), explicit=True), {"path.policy"}),
    ],
)
def test_a_path_is_judged_by_it(
    tmp_path: Path, signer: list[Extension], demands: Demands | None, expected: set[str]
) -> None:
    leaf, *above = way([], [policies(GOLD), DEMAND], signer)
    carried = [each.raw for each in above]
    found = path.Material(material.trusting(tmp_path, above[-1]), carried, None, demands)
    assert codes(path.find(leaf.view, CODE, Moment(pki.NOW), found).findings) == expected


def test_policies_that_multiply_cost_no_more_than_they_are_long() -> None:
    # RFC 9618 clause 2: a tree would have 30 ** 8 leaves.
    many = [f"1.2.3.{number}" for number in range(30)]
    everything = [policies(*many), mapping(*((above, below) for above in many for below in many))]
    certificates = [each.view for each in way([], *([everything] * 8), [policies(GOLD)])]
    begin = time.process_time()
    assert problem(certificates, Demands(explicit=True)) == ""
    assert time.process_time() - begin < 1
