"""What lists say together: parts by reason, deltas, lists by other keys and by other issuers."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders

from chopmark.core import limits
from chopmark.envelopes import der, x509
from chopmark.trust import evidence
from chopmark.trust.crl import revocation_list
from chopmark.trust.crl.entry import Entry
from chopmark.trust.standing import Inquiry, Standing
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Cert, Extension, circumstances, entry, list_by_hand, make, name, purposes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chopmark.trust.crl.revocation_list import Crl

MAY = material.day("2026-05-01")
DAY = dt.timedelta(days=1)
LISTS = material.ca_extensions(ca=False, usage=b"\x01\x02")


def cert(label: str, issuer: Cert | None = None, *, key: str = "", extensions: Sequence[Extension] = ()) -> Cert:
    return make(name(label), pki.key("p256", key or label), issuer, extensions=extensions or material.ca_extensions())


ROOT = cert("Root")
ISSUING = cert("Issuing", ROOT)
OTHER = cert("Other", ROOT)


def directory(subject: bytes) -> bytes:
    return der.explicit(4, subject)


def point(*, full: bytes = b"", relative: bytes = b"", reasons: bytes = b"", issuer: bytes = b"") -> bytes:
    """A distribution point, named by a directory name or relative to the issuer."""
    return der.sequence(
        der.explicit(0, der.explicit(0, full)) if full else b"",
        der.explicit(0, der.explicit(1, relative)) if relative else b"",
        der.implicit(1, reasons) if reasons else b"",
        der.explicit(2, issuer) if issuer else b"",
    )


def signer(*points: bytes, issuer: Cert = ISSUING) -> Cert:
    more = [Extension(x509.CRL_DISTRIBUTION_POINTS, der.sequence(*points))] if points else []
    return cert("Signer", issuer, extensions=[purposes(material.CODE), *more])


def scope(*, full: bytes = b"", relative: bytes = b"", reasons: bytes = b"", indirect: bool = False) -> Extension:
    """A critical issuing distribution point."""
    value = der.sequence(
        der.explicit(0, der.explicit(0, full)) if full else b"",
        der.explicit(0, der.explicit(1, relative)) if relative else b"",
        der.implicit(3, reasons) if reasons else b"",
        der.implicit(4, b"\xff") if indirect else b"",
    )
    return Extension(x509.ISSUING_DISTRIBUTION_POINT, value, critical=True)


def number(value: int, base: int | None = None) -> list[Extension]:
    delta = [] if base is None else [Extension(x509.DELTA_CRL_INDICATOR, der.integer(base), critical=True)]
    return [Extension(x509.CRL_NUMBER, der.integer(value)), *delta]


def reason(code: int) -> Extension:
    return Extension(x509.CRL_REASON, der.encode(der.ENUMERATED, bytes([code])))


def of_issuer(subject: bytes) -> Extension:
    return Extension(x509.CERTIFICATE_ISSUER, der.sequence(directory(subject)), critical=True)


def entity(held: Cert) -> pki.Entity:
    return pki.Entity(held.key, builders.load_der_x509_certificate(held.raw))


def crl(
    issuer: Cert,
    *entries: bytes,
    extensions: Sequence[Extension] = (),
    since: dt.datetime = pki.NOW - DAY,
    until: dt.datetime = pki.NOW + 7 * DAY,
) -> bytes:
    return list_by_hand(entity(issuer), entries, extensions=extensions, since=since, until=until)


def standing(folder: Path, way: Sequence[Cert], lists: Sequence[bytes], carried: Sequence[Cert] = ()) -> Standing:
    """What these lists say about the first certificate of a path whose last one is trusted."""
    here = circumstances(folder, material.trusting(folder, way[-1]), revocation="require", lists=lists)
    inquiry = Inquiry(here, [each.view for each in way], (), [each.raw for each in carried])
    return inquiry.standing(way[0].view, way[1].view)


def good(found: Standing) -> bool:
    return found.entry is None and not found.problem and not found.by_answer


def serial(held: Cert) -> bytes:
    return held.view.serial_octets


PLAIN = signer()
WAY = [PLAIN, ISSUING, ROOT]
COMPROMISE, REST = b"\x05\x60", b"\x07\x1f\x80"
"""ReasonFlags: both compromises; everything else."""


# Lists about some reasons


def test_lists_about_some_reasons_have_to_cover_all_together(tmp_path: Path) -> None:
    first = crl(ISSUING, extensions=[scope(reasons=COMPROMISE)], until=pki.NOW + 6 * DAY)
    second = crl(ISSUING, extensions=[scope(reasons=REST)], since=pki.NOW - 2 * DAY)
    found = standing(tmp_path, WAY, [first, second])
    assert good(found)
    assert (found.as_of, found.until) == (pki.NOW - 2 * DAY, pki.NOW + 6 * DAY)
    for part in (first, second, crl(ISSUING, extensions=[scope(reasons=b"\x00\x7f")])):  # all but the last
        assert not good(standing(tmp_path, WAY, [part]))
        assert standing(tmp_path, WAY, [part]).entry is None


def test_a_list_about_some_reasons_revokes_alone(tmp_path: Path) -> None:
    first = crl(ISSUING, entry(serial(PLAIN), MAY, reason(1)), extensions=[scope(reasons=COMPROMISE)])
    second = crl(ISSUING, extensions=[scope(reasons=REST)])
    for lists in ([first], [first, second]):
        assert standing(tmp_path, WAY, lists).entry == Entry(MAY, 1)


def test_a_part_that_has_ended_is_missing(tmp_path: Path) -> None:
    first = crl(ISSUING, extensions=[scope(reasons=COMPROMISE)])
    ended = crl(ISSUING, extensions=[scope(reasons=REST)], since=MAY, until=MAY + DAY)
    assert standing(tmp_path, WAY, [first, ended]).problem


URL = "http://ca.example/part.crl"
FETCHED = signer(point(full=der.implicit(6, URL.encode())))
PARTS = {
    "whole": [],
    "holds": [scope(reasons=b"\x01\x02")],
    "compromise": [scope(reasons=COMPROMISE)],
    "rest": [scope(reasons=REST)],
}


def about(part: str, age: float, code: int | None = None) -> bytes:
    """A list about some reasons, so many days old, that is silent and in force; or names FETCHED and has ended."""
    since = pki.NOW - age * DAY
    entries = [] if code is None else [entry(serial(FETCHED), MAY, reason(code))]
    until = pki.NOW + DAY if code is None else since + DAY / 4
    return crl(ISSUING, *entries, extensions=PARTS[part], since=since, until=until)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        # Older silence about holds: the newer hold stands, whatever newer lists say of other reasons.
        ([about("rest", 3), about("holds", 2, 6), about("compromise", 1)], Entry(MAY, 6)),
        ([about("holds", 2, 6), about("rest", 2), about("compromise", 1)], Entry(MAY, 6)),
        ([about("rest", 2, 6), about("whole", 3), about("compromise", 1)], Entry(MAY, 6)),
        # Newer silence about holds: it has ended, and what is older is silent about other reasons all the same.
        ([about("compromise", 4), about("holds", 3, 6), about("rest", 1)], None),
        ([about("holds", 2, 6), about("whole", 3), about("holds", 1)], None),
        ([about("rest", 2, 6), about("holds", 4, 6), about("whole", 1)], None),
        # Of two holds the newer one has to be ended.
        ([about("rest", 2, 6), about("holds", 4, 6), about("whole", 3)], Entry(MAY, 6)),
        ([about("holds", 4, 6), about("rest", 2, 6), about("whole", 3)], Entry(MAY, 6)),
        # Nothing ends what is for good.
        ([about("holds", 2, 6), about("compromise", 4, 1), about("whole", 3)], Entry(MAY, 1)),
    ],
)
def test_a_hold_is_ended_by_newer_silence_about_holds_alone(
    tmp_path: Path, lists: list[bytes], expected: Entry | None
) -> None:
    """The lists are at hand, published, and carried; what is settled before is not asked."""
    near, published, carried = lists
    served = material.Served({URL: published})
    trusted = material.trusting(tmp_path, ROOT)
    here = circumstances(tmp_path, trusted, revocation="require", lists=[near], fetcher=served)
    way = [each.view for each in (FETCHED, ISSUING, ROOT)]
    found = Inquiry(here, way, [revocation_list.Crl(carried)]).standing(way[0], way[1])
    assert (found.entry, found.problem) == (expected, "")


def test_of_lists_about_the_same_reasons_the_newest_decides(tmp_path: Path) -> None:
    lists = [about("compromise", 1), about("compromise", 2, 1), about("rest", 3)]
    assert good(standing(tmp_path, [FETCHED, ISSUING, ROOT], lists))


def test_a_hold_that_ended_leaves_open_what_no_list_is_about(tmp_path: Path) -> None:
    found = standing(tmp_path, [FETCHED, ISSUING, ROOT], [about("holds", 2, 6), about("holds", 1)])
    assert found.entry is None
    assert found.problem


def test_a_list_that_does_not_count_now_hides_no_older_one(tmp_path: Path) -> None:
    """Neither one from after the time asked about, nor one that has ended."""
    silent = crl(ISSUING)
    for code, until in ((6, pki.NOW + DAY), (6, pki.NOW - DAY), (1, pki.NOW - DAY)):
        held = crl(ISSUING, entry(serial(PLAIN), MAY, reason(code)), since=pki.NOW - 3 * DAY, until=until)
        for since, end in ((pki.NOW + DAY, pki.NOW + 9 * DAY), (pki.NOW - 2 * DAY, pki.NOW - DAY)):
            useless = crl(ISSUING, since=since, until=end)
            assert standing(tmp_path, WAY, [useless, held]).entry == Entry(MAY, code)
            assert good(standing(tmp_path, WAY, [useless, silent]))


def test_reasons_of_a_distribution_point_limit_what_its_list_says(tmp_path: Path) -> None:
    here = directory(name("Here"))
    limited = signer(point(full=here, reasons=COMPROMISE))
    listed = crl(ISSUING, extensions=[scope(full=here)])
    assert standing(tmp_path, [limited, ISSUING, ROOT], [listed]).problem
    both = signer(point(full=here, reasons=COMPROMISE), point(full=directory(name("There")), reasons=REST))
    rest = crl(ISSUING, extensions=[scope(full=directory(name("There")))])
    assert good(standing(tmp_path, [both, ISSUING, ROOT], [listed, rest]))


# Distribution points


RELATIVE = der.sequence(der.oid("2.5.4.3"), der.utf8("Shard"))
WHOLE = directory(der.sequence(der.parse(ISSUING.name).value, der.encode(der.SET, RELATIVE)))


@pytest.mark.parametrize(
    ("held", "listed", "expected"),
    [
        (point(relative=RELATIVE), scope(relative=RELATIVE), True),
        (point(full=WHOLE), scope(relative=RELATIVE), True),
        (point(relative=RELATIVE), scope(full=WHOLE), True),
        (point(full=directory(name("SHARD"))), scope(full=directory(name(" shard"))), True),
        (point(full=directory(name("Other"))), scope(relative=RELATIVE), False),
        (point(full=directory(name("Other"))), scope(full=directory(ISSUING.name)), True),
    ],
)
def test_points_are_compared_as_names(tmp_path: Path, held: bytes, listed: Extension, *, expected: bool) -> None:
    way = [signer(held), ISSUING, ROOT]
    assert good(standing(tmp_path, way, [crl(ISSUING, extensions=[listed])])) is expected


# Deltas


BASE = crl(ISSUING, extensions=number(5))
HELD = crl(ISSUING, entry(serial(PLAIN), MAY, reason(6)), extensions=number(5))
REMOVED = entry(serial(PLAIN), MAY, reason(8))


def test_a_delta_revokes(tmp_path: Path) -> None:
    delta = crl(ISSUING, entry(serial(PLAIN), MAY, reason(1)), extensions=number(6, 4))
    assert standing(tmp_path, WAY, [BASE, delta]).entry == Entry(MAY, 1)
    assert standing(tmp_path, WAY, [delta]).problem, "a delta without its base"


def test_a_delta_takes_back_a_hold_and_nothing_else(tmp_path: Path) -> None:
    removal = crl(ISSUING, REMOVED, extensions=number(6, 5), since=pki.NOW - DAY / 2)
    found = standing(tmp_path, WAY, [HELD, removal])
    assert good(found)
    assert found.as_of == pki.NOW - DAY / 2
    assert good(standing(tmp_path, WAY, [BASE, removal])), "what was never there"
    unnumbered = crl(ISSUING, entry(serial(PLAIN), MAY, reason(6)))
    assert standing(tmp_path, WAY, [unnumbered, removal]).entry == Entry(MAY, 6)
    for code in (0, 1, 4):
        revoked = crl(ISSUING, entry(serial(PLAIN), MAY, reason(code)), extensions=number(5))
        assert standing(tmp_path, WAY, [revoked, removal]).entry == Entry(MAY, code)


def test_the_newest_delta_counts(tmp_path: Path) -> None:
    again = entry(serial(PLAIN), MAY + DAY, reason(6))
    deltas = [crl(ISSUING, *entries, extensions=number(at, 5)) for at, entries in enumerate([[again], [REMOVED]], 6)]
    for several in (deltas, deltas[::-1]):
        assert good(standing(tmp_path, WAY, [HELD, *several]))
    later = crl(ISSUING, again, extensions=number(8, 5))
    for several in ([later, *deltas], [*deltas, later]):
        assert standing(tmp_path, WAY, [HELD, *several]).entry == Entry(MAY + DAY, 6)
    twins = [crl(ISSUING, REMOVED, extensions=number(7, 5), until=pki.NOW + day * DAY) for day in (2, 3)]
    assert good(standing(tmp_path, WAY, [HELD, *twins])), "two with one number"


@pytest.mark.parametrize(
    "delta",
    [
        crl(ISSUING, REMOVED, extensions=number(5, 4)),
        crl(ISSUING, REMOVED, extensions=number(7, 6)),
        crl(ISSUING, REMOVED, extensions=[*number(6, 5), scope(reasons=COMPROMISE)]),
        crl(ISSUING, REMOVED, extensions=number(6, 5), since=MAY, until=MAY + DAY),
        crl(ISSUING, REMOVED, extensions=[*number(6, 5), Extension("1.2.3.4", der.null(), critical=True)]),
        crl(OTHER, REMOVED, extensions=number(6, 5)),
        crl(ISSUING, REMOVED, extensions=[Extension(x509.CRL_NUMBER, b"junk"), number(6, 5)[1]]),
        crl(ISSUING, REMOVED, extensions=[number(6, 5)[0], Extension(x509.DELTA_CRL_INDICATOR, b"", critical=True)]),
        crl(ISSUING, REMOVED, extensions=[number(6, 5)[1]]),
        list_by_hand(
            pki.Entity(OTHER.key, builders.load_der_x509_certificate(ISSUING.raw)), [REMOVED], extensions=number(6, 5)
        ),
    ],
)
def test_a_delta_that_does_not_fit_takes_nothing_back(tmp_path: Path, delta: bytes) -> None:
    assert standing(tmp_path, WAY, [HELD, delta]).entry == Entry(MAY, 6)


def test_a_delta_makes_no_ended_list_fresh(tmp_path: Path) -> None:
    ended = crl(ISSUING, extensions=number(5), since=MAY, until=MAY + DAY)
    assert standing(tmp_path, WAY, [ended, crl(ISSUING, extensions=number(6, 5))]).problem


JUNK = [b"", b"\x30\x00", b"\x30\x02\xa0\x00", b"\x30\x03\xa2\x01\x00", b"\x30\x80", b"\xff" * 9]


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("oid", [x509.ISSUING_DISTRIBUTION_POINT, x509.DELTA_CRL_INDICATOR])
def test_a_list_full_of_junk_does_not_hide_another(tmp_path: Path, oid: str, junk: bytes) -> None:
    listed = crl(ISSUING, entry(serial(PLAIN), MAY), extensions=number(5), since=pki.NOW - 2 * DAY)
    odd = crl(ISSUING, extensions=[Extension(oid, junk, critical=True)])
    assert standing(tmp_path, WAY, [listed, odd]).entry == Entry(MAY)
    assert not standing(tmp_path, WAY, [odd]).entry


@pytest.mark.parametrize("junk", JUNK)
def test_distribution_points_that_cannot_be_read_leave_the_standing_open(tmp_path: Path, junk: bytes) -> None:
    held = cert("Signer", ISSUING, extensions=[purposes(material.CODE), Extension(x509.CRL_DISTRIBUTION_POINTS, junk)])
    found = standing(tmp_path, [held, ISSUING, ROOT], [crl(ISSUING, extensions=[scope(reasons=COMPROMISE)])])
    assert found.entry is None
    assert found.problem


def test_an_old_list_that_still_holds_says_nothing_beside_a_newer_one(tmp_path: Path) -> None:
    silent = crl(ISSUING, since=pki.NOW - 3 * DAY)
    assert standing(tmp_path, WAY, [silent, crl(ISSUING, entry(serial(PLAIN), MAY))]).entry == Entry(MAY)
    odd = crl(ISSUING, entry(b"\x01", MAY, Extension("1.2.3.4", der.null(), critical=True)))
    assert standing(tmp_path, WAY, [odd]).problem, "one that must not be used"


def test_large_certificates_are_looked_up_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CERTIFICATE_KEPT_MAX", 0)
    assert good(standing(tmp_path, WAY, [crl(ISSUING)]))
    assert standing(tmp_path, WAY, [crl(ISSUING, entry(serial(PLAIN), MAY))]).entry == Entry(MAY)


# Lists that came along


def test_lists_that_came_along_count_too(tmp_path: Path) -> None:
    here = circumstances(tmp_path, material.trusting(tmp_path, ROOT), revocation="require")
    revoking = crl(ISSUING, entry(serial(PLAIN), MAY, reason(1)), extensions=number(6, 5))
    for raws, expected in ((BASE,), None), ((BASE, revoking), Entry(MAY, 1)):
        carried: list[Crl] = [revocation_list.Crl(raw) for raw in raws]
        found = Inquiry(here, [each.view for each in WAY], carried).standing(PLAIN.view, ISSUING.view)
        assert (found.entry, found.problem) == (expected, "")
    at_hand = circumstances(tmp_path, material.trusting(tmp_path, ROOT), revocation="require", lists=[BASE])
    inquiry = Inquiry(at_hand, [each.view for each in WAY], [revocation_list.Crl(revoking)])
    assert inquiry.standing(PLAIN.view, ISSUING.view).entry == Entry(MAY, 1)
    delta = crl(ISSUING, entry(serial(FETCHED), MAY, reason(1)), extensions=number(6, 5))
    served = material.Served({URL: BASE})
    at_hand = circumstances(tmp_path, at_hand.store, revocation="require", lists=[delta], fetcher=served)
    found = Inquiry(at_hand, [each.view for each in (FETCHED, *WAY[1:])]).standing(FETCHED.view, ISSUING.view)
    assert found.entry == Entry(MAY, 1)
    served = material.Served({})
    at_hand = circumstances(tmp_path, at_hand.store, revocation="require", lists=[BASE], fetcher=served)
    inquiry = Inquiry(at_hand, [each.view for each in (FETCHED, *WAY[1:])], [revocation_list.Crl(HELD)])
    assert good(inquiry.standing(FETCHED.view, ISSUING.view))
    assert served.asked == []
    at_hand.collector = evidence.Collector(str(tmp_path / "used"))
    assert good(Inquiry(at_hand, [each.view for each in WAY]).standing(PLAIN.view, ISSUING.view))
    assert at_hand.collector.count == 1
    second = cert("Issuing", ROOT, key="lists", extensions=LISTS)
    by_another = circumstances(tmp_path, at_hand.store, revocation="require", lists=[crl(second), crl(ROOT)])
    by_another.collector = evidence.Collector(str(tmp_path / "others"))
    assert good(Inquiry(by_another, [each.view for each in WAY], (), [second.raw]).standing(PLAIN.view, ISSUING.view))
    assert len(list((tmp_path / "others").glob("*.crl"))) == 2
