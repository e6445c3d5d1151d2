"""Identities in certificates: who somebody was for an issuer, and only below a root that is trusted for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import MalformedError
from chopmark.envelopes import der, x509
from chopmark.trust import identities, judge
from chopmark.trust.stores import store
from tests.support import fulcio, pki
from tests.unit.trust import material
from tests.unit.trust.material import circumstances, codes

if TYPE_CHECKING:
    from pathlib import Path

WORLD = pki.world()
NOW = material.day("2026-12-01")
MAIL = builders.RFC822Name("ada@example.com")
BASE = {8: fulcio.ISSUER}


def read(*more: pki.Extension) -> x509.Certificate:
    return x509.certificate(fulcio.leaf(WORLD.issuing, more).der)


def test_a_pipeline_is_its_workflow_at_its_issuer() -> None:
    found = identities.identity(x509.certificate(fulcio.workflow(WORLD.issuing).der))
    claims = dict(found.claims)
    assert (found.kind, found.subject, claims["issuer"]) == ("oidc", fulcio.SUBJECT, fulcio.ISSUER)
    assert claims["source-repository-ref"] == "refs/heads/main"
    assert claims["runner-environment"] == "github-hosted"
    assert len(claims["certificate_sha256"]) == 64
    assert [name for name, _ in found.claims].count("issuer") == 1  # the authority's name is none


@pytest.mark.parametrize("claims", [{8: "https://a"}, {1: "https://a"}, {1: "https://a", 8: "https://a"}])
@pytest.mark.parametrize(
    ("name", "subject"),
    [
        (MAIL, "ada@example.com"),
        (builders.UniformResourceIdentifier("https://example.com/x"), "https://example.com/x"),
        (builders.OtherName(fulcio.USER_NAME, der.utf8("ada")), "ada"),
    ],
)
def test_issuers_and_subjects_of_every_form(claims: dict[int, str], name: builders.GeneralName, subject: str) -> None:
    found = identities.identity(read(*fulcio.said(claims), *fulcio.names(name)))
    assert (dict(found.claims)["issuer"], found.subject) == ("https://a", subject)


def other(kind: str, value: bytes) -> builders.OtherName:
    return builders.OtherName(builders.ObjectIdentifier(kind), value)


@pytest.mark.parametrize(
    "more",
    [
        [*fulcio.names(MAIL)],
        [*fulcio.said({1: "https://a", 8: "https://b"}), *fulcio.names(MAIL)],
        [*fulcio.said(BASE)],
        [*fulcio.said(BASE), *fulcio.names(MAIL, builders.RFC822Name("eve@example.com"))],
        [*fulcio.said(BASE), *fulcio.names(builders.DNSName("example.com"))],
        [*fulcio.said(BASE), *fulcio.names(other("1.2.3", der.utf8("ada")))],
        [*fulcio.said(BASE), *fulcio.names(other(f"{fulcio.ARC}.7", der.encode(der.IA5_STRING, b"ada")))],
        [*fulcio.said(BASE), *fulcio.names(other(f"{fulcio.ARC}.7", der.utf8("ada\0eve")))],
        [*fulcio.said({8: ""}), *fulcio.names(MAIL)],
        [*fulcio.said({8: " https://a"}), *fulcio.names(MAIL)],
        [*fulcio.said({8: "https://a\n"}), *fulcio.names(MAIL)],
        [*fulcio.said({8: "https://\u202ea"}), *fulcio.names(MAIL)],
        [*fulcio.said({8: "https://" + "a" * 3000}), *fulcio.names(MAIL)],
        [fulcio.extension(8, b"https://a"), *fulcio.names(MAIL)],
        [fulcio.extension(8, der.encode(der.IA5_STRING, b"https://a")), *fulcio.names(MAIL)],
        [fulcio.extension(8, der.utf8("https://a") + b"\0"), *fulcio.names(MAIL)],
        [fulcio.extension(8, der.encode(der.UTF8_STRING, b"\xff")), *fulcio.names(MAIL)],
        [*fulcio.said(BASE), fulcio.extension(14, b"refs/heads/main"), *fulcio.names(MAIL)],
    ],
    ids=range(18),
)
def test_what_is_not_exactly_one_identity_is_none(more: list[pki.Extension]) -> None:
    with pytest.raises(MalformedError):
        identities.identity(read(*more))


@given(st.binary(max_size=60), st.sampled_from([1, 8, 14]))
def test_any_value_is_text_or_refused(value: bytes, number: int) -> None:
    certificate = read(*fulcio.said(BASE if number == 14 else {}), fulcio.extension(number, value), *fulcio.names(MAIL))
    try:
        found = identities.identity(certificate)
    except MalformedError:
        return
    assert all(text.isprintable() and text for _, text in found.claims)


def trusting(folder: Path, root: pki.Entity, *, identities_: bool) -> store.Store:
    """A store with a root, for identities or not."""
    from chopmark.trust.stores import source

    path = folder / "root.pem"
    path.write_bytes(source.remark(identities=identities_).encode() + root.pem)
    return store.load([str(path)])


def test_a_root_for_identities_makes_them_count(tmp_path: Path) -> None:
    here = circumstances(tmp_path, trusting(tmp_path, WORLD.root, identities_=True), at=NOW)
    judged = judge.judge(material.proof(fulcio.workflow(WORLD.issuing)), "code-signing", here)
    assert codes(judged) == set()
    assert judged.identity is not None
    assert judged.identity.subject == fulcio.SUBJECT


def test_below_any_other_root_it_is_a_certificate_like_others(tmp_path: Path) -> None:
    here = circumstances(tmp_path, trusting(tmp_path, WORLD.root, identities_=False), at=NOW)
    judged = judge.judge(material.proof(fulcio.workflow(WORLD.issuing)), "code-signing", here)
    assert (codes(judged), judged.identity) == (set(), None)


def test_a_root_for_identities_vouches_for_nobody_else(tmp_path: Path) -> None:
    here = circumstances(tmp_path, trusting(tmp_path, WORLD.root, identities_=True), at=NOW)
    judged = judge.judge(material.proof(WORLD.signer), "code-signing", here)
    assert (codes(judged), judged.identity) == ({"store.no_identity"}, None)


def test_without_a_trusted_root_there_is_no_identity(tmp_path: Path) -> None:
    stranger = pki.authority("Stranger")
    here = circumstances(tmp_path, trusting(tmp_path, WORLD.root, identities_=True), at=NOW)
    assert judge.judge(material.proof(fulcio.workflow(stranger)), "code-signing", here).identity is None
