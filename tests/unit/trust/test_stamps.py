"""Time stamps: which one counts, and what becomes of the others (RFC 3161 clauses 2 and 4)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.proof import Proof, Stamp
from chopmark.core.reasons import NO, UNKNOWN, Reason
from chopmark.envelopes import der, x509
from chopmark.trust import judge, stamps
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import TIME, Revoked, circumstances, codes, make, name, purposes, revocations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chopmark.trust.judge import Judgement

WORLD = pki.world()
STRANGER = pki.stamper(pki.authority("Strange Root"))
JULY = material.day("2026-07-01")
NOW = material.day("2026-12-01")
HOUR = dt.timedelta(hours=1)
BROKEN = Reason("test.broken", NO, "This signature does not hold.")
UNDECIDED = Reason("test.undecided", UNKNOWN, "This signature could not be checked.")


def judged(
    folder: Path,
    *found: Stamp,
    signer: pki.Entity = WORLD.signer,
    at: dt.datetime = NOW,
    mode: str = "off",
    lists: Sequence[bytes] = (),
    digest: str = "sha256",
    roots: Sequence[pki.Entity] = (WORLD.root,),
) -> Judgement:
    here = circumstances(folder, material.trusting(folder, *roots), at=at, revocation=mode, lists=lists)
    return judge.judge(material.proof(signer, stamps=found, digest=digest), "code-signing", here)


def test_a_trusted_stamp_says_when(tmp_path: Path) -> None:
    for kind in ("rfc3161", "authenticode"):
        judgement = judged(tmp_path, material.stamp(WORLD.tsa, JULY, kind=kind))
        assert judgement.trusted
        assert judgement.signed_at == JULY
        assert "timestamp.trusted" in codes(judgement, "ok")


def test_without_a_stamp_it_is_judged_as_of_now(tmp_path: Path) -> None:
    judgement = judged(tmp_path)
    assert judgement.trusted
    assert judgement.signed_at is None
    assert "timestamp.none" in codes(judgement, "info")


def test_an_expired_signer_needs_a_stamp(tmp_path: Path) -> None:
    expired = pki.leaf(WORLD.issuing, "Expired", until=JULY + HOUR)
    assert codes(judged(tmp_path, signer=expired)) == {"path.expired"}
    assert judged(tmp_path, material.stamp(WORLD.tsa, JULY), signer=expired).trusted


def test_an_expired_authority_still_says_when(tmp_path: Path) -> None:
    expired = pki.stamper(WORLD.issuing, "Expired Time", until=JULY + HOUR)
    assert judged(tmp_path, material.stamp(expired, JULY)).signed_at == JULY
    judgement = judged(tmp_path, material.stamp(expired, JULY + 2 * HOUR))
    assert judgement.signed_at is None
    assert "timestamp.untrusted" in codes(judgement, "info")


def test_a_stamp_by_a_stranger_says_nothing(tmp_path: Path) -> None:
    expired = pki.leaf(WORLD.issuing, "Expired", until=JULY + HOUR)
    judgement = judged(tmp_path, material.stamp(STRANGER, JULY), signer=expired)
    assert codes(judgement) == {"path.expired"}
    assert codes(judgement, "info") >= {"timestamp.untrusted", "timestamp.none"}
    assert judged(tmp_path, material.stamp(STRANGER, JULY)).trusted, "it does no harm either"


@pytest.mark.parametrize("digest", ["sha256", "md5"])
def test_an_authority_that_could_not_be_looked_into_says_nothing(tmp_path: Path, digest: str) -> None:
    url = der.sequence(der.sequence(der.oid(x509.ACCESS_CA_ISSUERS), der.implicit(6, b"http://ca.example/x.crt")))
    cut_off = make(
        name("Cut Off"),
        pki.key("p256", "cut off"),
        make(name("Nobody"), pki.key("p256", "nobody")),
        extensions=[purposes(TIME, critical=True), material.Extension(x509.AUTHORITY_INFORMATION_ACCESS, url)],
    )
    here = circumstances(tmp_path, material.trusting(tmp_path, WORLD.root), at=NOW, fetcher=material.Served({}))
    proof = material.proof(WORLD.signer, stamps=[material.stamp(cut_off, JULY, digest=digest)])
    judgement = judge.judge(proof, "code-signing", here)
    assert judgement.signed_at is None
    assert "timestamp.untrusted" in codes(judgement, "info")


def test_a_code_signer_is_no_time_stamp_authority(tmp_path: Path) -> None:
    judgement = judged(tmp_path, material.stamp(WORLD.signer, JULY))
    assert judgement.signed_at is None
    assert "timestamp.untrusted" in codes(judgement, "info")


def test_an_authority_for_several_purposes_is_none(tmp_path: Path) -> None:
    both = make(
        name("Both"), pki.key("p256", "both"), extensions=[purposes(TIME, x509.EKU_CODE_SIGNING, critical=True)]
    )
    here = circumstances(tmp_path, material.trusting(tmp_path, WORLD.root, both), at=NOW)
    judgement = judge.judge(material.proof(WORLD.signer, stamps=[material.stamp(both, JULY)]), "code-signing", here)
    assert judgement.signed_at is None


@pytest.mark.parametrize(
    ("reason", "code", "outcome"), [(BROKEN, "timestamp.unsound", "no"), (UNDECIDED, "timestamp.unchecked", "unknown")]
)
def test_a_stamp_that_does_not_hold_speaks_against_the_signature(
    tmp_path: Path, reason: Reason, code: str, outcome: str
) -> None:
    judgement = judged(tmp_path, material.stamp(WORLD.tsa, JULY, findings=[material.SOUND.found(), reason.found()]))
    assert codes(judgement, outcome) == {code}
    assert judgement.signed_at is None
    beside = judged(
        tmp_path, material.stamp(WORLD.tsa, JULY), material.stamp(WORLD.tsa, JULY, findings=[reason.found()])
    )
    assert codes(beside, outcome) == {code}


def test_a_stamp_without_a_signer_does_not_hold(tmp_path: Path) -> None:
    nobody = Stamp("rfc3161", JULY, Proof(None, "sha256", (material.SOUND.found(),)))
    assert codes(judged(tmp_path, nobody)) == {"timestamp.unsound"}


@pytest.mark.parametrize("certificates", [(), (b"junk",)])
def test_a_stamp_without_a_readable_certificate_is_untrusted(tmp_path: Path, certificates: tuple[bytes, ...]) -> None:
    signer = material.read(WORLD.tsa).signer_id
    stamp = Stamp("rfc3161", JULY, Proof(signer, "sha256", (material.SOUND.found(),), certificates))
    judgement = judged(tmp_path, stamp)
    assert judgement.trusted
    assert "timestamp.untrusted" in codes(judgement, "info")


def test_the_earliest_trusted_stamp_counts(tmp_path: Path) -> None:
    later = material.stamp(WORLD.tsa, JULY + HOUR, kind="authenticode")
    earlier = material.stamp(WORLD.tsa, JULY)
    stranger = material.stamp(STRANGER, JULY - HOUR)
    for found in ((later, earlier, stranger), (stranger, earlier, later)):
        judgement = judged(tmp_path, *found)
        assert judgement.signed_at == JULY
        assert codes(judgement, "info") >= {"timestamp.spare", "timestamp.untrusted"}


@pytest.mark.parametrize(
    ("ahead", "counts"), [(limits.CLOCK_SKEW, True), (limits.CLOCK_SKEW + dt.timedelta(seconds=1), False)]
)
def test_a_stamp_from_the_future_does_not_count(tmp_path: Path, ahead: dt.timedelta, *, counts: bool) -> None:
    judgement = judged(tmp_path, material.stamp(WORLD.tsa, NOW + ahead))
    assert (judgement.signed_at is not None) is counts
    assert ("timestamp.later" in codes(judgement, "info")) is not counts
    assert judgement.trusted


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (JULY - dt.timedelta(seconds=1), {"timestamp.outside_validity", "path.not_yet_valid"}),
        (JULY, set()),
        (JULY + HOUR, set()),
        (JULY + HOUR + dt.timedelta(seconds=1), {"timestamp.outside_validity", "path.expired"}),
    ],
)
def test_a_stamp_must_be_within_the_signers_validity(tmp_path: Path, time: dt.datetime, expected: set[str]) -> None:
    short = pki.leaf(WORLD.issuing, "Short", since=JULY, until=JULY + HOUR)
    assert codes(judged(tmp_path, material.stamp(WORLD.tsa, time), signer=short)) == expected


# Revoked authorities: most reasons void everything, some only what comes after (RFC 3161 clause 4)


def lists(*entries: Revoked) -> list[bytes]:
    since = NOW - dt.timedelta(days=1)
    return [revocations(WORLD.root, since=since), revocations(WORLD.issuing, *entries, since=since)]


@pytest.mark.parametrize(
    ("reason", "month", "counts"),
    [
        ("superseded", 10, True),
        ("affiliationChanged", 10, True),
        ("cessationOfOperation", 10, True),
        ("superseded", 5, False),
        ("superseded", 7, False),
        ("keyCompromise", 10, False),
        ("", 10, False),
        ("unspecified", 10, False),
        ("cACompromise", 10, False),
        ("privilegeWithdrawn", 10, False),
        ("certificateHold", 10, False),
    ],
)
def test_a_revoked_authority(tmp_path: Path, reason: str, month: int, *, counts: bool) -> None:
    date = material.day(f"2026-{month:02}-01")
    judgement = judged(
        tmp_path, material.stamp(WORLD.tsa, JULY), mode="require", lists=lists(Revoked(WORLD.tsa, date, reason=reason))
    )
    assert (judgement.signed_at is not None) is counts
    assert ("timestamp.revoked" in codes(judgement, "info")) is not counts
    assert judgement.trusted, "the signer itself is valid now"


def test_the_invalidity_date_of_an_authority_counts(tmp_path: Path) -> None:
    entry = Revoked(WORLD.tsa, material.day("2026-10-01"), material.day("2026-05-01"), "superseded")
    judgement = judged(tmp_path, material.stamp(WORLD.tsa, JULY), mode="require", lists=lists(entry))
    assert judgement.signed_at is None


def test_an_authority_whose_standing_is_unknown_leaves_the_question_open(tmp_path: Path) -> None:
    expired = pki.leaf(WORLD.issuing, "Expired", until=JULY + HOUR)
    judgement = judged(tmp_path, material.stamp(WORLD.tsa, JULY), mode="require", signer=expired)
    assert codes(judgement) == {"revocation.unavailable"}
    unknown = [finding for finding in judgement.findings if finding.outcome == "unknown"]
    assert [finding.subject.startswith("time stamp 1: ") for finding in unknown].count(True) == 2
    assert codes(judgement, "no") == set()


# Broken digests


OLD = material.day("2000-01-01")
OLD_ROOT = pki.authority("Old Root", since=OLD)
OLD_SIGNER = pki.leaf(OLD_ROOT, "Old Signer", since=OLD)
OLD_TSA = pki.stamper(OLD_ROOT, "Old Time", since=OLD)
BEFORE = limits.SHA1_SUNSET - dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("digest", "time", "stamp_digest", "no", "info"),
    [
        ("sha1", BEFORE, "sha256", set(), {"digest.dated"}),
        ("sha1", BEFORE, "sha1", set(), {"digest.dated"}),
        ("sha1", limits.SHA1_SUNSET, "sha256", {"digest.weak"}, set()),
        ("sha1", limits.SHA1_SUNSET, "sha1", {"digest.weak"}, set()),
        ("sha1", limits.SHA1_STAMP_SUNSET, "sha1", {"digest.weak"}, {"timestamp.weak"}),
        ("sha1", None, "", {"digest.weak"}, {"timestamp.none"}),
        ("sha1", BEFORE, "md5", {"digest.weak"}, {"timestamp.weak", "timestamp.none"}),
        ("md5", BEFORE, "sha256", {"digest.weak"}, set()),
        ("md5", None, "", {"digest.weak"}, {"timestamp.none"}),
        ("sha256", BEFORE, "sha1", set(), set()),
        ("sha256", BEFORE, "md5", set(), {"timestamp.weak", "timestamp.none"}),
        ("sha256", limits.SHA1_SUNSET, "sha1", set(), set()),
        ("sha256", limits.SHA1_STAMP_SUNSET, "sha1", set(), {"timestamp.weak", "timestamp.none"}),
        ("whirlpool", None, "", {"digest.unsupported"}, {"timestamp.none"}),
        ("sha256", BEFORE, "whirlpool", {"timestamp.unchecked"}, {"timestamp.none"}),
        ("sha512", None, "", set(), {"timestamp.none"}),
    ],
)
def test_broken_digests_count_by_proven_time(
    tmp_path: Path, digest: str, time: dt.datetime | None, stamp_digest: str, no: set[str], info: set[str]
) -> None:
    found = [material.stamp(OLD_TSA, time, digest=stamp_digest)] if time else []
    judgement = judged(tmp_path, *found, signer=OLD_SIGNER, digest=digest, roots=[OLD_ROOT])
    assert codes(judgement) == no
    assert codes(judgement, "info") >= info


def test_nothing_but_its_age_is_said_against_an_old_signature(tmp_path: Path) -> None:
    # SHA-1 beside SHA-256 was usual for some time: its certificate is looked at as of its own, equally weak, stamp.
    expired = pki.leaf(OLD_ROOT, "Then", since=OLD, until=limits.SHA1_STAMP_SUNSET + dt.timedelta(days=99))
    time = limits.SHA1_STAMP_SUNSET + dt.timedelta(days=9)
    found = [material.stamp(OLD_TSA, time + dt.timedelta(days=days), digest="sha1") for days in (99, 0)]
    judgement = judged(tmp_path, *found, signer=expired, digest="sha1", roots=[OLD_ROOT])
    assert codes(judgement) == {"digest.weak"}
    assert judgement.signed_at is None
    strong = judged(tmp_path, material.stamp(OLD_TSA, time, digest="sha1"), signer=expired, roots=[OLD_ROOT])
    assert codes(strong) == {"path.expired"}, "for a sound digest a weak stamp proves nothing"


@pytest.mark.parametrize("accuracy", [None, 0.0, -5.0, 1e300, float("inf")])
def test_whatever_accuracy_a_stamp_claims_is_bounded(accuracy: float | None) -> None:
    moment = stamps.moment_of(material.stamp(WORLD.tsa, JULY, accuracy=accuracy))
    assert dt.timedelta() <= moment.accuracy <= dt.timedelta(days=36525)
