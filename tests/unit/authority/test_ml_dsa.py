"""An authority whose keys are all ML-DSA: founded, issuing, revoking, answering, renewed; and what it must not do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from chopmark.authority.ca import Authority
from chopmark.authority.crl.publisher import Wanted
from chopmark.authority.hierarchy import founding
from chopmark.authority.hierarchy.changing import Hierarchy, NewKey
from chopmark.authority.lint.linter import IssueRefusedError
from chopmark.authority.ocsp.delegates import Delegates
from chopmark.authority.ocsp.responder import Responder
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.envelopes import ocsp, public_keys, x509
from chopmark.trust import context
from chopmark.trust.belief import Carried, believe
from chopmark.trust.moment import Moment
from tests.unit.authority.conftest import NOW, Clock, order, spki
from tests.unit.trust import material

if TYPE_CHECKING:
    from collections.abc import Iterator

KIND = "ml-dsa-44"


@pytest.fixture(scope="module")
def quantum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quantum") / "ca"
    founding.found(str(folder), founding.Setup("Example Ltd", "http://pki.example.com", KIND), clock=Clock()).close()
    return folder


@pytest.fixture
def authority(quantum: Path, tmp_path: Path, clock: Clock) -> Iterator[Authority]:
    shutil.copytree(quantum, tmp_path / "ca", symlinks=True)
    with Authority.open(str(tmp_path / "ca"), clock=clock) as opened:
        yield opened


def issue(authority: Authority) -> x509.Certificate:
    return x509.certificate(authority.issue(order("internal", key=spki(KIND))).certificate)


def judged(folder: Path, authority: Authority, certificate: x509.Certificate) -> set[str]:
    """What speaks against a certificate by the lists that the authority has published."""
    read = [Path(authority.published(each.name)[0].path).read_bytes() for each in authority.issuers()]
    here = material.circumstances(
        folder, material.trusting(folder, authority.root), at=NOW, revocation=context.REQUIRE, lists=read
    )
    carried = Carried(tuple(each.certificate.raw for each in authority.issuers()), ())
    return material.codes(believe(certificate, carried, "code-signing", Moment(NOW), here).findings)


def test_everything_is_signed_with_ml_dsa_and_believed(authority: Authority, tmp_path: Path) -> None:
    issued = issue(authority)
    for certificate in (*(each.certificate for each in authority.issuers()), issued):
        assert certificate.signature_algorithm.kind == KIND
        assert x509.CERTIFICATE_POLICIES not in certificate.extensions, "it cannot keep those requirements"
    assert judged(tmp_path, authority, issued) == set()


def test_what_it_revokes_is_revoked(authority: Authority, tmp_path: Path) -> None:
    issued = issue(authority)
    authority.revoke(f"{issued.serial:x}", "keyCompromise")
    authority.publish("code-signing", Wanted())
    assert judged(tmp_path, authority, issued) == {"revocation.revoked"}


@pytest.mark.parametrize("profile", ["code-signing", "ev-code-signing", "time-stamping"])
def test_it_issues_nothing_public(authority: Authority, profile: str) -> None:
    with pytest.raises(IssueRefusedError):
        authority.issue(order(profile))
    assert authority.register.search(NOW, profile=profile) == []


def test_its_responders_answer_with_ml_dsa(authority: Authority) -> None:
    issued = issue(authority)
    [issuer] = [each for each in authority.issuers() if each.name == "code-signing"]
    Delegates(authority).create(issuer, KIND)
    request = ocsp.request([ocsp.for_certificate(issued, issuer.certificate)])
    with Responder(authority) as responder:
        raw = responder.respond(request)
    basic = ocsp.read_response(raw).basic
    assert basic is not None
    assert [each.status for each in basic.singles] == ["good"]
    delegate = x509.certificate(basic.certificates[0])
    assert public_keys.kind(delegate.spki) == KIND
    delegate.verify_signed_by(issuer.certificate.spki)


def test_a_public_authority_has_no_responder_with_such_a_key(founded: Path, tmp_path: Path, clock: Clock) -> None:
    shutil.copytree(founded, tmp_path / "public", symlinks=True)
    with Authority.open(str(tmp_path / "public"), clock=clock) as authority:
        with pytest.raises(UsageError):
            Delegates(authority).create(authority.issuers()[1], KIND)
        with pytest.raises(UsageError):  # its root cannot certify the next one with such a key
            Hierarchy(authority).roll("root", NewKey(KIND))
        with pytest.raises(IssueRefusedError):
            Hierarchy(authority).roll("code-signing", NewKey(KIND))
        assert {public_keys.kind(each.certificate.spki) for each in authority.issuers()} == {"ec"}


def test_its_cas_are_renewed(authority: Authority) -> None:
    """A root and its successor certify each other; the next generation issues."""
    grown = Hierarchy(authority).roll("root", NewKey("ml-dsa-65"))
    assert len(grown.crosses) == 2
    Hierarchy(authority).roll("code-signing", NewKey(KIND))
    issued = issue(authority)
    assert "Code Signing CA G2" in issued.issuer_text


def test_where_cryptography_has_no_ml_dsa_it_is_said_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable() -> None:
        raise UnsupportedAlgorithm("ML-DSA-44 is not supported by this backend.")

    class Unable:
        generate = staticmethod(unable)

    from chopmark.keys import ml_dsa

    monkeypatch.setitem(ml_dsa.CLASSES, KIND, Unable)
    with pytest.raises(ChopmarkError, match="OpenSSL"):
        founding.found(str(tmp_path / "ca"), founding.Setup("Example Ltd", "http://pki.example.com", KIND))
    assert list(tmp_path.iterdir()) == []
