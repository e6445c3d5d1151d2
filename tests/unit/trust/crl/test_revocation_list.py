"""Reading revocation lists: what cryptography writes and finds is found, and nothing is mistaken for an entry."""

from __future__ import annotations

import contextlib
import datetime as dt
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, MalformedError
from chopmark.envelopes import der, x509
from chopmark.trust.crl.entry import ALL_REASONS, KEY_COMPROMISE, REASON_NAMES, Entry, UnusableError
from chopmark.trust.crl.revocation_list import Crl
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Extension, Revoked, entry, list_by_hand, read, revocations

if TYPE_CHECKING:
    from collections.abc import Sequence

WORLD = pki.world()
ISSUER, SIGNER = WORLD.issuing, WORLD.signer
SERIAL = read(SIGNER).serial_octets
MAY = material.day("2026-05-01")
OCTOBER = material.day("2026-10-01")


def with_points(*urls: str, name: str = "Pointed", ca: bool = False) -> pki.Entity:
    """A certificate with these CRL distribution points."""
    points = [builders.DistributionPoint([builders.UniformResourceIdentifier(url)], None, None, None) for url in urls]
    more = (pki.Extension(builders.CRLDistributionPoints(points)),)
    return pki.authority(name, issuer=ISSUER, more=more) if ca else pki.leaf(ISSUER, name, more=more)


def issuing_point(**parts: object) -> tuple[builders.ExtensionType, bool]:
    """A critical issuing distribution point with these parts."""
    return pki.issuing_point(**parts), True


def url(text: str) -> list[builders.GeneralName]:
    return [builders.UniformResourceIdentifier(text)]


def test_an_entry_has_its_dates_and_its_reason() -> None:
    raw = revocations(ISSUER, Revoked(SIGNER, OCTOBER, MAY, "keyCompromise"), Revoked(WORLD.tsa, MAY))
    crl = Crl(raw)
    found = crl.find(read(SIGNER))
    assert found == Entry(OCTOBER, KEY_COMPROMISE, MAY)
    assert found is not None
    assert found.effective == MAY
    other = crl.find(read(WORLD.tsa))
    assert other == Entry(MAY)
    assert crl.find(read(ISSUER)) is None


@pytest.mark.parametrize("reason", [each for each in builders.ReasonFlags if each.value != "removeFromCRL"])
def test_every_reason_has_a_name(reason: builders.ReasonFlags) -> None:
    found = Crl(revocations(ISSUER, Revoked(SIGNER, MAY, reason=reason.value))).find(read(SIGNER))
    assert found is not None
    assert found.reason in REASON_NAMES


def test_a_list_without_entries_names_nobody() -> None:
    assert Crl(revocations(ISSUER)).find(read(SIGNER)) is None


def test_the_earliest_of_several_entries_counts() -> None:
    raw = list_by_hand(ISSUER, [entry(SERIAL, OCTOBER), entry(SERIAL, MAY), entry(SERIAL, pki.NOW)])
    found = Crl(raw).find(read(SIGNER))
    assert found is not None
    assert found.effective == MAY


def test_a_serial_number_inside_something_else_is_no_entry() -> None:
    # The bytes of the number stand inside another entry's extension and inside a longer number.
    inside = Extension("1.2.3", der.sequence(der.encode(der.INTEGER, SERIAL), der.time(MAY)))
    longer = der.encode(der.INTEGER, b"\x01" + SERIAL[:1] + der.encode(der.INTEGER, SERIAL))
    other = der.sequence(longer, der.time(MAY))
    raw = list_by_hand(ISSUER, [entry(b"\x01", MAY, inside), other])
    assert Crl(raw).find(read(SIGNER)) is None
    raw = list_by_hand(ISSUER, [entry(b"\x01", MAY, inside), other, entry(SERIAL, OCTOBER)])
    assert Crl(raw).find(read(SIGNER)) == Entry(OCTOBER)


@pytest.mark.parametrize(
    ("listed", "held"),
    [(b"\x00\xff\x01", b"\xff\x01"), (b"\xff\x01", b"\x00\xff\x01"), (b"\x05", b"\x00\x05"), (b"\x00", b"\x00\x00")],
)
def test_a_number_is_found_under_the_other_sign_and_without_needless_zeros(listed: bytes, held: bytes) -> None:
    certificate = material.make(material.name("Odd"), pki.key("p256", "odd"), serial=held).view
    assert Crl(list_by_hand(ISSUER, [entry(listed, MAY)])).find(certificate) is not None


@given(
    st.lists(st.binary(min_size=1, max_size=4).filter(lambda octets: octets != b"\0"), max_size=30),
    st.binary(min_size=1, max_size=4),
)
@settings(max_examples=60)
def test_cryptography_finds_the_same(serials: list[bytes], wanted: bytes) -> None:
    canonical = [octets.lstrip(b"\0") or b"\x01" for octets in (*serials, wanted)]
    unsigned = [(b"\0" if octets[0] & 0x80 else b"") + octets for octets in canonical]
    raw = list_by_hand(ISSUER, [entry(octets, MAY) for octets in unsigned[:-1]])
    certificate = material.make(material.name("Odd"), pki.key("p256", "odd"), serial=unsigned[-1]).view
    oracle = builders.load_der_x509_crl(raw)
    number = int.from_bytes(unsigned[-1], "big")
    assert (Crl(raw).find(certificate) is None) == (oracle.get_revoked_certificate_by_serial_number(number) is None)


# Who signed it


def test_the_issuer_signed_it() -> None:
    Crl(revocations(ISSUER)).check_signature(read(ISSUER))


def test_somebody_else_signed_it() -> None:
    with pytest.raises(UnusableError):
        Crl(revocations(ISSUER, signer=WORLD.root)).check_signature(read(ISSUER))


def test_a_changed_list_is_not_what_was_signed() -> None:
    raw = bytearray(revocations(ISSUER, Revoked(SIGNER, MAY)))
    position = raw.find(SERIAL) + 3
    raw[position] ^= 1
    with pytest.raises(UnusableError):
        Crl(bytes(raw)).check_signature(read(ISSUER))


def test_the_issuer_must_be_allowed_to_sign_lists() -> None:
    plain = material.make(
        material.name("No lists"), pki.key("p256", "no lists"), extensions=material.ca_extensions(usage=b"\x02\x04")
    )
    entity = pki.Entity(plain.key, builders.load_der_x509_certificate(plain.raw))
    with pytest.raises(UnusableError):
        Crl(revocations(entity)).check_signature(plain.view)


@pytest.mark.parametrize(
    ("digest", "since", "good"),
    [("sha1", "2021-05-31", True), ("sha1", "2021-06-01", False), ("md5", "2001-01-01", False)],
)
def test_a_list_over_a_broken_digest_does_not_count(digest: str, since: str, *, good: bool) -> None:
    root = pki.authority("RSA Root", kind="rsa2048")
    crl = Crl(list_by_hand(root, since=material.day(since), digest=digest))
    if good:
        crl.check_signature(read(root))
    else:
        with pytest.raises(UnusableError):
            crl.check_signature(read(root))


# What it is about

HERE = "http://ca.example/shard-1.crl"
THERE = "http://ca.example/shard-2.crl"


@pytest.mark.parametrize(
    ("parts", "ca", "good"),
    [
        ({"only_contains_user_certs": True}, False, True),
        ({"only_contains_user_certs": True}, True, False),
        ({"only_contains_ca_certs": True}, True, True),
        ({"only_contains_ca_certs": True}, False, False),
        ({"only_contains_attribute_certs": True}, False, False),
        ({"indirect_crl": True}, False, True),
        ({"full_name": url(HERE)}, False, True),
        ({"full_name": [*url(THERE), *url(HERE)]}, False, True),
        ({"full_name": url(THERE)}, False, False),
        ({"relative_name": builders.RelativeDistinguishedName(list(pki.name("x").rdns[0]))}, False, False),
    ],
)
def test_the_scope_of_a_list(parts: dict[str, object], *, ca: bool, good: bool) -> None:
    crl = Crl(revocations(ISSUER, extensions=[issuing_point(**parts)]))
    certificate = read(with_points(HERE, ca=ca))
    if good:
        crl.coverage(certificate)
    else:
        with pytest.raises(UnusableError):
            crl.coverage(certificate)


def test_a_list_of_one_distribution_point_is_not_about_a_certificate_that_names_none() -> None:
    crl = Crl(revocations(ISSUER, extensions=[issuing_point(full_name=url(HERE))]))
    with pytest.raises(UnusableError):
        crl.coverage(read(SIGNER))


def test_a_list_about_some_reasons_covers_only_these() -> None:
    reasons = frozenset({builders.ReasonFlags.key_compromise})
    crl = Crl(revocations(ISSUER, extensions=[issuing_point(only_some_reasons=reasons, full_name=url(HERE))]))
    assert crl.coverage(read(with_points(HERE))) == {1}
    assert Crl(revocations(ISSUER)).coverage(read(with_points(HERE))) == ALL_REASONS


@pytest.mark.parametrize("critical", [True, False])
def test_an_unknown_extension_of_a_list_counts_when_it_is_critical(*, critical: bool) -> None:
    crl = Crl(list_by_hand(ISSUER, extensions=[Extension("1.2.3.4", der.null(), critical)]))
    if critical:
        with pytest.raises(UnusableError):
            crl.coverage(read(SIGNER))
    else:
        crl.coverage(read(SIGNER))


def test_an_unknown_critical_extension_of_any_entry_spoils_the_whole_list() -> None:
    # RFC 5280 clause 5.3: the list must not be used for any certificate then.
    odd = entry(b"\x01", MAY, Extension("1.2.3.4", der.null(), critical=True))
    crl = Crl(list_by_hand(ISSUER, [odd, entry(SERIAL, MAY)]))
    for certificate in (read(SIGNER), read(WORLD.tsa)):
        with pytest.raises(UnusableError):
            crl.find(certificate)


def test_an_entry_of_another_issuer_spoils_the_list() -> None:
    other = Extension(x509.CERTIFICATE_ISSUER, der.sequence(der.explicit(4, material.name("Other"))), critical=True)
    with pytest.raises(UnusableError):
        Crl(list_by_hand(ISSUER, [entry(SERIAL, MAY, other)])).find(read(SIGNER))


def test_critical_extensions_of_entries_that_are_evaluated_are_fine() -> None:
    reason = Extension(x509.CRL_REASON, der.encode(der.ENUMERATED, b"\x01"), critical=True)
    since = Extension(x509.INVALIDITY_DATE, der.generalized_time(MAY), critical=True)
    crl = Crl(list_by_hand(ISSUER, [entry(SERIAL, OCTOBER, reason, since)]))
    assert crl.find(read(SIGNER)) == Entry(OCTOBER, KEY_COMPROMISE, MAY)


def test_removal_from_a_list_belongs_into_a_delta() -> None:
    reason = Extension(x509.CRL_REASON, der.encode(der.ENUMERATED, b"\x08"))
    with pytest.raises(UnusableError):
        Crl(list_by_hand(ISSUER, [entry(SERIAL, MAY, reason)])).find(read(SIGNER))


# How long its silence counts


@pytest.mark.parametrize(
    ("at", "good"),
    [
        (MAY - dt.timedelta(minutes=6), False),
        (MAY - dt.timedelta(minutes=5), True),
        (MAY, True),
        (MAY + dt.timedelta(days=7), True),
        (MAY + dt.timedelta(days=7, seconds=1), False),
    ],
)
def test_a_list_is_fresh_from_its_date_to_its_next(at: dt.datetime, *, good: bool) -> None:
    crl = Crl(revocations(ISSUER, since=MAY))
    assert (crl.missing(read(SIGNER), at) == "") is good


def test_a_list_that_never_ends_is_never_fresh() -> None:
    crl = Crl(list_by_hand(ISSUER, until=None))
    assert crl.next_update is None
    assert crl.missing(read(SIGNER), pki.NOW)


@pytest.mark.parametrize(("years", "good"), [(9, True), (11, False)])
def test_a_list_need_not_name_what_expired_long_ago(years: int, *, good: bool) -> None:
    late = pki.UNTIL + dt.timedelta(days=365 * years)
    crl = Crl(revocations(ISSUER, since=late))
    assert (crl.missing(read(SIGNER), late) == "") is good


# Bad input


def test_every_truncation_is_refused() -> None:
    raw = revocations(ISSUER, Revoked(SIGNER, MAY, OCTOBER, "superseded"))
    for end in range(len(raw)):
        with pytest.raises(MalformedError):
            Crl(raw[:end])


def test_the_algorithm_stands_alike_inside_and_outside() -> None:
    inside, outside = der.oid("1.2.840.10045.4.3.2"), der.oid("1.2.840.10045.4.3.3")
    head, found, tail = list_by_hand(ISSUER).rpartition(inside)
    assert head.count(found) == 1
    with pytest.raises(MalformedError):
        Crl(head + outside + tail)


def test_a_list_is_only_so_large(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = list_by_hand(ISSUER)
    monkeypatch.setattr(limits, "CRL_MAX", len(raw))
    assert Crl(raw).raw == raw
    monkeypatch.setattr(limits, "CRL_MAX", len(raw) - 1)
    with pytest.raises(MalformedError):
        Crl(raw)


EXTENSIONS: Sequence[tuple[builders.ExtensionType, bool]] = [
    issuing_point(full_name=url(HERE)),
    (builders.CRLNumber(7), False),
]
SAMPLE = revocations(ISSUER, Revoked(SIGNER, MAY, OCTOBER, "superseded"), extensions=EXTENSIONS)


@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 80), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=200)
def test_no_change_does_anything_but_refuse(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(SAMPLE)
    for position, value in changes:
        raw[position] = value
    certificate = read(with_points(HERE))
    with contextlib.suppress(ChopmarkError):
        crl = Crl(bytes(raw))
        crl.find(read(SIGNER))
        crl.coverage(certificate)
        crl.missing(certificate, pki.NOW)
        crl.check_signature(read(ISSUER))


def test_a_large_list_is_looked_up_without_being_decoded() -> None:
    entries = [entry(b"\x01" + number.to_bytes(15, "big"), MAY) for number in range(20_000)]
    raw = list_by_hand(ISSUER, [*entries, entry(SERIAL, OCTOBER)])
    tracemalloc.start()
    crl = Crl(raw)
    assert crl.find(read(WORLD.tsa)) is None
    assert crl.find(read(SIGNER)) is not None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(raw) * 2
