"""Evidence in folders: recognised by content, trusted by nobody, and enough to judge again elsewhere and later."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import AuthorityInformationAccessOID
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import InputError, UsageError
from chopmark.envelopes import der, x509
from chopmark.trust import context, evidence, judge
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Revoked, Served, codes, revocations

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.trust.judge import Judgement

NOW = material.day("2026-12-01")
WEEK = dt.timedelta(days=7)
BASE = "http://ca.example/"


def pointed(name: str, issuer: pki.Entity, *, ca: bool = False, root: bool = False) -> pki.Entity:
    """Somebody whose list and whose issuer's certificate are published."""
    point = builders.DistributionPoint(
        [builders.UniformResourceIdentifier(BASE + issuer.certificate.subject.rfc4514_string() + ".crl")],
        None,
        None,
        None,
    )
    access = builders.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS,
        builders.UniformResourceIdentifier(BASE + issuer.certificate.subject.rfc4514_string() + ".cer"),
    )
    more = [pki.Extension(builders.CRLDistributionPoints([point]))]
    if not root:
        more.append(pki.Extension(builders.AuthorityInformationAccess([access])))
    return pki.authority(name, issuer=issuer, more=more) if ca else pki.leaf(issuer, name, more=more)


ROOT = pki.authority("Example Root")
ISSUING = pointed("Published Issuing", ROOT, ca=True, root=True)
SIGNER = pointed("Published Signer", ISSUING)


def network(*entries: Revoked) -> Served:
    bodies = {}
    for each, listed in ((ROOT, ()), (ISSUING, entries)):
        address = BASE + each.certificate.subject.rfc4514_string()
        bodies[address + ".cer"] = each.der
        bodies[address + ".crl"] = revocations(each, *listed, since=NOW - dt.timedelta(days=1))
    return Served(bodies)


def judged(
    home: Path,
    *,
    fetcher: Served | None = None,
    at: dt.datetime = NOW,
    folder: Path | None = None,
    collect: Path | None = None,
    mode: str = "require",
) -> Judgement:
    """Judge a signature that carries nobody's certificate but the signer's, in a home of its own."""
    home.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHOPMARK_HOME", str(home))
        lists = origins.CrlSource(cache=str(home / "crls"), fetcher=fetcher)
        here = context.Context(
            material.trusting(home, ROOT),
            at,
            mode,
            lists,
            fetcher,
            besides=context.Besides(
                evidence.read(str(folder), lists) if folder else None,
                evidence.Collector(str(collect)) if collect else None,
            ),
        )
        return judge.judge(material.proof(SIGNER, SIGNER), "code-signing", here)


def test_what_was_collected_gives_the_same_answer_elsewhere_and_later(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert judged(tmp_path / "online", fetcher=network(), collect=bundle).trusted
    assert codes(judged(tmp_path / "without")) == {"path.issuer_unavailable"}
    again = judged(tmp_path / "elsewhere", folder=bundle)
    assert again.trusted
    assert codes(again, "ok") >= {"revocation.good", "path.trusted"}
    assert codes(judged(tmp_path / "later", folder=bundle, at=NOW + 2 * WEEK)) == {"revocation.unavailable"}
    assert judged(tmp_path / "then", folder=bundle, at=NOW).trusted


def test_a_revocation_is_collected_too(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    revoked = network(Revoked(SIGNER, NOW - WEEK))
    assert codes(judged(tmp_path / "online", fetcher=revoked, collect=bundle)) == {"revocation.revoked"}
    for at in (NOW, NOW + 10 * WEEK):
        assert "revocation.revoked" in codes(judged(tmp_path / "elsewhere", folder=bundle, at=at))


def test_nothing_in_a_folder_is_an_anchor(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    judged(tmp_path / "online", fetcher=network(), collect=bundle)
    assert any(x509.certificate(piece.raw).raw == ROOT.der for piece in pieces(bundle) if piece.kind == "certificate")
    other = pki.authority("Other Root")
    lists = origins.CrlSource(cache=str(tmp_path / "crls"))
    here = context.Context(
        material.trusting(tmp_path, other),
        NOW,
        "off",
        lists,
        besides=context.Besides(evidence.read(str(bundle), lists)),
    )
    judgement = judge.judge(material.proof(SIGNER, SIGNER), "code-signing", here)
    assert codes(judgement) == {"path.untrusted_root"}


def pieces(folder: Path) -> list[evidence.Piece]:
    return [piece for path in sorted(folder.iterdir()) for piece in evidence.recognised(path.read_bytes())]


def test_a_list_in_a_folder_hides_no_published_one(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    judged(tmp_path / "online", fetcher=network(), collect=bundle)
    newer = network(Revoked(SIGNER, NOW - WEEK))
    assert codes(judged(tmp_path / "again", fetcher=newer, folder=bundle)) == {"revocation.revoked"}


def test_collecting_twice_writes_nothing_twice(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    judged(tmp_path / "online", fetcher=network(), collect=bundle)
    first = {path.name: path.stat().st_ino for path in bundle.iterdir()}
    judged(tmp_path / "online", fetcher=network(), collect=bundle)
    assert {path.name: path.stat().st_ino for path in bundle.iterdir()} == first
    assert {path.suffix for path in bundle.iterdir()} == {".cer", ".crl"}
    damaged = next(bundle.glob("*.crl"))
    damaged.write_bytes(b"junk")
    judged(tmp_path / "online", fetcher=network(), collect=bundle)
    assert judged(tmp_path / "elsewhere", folder=bundle).trusted


def bag(*certificates: pki.Entity) -> bytes:
    return pkcs7.serialize_certificates([each.certificate for each in certificates], Encoding.DER)


LIST = revocations(ISSUING, since=NOW - dt.timedelta(days=1))
ANSWER = der.sequence(der.encode(der.ENUMERATED, b"\x00"), der.explicit(0, der.sequence()))


@pytest.mark.parametrize(
    ("name", "content", "kinds"),
    [
        ("a", SIGNER.der, ["certificate"]),
        ("wrong.crl", SIGNER.pem, ["certificate"]),
        ("b.txt", LIST, ["list"]),
        ("wrong.cer", material.pem(LIST, "X509 CRL"), ["list"]),
        ("both.pem", SIGNER.pem + material.pem(LIST, "X509 CRL") + ISSUING.pem, ["certificate", "list", "certificate"]),
        ("bag.p7b", bag(SIGNER, ISSUING), ["certificate", "certificate"]),
        ("bag.pem", material.pem(bag(SIGNER, ISSUING), "PKCS7"), ["certificate", "certificate"]),
        ("answer", ANSWER, ["answer"]),
        ("answer.pem", material.pem(ANSWER, "OCSP RESPONSE"), ["answer"]),
        ("old.crt", SIGNER.der[:-1], []),
        ("README", b"What this is for.\n", []),
        ("empty", b"", []),
        ("key.pem", SIGNER.private_pem(), []),
        ("zeros", bytes(100), []),
        ("sequence", der.sequence(), []),
        ("numbers", der.sequence(der.integer(1)), []),
        ("bag.broken", bag(SIGNER)[:-9], []),
    ],
)
def test_a_file_is_what_its_content_says(tmp_path: Path, name: str, content: bytes, kinds: list[str]) -> None:
    assert [piece.kind for piece in evidence.recognised(content)] == kinds
    (tmp_path / name).write_bytes(content)
    (tmp_path / "always.der").write_bytes(ISSUING.der)
    found = evidence.read(str(tmp_path), origins.CrlSource(cache=str(tmp_path / "cache")))
    assert len(found.lists) == kinds.count("list")
    assert len(found.answers) == kinds.count("answer")
    assert found.ignored == (() if kinds else (name,))


@given(st.binary(max_size=64))
def test_no_content_does_any_harm(content: bytes) -> None:
    assert evidence.recognised(b"\x30\x40" + content.ljust(64, b"\0")) is not None


def read(folder: Path) -> evidence.Evidence:
    return evidence.read(str(folder), origins.CrlSource(cache=str(folder / "cache")))


def test_a_folder_that_is_of_no_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (tmp_path / "missing", tmp_path / "file", tmp_path / "nul\0"):
        if wrong.name == "file":
            wrong.write_bytes(b"")
        with pytest.raises(InputError):
            read(wrong)
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    (tmp_path / "folder" / "inside" / "a.cer").write_bytes(SIGNER.der)
    os.mkfifo(tmp_path / "folder" / "fifo")
    with pytest.raises(UsageError):
        read(tmp_path / "folder")
    (tmp_path / "folder" / "a.cer").write_bytes(SIGNER.der)
    assert len(read(tmp_path / "folder")) == 1
    monkeypatch.setattr(limits, "EVIDENCE_SIZE_MAX", 10)
    with pytest.raises(UsageError):
        read(tmp_path / "folder")
    monkeypatch.setattr(limits, "EVIDENCE_FILES_MAX", 0)
    with pytest.raises(UsageError):
        read(tmp_path / "folder")


def test_many_certificates_with_one_name_are_not_all_tried(tmp_path: Path) -> None:
    for number in range(limits.EVIDENCE_ALIKE_MAX + 5):
        made = pki.issue(pki.name("Alike"), pki.key("p256", "alike"), None, [], serial=number + 1)
        (tmp_path / str(number)).write_bytes(made.der)
    found = read(tmp_path)
    assert len(found) == limits.EVIDENCE_ALIKE_MAX + 5
    assert len(found.intermediates(pki.name("Alike").public_bytes())) == limits.EVIDENCE_ALIKE_MAX
    assert found.intermediates(pki.name("Nobody").public_bytes()) == []
    assert len(found.intermediates(b"")) == len(found)
    assert found.intermediates(b"junk") == []
    opened = store.Store([found])
    assert opened.anchor(found.intermediates(b"")[0]) is None
    assert opened.issuers(found.intermediates(b"")[0]) == []


def test_a_folder_that_cannot_be_made_is_a_wrong_option(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError):
        evidence.Collector(str(tmp_path / "file" / "inside"))


def test_a_certificate_whose_name_cannot_be_read_is_not_kept() -> None:
    broken = SIGNER.der.replace(der.oid("2.5.4.3"), b"\x1f\x03\x55\x04\x03")
    assert evidence.recognised(broken) == []
    assert evidence.recognised(bag(SIGNER).replace(der.oid("2.5.4.3"), b"\x1f\x03\x55\x04\x03")) == []


def test_an_answer_is_collected_and_used_like_a_list(tmp_path: Path) -> None:
    from chopmark.trust.ocsp.source import OcspSource
    from tests.unit.trust import answers
    from tests.unit.trust.ocsp import test_asking

    for number, (status, expected) in enumerate(
        ((answers.GOOD, set()), (answers.revoked(NOW - WEEK), {"revocation.revoked"}))
    ):
        folder, bundle = tmp_path / str(number), tmp_path / str(number) / "bundle"
        folder.mkdir()
        net = test_asking.Net({test_asking.URL: test_asking.said(status=status)})
        trusted = material.trusting(folder, test_asking.ROOT)
        proof = material.proof(test_asking.NAMED)

        def seen(besides: context.Besides, at: dt.datetime = NOW) -> Judgement:
            lists = origins.CrlSource(cache=str(folder / "crls"))  # noqa: B023 - called at once
            return judge.judge(proof, "code-signing", context.Context(trusted, at, "require", lists, besides=besides))  # noqa: B023

        online = OcspSource(cache=str(folder / "ocsp"), fetcher=net)
        assert codes(seen(context.Besides(collector=evidence.Collector(str(bundle)), ocsp=online))) == expected
        held = evidence.read(str(bundle), origins.CrlSource(cache=str(folder / "crls")))
        assert len(held.answers) == 1
        assert codes(seen(context.Besides(evidence=held))) == expected
        later = codes(seen(context.Besides(evidence=held), NOW + 4 * WEEK))
        assert later >= (expected or {"revocation.unavailable"})
