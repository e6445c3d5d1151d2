"""OCSP answers among the data about revocation: where they come from, how they go with lists, what time does."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.envelopes import der, ocsp, x509
from chopmark.net import http
from chopmark.trust import context, judge
from chopmark.trust.crl import origins
from chopmark.trust.ocsp import source
from chopmark.trust.ocsp.source import OcspSource
from tests.support import pki
from tests.support.patience import PATIENCE
from tests.unit.net.test_http import OK, drips, says, serving, silence, whole
from tests.unit.trust import answers, material
from tests.unit.trust.answers import DAY, FOR_ANSWERS, HOUR, NO_CHECK, UNKNOWN, Single, answer, responder, revoked
from tests.unit.trust.material import Cert, Extension, codes, entry, make, name, purposes

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from chopmark.core.contracts import Fetcher
    from chopmark.trust.judge import Judgement
    from tests.unit.net.test_http import Behaviour

NOW = material.day("2026-12-01")
MAY, JULY, OCTOBER = (material.day(f"2026-{month:02}-01") for month in (5, 7, 10))
URL = "http://ocsp.example.com/ocsp"
CRL_URL = "http://crl.example.com/issuing.crl"
KEYS = material.ca_extensions()


def access(url: str = URL) -> Extension:
    description = der.sequence(der.oid(x509.ACCESS_OCSP), der.implicit(6, url.encode()))
    return Extension(x509.AUTHORITY_INFORMATION_ACCESS, der.sequence(description))


def published(url: str = CRL_URL) -> Extension:
    point = der.explicit(0, der.explicit(0, der.implicit(6, url.encode())))
    return Extension(x509.CRL_DISTRIBUTION_POINTS, der.sequence(der.sequence(point)))


def signer(*extensions: Extension, label: str = "Signer", until: dt.datetime = pki.UNTIL) -> Cert:
    more = [purposes(material.CODE), *extensions]
    return make(name(label), pki.key("p256", label), ROOT, extensions=more, until=until)


ROOT = make(name("Root"), pki.key("p256", "Root"), extensions=KEYS)
PLAIN = signer()
NAMED = signer(access(), label="Named")
BOTH = signer(access(), published(), label="Both")
DELEGATE = responder(ROOT)
TSA = make(name("Stamper"), pki.key("p256", "Stamper"), ROOT, extensions=[purposes(material.TIME, critical=True)])
STAMP = material.stamp(TSA, JULY)


def single(certificate: Cert = NAMED, status: bytes = answers.GOOD, *, age: dt.timedelta = HOUR) -> Single:
    return Single(certificate, ROOT, status, NOW - age, NOW - age + DAY)


def said(
    certificate: Cert = NAMED, status: bytes = answers.GOOD, *, age: dt.timedelta = HOUR, by: Cert = DELEGATE
) -> bytes:
    return answer(by, single(certificate, status, age=age))


def listed(*entries: bytes, age: dt.timedelta = HOUR) -> bytes:
    """A list of the root's."""
    identifier = der.sequence(der.oid("1.2.840.10045.4.3.2"))
    tbs = der.sequence(
        der.integer(1),
        identifier,
        ROOT.name,
        der.time(NOW - age),
        der.time(NOW - age + DAY),
        der.sequence(*entries) if entries else b"",
    )
    return der.sequence(tbs, identifier, der.bit_string(material.signed(tbs, ROOT.key, "sha256")))


def gone(certificate: Cert, when: dt.datetime = MAY, reason: int = 0) -> bytes:
    code = Extension(x509.CRL_REASON, der.encode(der.ENUMERATED, bytes([reason])))
    return entry(certificate.view.serial_octets, when, *((code,) if reason else ()))


class Net:
    """A Fetcher: lists by URL, and one answer for every OCSP request under a URL; nothing else is there."""

    def __init__(self, answers_: dict[str, bytes] | None = None, lists: dict[str, bytes] | None = None) -> None:
        self.answers = answers_ or {}
        self.lists = lists or {}
        self.asked: list[str] = []

    def get(self, url: str, limit: int) -> bytes:
        self.asked.append(url)
        for known, body in self.answers.items():
            if url.startswith(known + "/"):
                return body
        if url in self.lists and len(self.lists[url]) <= limit:
            return self.lists[url]
        message = f"{url}: not there"
        raise UnavailableError(message)

    def post(self, url: str, body: bytes, content_type: str, limit: int) -> bytes:  # noqa: ARG002 - the contract's
        assert content_type == ocsp.REQUEST_TYPE
        assert ocsp.read_request(body).plain
        self.asked.append(f"POST {url}")
        return self.answers[url]


class Bench:
    """Judges a signature by somebody under the root."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.store = material.trusting(folder, ROOT)

    def context(
        self,
        *,
        mode: str = "require",
        at: dt.datetime = NOW,
        files: Sequence[bytes] = (),
        lists: Sequence[bytes] = (),
        net: Fetcher | None = None,
    ) -> context.Context:
        names = []
        for kind, raws in (("ors", files), ("crl", lists)):
            for raw in raws:
                path = self.folder / f"{hashlib.sha256(raw).hexdigest()[:16]}.{kind}"
                path.write_bytes(raw)
                names.append(str(path))
        return context.Context(
            self.store,
            at,
            mode,
            origins.CrlSource(
                [each for each in names if each.endswith("crl")], cache=str(self.folder / "crls"), fetcher=net
            ),
            besides=context.Besides(
                ocsp=OcspSource(
                    [each for each in names if each.endswith("ors")], cache=str(self.folder / "ocsp"), fetcher=net
                )
            ),
        )

    def judged(
        self,
        certificate: Cert = NAMED,
        *,
        stamped: bool = False,
        carried: Sequence[bytes] = (),
        brought: Sequence[bytes] = (),
        carried_lists: Sequence[bytes] = (),
        **circumstances: object,
    ) -> Judgement:
        proof = material.proof(certificate, *brought, stamps=[STAMP] if stamped else [], lists=carried_lists)
        proof = proof._replace(answers=tuple(carried))
        return judge.judge(proof, "code-signing", self.context(**circumstances))  # type: ignore[arg-type]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


STAMPER_GOOD = answer(DELEGATE, Single(TSA, ROOT, since=NOW - HOUR, until=NOW + DAY))


# The rule of time, as for lists


@pytest.mark.parametrize(
    ("when", "invalid_since", "valid"),
    [(MAY, None, False), (OCTOBER, None, True), (OCTOBER, MAY, False), (JULY, None, False), (MAY, OCTOBER, False)],
)
def test_a_signature_counts_that_is_proven_to_be_older(
    bench: Bench, when: dt.datetime, invalid_since: dt.datetime | None, *, valid: bool
) -> None:
    more = [ocsp.invalidity_date(invalid_since)] if invalid_since else []
    raw = answer(DELEGATE, single(status=revoked(when, 1))._replace(more=more))
    found = bench.judged(stamped=True, files=[raw, STAMPER_GOOD])
    assert found.trusted is valid
    assert codes(found) == (set() if valid else {"revocation.revoked"})
    assert ("revocation.later" in codes(found, "ok")) is valid
    assert codes(bench.judged(files=[raw])) == {"revocation.revoked"}


def test_a_hold_is_a_hold(bench: Bench) -> None:
    held = said(status=revoked(MAY, 6))
    assert codes(bench.judged(files=[held])) == {"revocation.on_hold"}


def test_good_is_good_in_every_mode_and_off_asks_nobody(bench: Bench) -> None:
    net = Net({URL: said()})
    for mode in ("require", "prefer"):
        found = bench.judged(mode=mode, net=net)
        assert found.trusted
        assert "revocation.good" in codes(found, "ok")
    net = Net({URL: said(status=revoked(MAY))})
    assert "revocation.off" in codes(bench.judged(mode="off", net=net), "info")
    assert net.asked == []


# What does not count leaves its own finding; nothing is never good


CASES: dict[str, tuple[bytes, str]] = {
    "stale": (said(age=2 * DAY), "ocsp.stale"),
    "future": (said(age=-HOUR), "ocsp.future"),
    "undated": (answer(DELEGATE, single()._replace(until=None)), "ocsp.undated"),
    "unknown": (said(status=UNKNOWN), "ocsp.unknown"),
    "another certificate": (said(PLAIN), "ocsp.other"),
    "nobody": (answer(DELEGATE), "ocsp.other"),
    "another signer": (said(by=responder(TSA)), "ocsp.signer"),
    "a changed signature": (said()[:-300] + b"\0" + said()[-299:], "ocsp.malformed"),
    "garbage": (b"<html>sign in to the hotel's network</html>", "ocsp.malformed"),
    "nothing": (b"", "ocsp.malformed"),
    "later": (ocsp.failure(ocsp.TRY_LATER), "ocsp.try_later"),
    "unauthorized": (ocsp.failure(ocsp.UNAUTHORIZED), "ocsp.refused"),
    "critical": (answer(DELEGATE, single(), more=[answers.extension("1.2.3", critical=True)]), "ocsp.critical"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_count_says_why(bench: Bench, case: str) -> None:
    raw, code = CASES[case]
    if case == "a changed signature":
        raw = answer(DELEGATE, single(), named=DELEGATE)
        code = "ocsp.signature"
        raw = raw.replace(der.generalized_time(NOW - HOUR), der.generalized_time(NOW - 2 * HOUR))
    required = bench.judged(net=Net({URL: raw}))
    expected = "revocation.unknown" if case == "unknown" else "revocation.unavailable"
    assert codes(required) == {expected, code}
    about = {each.subject for each in required.findings if each.code in (expected, code)}
    assert about == {NAMED.view.subject_text}
    preferred = bench.judged(net=Net({URL: raw}), mode="prefer")
    assert "revocation.good" not in codes(preferred, "ok")
    assert code in codes(preferred, "info")
    assert preferred.trusted is (case != "unknown")


def test_no_responder_and_no_list(bench: Bench) -> None:
    assert codes(bench.judged(PLAIN)) == {"revocation.unavailable"}
    assert codes(bench.judged(NAMED)) == {"revocation.unavailable", "ocsp.unavailable"}
    assert codes(bench.judged(NAMED, net=Net())) == {"revocation.unavailable", "ocsp.unavailable"}


# Together with lists


def test_either_says_revoked(bench: Bench) -> None:
    silent, names = listed(), listed(gone(BOTH))
    good, bad = said(BOTH), said(BOTH, revoked(MAY, 1))
    assert codes(bench.judged(BOTH, lists=[silent], files=[bad])) == {"revocation.revoked"}
    assert codes(bench.judged(BOTH, lists=[names], files=[bad])) == {"revocation.revoked"}
    assert codes(bench.judged(BOTH, lists=[names])) == {"revocation.revoked"}
    # What settles it at hand is enough; where nothing does, the other is asked.
    old = said(BOTH, age=2 * DAY)
    assert codes(bench.judged(BOTH, files=[old], net=Net({URL: old}, {CRL_URL: names}))) == {"revocation.revoked"}
    assert bench.judged(BOTH, files=[good]).trusted


def test_of_two_revocations_the_earlier_date_counts(bench: Bench) -> None:
    late, early = said(BOTH, revoked(OCTOBER, 1), age=2 * DAY), listed(gone(BOTH, MAY))
    found = bench.judged(BOTH, stamped=True, files=[STAMPER_GOOD], carried=[late], carried_lists=[early])
    assert codes(found) == {"revocation.revoked"}
    doubtful = single(BOTH, revoked(OCTOBER, 1), age=2 * DAY)._replace(more=[ocsp.invalidity_date(MAY)])
    files = [STAMPER_GOOD, answer(DELEGATE, doubtful)]
    found = bench.judged(BOTH, stamped=True, files=files, lists=[listed(gone(BOTH, OCTOBER - DAY))])
    assert codes(found) == {"revocation.revoked"}


def test_an_old_revocation_still_counts(bench: Bench) -> None:
    old = said(status=revoked(MAY, 1), age=99 * DAY)
    for found in (bench.judged(files=[old]), bench.judged(carried=[old]), bench.judged(net=Net({URL: old}))):
        assert codes(found) == {"revocation.revoked"}


def test_only_a_hold_ends_and_only_by_what_is_newer_and_fresh(bench: Bench) -> None:
    held, held_list = said(BOTH, revoked(MAY, 6), age=2 * DAY), listed(gone(BOTH, MAY, 6), age=2 * DAY)
    assert bench.judged(BOTH, files=[held], lists=[listed()]).trusted
    assert bench.judged(BOTH, files=[said(BOTH)], lists=[held_list]).trusted
    assert codes(bench.judged(BOTH, files=[held], lists=[listed(age=3 * DAY)])) == {"revocation.on_hold"}
    assert codes(bench.judged(BOTH, files=[said(BOTH, revoked(MAY, 6)), said(BOTH, age=2 * HOUR)])) == {
        "revocation.on_hold"
    }
    older = [said(BOTH, revoked(OCTOBER, 6), age=4 * HOUR), said(BOTH, age=3 * HOUR)]
    for files in (older, older[::-1]):
        held_again = [*files, said(BOTH, revoked(MAY, 6), age=2 * HOUR)]
        assert codes(bench.judged(BOTH, files=held_again)) == {"revocation.on_hold"}
        assert bench.judged(BOTH, files=[*held_again, said(BOTH)]).trusted
        assert codes(bench.judged(BOTH, files=[*held_again, said(BOTH, age=2 * HOUR)])) == {"revocation.on_hold"}
    assert bench.judged(files=[said(status=revoked(MAY, 6), age=2 * HOUR)], net=Net({URL: said()})).trusted
    final = said(BOTH, revoked(MAY, 1), age=2 * DAY)
    assert codes(bench.judged(BOTH, files=[final, said(BOTH)])) == {"revocation.revoked"}


def test_unknown_outweighs_a_silent_list_unless_the_certificate_has_expired(bench: Bench) -> None:
    lost = Net({URL: said(BOTH, UNKNOWN)}, {CRL_URL: listed(age=HOUR / 2)})
    found = bench.judged(BOTH, net=lost)
    assert codes(found) == {"revocation.unknown", "ocsp.unknown"}
    expired = signer(access(), published(), label="Expired", until=OCTOBER)
    net = Net({URL: said(expired, UNKNOWN)}, {CRL_URL: listed()})
    found = bench.judged(expired, net=net, stamped=True, files=[STAMPER_GOOD])
    assert found.trusted
    assert "ocsp.unknown" in codes(found, "info")
    revoked_too = Net({URL: said(BOTH, UNKNOWN)}, {CRL_URL: listed(gone(BOTH))})
    other = Bench(bench.folder / "other")
    assert codes(other.judged(BOTH, net=revoked_too)) == {"revocation.revoked"}


def test_a_newer_good_ends_an_unknown(bench: Bench) -> None:
    files = [said(status=UNKNOWN, age=2 * HOUR), said()]
    assert bench.judged(files=files).trusted
    newer, older = said(status=UNKNOWN), said(status=UNKNOWN, age=3 * HOUR)
    for files in ([newer], [newer, older], [older, newer]):
        found = bench.judged(files=[*files, said(age=2 * HOUR)])
        assert codes(found) == {"revocation.unknown", "ocsp.unknown", "ocsp.unavailable"}
    assert bench.judged(files=[said(status=UNKNOWN, age=2 * DAY)], lists=[listed()]).trusted
    held = listed(gone(NAMED, MAY, 6), age=4 * HOUR)
    found = bench.judged(files=[newer, said(age=2 * HOUR)], lists=[held])
    assert codes(found) == {"revocation.unknown", "ocsp.unknown"}


def test_what_is_at_hand_and_fresh_is_enough(bench: Bench) -> None:
    net = Net({URL: said(BOTH)}, {CRL_URL: listed()})
    assert bench.judged(BOTH, lists=[listed()], net=net).trusted
    assert bench.judged(BOTH, files=[said(BOTH)], net=net).trusted
    assert codes(bench.judged(BOTH, files=[said(BOTH, revoked(MAY, 1))], net=net)) == {"revocation.revoked"}
    assert net.asked == []


def test_a_responder_is_asked_before_a_list_until_there_are_many(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net({URL: said(BOTH)}, {CRL_URL: listed()})
    assert bench.judged(BOTH, net=net).trusted
    assert [url.startswith(URL) for url in net.asked] == [True]
    monkeypatch.setattr(limits, "OCSP_PER_ISSUER_MAX", 2)
    made = [signer(access(), published(), label=f"Signer {number}") for number in range(4)]
    net = Net({URL: answer(DELEGATE, *(single(each) for each in made))}, {CRL_URL: listed()})
    here = bench.context(net=net)
    for each in made:
        assert judge.judge(material.proof(each), "code-signing", here).trusted
    assert [url.startswith(URL) for url in net.asked] == [True, True, False]


def test_when_a_responder_does_not_answer_the_list_does(bench: Bench) -> None:
    for body in (b"garbage", ocsp.failure(ocsp.TRY_LATER), said(BOTH, age=2 * DAY)):
        net = Net({URL: body}, {CRL_URL: listed()})
        found = bench.judged(BOTH, net=net)
        assert found.trusted
        assert any(code.startswith("ocsp.") for code in codes(found, "info"))


# Long after: a certificate that has expired


def test_about_an_expired_certificate_an_answer_needs_its_archive(bench: Bench) -> None:
    expired = signer(access(), label="Expired", until=OCTOBER)
    plain = single(expired)
    bare, reaching = answer(DELEGATE, plain), answer(DELEGATE, plain._replace(more=[ocsp.archive_cutoff(JULY)]))
    found = bench.judged(expired, stamped=True, files=[bare, STAMPER_GOOD])
    assert codes(found) == {"revocation.unavailable", "ocsp.archive", "ocsp.unavailable"}
    assert bench.judged(expired, stamped=True, files=[reaching, STAMPER_GOOD]).trusted
    gone_ = answer(DELEGATE, plain._replace(status=revoked(MAY, 1)))
    assert codes(bench.judged(expired, stamped=True, files=[gone_, STAMPER_GOOD])) == {"revocation.revoked"}


def test_in_the_past_answers_of_today_only_revoke(bench: Bench) -> None:
    at = NOW - 30 * DAY
    assert codes(bench.judged(at=at, files=[said()])) == {"revocation.unavailable", "ocsp.future", "ocsp.unavailable"}
    assert codes(bench.judged(at=at, files=[said(status=revoked(MAY))])) == {"revocation.revoked"}
    assert bench.judged(at=NOW, files=[said()]).trusted


# Answers that come along


def test_answers_in_the_signature_are_asked_last(bench: Bench) -> None:
    assert bench.judged(PLAIN, carried=[said(PLAIN)]).trusted
    assert codes(bench.judged(PLAIN, carried=[said(PLAIN, age=2 * DAY)])) == {"revocation.unavailable", "ocsp.stale"}
    assert codes(bench.judged(PLAIN, carried=[b"nonsense"])) == {"revocation.unavailable"}
    net = Net({URL: said(status=revoked(MAY))})
    assert codes(bench.judged(carried=[said()], net=net)) == {"revocation.revoked"}


def test_answers_about_authorities_may_come_too(bench: Bench) -> None:
    middle = make(name("Middle"), pki.key("p256", "Middle"), ROOT, extensions=KEYS)
    leaf = make(name("Leaf"), pki.key("p256", "Leaf"), middle, extensions=[purposes(material.CODE)])
    own = answer(middle, single(leaf)._replace(issuer=middle))
    for more, expected in (([], {"revocation.unavailable"}), ([said(middle)], set())):
        assert codes(bench.judged(leaf, brought=[middle.raw], carried=[own, *more])) == expected


def test_a_responders_certificate_may_come_with_the_signature(bench: Bench) -> None:
    bare = answer(DELEGATE, single(PLAIN), certificates=())
    assert codes(bench.judged(PLAIN, carried=[bare])) == {"revocation.unavailable", "ocsp.signer"}
    assert bench.judged(PLAIN, carried=[bare], brought=[DELEGATE.raw]).trusted


# Responders that are themselves asked about


def test_without_nocheck_the_responder_is_asked_about(bench: Bench) -> None:
    place = [FOR_ANSWERS, published()]
    checked = responder(ROOT, *place, label="Checked")
    good, bad = listed(), listed(gone(checked))
    raw = said(by=checked)
    net = Net({URL: raw}, {CRL_URL: good})
    assert bench.judged(net=net).trusted
    assert CRL_URL in net.asked
    second = Bench(bench.folder / "second")
    assert codes(second.judged(files=[raw], net=Net({}, {CRL_URL: bad}))) >= {
        "revocation.unavailable",
        "ocsp.responder_revoked",
    }
    third = Bench(bench.folder / "third")
    assert "ocsp.responder_unchecked" in codes(third.judged(files=[raw]))
    exempt = responder(ROOT, NO_CHECK, *place, label="Exempt")
    assert third.judged(files=[said(by=exempt)]).trusted
    revoking = said(status=revoked(MAY), by=checked)
    assert codes(third.judged(files=[revoking])) == {"revocation.revoked"}


def test_an_issuer_may_leave_out_how_to_ask_about_its_responder(bench: Bench) -> None:
    bare = responder(ROOT, FOR_ANSWERS, label="Bare")
    raw = said(by=bare)
    assert bench.judged(files=[raw]).trusted
    assert "ocsp.responder_revoked" in codes(bench.judged(files=[raw], lists=[listed(gone(bare), age=2 * DAY)]))
    odd = responder(ROOT, FOR_ANSWERS, Extension(x509.AUTHORITY_INFORMATION_ACCESS, b"\x30\x02\x05\x00"), label="Odd")
    assert "ocsp.responder_unchecked" in codes(bench.judged(files=[said(by=odd)]))
    assert bench.judged(files=[said(by=odd), said(odd)]).trusted
    strange = said(bare, UNKNOWN)
    assert {"ocsp.responder_unchecked"} <= codes(Bench(bench.folder / "strange").judged(files=[raw, strange]))


def test_nobody_vouches_for_themselves(bench: Bench) -> None:
    alone = responder(ROOT, FOR_ANSWERS, access(), label="Alone")
    own = answer(alone, single(), single(alone))
    assert "ocsp.responder_unchecked" in codes(bench.judged(files=[own]))
    one, two = (responder(ROOT, FOR_ANSWERS, access(), label=label) for label in ("One", "Two"))
    files = [said(by=one), said(one, by=two), said(two, by=one)]
    assert "ocsp.responder_unchecked" in codes(bench.judged(files=files))
    exempt = said(by=one), said(one, by=DELEGATE)
    assert bench.judged(files=exempt).trusted


@pytest.mark.parametrize(("extra", "trusted"), [(0, True), (1, False)])
def test_responders_vouch_for_each_other_so_far_and_no_further(bench: Bench, *, extra: int, trusted: bool) -> None:
    count = limits.CRL_SIGNER_DEPTH_MAX - 1 + extra
    chain = [responder(ROOT, FOR_ANSWERS, access(), label=f"Responder {number}") for number in range(count)]
    files = [said(about, by=by) for about, by in itertools.pairwise((NAMED, *chain, DELEGATE))]
    found = bench.judged(files=files)
    assert found.trusted is trusted
    assert ("ocsp.responder_unchecked" in codes(found)) is not trusted


def test_no_key_vouches_for_itself_with_nocheck_either(bench: Bench) -> None:
    parts = [purposes(material.CODE, x509.EKU_OCSP_SIGNING), NO_CHECK]
    held, renewed = (responder(ROOT, *parts, label="Held", until=pki.UNTIL - days * DAY) for days in (0, 1))
    between = responder(ROOT, FOR_ANSWERS, access(), label="Between")
    for files in ([said(held, by=held)], [said(held, by=renewed)], [said(held, by=between), said(between, by=renewed)]):
        assert "ocsp.responder_unchecked" in codes(bench.judged(held, files=files))


# The network and the cache


def test_a_fresh_answer_is_kept_and_checked_again_whenever_it_is_read(bench: Bench) -> None:
    net = Net({URL: said()})
    assert bench.judged(net=net).trusted
    assert len(net.asked) == 1
    assert bench.judged(net=net).trusted
    assert bench.judged().trusted  # offline
    assert len(net.asked) == 1
    [kept] = (bench.folder / "ocsp").iterdir()
    raw = kept.read_bytes()
    for damaged in (
        raw[:100],
        b"",
        raw.replace(der.generalized_time(NOW - HOUR), der.generalized_time(NOW - 2 * HOUR)),
    ):
        kept.write_bytes(damaged)
        assert codes(bench.judged()) >= {"revocation.unavailable"}
    assert bench.judged(net=net).trusted
    assert len(net.asked) == 2
    late = NOW + 2 * DAY
    assert codes(bench.judged(at=late)) == {"revocation.unavailable", "ocsp.stale", "ocsp.unavailable"}
    for online in (Net({URL: said(age=-2 * DAY + HOUR)}), Net()):
        found = bench.judged(at=late, net=online)
        assert found.trusted
        assert not any(code.startswith("ocsp.") for code in codes(found, "info"))


def test_who_is_offline_and_never_was_online_asks_for_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.folder / "ocsp").mkdir()
    looked = bench.judged()  # there could be an answer in the folder
    (bench.folder / "ocsp").rmdir()
    monkeypatch.setattr(ocsp.asking, "request", None)
    assert bench.judged() == looked
    assert codes(looked) == {"revocation.unavailable", "ocsp.unavailable"}
    monkeypatch.undo()
    assert bench.judged(net=Net({URL: said()})).trusted


def test_what_does_not_count_is_not_kept(bench: Bench) -> None:
    for raw in (said(age=2 * DAY), said(by=responder(TSA)), answer(DELEGATE, single()._replace(until=None)), b"x"):
        bench.judged(net=Net({URL: raw}))
    assert not (bench.folder / "ocsp").exists()


def test_an_older_answer_does_not_take_the_place_of_a_newer_one(bench: Bench) -> None:
    held = said(status=revoked(MAY, 6), age=2 * DAY)
    bench.judged(net=Net({URL: held}), at=NOW - 2 * DAY + HOUR)
    older = answer(DELEGATE, Single(NAMED, ROOT, since=NOW - 3 * DAY, until=NOW + 9 * DAY))
    assert codes(bench.judged(net=Net({URL: older}))) == {"revocation.on_hold"}
    assert codes(bench.judged(net=Net())) == {"revocation.on_hold"}
    assert bench.judged(net=Net({URL: said()})).trusted
    assert bench.judged(net=Net()).trusted
    longer = answer(DELEGATE, Single(NAMED, ROOT, since=NOW - HOUR, until=NOW + 9 * DAY))
    for net in (Net({URL: longer}), Net()):
        assert bench.judged(net=net, at=NOW + 5 * DAY).trusted


def test_no_answer_takes_a_revocation_back(bench: Bench) -> None:
    bench.judged(net=Net({URL: said(status=revoked(MAY, 1), age=2 * DAY)}), at=NOW - 2 * DAY + HOUR)
    for net in (Net({URL: said()}), Net(), Net({URL: said(by=responder(TSA))})):
        here = bench.context(net=net)
        for _ in range(2):
            assert codes(judge.judge(material.proof(NAMED), "code-signing", here)) == {"revocation.revoked"}


def test_a_responder_without_dates_is_believed_for_a_moment_and_asked_once(bench: Bench) -> None:
    net = Net({URL: answer(DELEGATE, single(age=0 * HOUR)._replace(until=None))})
    here = bench.context(net=net)
    for carried in ((), (said(PLAIN),)):  # what comes along differs, so that it is judged anew
        proof = material.proof(NAMED)._replace(answers=carried)
        assert judge.judge(proof, "code-signing", here).trusted
    assert len(net.asked) == 1
    assert not (bench.folder / "ocsp").exists()


def test_what_is_wrong_with_an_answer_is_told_each_time(bench: Bench) -> None:
    net = Net({URL: answer(DELEGATE, single(), certificates=())})
    here = bench.context(net=net)
    for brought in ((), (PLAIN.raw,), (DELEGATE.raw,)):  # by the third there is who signed it
        found = judge.judge(material.proof(NAMED, *brought), "code-signing", here)
        assert found.trusted is (brought == (DELEGATE.raw,))
        assert codes(found) == (set() if found.trusted else {"revocation.unavailable", "ocsp.signer"})
    assert len(net.asked) == 1


def test_a_kept_revocation_needs_no_network_but_its_date_may_have_been_moved_back(bench: Bench) -> None:
    files = [STAMPER_GOOD]
    assert bench.judged(net=Net({URL: said(status=revoked(OCTOBER, 1), age=HOUR)}), stamped=True, files=files).trusted
    assert codes(bench.judged(at=NOW + 300 * DAY)) == {"revocation.revoked"}
    moved = answer(DELEGATE, Single(NAMED, ROOT, revoked(MAY, 1), NOW + DAY, NOW + 3 * DAY))
    net = Net({URL: moved})
    stamper = answer(DELEGATE, Single(TSA, ROOT, since=NOW + DAY, until=NOW + 3 * DAY))
    for online in (net, None):
        later = bench.judged(at=NOW + 2 * DAY, net=online, stamped=True, files=[stamper])
        assert codes(later) == {"revocation.revoked"}


def test_a_long_request_goes_by_post(bench: Bench) -> None:
    path = ocsp.request_path(ocsp.request([ocsp.for_certificate(signer(label="Long").view, ROOT.view)]))
    url = "http://ocsp.example.com/".ljust(limits.OCSP_GET_MAX - len(path) - 1, "x")
    for address, method in ((url, ""), (url + "x", "POST ")):
        certificate = signer(access(address), label="Long")
        net = Net({address: said(certificate)})
        assert bench.judged(certificate, net=net).trusted
        assert net.asked == [method + address + ("" if method else f"/{path}")]
        assert bench.judged(certificate).trusted


def test_who_is_out_of_reach_is_asked_once(bench: Bench) -> None:
    net = Net()
    here = bench.context(net=net)
    for number in range(3):
        proof = material.proof(signer(access(), label=f"Signer {number}"))
        assert codes(judge.judge(proof, "code-signing", here)) == {"revocation.unavailable", "ocsp.unavailable"}
    assert len(net.asked) == 1


def test_only_so_many_addresses_are_asked(bench: Bench) -> None:
    urls = [f"http://ocsp{number}.example.com" for number in range(5)]
    parts = [der.sequence(der.oid(x509.ACCESS_OCSP), der.implicit(6, url.encode())) for url in urls]
    certificate = signer(Extension(x509.AUTHORITY_INFORMATION_ACCESS, der.sequence(*parts)), label="Many")
    net = Net()
    bench.judged(certificate, net=net)
    assert len(net.asked) == limits.OCSP_URLS_MAX
    net = Net({urls[1]: said(certificate)})
    assert bench.judged(certificate, net=net).trusted


def test_who_is_not_trusted_makes_us_ask_nobody(bench: Bench) -> None:
    other = make(name("Elsewhere"), pki.key("p256", "Elsewhere"), extensions=KEYS)
    stranger = make(
        name("Stranger"), pki.key("p256", "Stranger"), other, extensions=[purposes(material.CODE), access()]
    )
    net = Net({URL: said()})
    assert not bench.judged(stranger, brought=[other.raw], net=net).trusted
    assert net.asked == []


# Hostile responders, for real


def piece_by_piece(body: bytes) -> Behaviour:
    def behave(connection: object) -> None:
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % (len(body) * 2))  # type: ignore[attr-defined]
        connection.sendall(body)  # type: ignore[attr-defined]

    return behave


def endless(connection: object) -> None:
    connection.sendall(OK + b"\r\n")  # type: ignore[attr-defined]
    for _ in range(16_000):  # a gigabyte
        connection.sendall(bytes(65536))  # type: ignore[attr-defined]


HOSTILE: dict[str, Behaviour] = {
    "says nothing": silence,
    "drips": drips(OK + b"Content-Length: 1000000\r\n\r\n", b"0"),
    "drops the connection": lambda connection: connection.close(),
    "ends in the middle": piece_by_piece(b"0" * 100),
    "sends a gigabyte": endless,
    "promises a gigabyte": says(OK, b"Content-Length: 1073741824\r\n\r\n", b"0" * 1000),
    "redirects in a loop": says(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"),
    "redirects to a file": says(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
    "is not there": says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    "compresses": says(whole(b"\x1f\x8b", b"Content-Encoding: gzip")),
    "is no web server": says(b"SSH-2.0-OpenSSH\r\n"),
    "sends garbage": says(whole(b"\0" * 1000)),
    "sends nothing": says(whole(b"")),
    "sends a list": says(whole(listed())),
}


@pytest.fixture
def fetcher() -> Iterator[http.HttpFetcher]:
    made = http.HttpFetcher(PATIENCE)
    yield made
    made.close()


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_responder_leaves_it_unknown(bench: Bench, fetcher: http.HttpFetcher, how: str) -> None:
    if how in ("says nothing", "drips"):
        fetcher._timeout = 0.4  # noqa: SLF001 - what it was made with
    with serving(HOSTILE[how]) as peer:
        certificate = signer(access(peer.url), label="Asked")
        found = bench.judged(certificate, net=fetcher)
        expected = "ocsp.malformed" if how in ("sends garbage", "sends nothing", "sends a list") else "ocsp.unavailable"
        assert codes(found) == {"revocation.unavailable", expected}
        assert len(peer.seen) <= limits.HTTP_REDIRECTS_MAX + 1


def test_a_responder_on_loopback_is_asked_by_get(bench: Bench, fetcher: http.HttpFetcher) -> None:
    served: list[bytes] = []
    with serving(lambda connection: connection.sendall(served[0])) as peer:
        certificate = signer(access(peer.url), label="Served")
        served.append(whole(said(certificate), b"Content-Type: application/ocsp-response"))
        assert bench.judged(certificate, net=fetcher).trusted
        assert peer.seen[0].startswith(b"GET /list.crl/MF")


# Files


def test_files_may_be_der_pem_or_folders(tmp_path: Path) -> None:
    raw = said()
    (tmp_path / "a.ors").write_bytes(raw)
    several = b"".join(material.pem(each, source.LABEL) for each in (raw, said(PLAIN)))
    (tmp_path / "b.ocsp").write_bytes(b"\n" * limits.OCSP_RESPONSE_MAX + several)
    (tmp_path / "c.txt").write_bytes(b"not looked at")
    held = OcspSource([str(tmp_path)])
    assert len(held.about(NAMED.view)) == 2
    assert len(held.about(PLAIN.view)) == 1
    assert held.about(TSA.view) == []
    odd = signer(Extension(x509.AUTHORITY_INFORMATION_ACCESS, b"\x30\x02\x05\x00"), label="Odd")
    assert [held.concerns(each.view) for each in (PLAIN, TSA, BOTH, odd)] == [True, False, True, True]


@pytest.mark.parametrize("data", [b"", b"nonsense", ocsp.failure(ocsp.TRY_LATER), material.pem(b"x"), said() + b"\0"])
def test_a_file_without_an_answer_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.ors"
    path.write_bytes(data)
    with pytest.raises(UsageError):
        OcspSource([str(path)])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "long.ors").write_bytes(bytes(limits.OCSP_RESPONSE_MAX * 2 + 1))
    for path in ("missing.ors", "long.ors"):
        with pytest.raises(UsageError):
            OcspSource([str(tmp_path / path)])


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OCSP_KEPT_MAX", 3 * (len(said()) + 8))
    made = [signer(access(), label=f"Signer {number}") for number in range(9)]
    net = Net({URL: said()})
    held = OcspSource(cache=str(tmp_path), fetcher=net)
    for each in made:
        net.answers[URL] = said(each)
        assert [doubt for _, doubt in held.published(each.view, ROOT.view, NOW)] == [None]
    assert [each is not None for each in held._published.values()] == [True] * 3  # noqa: SLF001 - not for others to see
