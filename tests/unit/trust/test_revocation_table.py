"""The whole table: every reason, date, stamp and accuracy; and every situation in every mode."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders

from chopmark.envelopes import der, x509
from chopmark.trust import judge
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Extension, Revoked, Served, circumstances, codes, entry, list_by_hand, revocations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chopmark.trust.judge import Judgement

ROOT = pki.authority("Example Root")
ISSUING = pki.authority("Example Issuing", issuer=ROOT)
STAMPING = pki.authority("Example Stamping", issuer=ROOT)
URL = "http://ca.example/issuing.crl"
POINT = builders.DistributionPoint([builders.UniformResourceIdentifier(URL)], None, None, None)
SIGNER = pki.leaf(ISSUING, more=(pki.Extension(builders.CRLDistributionPoints([POINT])),))
TSA = pki.stamper(STAMPING)
MAY, JULY, OCTOBER = (material.day(f"2026-{month:02}-01") for month in (5, 7, 10))
NOW = material.day("2026-12-01")
SECOND, WEEK = dt.timedelta(seconds=1), dt.timedelta(days=7)
YESTERDAY = NOW - dt.timedelta(days=1)

REASONS = {
    "unspecified": "",
    "keyCompromise": "keyCompromise",
    "cACompromise": "cACompromise",
    "affiliationChanged": "affiliationChanged",
    "superseded": "superseded",
    "cessationOfOperation": "cessationOfOperation",
    "certificateHold": "certificateHold",
    "privilegeWithdrawn": "privilegeWithdrawn",
    "aACompromise": "aACompromise",
}
SURVIVED = {"affiliationChanged", "superseded", "cessationOfOperation"}
"""Reasons that leave what a time-stamp authority said before standing (RFC 3161 clause 4)."""


def fresh(issuer: pki.Entity, *entries: Revoked) -> bytes:
    return revocations(issuer, *entries, since=YESTERDAY)


def judged(
    folder: Path,
    lists: Sequence[bytes],
    *,
    stamp: dt.datetime | None = JULY,
    accuracy: float | None = None,
    mode: str = "require",
    fetcher: Served | None = None,
    carried: Sequence[bytes] = (),
) -> Judgement:
    stamps = [material.stamp(TSA, stamp, accuracy=accuracy)] if stamp else []
    here = circumstances(folder, material.trusting(folder, ROOT), at=NOW, revocation=mode, lists=lists, fetcher=fetcher)
    return judge.judge(material.proof(SIGNER, stamps=stamps, lists=carried), "code-signing", here)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_on_every_side_of_the_stamp(tmp_path: Path, reason: str) -> None:
    """The reason changes nothing for a signer: what counts is the earlier date, and a time that is proven."""
    dates = (MAY, JULY, JULY + SECOND)
    against = {"revocation.on_hold" if reason == "certificateHold" else "revocation.revoked"}
    for number, (revoked, invalid) in enumerate(itertools.product(dates, (None, *dates))):
        folder = tmp_path / str(number)
        folder.mkdir()
        lists = [fresh(ROOT), fresh(STAMPING), fresh(ISSUING, Revoked(SIGNER, revoked, invalid, REASONS[reason]))]
        valid = min(revoked, invalid or revoked) > JULY
        judgement = judged(folder, lists)
        assert codes(judgement) == (set() if valid else against), (revoked, invalid)
        assert ("revocation.later" in codes(judgement, "ok")) is valid
        if valid:
            assert codes(judged(folder, lists, stamp=None)) == against, "without a stamp, revoked is revoked"


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("revoked", [MAY, JULY, JULY + SECOND])
def test_a_stamp_survives_its_authority_for_three_reasons_alone(
    tmp_path: Path, reason: str, revoked: dt.datetime
) -> None:
    lists = [fresh(ROOT), fresh(ISSUING), fresh(STAMPING, Revoked(TSA, revoked, None, REASONS[reason]))]
    judgement = judged(tmp_path, lists)
    stands = reason in SURVIVED and revoked > JULY
    assert (judgement.signed_at is not None) is stands
    assert ("timestamp.revoked" in codes(judgement, "info")) is not stands


@pytest.mark.parametrize(
    ("accuracy", "after", "valid"),
    [
        (None, 1, True),
        (None, 0, False),
        (0.0, 1, True),
        (1.0, 1, False),
        (1.0, 2, True),
        (59.5, 60, True),
        (60.0, 60, False),
        (86400.0 * 365 * 300, 60, False),
    ],
)
def test_the_stamp_has_to_be_earlier_by_more_than_its_inaccuracy(
    tmp_path: Path, accuracy: float | None, after: int, *, valid: bool
) -> None:
    for invalid in (None, JULY + after * SECOND):
        revoked = OCTOBER if invalid else JULY + after * SECOND
        lists = [fresh(ROOT), fresh(STAMPING), fresh(ISSUING, Revoked(SIGNER, revoked, invalid, "keyCompromise"))]
        assert judged(tmp_path, lists, accuracy=accuracy).trusted is valid


def test_an_entry_that_removes_belongs_into_a_delta(tmp_path: Path) -> None:
    removal = entry(
        x509.certificate(SIGNER.der).serial_octets,
        MAY,
        Extension(x509.CRL_REASON, der.encode(der.ENUMERATED, b"\x08")),
    )
    complete = list_by_hand(ISSUING, [removal], since=YESTERDAY, until=NOW + WEEK)
    assert codes(judged(tmp_path, [fresh(ROOT), fresh(STAMPING), complete])) == {"revocation.unavailable"}


def delta(reason: bytes, *, base: int = 1, until: dt.datetime = NOW + WEEK) -> bytes:
    change = entry(
        x509.certificate(SIGNER.der).serial_octets, MAY, Extension(x509.CRL_REASON, der.encode(der.ENUMERATED, reason))
    )
    indicator = Extension(x509.DELTA_CRL_INDICATOR, der.integer(base), critical=True)
    numbered = Extension(x509.CRL_NUMBER, der.integer(2))
    return list_by_hand(ISSUING, [change], extensions=[numbered, indicator], since=YESTERDAY, until=until)


@pytest.mark.parametrize(
    ("held", "until", "expected"),
    [
        ("certificateHold", NOW + WEEK, set()),
        ("certificateHold", NOW - SECOND, {"revocation.on_hold"}),
        ("keyCompromise", NOW + WEEK, {"revocation.revoked"}),
    ],
)
def test_a_delta_takes_back_a_hold_while_it_holds(
    tmp_path: Path, held: str, until: dt.datetime, expected: set[str]
) -> None:
    number = (builders.CRLNumber(1), False)
    base = revocations(ISSUING, Revoked(SIGNER, MAY, None, held), since=YESTERDAY, extensions=[number])
    lists = [fresh(ROOT), fresh(STAMPING), base, delta(b"\x08", until=until)]
    assert codes(judged(tmp_path, lists)) == expected


# Every situation in every mode: what docs/reference/trust.md says

CURRENT, NAMED = fresh(ISSUING), fresh(ISSUING, Revoked(SIGNER, MAY))
ENDED = revocations(ISSUING, since=JULY)
ENDED_NAMED = revocations(ISSUING, Revoked(SIGNER, MAY), since=JULY)
EARLY = revocations(ISSUING, since=NOW + dt.timedelta(hours=1))
ENDLESS = list_by_hand(ISSUING, since=YESTERDAY, until=None)
FORGED = revocations(ISSUING, since=YESTERDAY, signer=TSA)
UNREAD = list_by_hand(
    ISSUING, extensions=[Extension("1.2.3.4", der.null(), critical=True)], since=YESTERDAY, until=NOW + WEEK
)
MISSING = ("revocation.unavailable", "revocation.not_checked")
GOOD = ("revocation.good", "revocation.good")
REVOKED = ("revocation.revoked", "revocation.revoked")
SITUATIONS = {
    "a current list that does not name it": ([CURRENT], {}, [], GOOD),
    "a current list that names it": ([NAMED], {}, [], REVOKED),
    "no list anywhere": ([], {}, [], MISSING),
    "a list that has ended and does not name it": ([ENDED], {}, [], MISSING),
    "a list that has ended and names it": ([ENDED_NAMED], {}, [], REVOKED),
    "a list from the future": ([EARLY], {}, [], MISSING),
    "a list without an end": ([ENDLESS], {}, [], MISSING),
    "a list that somebody else signed": ([FORGED], {}, [], MISSING),
    "a list with a critical extension that is not evaluated": ([UNREAD], {}, [], MISSING),
    "a published list that is current": ([], {URL: CURRENT}, [], GOOD),
    "a published list that names it": ([], {URL: NAMED}, [], REVOKED),
    "an address that answers with an ended list": ([], {URL: ENDED}, [], MISSING),
    "an address that answers with something else": ([], {URL: b"<html>"}, [], MISSING),
    "an ended list, and a published one that is current": ([ENDED], {URL: CURRENT}, [], GOOD),
    "a list that came along, and no other": ([], {}, [CURRENT], GOOD),
    "a list that came along, and a published one that names it": ([], {URL: NAMED}, [CURRENT], REVOKED),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_situation_in_every_mode(tmp_path: Path, situation: str) -> None:
    lists, network, carried, (required, preferred) = SITUATIONS[situation]
    for mode, expected in (("require", required), ("prefer", preferred), ("off", "revocation.off")):
        folder = tmp_path / mode
        folder.mkdir()
        fetcher = Served(network)
        others = [fresh(ROOT), fresh(STAMPING)]
        judgement = judged(folder, [*others, *lists], mode=mode, fetcher=fetcher, carried=carried)
        subject = material.read(SIGNER).subject_text
        found = [each for each in judgement.findings if each.subject == subject and each.code.startswith("revocation")]
        assert [each.code for each in found] == [expected]
        assert judgement.trusted is (expected not in ("revocation.unavailable", "revocation.revoked"))
        assert mode != "off" or fetcher.asked == []


def test_findings_tell_how_new_the_list_is_and_when_the_next_is_due(tmp_path: Path) -> None:
    for lists in ([CURRENT], [NAMED]):
        judgement = judged(tmp_path, [fresh(ROOT), fresh(STAMPING), *lists])
        [detail] = [
            each.detail
            for each in judgement.findings
            if each.subject == material.read(SIGNER).subject_text and "revocation" in each.code
        ]
        assert "2026-11-30T00:00:00Z" in detail
        assert "2026-12-07T00:00:00Z" in detail
