"""One OCSP answer about one certificate: who may sign it, whom it is about, and when it counts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.envelopes import der, ocsp, signatures, x509
from chopmark.trust.crl.entry import Entry
from chopmark.trust.ocsp import reasons
from chopmark.trust.ocsp.answer import Answer, Said
from tests.support import pki
from tests.unit.trust import answers, material
from tests.unit.trust.answers import DAY, FOR_ANSWERS, GOOD, HOUR, NO_CHECK, UNKNOWN, Single, answer, responder, revoked
from tests.unit.trust.material import Cert, Extension, make, name, purposes

NOW = pki.NOW
ROOT = make(name("Root"), pki.key("p256", "Root"), extensions=material.ca_extensions())
ISSUING = make(name("Issuing"), pki.key("p256", "Issuing"), ROOT, extensions=material.ca_extensions())
OTHER = make(name("Other"), pki.key("p256", "Other"), ROOT, extensions=material.ca_extensions())
SIGNER = make(name("Signer"), pki.key("p256", "Signer"), ISSUING, extensions=[purposes(material.CODE)])
PLAIN = Single(SIGNER, ISSUING)
DELEGATE = responder(ISSUING)


def said(raw: bytes, *, at: dt.datetime = NOW, certificate: Cert = SIGNER, **more: object) -> Said:
    return Answer(raw).says(certificate.view, ISSUING.view, at, **more)  # type: ignore[arg-type]


def refused(raw: bytes, *, at: dt.datetime = NOW, certificate: Cert = SIGNER, **more: object) -> str:
    """Why an answer says nothing at all."""
    with pytest.raises(BrokenError) as caught:
        said(raw, at=at, certificate=certificate, **more)
    return caught.value.reason.code


def doubts(raw: bytes, *, at: dt.datetime = NOW, certificate: Cert = SIGNER, **more: object) -> list[str]:
    """Why what an answer says does not count."""
    return [doubt.reason.code for doubt in said(raw, at=at, certificate=certificate, **more).doubts]


def test_good_by_the_issuer_itself() -> None:
    for by_name in (True, False):
        found = said(answer(ISSUING, PLAIN, certificates=(), by_name=by_name))
        assert found == Said(NOW - HOUR, NOW + DAY, None, unknown=False, doubts=())


@pytest.mark.parametrize("by_name", [True, False])
def test_good_by_a_delegated_responder(by_name: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert said(answer(DELEGATE, PLAIN, by_name=by_name)).doubts == ()
    without = answer(DELEGATE, PLAIN, certificates=(), by_name=by_name)
    assert refused(without) == reasons.SIGNER.code
    assert said(without, certificates=[ISSUING.raw, DELEGATE.raw]).doubts == ()
    usage = Extension(
        x509.KEY_USAGE, der.encode(der.BIT_STRING, b"\x07\x80" if by_name else b"\x06\x40"), critical=True
    )
    more = responder(ISSUING, FOR_ANSWERS, NO_CHECK, usage, Extension("1.2.3.4", der.null()))
    assert said(answer(more, PLAIN, by_name=by_name)).doubts == ()


def test_who_signed_it_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[bytes] = []
    real = signatures.verify

    def verify(spki: bytes, *given: Any) -> str | None:  # noqa: ANN401 - whatever there is
        checked.append(spki)
        return real(spki, *given)

    monkeypatch.setattr(signatures, "verify", verify)
    broken = DELEGATE.raw[:-1] + bytes([DELEGATE.raw[-1] ^ 1])
    held = Answer(answer(DELEGATE, PLAIN, certificates=[broken]))
    for certificates, total in (((), 1), ((), 1), ((DELEGATE.raw,), 4), ((DELEGATE.raw,), 4), ((), 4)):
        try:
            assert held.signer(ISSUING.view, certificates).delegated
        except BrokenError:
            assert total == 1
        assert len(checked) == total


def test_revoked_in_the_words_of_a_list() -> None:
    single = PLAIN._replace(status=revoked(NOW - DAY, 1), more=[ocsp.invalidity_date(NOW - 9 * DAY)])
    assert said(answer(DELEGATE, single)).entry == Entry(NOW - DAY, 1, NOW - 9 * DAY)
    assert said(answer(DELEGATE, PLAIN._replace(status=revoked(NOW - DAY)))).entry == Entry(NOW - DAY)


def test_unknown_is_never_good() -> None:
    found = said(answer(DELEGATE, PLAIN._replace(status=UNKNOWN)))
    assert found.unknown
    assert found.entry is None


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_the_issuer_may_be_named_by_any_digest(algorithm: str) -> None:
    assert said(answer(DELEGATE, PLAIN._replace(algorithm=algorithm))).doubts == ()


# Whom it is about


def test_another_certificate() -> None:
    identity = ocsp.for_certificate(SIGNER.view, ISSUING.view)
    for wrong in (
        identity._replace(serial=identity.serial + b"\0"),
        identity._replace(serial=b"\0" + identity.serial),
        identity._replace(name_hash=bytes(20)),
        identity._replace(key_hash=ocsp.for_certificate(SIGNER.view, OTHER.view).key_hash),
    ):
        single = answers.single(wrong.encoded(), GOOD, NOW - HOUR, NOW + DAY)
        assert refused(answer(DELEGATE, single)) == reasons.OTHER.code
    assert refused(answer(DELEGATE)) == reasons.OTHER.code


def test_the_worst_of_several_answers_about_one_certificate_counts() -> None:
    gone = PLAIN._replace(status=revoked(NOW - DAY))
    lost = PLAIN._replace(status=UNKNOWN)
    elsewhere = Single(OTHER, ROOT)
    assert said(answer(DELEGATE, elsewhere, PLAIN, lost, gone)).entry == Entry(NOW - DAY)
    assert said(answer(DELEGATE, PLAIN, lost, elsewhere)).unknown
    assert said(answer(DELEGATE, elsewhere, PLAIN)).doubts == ()
    held = PLAIN._replace(status=revoked(NOW - 9 * DAY, 6), since=NOW)
    sooner = gone._replace(since=NOW - DAY, more=[ocsp.invalidity_date(NOW - 3 * DAY)])
    assert said(answer(DELEGATE, gone, held)).entry == Entry(NOW - DAY)
    assert said(answer(DELEGATE, gone, sooner, gone)).entry == Entry(NOW - DAY, invalid_since=NOW - 3 * DAY)
    long_held = held._replace(since=NOW - 2 * HOUR)
    assert said(answer(DELEGATE, lost, long_held)).entry == Entry(NOW - 9 * DAY, 6)
    for newest, older in ((held, long_held), (lost, lost._replace(since=NOW - 2 * HOUR))):
        for order in ((newest, older), (older, newest)):
            assert said(answer(DELEGATE, *order)).as_of == newest.since


# Who signed it


def test_responders_that_are_none() -> None:
    stranger = make(name("Responder"), pki.key("p256", "Stranger"), extensions=[FOR_ANSWERS, NO_CHECK])
    above, beside = responder(ROOT), responder(OTHER)
    below_delegate = responder(DELEGATE, label="Below")
    parts = [FOR_ANSWERS, NO_CHECK]
    renamed = make(name("Responder"), DELEGATE.key, ISSUING, issuer_name=OTHER.name, extensions=parts)
    for wrong in (
        responder(ISSUING, purposes(material.CODE), NO_CHECK),
        responder(ISSUING, purposes(x509.EKU_ANY), NO_CHECK),
        responder(ISSUING, NO_CHECK),
        responder(
            ISSUING, FOR_ANSWERS, Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, b"\x01\x06"), critical=True)
        ),
        responder(ISSUING, FOR_ANSWERS, Extension("1.2.3.4", b"\x05\x00", critical=True)),
        stranger,
        above,
        beside,
        below_delegate,
        renamed,
    ):
        assert refused(answer(wrong, PLAIN)) == reasons.SIGNER.code
        assert refused(answer(wrong, PLAIN._replace(status=revoked(NOW - DAY)))) == reasons.SIGNER.code


def test_the_issuers_issuer_may_not_answer() -> None:
    assert refused(answer(ROOT, PLAIN)) == reasons.SIGNER.code


def test_who_answers_must_be_who_is_named() -> None:
    assert refused(answer(DELEGATE, PLAIN, named=ISSUING)) == reasons.SIGNATURE.code
    assert refused(answer(ISSUING, PLAIN, named=DELEGATE, certificates=[DELEGATE.raw])) == reasons.SIGNATURE.code
    assert refused(answer(ISSUING, PLAIN, named=OTHER, certificates=[ISSUING.raw])) == reasons.SIGNER.code


def test_a_changed_answer() -> None:
    for by in (DELEGATE, ISSUING):
        raw = answer(by, PLAIN)
        position = raw.index(der.generalized_time(NOW + DAY)) + 5
        changed = raw[:position] + b"9" + raw[position + 1 :]
        assert refused(changed) == reasons.SIGNATURE.code


def test_the_certificate_of_the_responder_itself_was_changed() -> None:
    broken = DELEGATE.raw[:-1] + bytes([DELEGATE.raw[-1] ^ 1])
    nameless = make(b"\x30\x02\x31\x00", DELEGATE.key, ISSUING, extensions=[FOR_ANSWERS, NO_CHECK])
    for other in (broken, nameless.raw, b"\x30\x00"):
        assert refused(answer(DELEGATE, PLAIN, certificates=[other])) == reasons.SIGNER.code
        assert said(answer(DELEGATE, PLAIN, certificates=[other, DELEGATE.raw])).doubts == ()


def test_only_so_many_certificates_are_tried() -> None:
    strangers = [
        make(name("Responder"), pki.key("p256", str(number)), extensions=[FOR_ANSWERS]).raw
        for number in range(limits.OCSP_SIGNERS_MAX)
    ]
    raw = answer(DELEGATE, PLAIN, certificates=(), by_name=True)
    assert said(raw, certificates=[*strangers[1:], DELEGATE.raw]).doubts == ()
    assert refused(raw, certificates=[*strangers, DELEGATE.raw]) == reasons.SIGNER.code


def test_a_responder_is_valid_when_it_answers_and_when_it_is_asked_about() -> None:
    just = PLAIN._replace(since=NOW)
    for since in (NOW + limits.CLOCK_SKEW, dt.datetime.min.replace(tzinfo=dt.UTC)):
        assert doubts(answer(responder(ISSUING, since=since), just)) == []
    early = responder(ISSUING, since=NOW + limits.CLOCK_SKEW + dt.timedelta(seconds=1))
    assert refused(answer(early, just)) == reasons.RESPONDER_ENDED.code
    ended = responder(ISSUING, until=NOW - HOUR - dt.timedelta(seconds=1))
    assert refused(answer(ended, PLAIN)) == reasons.RESPONDER_ENDED.code
    since_ended = responder(ISSUING, until=NOW - HOUR / 2)
    assert doubts(answer(since_ended, PLAIN)) == [reasons.RESPONDER_ENDED.code]
    assert said(answer(since_ended, PLAIN._replace(status=revoked(NOW - DAY)))).entry == Entry(NOW - DAY)


def test_an_issuer_that_had_ended_when_it_answered() -> None:
    late = pki.UNTIL + DAY
    single = PLAIN._replace(since=late, until=late + DAY)
    assert refused(answer(ISSUING, single), at=late) == reasons.RESPONDER_ENDED.code
    assert doubts(answer(ISSUING, single._replace(since=pki.UNTIL)), at=late) == []


def test_nocheck_and_the_issuer_need_not_be_asked_about() -> None:
    assert Answer(answer(DELEGATE, PLAIN)).signer(ISSUING.view).exempt
    assert Answer(answer(ISSUING, PLAIN)).signer(ISSUING.view).exempt
    assert not Answer(answer(responder(ISSUING, FOR_ANSWERS), PLAIN)).signer(ISSUING.view).exempt


# How it was signed


def test_broken_digests_and_short_keys() -> None:
    rsa = pki.key("rsa2048")
    delegate = responder(ISSUING, key=rsa)
    assert said(answer(delegate, PLAIN)).doubts == ()
    assert refused(answer(delegate, PLAIN, digest="md5")) == reasons.WEAK.code
    assert refused(answer(delegate, PLAIN, digest="sha1")) == reasons.WEAK.code
    assert refused(answer(responder(ISSUING, key=pki.key("rsa1024")), PLAIN)) == reasons.WEAK.code
    assert refused(answer(responder(ISSUING, digest="sha1"), PLAIN)) == reasons.WEAK.code


def test_sha1_counts_before_its_sunset_and_not_for_what_claims_to_be_older() -> None:
    then = material.day("2020-06-01")
    old = make(name("Old"), pki.key("rsa2048"), extensions=material.ca_extensions(), since=then - 99 * DAY)
    leaf = make(name("Leaf"), pki.key("p256", "Leaf"), old, since=then - 9 * DAY)
    good = answer(old, Single(leaf, old, since=then, until=NOW + DAY), digest="sha1")
    at = then + DAY
    assert Answer(good).says(leaf.view, old.view, at).doubts == ()
    just = answer(old, Single(leaf, old, since=limits.SHA1_SUNSET), digest="sha1")
    with pytest.raises(BrokenError):
        Answer(just).says(leaf.view, old.view, at)
    late = Answer(good).says(leaf.view, old.view, NOW).doubts
    assert [doubt.reason.code for doubt in late] == [reasons.WEAK.code]
    gone = answer(old, Single(leaf, old, revoked(then), since=then, until=at), digest="sha1")
    assert Answer(gone).says(leaf.view, old.view, NOW).entry == Entry(then)


def test_a_date_that_only_the_signer_tells_makes_nothing_strong() -> None:
    """Who finds the key of a short modulus, or a collision, writes any date before the sunset."""
    long_ago = material.day("2013-01-01")
    extensions = material.ca_extensions()
    issuer = make(name("Old"), pki.key("p256", "Old"), extensions=extensions, since=long_ago, digest="sha1")
    single = Single(make(name("Leaf"), pki.key("p256", "Leaf"), issuer), issuer)
    assert Answer(answer(issuer, single)).says(single.certificate.view, issuer.view, NOW).doubts == ()
    short = responder(issuer, key=pki.key("rsa1024"), since=long_ago)
    for delegate in (short, responder(issuer, digest="sha1", since=long_ago)):
        for each, expected in ((single, [reasons.WEAK.code]), (single._replace(since=long_ago), [])):
            raw = answer(delegate, each, produced=long_ago + HOUR)
            at = each.since + HOUR
            found = Answer(raw).says(single.certificate.view, issuer.view, at).doubts
            assert [doubt.reason.code for doubt in found if doubt.reason is reasons.WEAK] == expected
    just = answer(short, single._replace(since=limits.RSA_1024_SUNSET))
    with pytest.raises(BrokenError):
        Answer(just).says(single.certificate.view, issuer.view, long_ago)


# When it counts


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (NOW - HOUR, NOW, []),
        (NOW - HOUR, NOW - dt.timedelta(seconds=1), ["ocsp.stale"]),
        (NOW, NOW + HOUR, []),
        (NOW, NOW, []),
        (NOW + limits.CLOCK_SKEW, NOW + HOUR, []),
        (NOW + limits.CLOCK_SKEW + dt.timedelta(seconds=1), NOW + HOUR, ["ocsp.future"]),
        (NOW - limits.OCSP_UNDATED_MAX, None, []),
        (NOW - limits.OCSP_UNDATED_MAX - dt.timedelta(seconds=1), None, ["ocsp.undated"]),
    ],
)
def test_an_answer_counts_while_it_is_fresh(since: dt.datetime, until: dt.datetime | None, expected: list[str]) -> None:
    raw = answer(DELEGATE, PLAIN._replace(since=since, until=until))
    assert doubts(raw) == expected
    gone = answer(DELEGATE, PLAIN._replace(since=since, until=until, status=revoked(NOW - DAY)))
    assert said(gone).entry == Entry(NOW - DAY)


def test_nobody_knows_what_is_after_the_signature() -> None:
    for early, expected in ((limits.CLOCK_SKEW, []), (limits.CLOCK_SKEW + dt.timedelta(seconds=1), ["ocsp.future"])):
        assert doubts(answer(DELEGATE, PLAIN, produced=PLAIN.since - early)) == expected
        gone = PLAIN._replace(status=revoked(NOW - DAY))
        assert said(answer(DELEGATE, gone, produced=PLAIN.since - early)).entry == Entry(NOW - DAY)


def test_how_old_an_undated_answer_may_be_is_an_argument() -> None:
    raw = answer(DELEGATE, PLAIN._replace(since=NOW - 6 * DAY, until=None))
    assert doubts(raw) == ["ocsp.undated"]
    assert doubts(raw, undated=7 * DAY) == []


def test_an_answer_that_ends_before_it_begins() -> None:
    assert refused(answer(DELEGATE, PLAIN._replace(since=NOW, until=NOW - DAY))) == reasons.MALFORMED.code


def test_about_an_expired_certificate_only_with_an_archive_that_goes_back_so_far() -> None:
    expired = make(name("Expired"), pki.key("p256", "Expired"), ISSUING, until=NOW - DAY)
    single = Single(expired, ISSUING)
    assert doubts(answer(DELEGATE, single), certificate=expired) == ["ocsp.archive"]
    for cutoff, expected in ((NOW - DAY, []), (NOW - DAY + HOUR, ["ocsp.archive"]), (pki.SINCE, [])):
        raw = answer(DELEGATE, single._replace(more=[ocsp.archive_cutoff(cutoff)]))
        assert doubts(raw, certificate=expired) == expected
    before = Single(expired, ISSUING, since=NOW - DAY, until=NOW + DAY)
    assert doubts(answer(DELEGATE, before), certificate=expired) == []


def test_a_damaged_extension_makes_it_malformed() -> None:
    for oid in ("1.3.6.1.5.5.7.48.1.6", x509.INVALIDITY_DATE):
        single = PLAIN._replace(status=revoked(NOW - DAY), more=[answers.extension(oid, b"\x04\x00")])
        late = make(name("Late"), pki.key("p256", "Late"), ISSUING, until=NOW - 2 * HOUR)
        single = single._replace(certificate=late)
        assert refused(answer(DELEGATE, single), certificate=late) == reasons.MALFORMED.code


# Nonces and extensions


def test_the_nonce_must_be_the_one_that_was_sent() -> None:
    with_nonce, without = answer(DELEGATE, PLAIN, nonce=b"n" * 32), answer(DELEGATE, PLAIN)
    assert said(with_nonce, nonce=b"n" * 32).doubts == ()
    assert said(with_nonce).doubts == ()
    assert refused(with_nonce, nonce=b"m" * 32) == reasons.NONCE.code
    assert refused(without, nonce=b"n" * 32) == reasons.NONCE.code


def test_critical_extensions_must_be_known() -> None:
    for critical in (False, True):
        strange = answers.extension("1.2.3.4", critical=critical)
        everywhere, once = answer(DELEGATE, PLAIN, more=[strange]), answer(DELEGATE, PLAIN._replace(more=[strange]))
        for raw in (everywhere, once):
            if critical:
                assert refused(raw) == reasons.CRITICAL.code
            else:
                assert said(raw).doubts == ()
    nonce = der.sequence(der.oid(ocsp.NONCE), b"\x01\x01\xff", der.octet_string(der.octet_string(b"n")))
    assert said(answer(DELEGATE, PLAIN, more=[nonce])).doubts == ()


# What is no answer


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (ocsp.TRY_LATER, "ocsp.try_later"),
        (ocsp.MALFORMED_REQUEST, "ocsp.refused"),
        (ocsp.INTERNAL_ERROR, "ocsp.refused"),
        (ocsp.SIG_REQUIRED, "ocsp.refused"),
        (ocsp.UNAUTHORIZED, "ocsp.refused"),
    ],
)
def test_refusals_say_why(status: int, code: str) -> None:
    with pytest.raises(BrokenError) as caught:
        Answer(ocsp.failure(status))
    assert caught.value.reason.code == code
    assert caught.value.detail == ocsp.STATUSES[status]


@pytest.mark.parametrize("raw", [b"", b"<html>", answer(DELEGATE, PLAIN)[:-1], answer(DELEGATE, PLAIN) + b"\0"])
def test_what_is_no_response_is_malformed(raw: bytes) -> None:
    with pytest.raises(BrokenError) as caught:
        Answer(raw)
    assert caught.value.reason is reasons.MALFORMED


def test_an_unknown_signature_algorithm_is_no_signature() -> None:
    raw = answer(DELEGATE, PLAIN)
    known, strange = der.oid("1.2.840.10045.4.3.2"), der.oid("1.2.840.10045.4.3.9")
    body = raw.rindex(known, 0, raw.index(DELEGATE.raw))
    assert refused(raw[:body] + strange + raw[body + len(known) :]) == reasons.SIGNATURE.code


@given(st.integers(0, 10**6), st.integers(1, 255), st.booleans())
def test_a_changed_byte_changes_nothing_but_whether_it_counts(position: int, change: int, by_name: bool) -> None:  # noqa: FBT001 - drawn
    raw = bytearray(answer(DELEGATE, PLAIN, by_name=by_name, nonce=b"n"))
    raw[position % len(raw)] ^= change
    try:
        found = said(bytes(raw))
    except BrokenError as error:
        assert error.reason.code.startswith("ocsp.")  # noqa: PT017 - anything else must come out
    else:
        assert found.entry is None
        assert not found.unknown


def test_a_responders_name_that_is_none() -> None:
    raw = answer(DELEGATE, PLAIN, by_name=True)
    first = raw.index(b"\x31", raw.index(DELEGATE.name))
    for position in range(first, first + len(DELEGATE.name) - 2):
        changed = bytearray(raw)
        changed[position] ^= 1
        assert refused(bytes(changed)) in (reasons.SIGNER.code, reasons.SIGNATURE.code, reasons.MALFORMED.code)
    empty = answer(DELEGATE, PLAIN, named=DELEGATE._replace(name=b"\x30\x02\x31\x00"), by_name=True)
    with pytest.raises(BrokenError) as caught:
        Answer(empty).signer(ISSUING.view)
    assert caught.value.reason is reasons.MALFORMED
