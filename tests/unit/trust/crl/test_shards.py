"""Partitioned lists: many shards of one issuer at hand, each about its own distribution point alone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders

from chopmark.trust import judge
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Revoked, Served, circumstances, codes, revocations

if TYPE_CHECKING:
    from pathlib import Path

ROOT = pki.authority("Example Root")
ISSUING = pki.authority("Example Issuing", issuer=ROOT)
NOW = material.day("2026-12-01")
DAY = dt.timedelta(days=1)
COUNT = 8


def url(shard: int) -> str:
    return f"http://ca.example/{shard}.crl"


def signer(shard: int) -> pki.Entity:
    point = builders.DistributionPoint([builders.UniformResourceIdentifier(url(shard))], None, None, None)
    return pki.leaf(ISSUING, f"Signer {shard}", more=(pki.Extension(builders.CRLDistributionPoints([point])),))


def shard_list(shard: int, *entries: Revoked, since: dt.datetime = NOW - DAY, critical: bool = True) -> bytes:
    point = pki.issuing_point(full_name=[builders.UniformResourceIdentifier(url(shard))], only_contains_user_certs=True)
    return revocations(ISSUING, *entries, since=since, extensions=[(point, critical)])


def found(folder: Path, who: pki.Entity, lists: list[bytes], network: Served | None = None) -> set[str]:
    lists = [revocations(ROOT, since=NOW - DAY), *lists]
    here = circumstances(
        folder, material.trusting(folder, ROOT), at=NOW, revocation="require", lists=lists, fetcher=network
    )
    return codes(judge.judge(material.proof(who), "code-signing", here))


@pytest.mark.parametrize("shard", range(COUNT))
def test_only_its_own_shard_speaks_about_a_certificate(tmp_path: Path, shard: int) -> None:
    """Every other shard is newer and silent, and one of them names the same serial number."""
    who = signer(shard)
    others = [shard_list(number, since=NOW - DAY / 2) for number in range(COUNT) if number != shard]
    assert found(tmp_path, who, [*others, shard_list(shard)]) == set()
    assert found(tmp_path, who, [*others, shard_list(shard, Revoked(who, NOW - 9 * DAY))]) == {"revocation.revoked"}
    assert found(tmp_path, who, others) == {"revocation.unavailable"}
    stranger = shard_list((shard + 1) % COUNT, Revoked(who, NOW - 9 * DAY))
    assert found(tmp_path, who, [stranger, shard_list(shard)]) == set()


def test_a_scope_counts_whether_or_not_it_is_critical(tmp_path: Path) -> None:
    who = signer(1)
    assert found(tmp_path, who, [shard_list(2, critical=False)]) == {"revocation.unavailable"}
    assert found(tmp_path, who, [shard_list(1, critical=False)]) == set()


def test_the_shard_that_a_certificate_names_is_the_one_that_is_fetched(tmp_path: Path) -> None:
    network = Served({url(number): shard_list(number) for number in range(COUNT)})
    assert found(tmp_path, signer(3), [shard_list(2)], network) == set()
    assert network.asked == [url(3)]
    swapped = Served({url(4): shard_list(5)})
    assert found(tmp_path, signer(4), [], swapped) == {"revocation.unavailable"}


def test_a_complete_list_speaks_about_every_shard(tmp_path: Path) -> None:
    who = signer(6)
    whole = revocations(ISSUING, Revoked(who, NOW - 9 * DAY), since=NOW - DAY)
    assert found(tmp_path, who, [shard_list(1), whole]) == {"revocation.revoked"}
    newer = shard_list(6, since=NOW - DAY / 2)
    assert found(tmp_path, who, [newer, revocations(ISSUING, since=NOW - DAY)]) == set()
