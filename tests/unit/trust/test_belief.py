"""Belief: other ways when an authority on the first was revoked, old DSA keys, and answers that are remembered."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from chopmark.core import limits
from chopmark.envelopes import der, dsa, x509
from chopmark.trust.belief import Belief, Carried, believe
from chopmark.trust.moment import Moment
from chopmark.trust.paths import path
from chopmark.trust.stores import store
from tests.support import dsa_keys, pki
from tests.unit.trust import material
from tests.unit.trust.material import CODE, Cert, Revoked, Served, ca_extensions, codes, make, name, purposes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chopmark.trust import context

NOW = pki.NOW
DAY = dt.timedelta(days=1)

# Another way


FIRST, SECOND = pki.authority("First Root"), pki.authority("Second Root")
ISSUING = pki.authority("Issuing", issuer=FIRST)
CROSSED = pki.authority("Issuing", issuer=SECOND)
SIGNER = pki.leaf(ISSUING)


def judged(
    folder: Path,
    lists: Sequence[bytes],
    *,
    carried: Sequence[bytes] = (ISSUING.der, CROSSED.der),
    fetcher: Served | None = None,
) -> Belief:
    trusted = material.trusting(folder, FIRST, SECOND)
    here = material.circumstances(folder, trusted, revocation="require", lists=lists, fetcher=fetcher)
    return believe(material.read(SIGNER), Carried(tuple(carried), ()), "code-signing", Moment(NOW), here)


LISTS = [material.revocations(each) for each in (FIRST, SECOND, ISSUING)]
REVOKED = material.revocations(FIRST, Revoked(ISSUING, NOW - DAY))


@pytest.mark.parametrize("carried", [(ISSUING.der, CROSSED.der), (CROSSED.der, ISSUING.der)])
def test_a_revoked_authority_is_gone_round_where_another_certified_it(tmp_path: Path, carried: Sequence[bytes]) -> None:
    belief = judged(tmp_path, [REVOKED, *LISTS[1:]], carried=carried)
    assert codes(belief.findings) == set()
    assert [each.raw for each in belief.path.certificates[1:]] == [CROSSED.der, SECOND.der]


def test_an_authority_of_which_nothing_is_known_is_gone_round(tmp_path: Path) -> None:
    belief = judged(tmp_path, LISTS[1:])
    assert codes(belief.findings) == set()
    assert belief.path.certificates[-1].raw == SECOND.der


def test_without_another_way_revoked_is_revoked(tmp_path: Path) -> None:
    belief = judged(tmp_path, [REVOKED, *LISTS[1:]], carried=[ISSUING.der])
    assert codes(belief.findings) == {"revocation.revoked"}
    assert belief.path.trusted
    both = [REVOKED, material.revocations(SECOND, Revoked(pki.Entity(CROSSED.private_key, CROSSED.certificate), NOW))]
    assert codes(judged(tmp_path, [*both, LISTS[2]]).findings) == {"revocation.revoked"}


def test_no_other_way_is_looked_for_when_the_signer_itself_was_revoked(tmp_path: Path) -> None:
    access = der.sequence(
        der.sequence(der.oid(x509.ACCESS_CA_ISSUERS), der.implicit(6, b"http://ca.example/issuing.crt"))
    )
    above = Cert(ISSUING.der, ISSUING.private_key, ISSUING.certificate.subject.public_bytes())
    signer = make(
        name("Known"),
        pki.key("p256", "known"),
        above,
        extensions=[purposes(CODE), material.Extension(x509.AUTHORITY_INFORMATION_ACCESS, access)],
    )
    network = Served({})
    lists = [*LISTS[:2], material.list_by_hand(ISSUING, [material.entry(signer.view.serial_octets, NOW - DAY)])]
    here = material.circumstances(
        tmp_path, material.trusting(tmp_path, FIRST), revocation="require", lists=lists, fetcher=network
    )
    belief = believe(signer.view, Carried((ISSUING.der,), ()), "code-signing", Moment(NOW), here)
    assert codes(belief.findings) == {"revocation.revoked"}
    assert network.asked == []


def test_junk_does_not_turn_revoked_into_undecided(tmp_path: Path) -> None:
    """However many ways there are to try: one was whole, and on it somebody was revoked."""
    nodes = [make(name(f"Node {number}"), pki.key("p256", f"node {number}")) for number in range(12)]
    nodes.append(Cert(ISSUING.der, ISSUING.private_key, ISSUING.certificate.subject.public_bytes()))
    mesh = [
        make(one.name, one.key, two, extensions=ca_extensions()).raw for one in nodes for two in nodes if one != two
    ]
    belief = judged(tmp_path, [REVOKED, *LISTS[1:]], carried=[ISSUING.der, *mesh])
    assert codes(belief.findings) == {"revocation.revoked"}


# DSA


def old(bits: int, label: str) -> pki.Key:
    return dsa_keys.private_key(bits, label)  # type: ignore[return-value]  # of a kind that signs here alone


def legacy(bits: int, *, inherited: bool = False, digest: str = "sha1") -> list[Cert]:
    """A signer below an authority with a DSA key; its parameters are those of an authority above, if inherited."""
    make_old = partial(make, since=material.day("2005-01-01"))
    root = make_old(name("Old Root"), pki.key("rsa2048"), extensions=ca_extensions())
    top = make_old(name("Old Top"), old(bits, "top"), root, extensions=ca_extensions())
    key = old(bits, "middle")
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if inherited:
        spki = der.sequence(der.sequence(der.oid(dsa.KEY)), der.parse(spki).children()[1].raw)
    middle = make_old(name("Old Middle"), key, top, extensions=ca_extensions(), key_info=spki, digest=digest)
    leaf = make_old(name("Old Leaf"), pki.key("rsa2048", "leaf"), middle, extensions=[purposes(CODE)], digest=digest)
    return [leaf, middle, top, root]


def looked_at(folder: Path, way: list[Cert], moment: Moment) -> path.Path:
    trusted = material.trusting(folder, way[-1])
    return path.find(way[0].view, CODE, moment, path.Material(trusted, [each.raw for each in way[1:]]))


SECOND_LONG = dt.timedelta(seconds=1)


@pytest.mark.parametrize("inherited", [False, True])
@pytest.mark.parametrize(
    ("bits", "digest", "at", "proven", "trusted"),
    [
        (1024, "sha1", limits.RSA_1024_SUNSET - SECOND_LONG, True, True),
        (1024, "sha1", limits.RSA_1024_SUNSET - SECOND_LONG, False, False),
        (1024, "sha256", limits.RSA_1024_SUNSET, True, False),
        (2048, "sha256", limits.DSA_SUNSET - SECOND_LONG, True, True),
        (2048, "sha256", limits.DSA_SUNSET, True, False),
        (2048, "sha256", NOW, False, False),
    ],
)
def test_dsa_counts_where_a_trusted_time_is_before_its_end(
    tmp_path: Path, bits: int, digest: str, at: dt.datetime, *, proven: bool, trusted: bool, inherited: bool
) -> None:
    result = looked_at(tmp_path, legacy(bits, inherited=inherited, digest=digest), Moment(at, proven=proven))
    assert result.trusted is trusted
    if trusted:
        assert "path.dated_key" in codes(result.findings, "info")
    else:
        assert "path.weak_key" in codes(result.findings)


def test_inherited_parameters_are_checked_with_the_key_they_complete(tmp_path: Path) -> None:
    leaf, middle, top, root = legacy(2048, inherited=True, digest="sha256")
    forged = leaf.raw[:-8] + bytes(8)
    then = Moment(material.day("2012-01-01"), proven=True)
    result = looked_at(tmp_path, [leaf._replace(raw=forged), middle, top, root], then)
    assert codes(result.findings) <= {"path.bad_signature", "path.malformed"}
    assert not result.trusted


def test_parameters_that_nobody_above_has_leave_the_question_open(tmp_path: Path) -> None:
    leaf, middle, *_ = legacy(2048, inherited=True, digest="sha256")
    (tmp_path / "anchor.pem").write_bytes(b"# chopmark: trust=anchor\n" + material.pem(middle.raw))
    trusted = store.load([str(tmp_path / "anchor.pem")])
    then = Moment(material.day("2012-01-01"), proven=True)
    result = path.find(leaf.view, CODE, then, path.Material(trusted, ()))
    assert not result.trusted
    assert "path.unsupported" in codes(result.findings, "unknown")


# What is remembered


def test_an_answer_is_remembered_for_its_own_circumstances_alone(tmp_path: Path) -> None:
    """Whatever an answer depends on, changed alone, changes the answer though the others were asked before."""
    leaf, carried = material.read(SIGNER), Carried((ISSUING.der,), ())
    trusting, strangers = material.trusting(tmp_path, FIRST), material.trusting(tmp_path, SECOND)
    silent, naming = [LISTS[0], LISTS[2]], [LISTS[0], material.revocations(ISSUING, Revoked(SIGNER, NOW - DAY))]

    def asked(
        moment: Moment, here: context.Context, purpose: str = "code-signing", along: Carried = carried
    ) -> set[str]:
        first = codes(believe(leaf, along, purpose, moment, here).findings)
        assert codes(believe(leaf, along, purpose, moment, here).findings) == first
        return first

    good = material.circumstances(tmp_path, trusting, revocation="require", lists=silent)
    assert asked(Moment(NOW), good) == set()
    assert asked(Moment(pki.UNTIL + DAY), good) == {"path.expired"}
    assert asked(Moment(NOW), good, "time-stamping") == {"path.purpose"}
    assert asked(Moment(NOW), good, along=Carried((), ())) == {"path.issuer_unknown"}
    assert asked(Moment(NOW), good) == set()
    revoked = material.circumstances(tmp_path, trusting, revocation="require", lists=naming)
    assert asked(Moment(NOW), revoked) == {"revocation.revoked"}
    assert asked(Moment(NOW - 2 * DAY, proven=True), revoked) == set()
    assert asked(Moment(NOW - 2 * DAY, proven=False), revoked) == {"revocation.revoked"}
    late = Moment(NOW - 2 * DAY, proven=True, accuracy=2 * DAY)
    assert asked(late, revoked) == {"revocation.revoked"}
    later = material.circumstances(tmp_path, trusting, at=NOW + 30 * DAY, revocation="require", lists=silent)
    assert asked(Moment(NOW), later) == {"revocation.unavailable"}
    nobody = material.circumstances(tmp_path, trusting, revocation="require")
    assert asked(Moment(NOW), nobody) == {"revocation.unavailable"}
    stranger = material.circumstances(tmp_path, strangers, revocation="require", lists=silent)
    assert asked(Moment(NOW), stranger) == {"path.issuer_unknown"}
    assert asked(Moment(NOW), good) == set()


def test_lists_that_came_with_one_signature_do_not_answer_for_another(tmp_path: Path) -> None:
    leaf = material.read(SIGNER)
    here = material.circumstances(tmp_path, material.trusting(tmp_path, FIRST), revocation="require")
    bare, bringing = Carried((ISSUING.der,), ()), Carried((ISSUING.der,), (LISTS[0], LISTS[2]))
    for carried, expected in (
        (bare, {"revocation.unavailable"}),
        (bringing, set()),
        (bare, {"revocation.unavailable"}),
    ):
        assert codes(believe(leaf, carried, "code-signing", Moment(NOW), here).findings) == expected


def test_what_is_remembered_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JUDGEMENTS_KEPT_MAX", 4)
    here = material.circumstances(tmp_path, material.trusting(tmp_path, FIRST))
    made = 0

    def answer() -> int:
        nonlocal made
        made += 1
        return made

    for key in range(12):
        here.remembered(key, Moment(NOW), answer)
    assert made == 12
    here.remembered(11, Moment(NOW), answer)
    assert made == 12, "the newest is still there"
    here.remembered(0, Moment(NOW), answer)
    assert made == 13, "the oldest is not"
