"""Random chains, judged by chopmark, openssl, cryptography and pyhanko-certvalidator: every difference has a reason.

The chains are in `chains.py`, the reasons in `differences.py`; `make differential` takes as many as one likes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.interop import chains, differences, differential

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore:Parsed a serial number:cryptography.utils.CryptographyDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:asn1crypto"),
]

PARTS, EACH = 6, 60


@pytest.fixture
def judges(tmp_path: Path) -> Iterator[differential.Judges]:
    with asyncio.Runner() as runner:
        yield differential.Judges(tmp_path, runner)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_difference_is_explained(judges: differential.Judges, part: int) -> None:
    trusted = 0
    for seed in range(part * EACH, (part + 1) * EACH):
        found = chains.chain(seed)
        verdicts = judges.verdicts(found)
        trusted += verdicts[differential.OURS]
        for peer, how in differential.differences(verdicts):
            assert differences.explained(peer, how, found.mutations), (seed, peer, how, found.mutations)
    assert 0 < trusted < EACH, "the sample has both kinds"


@pytest.mark.parametrize("levels", range(4))
def test_all_four_trust_a_sound_chain(judges: differential.Judges, levels: int) -> None:
    seeds = (seed for seed in range(1000) if not chains.chain(seed).mutations)
    found = next(each for each in map(chains.chain, seeds) if len(each.others) == levels)
    assert judges.verdicts(found) == dict.fromkeys((differential.OURS, *differential.PEERS), True)


def test_no_reason_is_about_a_mutation_that_is_not_made() -> None:
    made = set(chains.MUTATIONS)
    assert {label for each in differences.DIFFERENCES for label in each.mutations} <= made
    assert differences.explained("openssl", "accepts", ["expired (signer)"]) == ""
