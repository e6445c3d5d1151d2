"""What somebody puts beside a signature, to whom it costs nothing, must not cost whoever checks it much."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.core import limits
from chopmark.envelopes import der, ocsp, x509
from chopmark.envelopes.ocsp import writing
from chopmark.trust import context
from chopmark.trust.belief import Belief, Carried, believe
from chopmark.trust.crl import origins
from chopmark.trust.crl.revocation_list import Crl
from chopmark.trust.evidence import LIST, Evidence, Piece
from chopmark.trust.moment import Moment
from chopmark.trust.ocsp.answer import Answer
from chopmark.trust.paths import path
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Cert, Extension, ca_extensions, codes, make
from tests.unit.trust.test_standing import LISTS, cert, crl, directory, number, point, scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SECOND = dt.timedelta(seconds=1)
ROOT = cert("Budget Root")
ISSUING = cert("Budget Issuing", ROOT)
PLAIN = cert("Budget Signer", ISSUING, extensions=[material.purposes(material.CODE)])


class Count:
    """How often something was called."""

    def __init__(self) -> None:
        self.calls = 0

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: object, **more: object) -> object:
            self.calls += 1
            return function(*given, **more)

        return counted


def judged(
    folder: Path,
    leaf: Cert,
    certificates: Sequence[Cert],
    lists: Sequence[bytes],
    answers: Sequence[bytes] = (),
    held: Sequence[bytes] = (),
) -> Belief:
    """Whether a signer is believed to whom this came along, with lists `held` in evidence."""
    besides = context.Besides(Evidence([Piece(LIST, raw, Crl(raw)) for raw in held]) if held else None)
    lists_at_hand = origins.CrlSource(cache=str(folder))
    here = context.Context(material.trusting(folder, ROOT), pki.NOW, "require", lists_at_hand, besides=besides)
    carried = Carried(tuple(each.raw for each in certificates), tuple(lists), tuple(answers))
    return believe(leaf.view, carried, "code-signing", Moment(pki.NOW), here)


def strangers() -> list[Cert]:
    """Certificates of one key under the issuer's name, below authorities that lead nowhere."""
    nodes = [make(material.name(f"Node {number}"), pki.key("p256", f"node {number}")) for number in range(4)]
    key = pki.key("p256", "stranger")
    name = ISSUING.name
    fakes = [make(name, key, each, extensions=LISTS, serial=bytes([1, at + 1])) for at, each in enumerate(nodes * 2)]
    return fakes + [make(a.name, a.key, b, extensions=ca_extensions()) for a in nodes for b in nodes if a is not b]


def forged(count: int, entries: Sequence[bytes] = ()) -> list[bytes]:
    """Lists under the issuer's name, newer than any real one."""
    return [crl(strangers()[0], *entries, since=pki.NOW - number * SECOND) for number in range(count)]


@pytest.mark.parametrize("count", [2, 12])
def test_lists_by_strangers_do_not_hide_the_issuers_own(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as there are not more of them than are looked at; those about nobody in question are not counted."""
    others = [crl(cert("Budget Other"))] * (count + 2)
    revoked = crl(ISSUING, material.entry(PLAIN.view.serial_octets, pki.NOW - 2 * SECOND))
    for own, room, expected in (
        (crl(ISSUING), 1, set()),
        (revoked, 1, {"revocation.revoked"}),
        (revoked, 0, {"revocation.unavailable"}),
    ):
        monkeypatch.setattr(limits, "REVOCATION_CARRIED_MAX", count + room)
        lists = [*others, *forged(count), own, crl(ROOT)]
        assert codes(judged(tmp_path, PLAIN, [ISSUING, *strangers()], lists).findings) == expected


def test_lists_that_came_along_do_not_crowd_out_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REVOCATION_CARRIED_MAX", 3)
    revoked = crl(ISSUING, material.entry(PLAIN.view.serial_octets, pki.NOW - 2 * SECOND))
    found = judged(tmp_path, PLAIN, [ISSUING, *strangers()], forged(4), held=[revoked])
    assert "revocation.revoked" in codes(found.findings)


@pytest.mark.parametrize(("room", "expected"), [(3, set()), (4, {"revocation.revoked"})])
def test_deltas_that_came_along_are_not_weighed_without_end(
    tmp_path: Path, room: int, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in the evidence are, whatever came along."""
    monkeypatch.setattr(limits, "REVOCATION_CARRIED_MAX", room)
    base = crl(ISSUING, extensions=number(5))
    delta = crl(ISSUING, material.entry(PLAIN.view.serial_octets, pki.NOW - 2 * SECOND), extensions=number(6, 5))
    false = [crl(strangers()[0], extensions=number(7 + each, 5)) for each in range(3)]
    assert codes(judged(tmp_path, PLAIN, [ISSUING], [base, *false, delta, crl(ROOT)]).findings) == expected
    found = judged(tmp_path, PLAIN, [ISSUING, *strangers()], [*false, crl(ROOT)], held=[base, delta])
    assert codes(found.findings) == {"revocation.revoked"}


def test_signers_of_deltas_that_nobody_certified_cost_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else those of the true ones, whose numbers are lower, would not be looked for any more."""
    monkeypatch.setattr(limits, "CRL_SEARCHES_MAX", 1)
    key = make(ISSUING.name, pki.key("p256", "deltas"), ROOT, extensions=LISTS)
    base = crl(ISSUING, extensions=number(5))
    delta = crl(key, material.entry(PLAIN.view.serial_octets, pki.NOW - 2 * SECOND), extensions=number(6, 5))
    stranger = make(ISSUING.name, pki.key("p256", "stranger"), cert("Budget Root", key="another"), extensions=LISTS)
    false = [crl(stranger, extensions=number(7 + each, 5)) for each in range(3)]
    found = judged(tmp_path, PLAIN, [ISSUING, key, stranger], [base, *false, delta, crl(ROOT)])
    assert codes(found.findings) == {"revocation.revoked"}


def test_signers_of_lists_are_not_looked_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each list costs its maker a signature; eight certificates of that key to try, and a mesh above them, nothing."""
    searches, checks = Count(), Count()
    monkeypatch.setattr(limits, "REVOCATION_CARRIED_MAX", 40)
    monkeypatch.setattr(path, "find", searches.of(path.find))
    monkeypatch.setattr(Crl, "check_signature", checks.of(Crl.check_signature))
    found = judged(tmp_path, PLAIN, [ISSUING, *strangers()], forged(limits.REVOCATION_CARRIED_MAX + 50))
    assert codes(found.findings) == {"revocation.unavailable"}
    assert searches.calls - 1 <= limits.CRL_SEARCHES_MAX  # one of them is for the signer of the file
    assert checks.calls <= limits.REVOCATION_CARRIED_MAX * (limits.CRL_SIGNERS_MAX + 2)


def test_signers_of_lists_that_hang_on_each_other_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority names many issuers of lists, about each of whom all others speak: n to the fourth, left alone."""
    names = [material.name(f"Lister {number}") for number in range(12)]

    def told(without: int) -> Extension:
        points = [point(issuer=directory(name)) for number, name in enumerate(names) if number != without]
        return Extension(x509.CRL_DISTRIBUTION_POINTS, der.sequence(*points))

    listers = [
        cert(f"Lister {number}", ISSUING, key=f"lister {number}", extensions=[*LISTS, told(number)])
        for number in range(12)
    ]
    leaf = cert("Budget Leaf", ISSUING, extensions=[material.purposes(material.CODE), told(-1)])
    lists = [crl(each, extensions=[scope(indirect=True)]) for each in listers]
    searches = Count()
    monkeypatch.setattr(path, "find", searches.of(path.find))
    found = judged(tmp_path, leaf, [ISSUING, *listers], [*lists, crl(ROOT)])
    assert codes(found.findings) == {"revocation.unavailable"}
    assert searches.calls - 1 <= limits.CRL_SEARCHES_MAX


def test_answers_are_not_weighed_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = ocsp.for_certificate(PLAIN.view, ISSUING.view).encoded()
    single = writing.single(identity, writing.UNREVOKED[ocsp.GOOD], pki.NOW - SECOND, pki.NOW + 60 * SECOND)
    junk = []
    for age in range(limits.REVOCATION_CARRIED_MAX + 50):
        data = ocsp.response_data(bytes(20), pki.NOW - age * SECOND, [single])
        junk.append(ocsp.response(data, der.sequence(der.oid("1.2.840.10045.4.3.2")), bytes(70), ()))
    weighed = Count()
    monkeypatch.setattr(Answer, "says", weighed.of(Answer.says))
    found = judged(tmp_path, PLAIN, [ISSUING], [], junk)
    assert codes(found.findings) == {"revocation.unavailable", "ocsp.signer", "ocsp.too_many"}
    assert weighed.calls <= limits.REVOCATION_CARRIED_MAX
