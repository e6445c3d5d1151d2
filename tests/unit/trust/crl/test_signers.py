"""Who signs lists in place of the issuer: other keys of it, issuers of indirect lists, and nobody else."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.envelopes import der, x509
from chopmark.trust.context import Besides, Context
from chopmark.trust.crl import origins
from chopmark.trust.crl.entry import ALL_REASONS, Entry, UnusableError
from chopmark.trust.crl.revocation_list import Crl
from chopmark.trust.evidence import Collector
from chopmark.trust.standing import Inquiry
from chopmark.trust.stores import store
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Cert, Extension, circumstances, entry, make, name
from tests.unit.trust.test_standing import (
    DAY,
    HELD,
    ISSUING,
    LISTS,
    MAY,
    OTHER,
    PLAIN,
    REMOVED,
    ROOT,
    WAY,
    cert,
    crl,
    directory,
    good,
    number,
    of_issuer,
    point,
    reason,
    scope,
    serial,
    signer,
    standing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


@pytest.mark.parametrize("limit", ["CRL_SIGNER_DEPTH_MAX", "CRL_SEARCHES_MAX"])
@pytest.mark.parametrize("allowed", [0, 1])
def test_signers_that_hang_on_each_other_and_searches_are_limited(
    tmp_path: Path, limit: str, allowed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, limit, allowed)
    assert good(standing(tmp_path, WAY, [crl(SECOND), crl(ROOT)], [SECOND])) is bool(allowed)


def test_an_authority_may_have_had_another_key_before(tmp_path: Path) -> None:
    """Two above the certificate have the same name; the upper one certified the signer."""
    old = cert("Issuing", ROOT, key="old")
    new = cert("Issuing", old, key="new")
    leaf = signer(issuer=new)
    by_old = with_key(old)
    listed = crl(by_old, entry(serial(leaf), MAY))
    assert standing(tmp_path, [leaf, new, old, ROOT], [listed], [by_old]).entry == Entry(MAY)


def test_a_signer_leads_to_the_anchor_that_the_certificate_leads_to(tmp_path: Path) -> None:
    by_issuer = with_key(ISSUING)
    held = tmp_path / "anchor.pem"
    held.write_bytes(b"# chopmark: trust=anchor\n" + material.pem(ISSUING.raw))
    lists = [crl(by_issuer, entry(serial(PLAIN), MAY)), crl(ROOT)]
    for way, expected in ((WAY, None), (WAY[:2], Entry(MAY))):
        here = circumstances(tmp_path, store.load([str(held)]), revocation="require", lists=lists)
        inquiry = Inquiry(here, [each.view for each in way], (), [by_issuer.raw])
        assert inquiry.standing(PLAIN.view, ISSUING.view).entry == expected


def test_who_signed_a_list_is_collected_with_it(tmp_path: Path) -> None:
    collector = Collector(str(tmp_path / "evidence"))
    lists = origins.CrlSource(cache=str(tmp_path))
    here = Context(material.trusting(tmp_path, ROOT), pki.NOW, "require", lists, besides=Besides(collector=collector))
    came = [Crl(crl(SECOND)), Crl(crl(ROOT))]
    assert good(Inquiry(here, [each.view for each in WAY], came, [SECOND.raw]).standing(PLAIN.view, ISSUING.view))
    held = {path.read_bytes() for path in (tmp_path / "evidence").iterdir()}
    assert held == {SECOND.raw, ROOT.raw, *(each.raw for each in came)}


def test_nobody_vouches_for_themselves(tmp_path: Path) -> None:
    # A new key that the issuer certified itself: only a list by the old key says that it was not revoked.
    renewed = with_key(ISSUING)
    own = crl(renewed, since=pki.NOW - DAY / 2)
    assert standing(tmp_path, WAY, [own, crl(ROOT)], [renewed]).problem
    assert good(standing(tmp_path, [renewed, ISSUING, ROOT], [own, crl(ISSUING), crl(ROOT)], [renewed]))
    assert standing(tmp_path, [renewed, ISSUING, ROOT], [own, crl(ROOT)], [renewed]).problem


# Keys that are too short by now, whatever a list says of when it was made


@pytest.mark.parametrize(
    ("kind", "at", "expected"),
    [("rsa1024", "2025-12-31", True), ("rsa1024", "2026-01-01", False), ("rsa2048", "2026-01-01", True)],
)
def test_the_silence_of_a_list_by_a_short_key_does_not_count(
    tmp_path: Path, kind: str, at: str, monkeypatch: pytest.MonkeyPatch, *, expected: bool
) -> None:
    """Whom it names is revoked all the same; and a store vouches for the keys of its anchors."""
    monkeypatch.setattr(limits, "RSA_1024_SUNSET", material.day("2026-01-01"))
    short = make(name("Short"), pki.key(kind), ROOT, extensions=material.ca_extensions())
    leaf = cert("Signer", short)
    pinned = tmp_path / "short.pem"
    pinned.write_bytes(b"# chopmark: trust=anchor\n" + material.pem(short.raw))
    for trusted, way in (
        (material.trusting(tmp_path, ROOT), [leaf, short, ROOT]),
        (store.load([str(pinned)]), [leaf, short]),
    ):
        for entries in ([], [entry(serial(leaf), MAY)]):
            lists = [crl(short, *entries, since=pki.SINCE)]
            here = circumstances(tmp_path, trusted, revocation="require", lists=lists, at=material.day(at))
            found = Inquiry(here, [each.view for each in way]).standing(leaf.view, short.view)
            assert good(found) is (not entries and (expected or way[-1] is short))
            assert found.entry == (Entry(MAY) if entries else None)


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


HERE, FOREIGN = directory(name("Here")), der.implicit(2, b"lists.example")
RELATIVE = der.sequence(der.oid("2.5.4.3"), der.utf8("Shard"))
BY_LISTER = directory(LISTER.name)
SOME, REST = b"\x05\x60", b"\x07\x1f\x80"


@pytest.mark.parametrize(
    ("points", "issuer", "said", "expected"),
    [
        ([point(issuer=BY_LISTER, reasons=SOME), point(issuer=HERE, reasons=REST)], LISTER, INDIRECT, {1, 2}),
        ([point(issuer=BY_LISTER)], LISTER, scope(reasons=SOME), set()),
        ([point(issuer=BY_LISTER)], OTHER, INDIRECT, set()),
        ([point(issuer=FOREIGN + BY_LISTER)], LISTER, scope(reasons=SOME, indirect=True), {1, 2}),
        ([point(full=HERE, issuer=BY_LISTER)], LISTER, scope(full=HERE, indirect=True), ALL_REASONS),
        ([point(full=HERE, issuer=BY_LISTER)], ISSUING, scope(full=HERE), set()),
        ([point(full=HERE, issuer=BY_LISTER)], ISSUING, scope(full=HERE, indirect=True), set()),
        ([point(full=HERE, issuer=FOREIGN)], ISSUING, scope(full=HERE), set()),
        ([point(full=HERE, issuer=FOREIGN), point(full=HERE)], ISSUING, scope(full=HERE), ALL_REASONS),
        ([point(relative=RELATIVE, issuer=BY_LISTER)], LISTER, scope(relative=RELATIVE, indirect=True), ALL_REASONS),
        (
            [point(relative=RELATIVE, issuer=BY_LISTER + directory(OTHER.name))],
            LISTER,
            scope(relative=RELATIVE, indirect=True),
            ALL_REASONS,
        ),
        ([point(relative=RELATIVE)], LISTER, scope(relative=RELATIVE, indirect=True), set()),
        ([point(issuer=BY_LISTER)], LISTER, scope(full=BY_LISTER, indirect=True), ALL_REASONS),
    ],
)
def test_a_point_leads_to_the_lists_of_the_issuer_that_it_names(
    points: list[bytes], issuer: Cert, said: Extension, expected: set[int]
) -> None:
    """RFC 5280 clause 6.3.3 (b) (1) and (2) (i), and (d)."""
    listed = Crl(crl(issuer, extensions=[said]))
    certificate = signer(*points).view
    if expected:
        assert listed.coverage(certificate) == expected
    else:
        with pytest.raises(UnusableError):
            listed.coverage(certificate)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (der.sequence(der.explicit(0, der.explicit(0, HERE)), der.null()), scope(full=HERE)),
        (der.sequence(der.explicit(0, der.explicit(2, HERE))), scope(full=HERE)),
        (
            point(full=HERE),
            Extension(x509.ISSUING_DISTRIBUTION_POINT, der.sequence(der.explicit(0, der.explicit(2, HERE)))),
        ),
    ],
)
def test_points_with_parts_that_nobody_knows_cannot_be_read(held: bytes, said: Extension) -> None:
    with pytest.raises(der.DerError):
        Crl(crl(ISSUING, extensions=[said])).coverage(signer(held).view)


def test_a_number_with_the_same_checksum_is_another(tmp_path: Path) -> None:
    mine, other = b"\x01\x23\x45\x67\x00", b"\x40\x25\x34\xbc\x01"
    assert zlib.crc32(mine) == zlib.crc32(other)
    points = [material.purposes(material.CODE), pointing(LISTER.name)]
    held = make(name("Signer"), PLAIN.key, ISSUING, serial=mine, extensions=points)
    for listed, revoked in ((other, False), (mine, True)):
        for issuer, more in ((ISSUING, []), (LISTER, [of_issuer(ISSUING.name)])):
            scoped = [INDIRECT] if more else []
            lists = [crl(issuer, entry(listed, MAY, *more), extensions=scoped), crl(ROOT)]
            found = standing(tmp_path, [held, ISSUING, ROOT], lists, [LISTER])
            assert good(found) is not revoked
            assert (found.entry is not None) is revoked


def test_a_delta_of_another_issuer_is_not_added(tmp_path: Path) -> None:
    """Though both may speak about the certificate, and say the same of what they are about."""
    removal = entry(serial(POINTED), MAY, reason(8), of_issuer(ISSUING.name))
    delta = crl(LISTER, removal, extensions=[INDIRECT, *number(6, 5)])
    for base, expected in ((LISTER, None), (ISSUING, Entry(MAY, 6))):
        held = entry(serial(POINTED), MAY, reason(6), of_issuer(ISSUING.name))
        lists = [crl(base, held, extensions=[INDIRECT, *number(5)]), delta, crl(ROOT)]
        assert standing(tmp_path, POINTED_WAY, lists, [LISTER]).entry == expected


def test_a_stranger_with_the_name_of_an_issuer_of_lists_hides_nothing(tmp_path: Path) -> None:
    """Another authority below the same root can give out any name."""
    stranger = with_key(OTHER, label="Lister", key="stranger")
    naming = crl(LISTER, entry(serial(POINTED), MAY, of_issuer(ISSUING.name)), extensions=[INDIRECT], since=MAY)
    silent = crl(stranger, extensions=[INDIRECT])
    lists = [naming, silent, crl(ROOT), crl(OTHER)]
    assert standing(tmp_path, POINTED_WAY, lists, [LISTER, stranger, OTHER]).entry == Entry(MAY)
    assert standing(tmp_path, POINTED_WAY, lists[1:], [stranger, OTHER]).problem
    held = tmp_path / "store.pem"
    held.write_bytes(material.pem(ROOT.raw) + material.pem(OTHER.raw))  # where a way to the stranger is always found
    here = circumstances(tmp_path, store.load([str(held)]), revocation="require", lists=lists[1:])
    inquiry = Inquiry(here, [each.view for each in POINTED_WAY], (), [stranger.raw])
    assert inquiry.standing(POINTED.view, ISSUING.view).problem


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
