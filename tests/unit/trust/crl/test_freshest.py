"""Deltas that are fetched from where certificates and lists say (RFC 5280 clauses 4.2.1.15, 5.2.6 and 6.3.3)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders

from chopmark.core import limits
from chopmark.envelopes import der, x509
from chopmark.trust import context, evidence
from chopmark.trust.belief import Carried, believe
from chopmark.trust.crl import origins
from chopmark.trust.moment import Moment
from chopmark.trust.stores import store
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Cert, Extension, Served, ca_extensions, codes, entry, list_by_hand, make, name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NOW, DAY = pki.NOW, dt.timedelta(days=1)
BASE_URL, DELTA_URL = "http://ca.example/base.crl", "http://ca.example/delta.crl"
ROOT = make(name("Fresh Root"), pki.key("p256", "fresh root"), extensions=ca_extensions())
OTHER = make(name("Fresh Other"), pki.key("p256", "fresh other"), extensions=ca_extensions())


def points(*urls: str) -> bytes:
    uris = b"".join(der.implicit(6, url.encode()) for url in urls)
    return der.sequence(der.sequence(der.explicit(0, der.explicit(0, uris))))


def freshest(*urls: str) -> Extension:
    return Extension(x509.FRESHEST_CRL, points(*urls))


def signer(*more: Extension) -> Cert:
    told = Extension(x509.CRL_DISTRIBUTION_POINTS, points(BASE_URL))
    return make(
        name("Fresh Signer"),
        pki.key("p256", "fresh signer"),
        ROOT,
        extensions=[material.purposes(material.CODE), told, *more],
    )


PLAIN = signer()
NAMING = signer(freshest(DELTA_URL))
SERIAL = PLAIN.view.serial_octets
REVOKED = entry(SERIAL, NOW - 2 * DAY)
HELD = entry(SERIAL, NOW - 2 * DAY, Extension(x509.CRL_REASON, b"\x0a\x01\x06"))
RELEASED = entry(SERIAL, NOW - DAY, Extension(x509.CRL_REASON, b"\x0a\x01\x08"))


def crl(
    number: int,
    *entries: bytes,
    base: int | None = None,
    more: Sequence[Extension] = (),
    issuer: Cert = ROOT,
    until: dt.datetime = NOW + DAY,
) -> bytes:
    told = [Extension(x509.CRL_NUMBER, der.integer(number)), *more]
    if base is not None:
        told.append(Extension(x509.DELTA_CRL_INDICATOR, der.integer(base), critical=True))
    held = pki.Entity(issuer.key, builders.load_der_x509_certificate(issuer.raw))
    return list_by_hand(held, entries, extensions=told, until=until)


def by_hand(*entries: bytes, more: Sequence[Extension] = ()) -> bytes:
    """A list without a number of its own."""
    return list_by_hand(pki.Entity(ROOT.key, builders.load_der_x509_certificate(ROOT.raw)), entries, extensions=more)


def judged(
    folder: Path, leaf: Cert, bodies: Mapping[str, bytes], mode: str = "require"
) -> tuple[set[str], set[str], Served]:
    """What speaks against a signer, what is remarked, and the network that was asked."""
    folder.mkdir(exist_ok=True)
    network = Served(bodies)
    here = material.circumstances(folder, material.trusting(folder, ROOT), revocation=mode, fetcher=network)
    belief = believe(leaf.view, Carried((), ()), "code-signing", Moment(NOW), here)
    return codes(belief.findings), codes(belief.findings, "info"), network


MISSING = "revocation.delta_unavailable"


@pytest.mark.parametrize(
    ("leaf", "told"), [(NAMING, ()), (PLAIN, (freshest(DELTA_URL),)), (NAMING, (freshest(DELTA_URL),))]
)
def test_what_a_delta_revokes_is_revoked_wherever_it_is_named(
    tmp_path: Path, leaf: Cert, told: Sequence[Extension]
) -> None:
    base = crl(5, more=told)
    against, remarks, network = judged(tmp_path, leaf, {BASE_URL: base, DELTA_URL: crl(6, REVOKED, base=5)})
    assert against == {"revocation.revoked"}
    assert MISSING not in remarks
    assert network.asked == [BASE_URL, DELTA_URL]
    assert judged(tmp_path / "silent", leaf, {BASE_URL: base, DELTA_URL: crl(6, base=5)})[0] == set()


def test_a_delta_takes_back_a_hold(tmp_path: Path) -> None:
    bodies = {BASE_URL: crl(5, HELD), DELTA_URL: crl(6, RELEASED, base=5)}
    assert judged(tmp_path, NAMING, bodies)[0] == set()
    assert judged(tmp_path / "b", NAMING, {BASE_URL: bodies[BASE_URL]})[0] == {"revocation.on_hold"}


def test_nobody_asks_for_a_delta_of_what_is_revoked_for_good(tmp_path: Path) -> None:
    against, _, network = judged(tmp_path, NAMING, {BASE_URL: crl(5, REVOKED), DELTA_URL: crl(6, RELEASED, base=5)})
    assert against == {"revocation.revoked"}
    assert network.asked == [BASE_URL]


@pytest.mark.parametrize(
    "delta",
    [
        None,
        b"",
        b"<html>",
        crl(5),
        crl(6),
        crl(6, RELEASED, base=6),
        crl(6, RELEASED, base=5, issuer=OTHER),
        crl(6, RELEASED, base=5, more=[Extension(x509.AUTHORITY_KEY_ID, der.sequence(der.implicit(0, b"x")))]),
    ],
    ids=["none", "empty", "a page", "the list", "complete", "for a later list", "another's", "another key"],
)
def test_without_its_delta_a_list_counts_by_itself(tmp_path: Path, delta: bytes | None) -> None:
    """It does for the good and for what is held, and that the delta is missing is told."""
    bodies = {} if delta is None else {DELTA_URL: delta}
    against, remarks, _ = judged(tmp_path, NAMING, {BASE_URL: crl(5), **bodies})
    assert against == set()
    assert MISSING in remarks
    held, remarks, _ = judged(tmp_path / "held", NAMING, {BASE_URL: crl(5, HELD), **bodies})
    assert held == {"revocation.on_hold"}
    assert MISSING in remarks


def test_numbers_that_are_missing_or_no_numbers_fit_nothing(tmp_path: Path) -> None:
    """Nor do those of a list about others, however small."""
    users = Extension(x509.ISSUING_DISTRIBUTION_POINT, der.sequence(der.implicit(1, b"\xff")), critical=True)
    indicator = Extension(x509.DELTA_CRL_INDICATOR, der.integer(5), critical=True)
    unnumbered, odd = by_hand(HELD), by_hand(RELEASED, more=[Extension(x509.CRL_NUMBER, b"junk"), indicator])
    cases = [(crl(5, HELD), by_hand(RELEASED, more=[indicator])), (crl(5, HELD), odd)]
    cases += [(unnumbered, crl(6, RELEASED, base=5)), (crl(5, HELD), crl(5, RELEASED, base=4, more=[users]))]
    for number, (base, delta) in enumerate(cases):
        against, remarks, _ = judged(tmp_path / str(number), NAMING, {BASE_URL: base, DELTA_URL: delta})
        assert against == {"revocation.on_hold"}
        assert MISSING in remarks


def test_a_delta_that_somebody_else_signed_takes_nothing_back(tmp_path: Path) -> None:
    """Nor does it stay, however long it says that it holds; and one that would add nothing is missing all the same."""
    base = crl(5, HELD)
    for number in (5, 6):
        forged = bytearray(crl(number, RELEASED, base=5, until=NOW + 900 * DAY))
        forged[-1] ^= 1
        against, remarks, _ = judged(tmp_path, NAMING, {BASE_URL: base, DELTA_URL: bytes(forged)})
        assert against == {"revocation.on_hold"}
        assert MISSING in remarks
    judged(tmp_path, NAMING, {BASE_URL: base, DELTA_URL: crl(6)})
    bodies = {BASE_URL: base, DELTA_URL: crl(6, RELEASED, base=5)}
    for asked in ([DELTA_URL], []):
        against, _, network = judged(tmp_path, NAMING, bodies)
        assert (against, network.asked) == (set(), asked)


def test_a_delta_that_has_ended_revokes_and_takes_nothing_back(tmp_path: Path) -> None:
    ended = NOW - DAY / 2
    named = {BASE_URL: crl(5), DELTA_URL: crl(6, REVOKED, base=5, until=ended)}
    assert judged(tmp_path, NAMING, named)[0] == {"revocation.revoked"}
    released = {BASE_URL: crl(5, HELD), DELTA_URL: crl(6, RELEASED, base=5, until=ended)}
    assert judged(tmp_path / "held", NAMING, released)[0] == {"revocation.on_hold"}
    against, remarks, _ = judged(tmp_path / "held", NAMING, {})
    assert against == {"revocation.on_hold"}
    assert MISSING in remarks, "there is no newer one"


def test_a_delta_no_newer_than_the_list_is_no_loss(tmp_path: Path) -> None:
    against, remarks, _ = judged(tmp_path, NAMING, {BASE_URL: crl(6), DELTA_URL: crl(6, base=5)})
    assert against == set()
    assert MISSING not in remarks


def test_an_ended_list_is_not_made_fresh_by_its_delta(tmp_path: Path) -> None:
    bodies = {BASE_URL: crl(5, until=NOW - DAY / 2), DELTA_URL: crl(6, base=5)}
    assert judged(tmp_path, NAMING, bodies)[0] == {"revocation.unavailable"}


def test_addresses_are_tried_in_turn_and_not_without_end(tmp_path: Path) -> None:
    urls = [f"http://ca.example/{number}" for number in range(limits.CRL_URLS_MAX + 4)]
    leaf = signer(freshest(*urls))
    second = {BASE_URL: crl(5), urls[1]: crl(6, REVOKED, base=5)}
    against, _, network = judged(tmp_path, leaf, second)
    assert against == {"revocation.revoked"}
    assert network.asked == [BASE_URL, *urls[:2]]
    against, remarks, network = judged(tmp_path / "none", leaf, {BASE_URL: crl(5), urls[-1]: crl(6, REVOKED, base=5)})
    assert against == set()
    assert MISSING in remarks
    assert network.asked == [BASE_URL, *urls[: limits.CRL_URLS_MAX]]


@pytest.mark.parametrize("junk", [b"", b"\x30\x01", b"\x04\x00", der.sequence(b"\x05\x00")])
def test_addresses_that_cannot_be_read_are_told(tmp_path: Path, junk: bytes) -> None:
    """In a list they say nothing of the lists that are there; a certificate with them is none to anybody."""
    unread = Extension(x509.FRESHEST_CRL, junk)
    against, remarks, _ = judged(tmp_path, PLAIN, {BASE_URL: crl(5, more=[unread])})
    assert against == set()
    assert MISSING in remarks
    assert judged(tmp_path / "certificate", signer(unread), {BASE_URL: crl(5)})[0] == {"path.malformed"}


def test_no_more_lists_are_fetched_than_there_may_be(tmp_path: Path) -> None:
    urls = [f"http://ca.example/list{number}" for number in range(limits.CRL_URLS_MAX + 4)]
    told = Extension(x509.CRL_DISTRIBUTION_POINTS, points(*urls))
    leaf = make(name("Fresh Many"), pki.key("p256", "many"), ROOT, extensions=[material.purposes(material.CODE), told])
    against, _, network = judged(tmp_path, leaf, {})
    assert against == {"revocation.unavailable"}
    assert network.asked == urls[: limits.CRL_URLS_MAX]


def test_what_was_fetched_is_evidence_with_its_delta(tmp_path: Path) -> None:
    bodies = {BASE_URL: crl(5), DELTA_URL: crl(6, REVOKED, base=5)}
    trusted = material.trusting(tmp_path, ROOT)
    collector = evidence.Collector(str(tmp_path / "bundle"))
    lists = origins.CrlSource(cache=str(tmp_path / "crls"), fetcher=Served(bodies))
    online = context.Context(trusted, NOW, "require", lists, besides=context.Besides(collector=collector))
    offline_lists = origins.CrlSource(cache=str(tmp_path / "none"))
    assert codes(believe(NAMING.view, Carried((), ()), "code-signing", Moment(NOW), online).findings) == {
        "revocation.revoked"
    }
    held = evidence.read(str(tmp_path / "bundle"), offline_lists)
    offline = context.Context(trusted, NOW, "require", offline_lists, besides=context.Besides(held))
    found = believe(NAMING.view, Carried((), ()), "code-signing", Moment(NOW), offline)
    assert codes(found.findings) == {"revocation.revoked"}


def test_a_delta_does_not_take_the_place_of_its_list_in_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path))
    store.add("fresh", [ROOT.raw])
    paths = [store.add_crl("fresh", raw) for raw in (crl(5, REVOKED), crl(6, base=5), crl(7, base=5))]
    assert len(set(paths)) == 2
    here = context.Context(store.load(["fresh"]), NOW, "prefer", origins.CrlSource(cache=str(tmp_path / "crls")))
    found = believe(PLAIN.view, Carried((), ()), "code-signing", Moment(NOW), here)
    assert codes(found.findings) == {"revocation.revoked"}
