"""A signer of an authority that is known is judged by a short way, and as strictly as the first one was."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.envelopes import x509
from chopmark.trust.belief import Carried, believe
from chopmark.trust.moment import Moment
from chopmark.trust.paths import path
from chopmark.trust.stores import store
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Revoked, codes

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.trust import context

NOW, DAY = pki.NOW, dt.timedelta(days=1)
ROOT = pki.authority("Way Root")
ISSUING = pki.authority("Way Issuing", issuer=ROOT, path_length=0)
FIRST = pki.leaf(ISSUING, "Way First")
CARRIED = Carried((ISSUING.der,), ())
_UNKNOWN = builders.UnrecognizedExtension(builders.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def _broken(der: bytes) -> bytes:
    return der[:-1] + bytes((der[-1] ^ 1,))


OTHERS = {
    "good": pki.leaf(ISSUING, "Way Good").der,
    "revoked": pki.leaf(ISSUING, "Way Revoked").der,
    "expired": pki.leaf(ISSUING, "Way Expired", until=NOW - DAY).der,
    "not yet valid": pki.leaf(ISSUING, "Way Early", since=NOW + DAY).der,
    "for servers": pki.leaf(ISSUING, "Way Server", purposes=[ExtendedKeyUsageOID.SERVER_AUTH]).der,
    "for no purpose": pki.leaf(ISSUING, "Way None", purposes=[]).der,
    "critical and unknown": pki.leaf(ISSUING, "Way Critical", more=[pki.Extension(_UNKNOWN, critical=True)]).der,
    "for encryption": pki.leaf(ISSUING, "Way Encrypting", usage=pki.key_usage("key_encipherment")).der,
    "another's signature": _broken(pki.leaf(ISSUING, "Way Forged").der),
    "a short key": pki.leaf(ISSUING, "Way Short", kind="rsa1024").der,
    "another key under the issuer's name": pki.leaf(pki.authority("Way Issuing", kind="p384"), "Way Stranger").der,
    "an authority": pki.authority("Way Authority", issuer=ISSUING).der,
    "critical key identifier": material.make(
        material.name("Way Identifier"),
        pki.key("p256", "way identifier"),
        material.Cert(ISSUING.der, ISSUING.private_key, ISSUING.certificate.subject.public_bytes()),
        extensions=[
            material.purposes(material.CODE),
            material.Extension(x509.SUBJECT_KEY_ID, b"\x04\x01\x01", critical=True),
        ],
    ).raw,
    "the authority itself": ISSUING.der,
}


def here(folder: Path, mode: str = "require") -> context.Context:
    gone = Revoked(pki.leaf(ISSUING, "Way Revoked"), NOW - DAY)
    lists = [material.revocations(ROOT), material.revocations(ISSUING, gone)]
    return material.circumstances(folder, material.trusting(folder, ROOT), revocation=mode, lists=lists)


@pytest.mark.parametrize("kind", OTHERS)
def test_the_short_way_finds_what_the_long_one_does(tmp_path: Path, kind: str) -> None:
    """What was found of others, good and bad, changes nothing of what is found about the next."""
    alone, after = here(tmp_path), here(tmp_path)
    for raw in (FIRST.der, *(each for other, each in OTHERS.items() if other != kind)):
        believe(x509.certificate(raw), CARRIED, "code-signing", Moment(NOW), after)
    other = x509.certificate(OTHERS[kind])
    expected = believe(other, CARRIED, "code-signing", Moment(NOW), alone)
    found = believe(other, CARRIED, "code-signing", Moment(NOW), after)
    assert found.findings == expected.findings
    assert [each.raw for each in found.path.certificates] == [each.raw for each in expected.path.certificates]
    assert (codes(found.findings) == set()) is (kind == "good")


_GONE = Revoked(pki.leaf(ISSUING, "Way Revoked"), NOW - DAY)
_STRANGER = pki.authority("Way Issuing", issuer=ROOT, kind="p384")


def about(**parts: bool) -> bytes:
    return material.revocations(ISSUING, extensions=[(pki.issuing_point(**parts), True)])


LISTS = {
    "none": [],
    "sound": [material.revocations(ISSUING, _GONE)],
    "ended": [material.revocations(ISSUING, _GONE, until=NOW - DAY)],
    "of tomorrow": [material.revocations(ISSUING, _GONE, since=NOW + DAY)],
    "an older one that names nobody": [
        material.revocations(ISSUING, since=NOW - 2 * DAY),
        material.revocations(ISSUING, _GONE),
    ],
    "an older one that names somebody": [
        material.revocations(ISSUING, _GONE, since=NOW - 2 * DAY),
        material.revocations(ISSUING),
    ],
    "another's": [material.revocations(_STRANGER, _GONE)],
    "broken": [_broken(material.revocations(ISSUING))],
    "critical and unknown": [material.revocations(ISSUING, extensions=[(_UNKNOWN, True)])],
    "about authorities": [about(only_contains_ca_certs=True)],
    "about signers": [about(only_contains_user_certs=True)],
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_says_of_the_next_what_it_says_of_each_alone(tmp_path: Path, kind: str) -> None:
    trusted, lists = material.trusting(tmp_path, ROOT), [material.revocations(ROOT), *LISTS[kind]]

    def fresh() -> context.Context:
        return material.circumstances(tmp_path, trusted, revocation="require", lists=lists)

    after, told = fresh(), []
    for raw in (FIRST.der, OTHERS["revoked"], OTHERS["good"], OTHERS["revoked"]):
        alone = believe(x509.certificate(raw), CARRIED, "code-signing", Moment(NOW), fresh()).findings
        assert believe(x509.certificate(raw), CARRIED, "code-signing", Moment(NOW), after).findings == alone
        told.append(codes(alone))
    if kind == "sound":
        assert told == [set(), {"revocation.revoked"}, set(), {"revocation.revoked"}]
    assert (told[0] == set()) is (kind in ("sound", "about signers") or kind.startswith("an older"))


@pytest.mark.parametrize(
    ("at", "expected"), [(pki.UNTIL + DAY, {"path.expired"}), (NOW - 4000 * DAY, {"path.not_yet_valid"}), (NOW, set())]
)
def test_known_authorities_are_held_to_each_moment(tmp_path: Path, at: dt.datetime, expected: set[str]) -> None:
    """The signer would be valid for a hundred years; those above are not."""
    long = pki.leaf(ISSUING, "Way Long", since=NOW - 5000 * DAY, until=NOW + 36500 * DAY)
    known = here(tmp_path, "off")
    believe(x509.certificate(FIRST.der), CARRIED, "code-signing", Moment(NOW), known)
    for _ in range(2):
        assert (
            codes(believe(x509.certificate(long.der), CARRIED, "code-signing", Moment(at), known).findings) == expected
        )
        assert not codes(believe(x509.certificate(long.der), CARRIED, "code-signing", Moment(NOW), known).findings)


def test_a_known_way_is_not_searched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = here(tmp_path)
    believe(x509.certificate(FIRST.der), CARRIED, "code-signing", Moment(NOW), known)

    def search(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(path._Search, "_extend", search)  # noqa: SLF001 - whether it is gone into
    found = believe(x509.certificate(OTHERS["good"]), CARRIED, "code-signing", Moment(NOW), known)
    assert codes(found.findings) == set()


def test_who_is_trusted_by_themselves_takes_no_known_way(tmp_path: Path) -> None:
    """A signer that the store pins ends its path, whatever authority is known to be above it."""
    pinned = pki.leaf(ISSUING, "Way Pinned")
    (tmp_path / "pinned.pem").write_bytes(ROOT.pem + b"# chopmark: trust=anchor\n" + pinned.pem)
    trusted = store.load([str(tmp_path / "pinned.pem")])
    known = material.circumstances(tmp_path, trusted)
    for entity, length in ((FIRST, 3), (pinned, 1)):
        found = believe(x509.certificate(entity.der), CARRIED, "code-signing", Moment(NOW), known)
        assert found.path.trusted
        assert len(found.path.certificates) == length


def test_what_is_known_of_authorities_hangs_on_what_came_along(tmp_path: Path) -> None:
    """Lists that one signature brought do not say for another, which brought none, that an authority is good."""
    bare = material.circumstances(tmp_path, material.trusting(tmp_path, ROOT), revocation="require")
    bringing = Carried((ISSUING.der,), (material.revocations(ROOT), material.revocations(ISSUING)))
    for carried, expected in ((bringing, set()), (CARRIED, {"revocation.unavailable"}), (bringing, set())):
        for raw in (FIRST.der, OTHERS["good"]):
            assert (
                codes(believe(x509.certificate(raw), carried, "code-signing", Moment(NOW), bare).findings) == expected
            )
