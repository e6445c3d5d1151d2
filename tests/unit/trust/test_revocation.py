"""Revocation by time: the table that other tools get wrong, the modes, and where lists come from."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.core.errors import MalformedError, UsageError
from chopmark.envelopes import x509
from chopmark.trust import context, judge
from chopmark.trust.cache import FetchCache
from chopmark.trust.crl import origins
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Revoked, Served, circumstances, codes, revocations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chopmark.trust.crl.revocation_list import Crl
    from chopmark.trust.judge import Judgement

ROOT = pki.authority("Example Root")
ISSUING = pki.authority("Example Issuing", issuer=ROOT)
STAMPING = pki.authority("Example Stamping", issuer=ROOT)
SIGNER = pki.leaf(ISSUING)
TSA = pki.stamper(STAMPING)
MAY, JULY, OCTOBER = (material.day(f"2026-{month:02}-01") for month in (5, 7, 10))
NOW = material.day("2026-12-01")
SECOND = dt.timedelta(seconds=1)
GOOD_STAMP = material.stamp(TSA, JULY)


def fresh(issuer: pki.Entity, *entries: Revoked, **parts: object) -> bytes:
    return revocations(issuer, *entries, since=NOW - dt.timedelta(days=1), **parts)  # type: ignore[arg-type]


EVERYBODY_GOOD = [fresh(ROOT), fresh(STAMPING), fresh(ISSUING)]


def judged(
    folder: Path,
    lists: Sequence[bytes],
    *,
    stamped: bool | dt.datetime = True,
    mode: str = "require",
    at: dt.datetime = NOW,
    fetcher: Served | None = None,
    accuracy: float | None = None,
    carried: Sequence[bytes] = (),
    signer: pki.Entity = SIGNER,
) -> Judgement:
    """The judgement on a signature, time-stamped on 1 July unless told otherwise, with these lists at hand."""
    when = stamped if isinstance(stamped, dt.datetime) else JULY
    stamps = [material.stamp(TSA, when, accuracy=accuracy)] if stamped else []
    here = circumstances(folder, material.trusting(folder, ROOT), at=at, revocation=mode, lists=lists, fetcher=fetcher)
    return judge.judge(material.proof(signer, stamps=stamps, lists=carried), "code-signing", here)


def with_signer(*entries: Revoked) -> list[bytes]:
    """Lists that name nobody but the signer."""
    return [fresh(ROOT), fresh(STAMPING), fresh(ISSUING, *entries)]


def test_everybody_is_good(tmp_path: Path) -> None:
    judgement = judged(tmp_path, EVERYBODY_GOOD)
    assert judgement.trusted
    assert judgement.signed_at == JULY
    assert [finding.code for finding in judgement.findings].count("revocation.good") == 2


# The table of research: an entry in the list, a signature stamped on 1 July


@pytest.mark.parametrize(
    ("revoked", "invalid_since", "valid"),
    [
        (MAY, None, False),
        (OCTOBER, None, True),
        (OCTOBER, MAY, False),
        (MAY, OCTOBER, False),
        (JULY, None, False),
        (JULY + SECOND, None, True),
        (OCTOBER, JULY, False),
        (OCTOBER, JULY + SECOND, True),
    ],
)
def test_a_signature_counts_that_is_proven_to_be_strictly_older_than_both_dates(
    tmp_path: Path, revoked: dt.datetime, invalid_since: dt.datetime | None, *, valid: bool
) -> None:
    judgement = judged(tmp_path, with_signer(Revoked(SIGNER, revoked, invalid_since, "keyCompromise")))
    assert judgement.trusted is valid
    assert codes(judgement) == (set() if valid else {"revocation.revoked"})
    assert ("revocation.later" in codes(judgement, "ok")) is valid


@pytest.mark.parametrize("revoked", [MAY, OCTOBER, NOW + dt.timedelta(days=365)])
def test_without_a_time_stamp_revoked_is_revoked(tmp_path: Path, revoked: dt.datetime) -> None:
    judgement = judged(tmp_path, with_signer(Revoked(SIGNER, revoked)), stamped=False)
    assert codes(judgement) == {"revocation.revoked"}


@pytest.mark.parametrize("mode", ["require", "prefer"])
def test_the_rule_is_the_same_in_both_modes_that_ask(tmp_path: Path, mode: str) -> None:
    assert codes(judged(tmp_path, with_signer(Revoked(SIGNER, MAY)), mode=mode)) == {"revocation.revoked"}
    assert codes(judged(tmp_path, with_signer(Revoked(SIGNER, OCTOBER)), mode=mode)) == set()


def test_an_inaccurate_time_is_before_only_what_it_is_surely_before(tmp_path: Path) -> None:
    lists = with_signer(Revoked(SIGNER, JULY + 10 * SECOND))
    assert judged(tmp_path, lists, accuracy=9.5).trusted
    for when, told in ((lists, True), (with_signer(Revoked(SIGNER, MAY)), False)):
        judgement = judged(tmp_path, when, accuracy=10)
        assert not judgement.trusted
        [revoked] = [each for each in judgement.findings if each.code == "revocation.revoked"]
        assert ("10 s" in revoked.detail) is told  # else it reads as if there were no time stamp


def test_lifetime_signing_ends_with_the_certificate_even_when_stamped(tmp_path: Path) -> None:
    purposes = [ExtendedKeyUsageOID.CODE_SIGNING, builders.ObjectIdentifier(x509.EKU_LIFETIME_SIGNING)]
    signer = pki.leaf(ISSUING, "Lifetime", purposes=purposes, until=OCTOBER)
    ordinary = pki.leaf(ISSUING, "Ordinary", until=OCTOBER)
    assert codes(judged(tmp_path, EVERYBODY_GOOD, signer=signer)) == {"path.lifetime_signing"}
    assert codes(judged(tmp_path, EVERYBODY_GOOD, signer=ordinary)) == set()
    before = [revocations(each, since=OCTOBER - SECOND) for each in (ROOT, STAMPING, ISSUING)]
    assert codes(judged(tmp_path, before, signer=signer, at=OCTOBER)) == set()


@pytest.mark.parametrize(("revoked", "code"), [(MAY, "revocation.on_hold"), (OCTOBER, None)])
def test_a_hold_counts_from_its_date_like_a_revocation(tmp_path: Path, revoked: dt.datetime, code: str | None) -> None:
    judgement = judged(tmp_path, with_signer(Revoked(SIGNER, revoked, reason="certificateHold")))
    assert codes(judgement) == ({code} if code else set())


def test_a_revoked_authority_voids_what_was_signed_after(tmp_path: Path) -> None:
    for date, code in ((MAY, {"revocation.revoked"}), (OCTOBER, set())):
        lists = [fresh(ROOT, Revoked(ISSUING, date, reason="cACompromise")), fresh(STAMPING), fresh(ISSUING)]
        assert codes(judged(tmp_path, lists)) == code


def test_a_signer_right_below_a_root_can_be_revoked(tmp_path: Path) -> None:
    signer = pki.leaf(ROOT, "Direct")
    assert codes(judged(tmp_path, [fresh(ROOT), fresh(STAMPING)], signer=signer)) == set()
    lists = [fresh(ROOT, Revoked(signer, MAY)), fresh(STAMPING)]
    assert codes(judged(tmp_path, lists, signer=signer)) == {"revocation.revoked"}


# Missing data


@pytest.mark.parametrize(
    ("mode", "against", "noted"),
    [
        ("require", {"revocation.unavailable"}, set()),
        ("prefer", set(), {"revocation.not_checked"}),
        ("off", set(), {"revocation.off"}),
    ],
)
def test_the_modes_differ_in_what_missing_data_means(
    tmp_path: Path, mode: str, against: set[str], noted: set[str]
) -> None:
    judgement = judged(tmp_path, [], mode=mode)
    assert codes(judgement, "unknown", "no") == against
    assert codes(judgement, "info") == noted


def test_nothing_is_asked_about_when_revocation_is_off(tmp_path: Path) -> None:
    network = Served({})
    judged(tmp_path, with_signer(Revoked(SIGNER, MAY)), mode="off", fetcher=network)
    assert network.asked == []
    assert judged(tmp_path, with_signer(Revoked(SIGNER, MAY)), mode="off").trusted


def test_nobody_revokes_what_is_trusted_itself(tmp_path: Path) -> None:
    alone = pki.leaf(None, "Alone")
    here = circumstances(tmp_path, material.trusting(tmp_path, alone), at=NOW, revocation="require")
    judgement = judge.judge(material.proof(alone), "code-signing", here)
    assert judgement.trusted
    about = [each.subject for each in judgement.findings if each.code == "revocation.nobody"]
    assert about == [material.read(alone).subject_text]


def test_there_is_no_other_mode(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        judged(tmp_path, [], mode="sometimes")


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (MAY, JULY),
        (NOW - dt.timedelta(days=8), NOW - SECOND),
        (NOW + dt.timedelta(hours=1), NOW + dt.timedelta(days=7)),
    ],
)
def test_the_silence_of_a_list_that_is_not_current_is_missing_data(
    tmp_path: Path, since: dt.datetime, until: dt.datetime
) -> None:
    lists = [fresh(ROOT), fresh(STAMPING), revocations(ISSUING, since=since, until=until)]
    assert codes(judged(tmp_path, lists)) == {"revocation.unavailable"}


@pytest.mark.parametrize("since", [JULY, NOW + dt.timedelta(days=30)])
def test_whom_an_old_or_early_list_names_is_revoked(tmp_path: Path, since: dt.datetime) -> None:
    lists = [fresh(ROOT), fresh(STAMPING), revocations(ISSUING, Revoked(SIGNER, MAY), since=since)]
    assert codes(judged(tmp_path, lists)) == {"revocation.revoked"}


def test_a_list_by_somebody_else_is_missing_data(tmp_path: Path) -> None:
    forged = revocations(ISSUING, since=NOW, signer=TSA)
    assert codes(judged(tmp_path, [fresh(ROOT), fresh(STAMPING), forged])) == {"revocation.unavailable"}
    forged = revocations(ISSUING, Revoked(SIGNER, MAY), since=NOW, signer=TSA)
    assert codes(judged(tmp_path, [fresh(ROOT), fresh(STAMPING), forged])) == {"revocation.unavailable"}


def test_the_newest_list_decides(tmp_path: Path) -> None:
    held = revocations(ISSUING, Revoked(SIGNER, MAY, reason="certificateHold"), since=NOW - dt.timedelta(days=3))
    for lists in ([held, fresh(ISSUING)], [fresh(ISSUING), held]):
        assert codes(judged(tmp_path, [fresh(ROOT), fresh(STAMPING), *lists])) == set()


def test_a_newer_list_that_does_not_count_hides_no_older_one(tmp_path: Path) -> None:
    forged = revocations(ISSUING, since=NOW, signer=TSA)
    lists = [fresh(ROOT), fresh(STAMPING), forged, fresh(ISSUING, Revoked(SIGNER, MAY))]
    assert codes(judged(tmp_path, lists)) == {"revocation.revoked"}


# Published lists and those that came along

URL = "http://ca.example/issuing.crl"


def with_point(url: str = URL) -> pki.Entity:
    point = builders.DistributionPoint([builders.UniformResourceIdentifier(url)], None, None, None)
    return pki.leaf(ISSUING, "Pointed", more=(pki.Extension(builders.CRLDistributionPoints([point])),))


def by_issuing(crl: Crl) -> bool:
    try:
        crl.check_signature(material.read(ISSUING))
    except MalformedError:
        return False
    return True


def test_a_published_list_is_fetched_once_and_kept(tmp_path: Path) -> None:
    network = Served({URL: fresh(ISSUING)})
    lists = [fresh(ROOT), fresh(STAMPING)]
    assert judged(tmp_path, lists, fetcher=network, signer=with_point()).trusted
    assert network.asked == [URL]
    assert judged(tmp_path, lists, signer=with_point()).trusted, "from the cache, without a network"


def test_a_kept_list_that_ended_is_fetched_again(tmp_path: Path) -> None:
    lists = [fresh(ROOT), fresh(STAMPING)]
    old = revocations(ISSUING, since=JULY)
    judged(tmp_path, lists, fetcher=Served({URL: old}), signer=with_point())
    assert codes(judged(tmp_path, lists, signer=with_point())) == {"revocation.unavailable"}
    network = Served({URL: fresh(ISSUING, Revoked(with_point(), MAY))})
    assert codes(judged(tmp_path, lists, fetcher=network, signer=with_point())) == {"revocation.revoked"}


def test_an_older_list_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    source = origins.CrlSource(cache=str(tmp_path), fetcher=Served({URL: fresh(ISSUING)}))
    certificate = material.read(with_point())
    ((newer, _),) = source.published(certificate, NOW, by_issuing)
    replayed = Served({URL: revocations(ISSUING, since=JULY)})
    again = origins.CrlSource(cache=str(tmp_path), fetcher=replayed)
    ((found, problem),) = again.published(certificate, NOW + dt.timedelta(days=100), by_issuing)
    assert newer is not None
    assert found is not None
    assert found.this_update == newer.this_update
    assert problem


def false_list(issuer: pki.Entity, *parts: builders.ExtensionType, signer: pki.Entity | None = None) -> bytes:
    """A list that would hold for a lifetime."""
    since, until = NOW + dt.timedelta(days=300), NOW + dt.timedelta(days=30_000)
    extensions = [(part, True) for part in parts]
    return revocations(issuer, since=since, until=until, extensions=extensions, signer=signer)


FALSE_LISTS = {
    "forged": false_list(ISSUING, signer=TSA),
    "another issuer's": false_list(STAMPING),
    "about others": false_list(ISSUING, pki.issuing_point(only_contains_ca_certs=True)),
    "a delta": false_list(ISSUING, builders.DeltaCRLIndicator(1)),
}


@pytest.mark.parametrize("false", FALSE_LISTS)
def test_a_list_that_does_not_count_does_not_stay(tmp_path: Path, false: str) -> None:
    """Whoever is between us and the address once must not be able to keep the true list away until theirs ends."""
    lists, signer = [fresh(ROOT), fresh(STAMPING)], with_point()
    network = Served({URL: FALSE_LISTS[false]})
    here = circumstances(
        tmp_path, material.trusting(tmp_path, ROOT), at=NOW, revocation="prefer", lists=lists, fetcher=network
    )
    for _ in range(2):
        assert codes(judge.judge(material.proof(signer), "code-signing", here), "info") >= {"revocation.not_checked"}
    assert network.asked == [URL]
    network = Served({URL: fresh(ISSUING, Revoked(signer, MAY))})
    assert codes(judged(tmp_path, lists, fetcher=network, signer=signer, mode="prefer")) == {"revocation.revoked"}
    assert network.asked == [URL]


@pytest.mark.parametrize("came", [revocations(ISSUING, since=JULY), *FALSE_LISTS.values()])
def test_what_does_not_count_takes_the_place_of_no_list(tmp_path: Path, came: bytes) -> None:
    """A list that has ended still names whom it names, also in the next process."""
    lists, signer = [fresh(ROOT), fresh(STAMPING)], with_point()
    judged(tmp_path, lists, fetcher=Served({URL: fresh(ISSUING, Revoked(signer, MAY))}), signer=signer)
    later = NOW + dt.timedelta(days=20)
    for network in (Served({URL: came}), Served({URL: came}), None):
        judgement = judged(tmp_path, lists, fetcher=network, signer=signer, mode="prefer", at=later)
        assert codes(judgement) == {"revocation.revoked"}


def test_a_false_list_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    folder = tmp_path / "crls"
    folder.mkdir()
    cache = FetchCache(str(folder), None, 1)
    (folder / cache.path(URL)).write_bytes(FALSE_LISTS["forged"])
    lists, signer = [fresh(ROOT), fresh(STAMPING)], with_point()
    network = Served({URL: fresh(ISSUING)})
    for _ in range(2):
        assert judged(tmp_path, lists, fetcher=network, signer=signer).trusted
    assert network.asked == [URL]


@pytest.mark.parametrize(
    ("until", "requests"), [(None, 2), (NOW - SECOND, 2), (NOW, 1)], ids=["endless", "ended", "at its end"]
)
def test_a_list_that_does_not_hold_is_fetched_once_by_each_process(
    tmp_path: Path, until: dt.datetime | None, requests: int
) -> None:
    network = Served({URL: material.list_by_hand(ISSUING, since=JULY, until=until)})
    for _ in range(2):
        source = origins.CrlSource(cache=str(tmp_path), fetcher=network)
        for _ in range(2):
            ((found, problem),) = source.published(material.read(with_point()), NOW, by_issuing)
            assert found is not None
            assert found.next_update == until
            assert problem == ""
    assert network.asked == [URL] * requests


def test_what_cannot_be_fetched_is_missing_data_and_asked_once(tmp_path: Path) -> None:
    network = Served({URL: b"<html>not found</html>"})
    lists = [fresh(ROOT), fresh(STAMPING)]
    here = circumstances(
        tmp_path, material.trusting(tmp_path, ROOT), at=NOW, revocation="require", lists=lists, fetcher=network
    )
    for _ in range(3):
        judgement = judge.judge(material.proof(with_point(), stamps=[GOOD_STAMP]), "code-signing", here)
        assert codes(judgement) == {"revocation.unavailable"}
        assert judge.judge(material.proof(with_point()), "code-signing", here).findings
    assert network.asked == [URL]


def test_whoever_is_not_trusted_makes_nobody_fetch_their_list(tmp_path: Path) -> None:
    network = Served({URL: fresh(ISSUING)})
    other = pki.authority("Other Root")
    here = circumstances(tmp_path, material.trusting(tmp_path, other), at=NOW, revocation="require", fetcher=network)
    judge.judge(material.proof(with_point()), "code-signing", here)
    assert network.asked == []


def test_a_published_list_in_pem_is_read(tmp_path: Path) -> None:
    network = Served({URL: material.pem(fresh(ISSUING), "X509 CRL")})
    assert judged(tmp_path, [fresh(ROOT), fresh(STAMPING)], fetcher=network, signer=with_point()).trusted


def test_a_list_that_came_along_is_used_when_there_is_no_other(tmp_path: Path) -> None:
    lists = [fresh(ROOT), fresh(STAMPING)]
    assert judged(tmp_path, lists, carried=[b"junk", fresh(ISSUING)]).trusted
    assert codes(judged(tmp_path, lists, carried=[fresh(ISSUING, Revoked(SIGNER, MAY))])) == {"revocation.revoked"}


def test_a_list_that_came_along_hides_no_published_one(tmp_path: Path) -> None:
    # The signer sends a list from before the revocation that has not ended yet.
    earlier = revocations(ISSUING, since=NOW - dt.timedelta(days=5))
    network = Served({URL: fresh(ISSUING, Revoked(with_point(), MAY))})
    lists = [fresh(ROOT), fresh(STAMPING)]
    judgement = judged(tmp_path, lists, carried=[earlier], fetcher=network, signer=with_point())
    assert codes(judgement) == {"revocation.revoked"}


def test_lists_in_a_stores_folder_are_used(tmp_path: Path) -> None:
    from chopmark.trust.stores import store

    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "root.pem").write_bytes(ROOT.pem)
    for number, raw in enumerate(with_signer(Revoked(SIGNER, MAY))):
        (folder / f"{number}.crl").write_bytes(raw)
    here = circumstances(tmp_path, store.load([str(folder)]), at=NOW, revocation="require")
    judgement = judge.judge(material.proof(SIGNER, stamps=[GOOD_STAMP]), "code-signing", here)
    assert codes(judgement) == {"revocation.revoked"}
    (folder / "broken.crl").write_bytes(b"junk")
    with pytest.raises(UsageError):
        circumstances(tmp_path, store.load([str(folder)]), at=NOW, revocation="require")


def test_files_may_be_folders_and_several_lists_in_pem(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "a.crl").write_bytes(fresh(ROOT))
    both = tmp_path / "both.pem"
    both.write_bytes(material.pem(fresh(ISSUING), "X509 CRL") + material.pem(fresh(STAMPING), "X509 CRL"))
    source = origins.CrlSource([str(tmp_path / "lists"), str(both)], cache=str(tmp_path))
    for issuer in (ROOT, ISSUING, STAMPING):
        assert len(source.by_issuer(x509.name_key(issuer.certificate.subject.public_bytes()))) == 1


@pytest.mark.parametrize(
    "content", [None, b"", b"junk", b"-----BEGIN X509 CRL-----\n", material.pem(b"junk", "X509 CRL")]
)
def test_a_file_that_is_no_list_is_a_wrong_option(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.crl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError):
        origins.CrlSource([str(path)])


def test_a_cache_that_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    source = origins.CrlSource(cache=str(blocked / "crls"), fetcher=Served({URL: fresh(ISSUING)}))
    ((found, problem),) = source.published(material.read(with_point()), NOW, by_issuing)
    assert found is not None
    assert problem == ""


def test_a_context_needs_a_time_zone(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        context.Context(material.trusting(tmp_path, ROOT), NOW.replace(tzinfo=None))
