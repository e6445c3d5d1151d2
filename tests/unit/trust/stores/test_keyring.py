"""Keys that are trusted without certificates: in stores by path and by name, beside certificates and alone."""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING

import pytest

from chopmark.core import clock
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.proof import Proof
from chopmark.core.signer import PublicKey, SignerId, Terms
from chopmark.envelopes.ssh.making import public_blob
from chopmark.trust.stores import keyring, source, store
from tests.contract.laws import VECTORS
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

    Window = tuple[dt.datetime | None, dt.datetime | None]

PUBLIC = VECTORS / "minisign" / "signer.pub"
OTHER = VECTORS / "signify" / "signer.pub"


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))


def test_a_file_with_a_key_is_a_store() -> None:
    opened = store.load([str(PUBLIC), str(OTHER)])
    assert not opened.sources
    assert len(opened.keyring) == 2
    [known] = store.load([str(PUBLIC)]).keyring.every()
    assert opened.keyring.keys("minisign", known.key.identifier) == [known.key]
    assert opened.keyring.keys("ssh", known.key.identifier) == []
    assert known.as_of == opened.as_of == source.changed([str(PUBLIC)])


def test_a_folder_holds_certificates_and_keys(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_bytes(PUBLIC.read_bytes())
    assert len(store.load([str(tmp_path)]).keyring) == 1
    (tmp_path / "root.pem").write_bytes(pki.world().root.pem)
    opened = store.load([str(tmp_path)])
    assert (len(opened.keyring), sum(map(len, opened.sources))) == (1, 1)


def test_a_folder_with_what_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(pki.world().root.pem)
    for junk in (b"", b"ssh-rsa AAAA", PUBLIC.read_bytes()[:-1], PUBLIC.read_bytes() * 2):
        (tmp_path / "key.pub").write_bytes(junk)
        with pytest.raises(UsageError):
            store.load([str(tmp_path)])


def test_keys_in_a_store_of_ones_own() -> None:
    path = store.add_key("team", PUBLIC.read_bytes())
    assert store.add_key("team", PUBLIC.read_bytes()) == path
    [known] = store.load(["team?"]).keyring.every()
    [listed] = [each for each in store.listing() if each.name == "team"]
    assert (listed.certificates, listed.keys, listed.problem) == (0, 1, "")
    with pytest.raises(UsageError):
        store.remove("team", "0" * 64)
    assert store.remove("team", known.key.fingerprint[:8]) == [path]
    with pytest.raises(UsageError):
        store.load(["team"])


def test_only_keys_are_added_as_keys() -> None:
    for junk in (b"", pki.world().root.pem, PUBLIC.read_bytes() + b"x"):
        with pytest.raises(MalformedError):
            store.add_key("team", junk)


def test_who_is_believed() -> None:
    [known] = store.load([str(PUBLIC)]).keyring.every()
    ring = keyring.Keyring([known])

    def codes(signer: SignerId | None) -> list[str]:
        return [finding.code for finding in keyring.judge(Proof(signer, "blake2b", ()), ring, pki.NOW).findings]

    assert codes(SignerId("key", "x", known.key.fingerprint)) == ["key.trusted"]
    assert codes(SignerId("key", known.key.name, "00" * 32)) == ["key.untrusted"]
    assert codes(SignerId("key", known.key.name, "")) == []
    assert codes(None) == []


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (Terms(weak="RSA with 1024 bits"), "key.weak"),
        (Terms(barred="it only certifies"), "key.barred"),
        (Terms(revoked="lost"), "key.revoked"),
        (Terms(expires=pki.NOW), "key.expired"),
    ],
)
def test_what_a_key_says_against_itself(terms: Terms, expected: str) -> None:
    [known] = store.load([str(PUBLIC)]).keyring.every()
    ring = keyring.Keyring([known._replace(key=known.key._replace(terms=terms))])
    judged = keyring.judge(Proof(SignerId("key", "x", known.key.fingerprint), "blake2b", ()), ring, pki.NOW)
    assert [finding.code for finding in judged.findings] == [expected]


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (("file",), "file", True),
        (("f*", "git"), "file", True),
        (("f?le",), "file", True),
        (("*e",), "fi\nle", True),
        (("[f]ile",), "file", False),  # brackets stand for themselves (ssh_config(5), PATTERNS)
        (("*", "!file"), "file", False),
        (("!file", "*"), "file", False),
        (("!git", "*"), "file", True),
        (("!git",), "file", False),
        (("FILE",), "file", False),
    ],
)
def test_patterns_are_those_of_ssh(patterns: tuple[str, ...], name: str, expected: bool) -> None:  # noqa: FBT001 - a case
    [known] = store.load([str(PUBLIC)]).keyring.every()
    signer = SignerId("ssh", "x", known.key.fingerprint, (("namespace", name),))
    ring = keyring.Keyring([known._replace(key=known.key._replace(terms=Terms(namespaces=patterns)))])
    judged = keyring.judge(Proof(signer, "sha512", ()), ring, pki.NOW)
    assert [finding.code for finding in judged.findings] == ["key.trusted" if expected else "key.terms"]


DAY = dt.timedelta(days=1)
LONG = (pki.NOW - DAY, pki.NOW + DAY)


@pytest.mark.parametrize("own", [(None, None), LONG, (pki.NOW, None), (pki.NOW + DAY, None), (None, pki.NOW)])
@pytest.mark.parametrize(
    "given", [LONG, (pki.NOW, pki.NOW + DAY), (pki.NOW + DAY, pki.NOW + DAY), (pki.NOW - DAY, pki.NOW)]
)
def test_an_authority_and_what_it_gives_both_have_their_time(own: Window, given: Window) -> None:
    """Whoever vouches for others does so from the later beginning to the earlier end, the beginning included."""
    [known] = store.load([str(PUBLIC)]).keyring.every()
    terms = Terms(("a*",), valid_after=own[0], valid_before=own[1], authority=True)
    ring = keyring.Keyring([known._replace(key=known.key._replace(terms=terms))])
    since, until = (clock.show(each) for each in given if each is not None)
    claims = (
        ("authority", known.key.fingerprint),
        ("principals", "a@b"),
        ("valid_after", since),
        ("valid_before", until),
    )
    judged = keyring.judge(Proof(SignerId("ssh", "x", "00" * 32, claims), "sha256", ()), ring, pki.NOW)
    good = all((begin is None or begin <= pki.NOW) and (end is None or end > pki.NOW) for begin, end in (own, given))
    assert [finding.code for finding in judged.findings] == ["key.trusted" if good else "key.terms"]


def test_two_keys_may_have_one_number() -> None:
    [known] = store.load([str(PUBLIC)]).keyring.every()
    twin = known._replace(key=PublicKey("minisign", known.key.identifier, b"another"))
    assert keyring.Keyring([known, twin]).keys("minisign", known.key.identifier) == [known.key, twin.key]


def test_a_large_key_has_a_short_file_name() -> None:
    blob = public_blob(pki.world("rsa3072").signer)
    path = store.add_key("team", b"ssh-rsa " + base64.b64encode(blob) + b" release@example.org\n")
    assert path.endswith(".pub")
    [known] = store.load(["team"]).keyring.every()
    assert known.key.raw == blob
