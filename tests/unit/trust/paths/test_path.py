"""Finding ways: through crosses, renewals, look-alikes and traps, within a budget, and with the best try's reason."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import time
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.finding import Finding, Outcome
from chopmark.envelopes import der, x509
from chopmark.trust.moment import Moment
from chopmark.trust.paths import path
from chopmark.trust.paths.issuers import IssuerSource
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import CODE, Cert, Extension, Served, ca_extensions, codes, make, name, purposes

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.trust.stores import store

NOW = Moment(pki.NOW)
HOUR = dt.timedelta(hours=1)


def key(label: str) -> pki.Key:
    return pki.key("p256", label)


def authority(label: str, issuer: Cert | None = None, *, key_label: str = "", **parts: object) -> Cert:
    extensions = parts.pop("extensions", ca_extensions())
    return make(name(label), key(key_label or label), issuer, extensions=extensions, **parts)  # type: ignore[arg-type]


def signer(issuer: Cert, *more: Extension) -> Cert:
    return make(name("Signer"), key("Signer"), issuer, extensions=[purposes(CODE), *more])


def find(leaf: Cert, trusted: store.Store, *carried: Cert, issuers: IssuerSource | None = None) -> path.Path:
    raws = [each.raw for each in carried]
    return path.find(leaf.view, CODE, Moment(pki.NOW), path.Material(trusted, raws, issuers))


ROOT = authority("Root")
OTHER = authority("Other Root")
MIDDLE = authority("Middle", ROOT)


def test_a_root_that_is_not_in_the_store_is_untrusted_whatever_its_name(tmp_path: Path) -> None:
    impostor = authority("Root", key_label="impostor")
    leaf = signer(authority("Middle", impostor))
    result = find(leaf, material.trusting(tmp_path, ROOT), authority("Middle", impostor), impostor)
    assert codes(result.findings) == {"path.untrusted_root"}
    assert result.anchor is None


def test_a_self_signed_signer_is_trusted_only_when_it_is_in_the_store(tmp_path: Path) -> None:
    alone = make(name("Microsoft Corporation"), key("alone"), extensions=[purposes(CODE)])
    assert codes(find(alone, material.trusting(tmp_path, ROOT)).findings) == {"path.untrusted_root"}
    assert find(alone, material.trusting(tmp_path, alone)).trusted


def test_a_way_is_good_that_leads_to_an_anchor_and_has_no_problems(tmp_path: Path) -> None:
    good = find(signer(MIDDLE), material.trusting(tmp_path, ROOT), MIDDLE)
    for outcome, code in (("no", "path.expired"), ("unknown", "path.unsupported")):
        problem = Finding(code, Outcome(outcome))
        assert not good._replace(findings=(*good.findings, problem)).trusted
    assert good._replace(findings=(*good.findings, Finding("path.dated_key", Outcome.INFO))).trusted
    assert not good._replace(anchor=None).trusted


def test_a_signer_whose_identifiers_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for oid in (x509.AUTHORITY_KEY_ID, x509.SUBJECT_KEY_ID):
        result = find(signer(MIDDLE, Extension(oid, b"junk")), material.trusting(tmp_path, ROOT), MIDDLE)
        assert codes(result.findings) == {"path.malformed"}
        broken = authority("Middle", ROOT, extensions=[*ca_extensions(), Extension(oid, b"junk")])
        for trusted, carried in (((ROOT, broken), ()), ((ROOT,), (broken,))):
            result = find(signer(MIDDLE), material.trusting(tmp_path, *trusted), *carried)
            assert codes(result.findings) == {"path.issuer_unknown"}, "what cannot be read is on no way"


@pytest.mark.parametrize("ways", [1, 2])
def test_a_way_that_does_not_settle_it_is_still_better_than_a_spent_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: int
) -> None:
    monkeypatch.setattr(path._Search, "_ways_left", ways)  # noqa: SLF001 - the limit was read when the class was made
    asked: list[path.Path] = []

    def settles(way: path.Path) -> bool:
        asked.append(way)
        return False

    carried = [make(MIDDLE.name, MIDDLE.key, above, extensions=ca_extensions()).raw for above in (ROOT, OTHER)]
    trusted = path.Material(material.trusting(tmp_path, ROOT, OTHER), carried)
    result = path.find(signer(MIDDLE).view, CODE, NOW, trusted, settles)
    assert result.trusted
    assert len(asked) == ways, "no more than there is a budget for"
    assert asked[0] == result


@pytest.mark.parametrize(("checks", "code"), [(0, "path.budget"), (1, "path.bad_signature")])
def test_a_signature_that_no_budget_is_left_for_is_not_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: int, code: str
) -> None:
    monkeypatch.setattr(path._Search, "_checks_left", checks)  # noqa: SLF001 - likewise
    forged = make(name("Signer"), key("Signer"), Cert(ROOT.raw, key("thief"), ROOT.name), extensions=[purposes(CODE)])
    store = material.trusting(tmp_path, ROOT)
    for known in (None, path.Path((signer(ROOT).view, ROOT.view), store.anchor(ROOT.view), ())):
        result = path.find(forged.view, CODE, NOW, path.Material(store, [], known=known))
        assert not result.trusted
        assert codes(result.findings) == {code if known is None or not checks else "path.budget"}


def test_whose_way_is_known_but_leads_nowhere_is_looked_for(tmp_path: Path) -> None:
    """What is above a signer that is an anchor itself is nothing, and good for nobody else of its name."""
    alone = make(name("Alone"), key("alone"), extensions=[purposes(CODE)])
    twin = make(name("Alone"), key("twin"), extensions=[purposes(CODE)])
    store = material.trusting(tmp_path, alone)
    known = find(alone, store)
    assert known.trusted
    result = path.find(twin.view, CODE, NOW, path.Material(store, [], known=known))
    assert codes(result.findings) == {"path.untrusted_root"}


def test_a_forged_certificate_is_found_out(tmp_path: Path) -> None:
    forged = make(
        name("Signer"), key("Signer"), Cert(MIDDLE.raw, key("thief"), MIDDLE.name), extensions=[purposes(CODE)]
    )
    assert codes(find(forged, material.trusting(tmp_path, ROOT), MIDDLE).findings) == {"path.bad_signature"}


@pytest.mark.parametrize(
    ("wanted", "offered", "code"),
    [
        (b"one", b"one", "path.bad_signature"),
        (b"one", b"two", "path.issuer_unknown"),
        (b"one", b"", "path.bad_signature"),
        (b"", b"two", "path.bad_signature"),
        (b"", b"", "path.bad_signature"),
    ],
)
def test_a_signature_is_bad_where_the_issuer_may_be_this_one(
    tmp_path: Path, wanted: bytes, offered: bytes, code: str
) -> None:
    """Of another key of the same name it only says that the issuer is not here."""
    identifier = [Extension(x509.SUBJECT_KEY_ID, der.octet_string(offered))] if offered else []
    pointer = [Extension(x509.AUTHORITY_KEY_ID, der.sequence(der.implicit(0, wanted)))] if wanted else []
    middle = authority("Middle", ROOT, extensions=[*ca_extensions(), *identifier])
    leaf = signer(Cert(middle.raw, key("thief"), middle.name), *pointer)
    assert codes(find(leaf, material.trusting(tmp_path, ROOT), middle).findings) == {code}


def test_without_the_intermediate_the_issuer_is_unknown(tmp_path: Path) -> None:
    assert codes(find(signer(MIDDLE), material.trusting(tmp_path, ROOT)).findings) == {"path.issuer_unknown"}


def test_the_store_can_keep_intermediates(tmp_path: Path) -> None:
    assert find(signer(MIDDLE), material.trusting(tmp_path, ROOT, MIDDLE)).trusted
    result = find(signer(MIDDLE), material.trusting(tmp_path, OTHER, MIDDLE))
    assert codes(result.findings) == {"path.issuer_unknown"}, "an intermediate in a store is no anchor"


def test_a_cross_certificate_leads_to_the_other_root(tmp_path: Path) -> None:
    crossed = make(MIDDLE.name, MIDDLE.key, OTHER, extensions=ca_extensions())
    for carried in itertools.permutations((MIDDLE, crossed, ROOT, OTHER)):
        result = find(signer(MIDDLE), material.trusting(tmp_path, OTHER), *carried)
        assert result.trusted
        assert [each.raw for each in result.certificates][1:] == [crossed.raw, OTHER.raw]


def test_an_expired_twin_does_not_hide_the_valid_one(tmp_path: Path) -> None:
    expired = authority("Middle", ROOT, until=pki.NOW - HOUR)
    for carried in itertools.permutations((MIDDLE, expired)):
        assert find(signer(MIDDLE), material.trusting(tmp_path, ROOT), *carried).trusted


def test_who_may_issue_now_is_tried_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path._Search, "_ways_left", 1)  # noqa: SLF001 - the limit was read when the class was made
    expired = authority("Middle", ROOT, until=pki.NOW - HOUR)
    for carried in itertools.permutations((MIDDLE, expired)):
        assert find(signer(MIDDLE), material.trusting(tmp_path, ROOT), *carried).trusted


def test_backtracking_leaves_a_way_that_a_rule_forbids(tmp_path: Path) -> None:
    narrow = authority("Root", key_label="Root", extensions=[*ca_extensions(), purposes("1.3.6.1.5.5.7.3.1")])
    result = find(signer(MIDDLE), material.trusting(tmp_path, narrow, ROOT), MIDDLE)
    assert result.trusted
    assert result.certificates[-1].raw == ROOT.raw


def test_a_renewed_root_key_is_bridged(tmp_path: Path) -> None:
    renewed = authority("Root", ROOT, key_label="Root renewed")
    middle = authority("Middle", Cert(renewed.raw, renewed.key, renewed.name))
    assert find(signer(middle), material.trusting(tmp_path, ROOT), middle, renewed).trusted


def test_certificates_that_issue_each_other_do_not_loop(tmp_path: Path) -> None:
    first, second = authority("First"), authority("Second")
    one = make(first.name, first.key, second, extensions=ca_extensions())
    two = make(second.name, second.key, first, extensions=ca_extensions())
    result = find(signer(first), material.trusting(tmp_path, ROOT), one, two)
    assert codes(result.findings) <= {"path.issuer_unknown", "path.untrusted_root"}


def test_a_name_in_another_string_type_is_the_same_name(tmp_path: Path) -> None:
    # RFC 5280 clause 7.1: case and white space do not count, and neither does the type
    leaf = make(
        name("Signer"),
        key("Signer"),
        ROOT,
        issuer_name=name(" ROOT", "example  MINT", kind=der.PRINTABLE_STRING),
        extensions=[purposes(CODE)],
    )
    assert find(leaf, material.trusting(tmp_path, OTHER, ROOT)).trusted
    wide = make(
        name("Signer"), key("Signer"), ROOT, issuer_name=name("Root", kind=der.BMP_STRING), extensions=[purposes(CODE)]
    )
    assert find(wide, material.trusting(tmp_path, OTHER, ROOT)).trusted


def test_a_key_identifier_alone_makes_no_issuer(tmp_path: Path) -> None:
    leaf = make(name("Signer"), ROOT.key, ROOT, issuer_name=name("Nobody"), extensions=[purposes(CODE)])
    assert codes(find(leaf, material.trusting(tmp_path, ROOT)).findings) == {"path.issuer_unknown"}


def test_a_wrong_key_identifier_forbids_nothing(tmp_path: Path) -> None:
    wrong = Extension(x509.AUTHORITY_KEY_ID, der.sequence(der.implicit(0, b"wrong identifier")))
    assert find(signer(ROOT, wrong), material.trusting(tmp_path, ROOT)).trusted


def test_junk_among_the_certificates_does_not_matter(tmp_path: Path) -> None:
    result = path.find(
        signer(MIDDLE).view,
        CODE,
        NOW,
        path.Material(material.trusting(tmp_path, ROOT), [b"", b"\x30\x00", MIDDLE.raw[:-1], MIDDLE.raw]),
    )
    assert result.trusted


@pytest.mark.parametrize("count", [limits.PATH_LENGTH_MAX - 2, limits.PATH_LENGTH_MAX - 1])
def test_a_path_has_a_longest_length(tmp_path: Path, count: int) -> None:
    chain = [ROOT]
    for number in range(count):
        chain.append(authority(f"Level {number}", chain[-1]))
    result = find(signer(chain[-1]), material.trusting(tmp_path, ROOT), *chain[1:])
    assert codes(result.findings) == (set() if count + 2 == limits.PATH_LENGTH_MAX else {"path.too_long"})


def test_a_mesh_of_cross_certificates_ends_within_the_budget(tmp_path: Path) -> None:
    nodes = [authority(f"Node {number}") for number in range(12)]
    mesh = [make(one.name, one.key, two, extensions=ca_extensions()) for one, two in itertools.permutations(nodes, 2)]
    begin = time.process_time()
    result = find(signer(nodes[0]), material.trusting(tmp_path, ROOT), *mesh)
    assert time.process_time() - begin < 2
    assert codes(result.findings) == codes(result.findings, "unknown") == {"path.budget"}


def test_many_impostors_do_not_hide_the_issuer_that_the_key_identifier_names(tmp_path: Path) -> None:
    identifier = x509.subject_key_identifier(material.spki(MIDDLE.key))
    known = Extension(x509.SUBJECT_KEY_ID, der.octet_string(identifier))
    middle = authority("Middle", ROOT, extensions=[*ca_extensions(), known])
    impostors = [authority("Middle", key_label=f"impostor {number}") for number in range(200)]
    pointer = Extension(x509.AUTHORITY_KEY_ID, der.sequence(der.implicit(0, identifier)))
    assert find(signer(middle, pointer), material.trusting(tmp_path, ROOT), *impostors, middle).trusted
    result = find(signer(middle), material.trusting(tmp_path, ROOT), *impostors, middle)
    assert codes(result.findings) == codes(result.findings, "unknown") == {"path.budget"}


def test_the_way_that_came_furthest_says_why(tmp_path: Path) -> None:
    late = authority("Middle", ROOT, until=pki.NOW - HOUR)
    stranger = make(MIDDLE.name, MIDDLE.key, authority("Stranger"), extensions=ca_extensions())
    result = find(signer(MIDDLE), material.trusting(tmp_path, ROOT), stranger, late, authority("Stranger"))
    assert codes(result.findings) == {"path.expired"}
    assert result.anchor is not None


def test_a_key_of_an_unknown_kind_leaves_the_question_open(tmp_path: Path) -> None:
    strange = der.sequence(der.sequence(der.oid("2.16.840.1.101.3.4.3.18")), der.bit_string(b"\0" * 32))
    middle = make(MIDDLE.name, MIDDLE.key, ROOT, extensions=ca_extensions(), key_info=strange)
    assert codes(find(signer(middle), material.trusting(tmp_path, ROOT), middle).findings, "unknown") == {
        "path.unsupported"
    }


# Issuers that are published elsewhere

URL = "http://ca.example/issuer.crt"


def published(issuer: Cert, *urls: str) -> Cert:
    access = der.sequence(
        *(der.sequence(der.oid(x509.ACCESS_CA_ISSUERS), der.implicit(6, url.encode())) for url in urls)
    )
    return signer(issuer, Extension(x509.AUTHORITY_INFORMATION_ACCESS, access))


def bag(*raws: bytes) -> bytes:
    """A certificates-only CMS."""
    inner = der.sequence(der.oid("1.2.840.113549.1.7.1"))
    signed = der.sequence(der.integer(1), der.set_of([]), inner, der.explicit(0, *raws), der.set_of([]))
    return der.sequence(der.oid("1.2.840.113549.1.7.2"), der.explicit(0, signed))


@pytest.mark.parametrize(
    "body", [MIDDLE.raw, material.pem(MIDDLE.raw), bag(OTHER.raw, MIDDLE.raw)], ids=["DER", "PEM", "CMS"]
)
def test_a_missing_issuer_is_fetched(tmp_path: Path, body: bytes) -> None:
    network = Served({URL: body})
    source = IssuerSource(network, str(tmp_path / "cache"))
    assert find(published(MIDDLE, URL), material.trusting(tmp_path, ROOT), issuers=source).trusted
    again = IssuerSource(Served({}), str(tmp_path / "cache"))
    assert find(published(MIDDLE, URL), material.trusting(tmp_path, ROOT), issuers=again).trusted, "from the cache"


def test_a_kept_issuer_is_asked_for_again_after_some_time(tmp_path: Path) -> None:
    leaf, trusted = published(MIDDLE, URL), material.trusting(tmp_path, ROOT)
    network = Served({URL: MIDDLE.raw})
    for fetches in (1, 1):
        source = IssuerSource(network, str(tmp_path / "cache"))
        assert find(leaf, trusted, issuers=source).trusted
        assert len(network.asked) == fetches
    (kept,) = (tmp_path / "cache").iterdir()
    before = kept.stat().st_mtime - limits.ISSUER_KEPT.total_seconds() - 60
    os.utime(kept, (before, before))
    assert find(leaf, trusted, issuers=IssuerSource(network, str(tmp_path / "cache"))).trusted
    assert len(network.asked) == 2
    os.utime(kept, (before, before))
    assert find(leaf, trusted, issuers=IssuerSource(Served({}), str(tmp_path / "cache"))).trusted, (
        "old is better than none"
    )


def test_nothing_is_fetched_when_the_way_is_known(tmp_path: Path) -> None:
    network = Served({})
    source = IssuerSource(network, str(tmp_path / "cache"))
    assert find(published(MIDDLE, URL), material.trusting(tmp_path, ROOT), MIDDLE, issuers=source).trusted
    assert network.asked == []


def test_nothing_is_fetched_for_what_nobody_else_issued(tmp_path: Path) -> None:
    """Its address would be of the choice of whoever made it."""
    network = Served({})
    source = IssuerSource(network, str(tmp_path / "cache"))
    access = der.sequence(der.sequence(der.oid(x509.ACCESS_CA_ISSUERS), der.implicit(6, URL.encode())))
    alone = make(name("Alone"), key("alone"), extensions=[Extension(x509.AUTHORITY_INFORMATION_ACCESS, access)])
    assert codes(find(alone, material.trusting(tmp_path, ROOT), issuers=source).findings) == {"path.untrusted_root"}
    assert network.asked == []


def test_what_cannot_be_fetched_leaves_the_question_open(tmp_path: Path) -> None:
    leaf = published(MIDDLE, URL)
    assert codes(find(leaf, material.trusting(tmp_path, ROOT)).findings, "unknown") == {"path.issuer_unavailable"}
    network = Served({URL: b"<html>"})
    source = IssuerSource(network, str(tmp_path / "cache"))
    for _ in range(3):
        result = find(leaf, material.trusting(tmp_path, ROOT), issuers=source)
        assert codes(result.findings, "unknown") == {"path.issuer_unavailable"}
    assert network.asked == [URL], "what failed once is not asked again"


def test_an_address_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    leaf = signer(MIDDLE, Extension(x509.AUTHORITY_INFORMATION_ACCESS, b"junk"))
    source = IssuerSource(Served({}), str(tmp_path / "cache"))
    assert codes(find(leaf, material.trusting(tmp_path, ROOT), issuers=source).findings) == {"path.issuer_unknown"}


def test_a_fetched_certificate_is_believed_only_for_its_signature(tmp_path: Path) -> None:
    impostor = authority("Middle", key_label="impostor")
    source = IssuerSource(Served({URL: impostor.raw}), str(tmp_path / "cache"))
    result = find(published(MIDDLE, URL), material.trusting(tmp_path, ROOT), issuers=source)
    assert codes(result.findings) == {"path.bad_signature"}


def test_a_spoilt_cache_creates_no_trust_and_does_no_harm(tmp_path: Path) -> None:
    source = IssuerSource(Served({URL: MIDDLE.raw}), str(tmp_path / "cache"))
    assert find(published(MIDDLE, URL), material.trusting(tmp_path, ROOT), issuers=source).trusted
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"junk")
    fresh = IssuerSource(Served({URL: MIDDLE.raw}), str(tmp_path / "cache"))
    assert find(published(MIDDLE, URL), material.trusting(tmp_path, ROOT), issuers=fresh).trusted
    kept.write_bytes(authority("Middle", key_label="impostor").raw)
    result = find(
        published(MIDDLE, URL),
        material.trusting(tmp_path, ROOT),
        issuers=IssuerSource(Served({}), str(tmp_path / "cache")),
    )
    assert not result.trusted


def test_fetching_has_a_budget(tmp_path: Path) -> None:
    network = Served({})
    source = IssuerSource(network, str(tmp_path / "cache"))
    chain = [authority(f"Level {number}") for number in range(8)]
    bodies = {}
    leaf = published(chain[0], "http://ca.example/0")
    for number, (below, above) in enumerate(itertools.pairwise(chain)):
        access = der.sequence(
            der.sequence(der.oid(x509.ACCESS_CA_ISSUERS), der.implicit(6, f"http://ca.example/{number + 1}".encode()))
        )
        pointer = Extension(x509.AUTHORITY_INFORMATION_ACCESS, access)
        bodies[f"http://ca.example/{number}"] = make(
            below.name, below.key, above, extensions=[*ca_extensions(), pointer]
        ).raw
    network.bodies = bodies
    result = find(leaf, material.trusting(tmp_path, ROOT), issuers=source)
    assert codes(result.findings, "unknown") == {"path.issuer_unavailable"}
    assert len(network.asked) == limits.ISSUER_FETCHES_MAX
