"""What lists say together: parts by reason, deltas, lists by other keys and by other issuers."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders

from chopmark.core import limits
from chopmark.envelopes import der, x509
from chopmark.trust.crl import revocation_list
from chopmark.trust.crl.entry import Entry
from chopmark.trust.standing import Inquiry, Standing
from chopmark.trust.stores import store
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
COMPROMISE, REST = b"\x05\x60", b"\x07\x9f\x80"
"""ReasonFlags: both compromises; everything else."""


# Lists about some reasons


def test_lists_about_some_reasons_have_to_cover_all_together(tmp_path: Path) -> None:
    first = crl(ISSUING, extensions=[scope(reasons=COMPROMISE)], until=pki.NOW + 6 * DAY)
    second = crl(ISSUING, extensions=[scope(reasons=REST)], since=pki.NOW - 2 * DAY)
    found = standing(tmp_path, WAY, [first, second])
    assert good(found)
    assert (found.as_of, found.until) == (pki.NOW - 2 * DAY, pki.NOW + 6 * DAY)
    for part in (first, second):
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


def ended(*entries: bytes) -> bytes:
    return crl(ISSUING, *entries, since=MAY, until=JUNE)


JUNE, LATER = MAY + 30 * DAY, pki.NOW + DAY
NAMED, ON_HOLD = entry(serial(PLAIN), MAY), entry(serial(PLAIN), MAY, reason(6))
ENDED_LATER = crl(ISSUING, since=JUNE, until=JUNE + DAY)


@pytest.mark.parametrize(
    ("newer", "older", "expected"),
    [
        (ENDED_LATER, ended(NAMED), Entry(MAY)),
        (crl(ISSUING, since=LATER), ended(NAMED), Entry(MAY)),
        (crl(ISSUING, since=LATER), crl(ISSUING), "good"),
        (crl(ISSUING, since=LATER), crl(ISSUING, ON_HOLD), Entry(MAY, 6)),
        (ENDED_LATER, ended(ON_HOLD), Entry(MAY, 6)),
        (ENDED_LATER, ended(), "open"),
        (ENDED_LATER, crl(ISSUING, ON_HOLD), Entry(MAY, 6)),
    ],
)
def test_silence_that_does_not_count_hides_nothing(
    tmp_path: Path, newer: bytes, older: bytes, expected: Entry | str
) -> None:
    found = standing(tmp_path, WAY, [newer, older])
    assert found.entry == (expected if isinstance(expected, Entry) else None)
    assert good(found) is (expected == "good")


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
    removal = crl(ISSUING, REMOVED, extensions=number(6, 5))
    assert good(standing(tmp_path, WAY, [HELD, removal]))
    for code in (0, 1, 4):
        revoked = crl(ISSUING, entry(serial(PLAIN), MAY, reason(code)), extensions=number(5))
        assert standing(tmp_path, WAY, [revoked, removal]).entry == Entry(MAY, code)


@pytest.mark.parametrize(
    "delta",
    [
        crl(ISSUING, REMOVED, extensions=number(5, 4)),
        crl(ISSUING, REMOVED, extensions=number(7, 6)),
        crl(ISSUING, REMOVED, extensions=[*number(6, 5), scope(reasons=COMPROMISE)]),
        crl(ISSUING, REMOVED, extensions=number(6, 5), since=MAY, until=MAY + DAY),
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


# Lists by other keys of the issuer


def with_key(issuer: Cert, *, label: str = "Issuing", key: str = "lists", extensions: Sequence[Extension] = ()) -> Cert:
    """A certificate for signing lists alone."""
    return cert(label, issuer, key=key, extensions=[*LISTS, *extensions])


SECOND = with_key(ROOT)


def test_another_key_of_the_issuer_may_sign_when_the_root_says_so(tmp_path: Path) -> None:
    lists = [crl(SECOND), crl(ROOT)]
    assert good(standing(tmp_path, WAY, lists, [SECOND]))
    assert standing(tmp_path, WAY, lists).problem, "its certificate is not at hand"
    named = [crl(SECOND, entry(serial(PLAIN), MAY)), crl(ROOT)]
    assert standing(tmp_path, WAY, named, [SECOND]).entry == Entry(MAY)


def test_the_silence_of_a_signer_whose_own_standing_is_unknown_does_not_count(tmp_path: Path) -> None:
    assert standing(tmp_path, WAY, [crl(SECOND)], [SECOND]).problem
    named = crl(SECOND, entry(serial(PLAIN), MAY))
    assert standing(tmp_path, WAY, [named], [SECOND]).entry == Entry(MAY)


def test_a_delta_by_a_signer_whose_own_standing_is_unknown_takes_nothing_back(tmp_path: Path) -> None:
    lists = [HELD, crl(SECOND, REMOVED, extensions=number(6, 5))]
    assert standing(tmp_path, WAY, lists, [SECOND]).entry == Entry(MAY, 6)
    assert good(standing(tmp_path, WAY, [*lists, crl(ROOT)], [SECOND]))


def test_a_signer_of_lists_that_was_revoked_counts_for_nothing(tmp_path: Path) -> None:
    found = standing(tmp_path, WAY, [crl(SECOND), crl(ROOT, entry(serial(SECOND), MAY))], [SECOND])
    assert found.problem


@pytest.mark.parametrize(
    "stranger",
    [
        with_key(OTHER),
        with_key(cert("Another Root")),
        cert("Issuing", ROOT, key="lists", extensions=material.ca_extensions(ca=False, usage=b"\x07\x80")),
        cert("Issuing", key="lists"),
        make(name("Issuing"), pki.key("p256", "lists"), ROOT, extensions=LISTS, until=pki.NOW - DAY),
        with_key(ROOT, label="Somebody"),
    ],
)
def test_a_stranger_with_the_issuers_name_may_not_sign(tmp_path: Path, stranger: Cert) -> None:
    """Nor may somebody whose certificate ended, or is for somebody else; whom they name is not revoked either."""
    speaker = stranger._replace(raw=ISSUING.raw)
    for entries in ([], [entry(serial(PLAIN), MAY)]):
        found = standing(tmp_path, WAY, [crl(speaker, *entries), crl(ROOT), crl(OTHER)], [stranger, OTHER])
        assert found.entry is None
        assert found.problem


def test_somebody_without_key_usage_may_sign(tmp_path: Path) -> None:
    free = cert("Issuing", ROOT, key="free", extensions=[material.ca_extensions(ca=False)[0]])
    assert good(standing(tmp_path, WAY, [crl(free), crl(ROOT)], [free]))


def impostors(count: int, *more: Extension, usage: bytes = b"\x01\x02", label: str = "Issuing") -> list[Cert]:
    """Certificates for the key of SECOND by somebody whom nobody trusts."""
    extensions = [*material.ca_extensions(ca=False, usage=usage), *more]
    nowhere = cert("Nowhere")
    return [
        make(name(label), SECOND.key, nowhere, extensions=extensions, serial=bytes([1, each + 1]))
        for each in range(count)
    ]


TRIED = limits.CRL_SIGNERS_MAX


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (impostors(TRIED - 1), True),
        (impostors(TRIED), False),
        (impostors(1) * TRIED, True),
        (impostors(TRIED, usage=b"\x01\x06"), False),
        (impostors(TRIED, usage=b"\x07\x80"), True),
        (impostors(TRIED, label="Somebody"), True),
        ([make(name("Issuing"), SECOND.key, extensions=[Extension(x509.KEY_USAGE, b"junk")])], True),
        ([SECOND._replace(raw=b"junk")], True),
    ],
)
def test_only_so_many_who_may_have_signed_a_list_are_tried(
    tmp_path: Path, before: list[Cert], *, expected: bool
) -> None:
    assert good(standing(tmp_path, WAY, [crl(SECOND), crl(ROOT)], [*before, SECOND])) is expected


def test_what_came_along_crowds_out_no_signer_in_the_store(tmp_path: Path) -> None:
    """A revoked signer sends certificates for the key that signs the lists, in the hope that nobody else is tried."""
    held = tmp_path / "store.pem"
    held.write_bytes(material.pem(ROOT.raw) + material.pem(SECOND.raw))
    lists = [crl(SECOND, entry(serial(PLAIN), MAY)), crl(ROOT)]
    here = circumstances(tmp_path, store.load([str(held)]), revocation="require", lists=lists)
    inquiry = Inquiry(here, [each.view for each in WAY], (), [each.raw for each in impostors(TRIED)])
    assert inquiry.standing(PLAIN.view, ISSUING.view).entry == Entry(MAY)


@pytest.mark.parametrize("depth", [0, 1])
def test_signers_hang_on_each_other_only_so_deep(tmp_path: Path, depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CRL_SIGNER_DEPTH_MAX", depth)
    assert good(standing(tmp_path, WAY, [crl(SECOND), crl(ROOT)], [SECOND])) is bool(depth)


def test_nobody_vouches_for_themselves(tmp_path: Path) -> None:
    # A new key that the issuer certified itself: only a list by the old key says that it was not revoked.
    renewed = with_key(ISSUING)
    own = crl(renewed, since=pki.NOW - DAY / 2)
    assert standing(tmp_path, WAY, [own, crl(ROOT)], [renewed]).problem
    assert good(standing(tmp_path, [renewed, ISSUING, ROOT], [own, crl(ISSUING), crl(ROOT)], [renewed]))
    assert standing(tmp_path, [renewed, ISSUING, ROOT], [own, crl(ROOT)], [renewed]).problem


# Indirect lists


def pointing(subject: bytes) -> Extension:
    """Says that somebody else issues the lists."""
    return Extension(x509.CRL_DISTRIBUTION_POINTS, der.sequence(point(issuer=directory(subject))))


MIDDLE = cert("Pinned", ROOT)
BELOW = cert("Below", MIDDLE)
LISTER = with_key(ROOT, label="Lister")
POINTED = signer(point(issuer=directory(LISTER.name)))
POINTED_WAY = [POINTED, ISSUING, ROOT]
INDIRECT = scope(indirect=True)


def test_another_issuer_speaks_when_the_certificate_says_so(tmp_path: Path) -> None:
    lists = [crl(LISTER, extensions=[INDIRECT]), crl(ROOT)]
    assert good(standing(tmp_path, POINTED_WAY, lists, [LISTER]))
    assert standing(tmp_path, WAY, lists, [LISTER]).problem, "this certificate does not say so"
    direct = [crl(LISTER), crl(ROOT)]
    assert standing(tmp_path, POINTED_WAY, direct, [LISTER]).problem, "this list is not an indirect one"


def test_a_stranger_with_the_name_of_an_issuer_of_lists_hides_nothing(tmp_path: Path) -> None:
    """Another authority below the same root can give out any name."""
    stranger = with_key(OTHER, label="Lister", key="stranger")
    naming = crl(LISTER, entry(serial(POINTED), MAY, of_issuer(ISSUING.name)), extensions=[INDIRECT], since=MAY)
    silent = crl(stranger, extensions=[INDIRECT])
    lists = [naming, silent, crl(ROOT), crl(OTHER)]
    assert standing(tmp_path, POINTED_WAY, lists, [LISTER, stranger, OTHER]).entry == Entry(MAY)
    assert standing(tmp_path, POINTED_WAY, lists[1:], [stranger, OTHER]).problem


def test_who_is_trusted_issues_lists_for_others(tmp_path: Path) -> None:
    """Also where somebody above them exists, whom nobody asks for."""
    pointed = signer(point(issuer=directory(MIDDLE.name)), issuer=BELOW)
    held = tmp_path / "anchor.pem"
    held.write_bytes(b"# chopmark: trust=anchor\n" + material.pem(MIDDLE.raw))
    here = circumstances(
        tmp_path, store.load([str(held)]), revocation="require", lists=[crl(MIDDLE, extensions=[INDIRECT])]
    )
    inquiry = Inquiry(here, [each.view for each in (pointed, BELOW, MIDDLE)])
    assert good(inquiry.standing(pointed.view, BELOW.view))


def test_an_issuer_of_lists_may_be_told_to_speak_about_itself(tmp_path: Path) -> None:
    own = with_key(ISSUING, label="Own", extensions=[pointing(name("Own"))])
    way = [own, ISSUING, ROOT]
    assert good(standing(tmp_path, way, [crl(own, extensions=[INDIRECT])]))
    named = crl(own, entry(serial(own), MAY, of_issuer(ISSUING.name)), extensions=[INDIRECT])
    assert standing(tmp_path, way, [named]).entry == Entry(MAY)


def test_an_issuer_of_lists_below_another_trusted_root_does_not_speak(tmp_path: Path) -> None:
    another = cert("Another Root")
    lister = with_key(another, label="Lister")
    named = entry(serial(POINTED), MAY, of_issuer(ISSUING.name))
    for entries in ([], [named]):
        lists = [crl(lister, *entries, extensions=[INDIRECT]), crl(another), crl(ROOT)]
        trusted = material.trusting(tmp_path, ROOT, another)
        here = circumstances(tmp_path, trusted, revocation="require", lists=lists)
        inquiry = Inquiry(here, [each.view for each in POINTED_WAY], (), [lister.raw])
        found = inquiry.standing(POINTED.view, ISSUING.view)
        assert found.entry is None
        assert found.problem


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([entry(b"\x05", MAY, of_issuer(ISSUING.name))], True),
        ([entry(b"\x05", MAY, of_issuer(OTHER.name))], False),
        ([entry(b"\x05", MAY, of_issuer(ISSUING.name)), entry(b"\x06", MAY, of_issuer(OTHER.name))], False),
        ([entry(b"\x05", MAY, of_issuer(ISSUING.name)), entry(b"\x06", MAY)], True),
        ([], False),
    ],
)
def test_an_entry_is_about_the_issuer_that_stands_last_before_it(
    tmp_path: Path, before: list[bytes], *, expected: bool
) -> None:
    listed = crl(LISTER, *before, entry(serial(POINTED), MAY), extensions=[INDIRECT])
    found = standing(tmp_path, POINTED_WAY, [listed, crl(ROOT)], [LISTER])
    assert (found.entry is not None) is expected


def test_an_indirect_list_that_names_an_issuer_by_no_name_is_not_used(tmp_path: Path) -> None:
    odd = Extension(x509.CERTIFICATE_ISSUER, der.sequence(der.implicit(2, b"ca.example")), critical=True)
    listed = crl(LISTER, entry(b"\x05", MAY, odd), extensions=[INDIRECT])
    assert standing(tmp_path, POINTED_WAY, [listed, crl(ROOT)], [LISTER]).problem


def test_lists_that_came_along_count_too(tmp_path: Path) -> None:
    here = circumstances(tmp_path, material.trusting(tmp_path, ROOT), revocation="require")
    revoking = crl(ISSUING, entry(serial(PLAIN), MAY, reason(1)), extensions=number(6, 5))
    for raws, expected in ((BASE,), None), ((BASE, revoking), Entry(MAY, 1)):
        carried: list[Crl] = [revocation_list.Crl(raw) for raw in raws]
        found = Inquiry(here, [each.view for each in WAY], carried).standing(PLAIN.view, ISSUING.view)
        assert (found.entry, found.problem) == (expected, "")


# Authorities that would speak for themselves


def middle(*points: bytes) -> Cert:
    """An authority below the root, about which lists are asked for at these points."""
    told = [Extension(x509.CRL_DISTRIBUTION_POINTS, der.sequence(*points))] if points else []
    return cert("Middle", ROOT, extensions=[*material.ca_extensions(), *told])


@pytest.mark.parametrize(
    ("authority", "label", "extensions"),
    [
        (middle(), "Root", []),
        (middle(point(issuer=directory(material.name("Friend")))), "Friend", [INDIRECT]),
    ],
)
def test_an_authority_does_not_certify_who_speaks_about_it(
    tmp_path: Path, authority: Cert, label: str, extensions: list[Extension]
) -> None:
    """Neither under the name of its issuer nor as somebody its issuer points to: its standing would hang on itself."""
    friend = with_key(authority, label=label, key="friend")
    assert friend.name == (ROOT.name if label == "Root" else material.name("Friend"))
    named = entry(serial(authority), MAY, *([of_issuer(ROOT.name)] if extensions else []))
    lists = [crl(friend, extensions=extensions), crl(authority)]
    for listed in (lists, [crl(friend, named, extensions=extensions), crl(authority)]):
        found = standing(tmp_path, [authority, ROOT], listed, [friend, authority])
        assert found.entry is None
        assert found.problem
    below = cert("Below", authority, extensions=material.ca_extensions())
    here = circumstances(tmp_path, material.trusting(tmp_path, ROOT), revocation="require", lists=lists)
    inquiry = Inquiry(here, [each.view for each in (below, authority, ROOT)], (), [friend.raw, authority.raw])
    assert inquiry.standing(authority.view, ROOT.view).problem
