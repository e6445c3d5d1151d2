"""Judging a whole proof: what a signature comes to, and that judging many like it costs next to nothing."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core.errors import UsageError
from chopmark.core.proof import Proof
from chopmark.core.signer import SignerId
from chopmark.trust import judge
from chopmark.trust.stores import store
from tests.contract.laws import VECTORS
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import circumstances, codes, make, name, purposes

if TYPE_CHECKING:
    from pathlib import Path

WORLD = pki.world()
JULY = material.day("2026-07-01")
NOW = material.day("2026-12-01")
SECOND = dt.timedelta(seconds=1)


def test_a_judgement_shows_the_path(tmp_path: Path) -> None:
    here = circumstances(tmp_path, material.trusting(tmp_path, WORLD.root), at=NOW)
    judgement = judge.judge(material.proof(WORLD.signer), "code-signing", here)
    assert [each.raw for each in judgement.path] == [WORLD.signer.der, WORLD.issuing.der, WORLD.root.der]
    (finding,) = [each for each in judgement.findings if each.code == "path.trusted"]
    assert "Example Root < Example Issuing < Example Signer p256" in finding.detail


@pytest.mark.parametrize(
    ("purpose", "code"),
    [("code-signing", None), ("any", None), ("time-stamping", "path.purpose"), ("1.2.3", "path.purpose")],
)
def test_the_purpose_is_asked_for(tmp_path: Path, purpose: str, code: str | None) -> None:
    here = circumstances(tmp_path, material.trusting(tmp_path, WORLD.root), at=NOW)
    assert codes(judge.judge(material.proof(WORLD.signer), purpose, here)) == ({code} if code else set())


@pytest.mark.parametrize("purpose", ["", "Code-Signing", "1", "9.9.9", "1.2.3.", "code-signing "])
def test_an_unknown_purpose_is_a_wrong_call(tmp_path: Path, purpose: str) -> None:
    here = circumstances(tmp_path, material.trusting(tmp_path, WORLD.root), at=NOW)
    with pytest.raises(UsageError):
        judge.judge(material.proof(WORLD.signer), purpose, here)


def test_the_name_microsoft_opens_no_door(tmp_path: Path) -> None:
    impostor = make(
        name("Microsoft Corporation", "Microsoft Corporation"),
        pki.key("p256", "x"),
        extensions=[purposes(material.CODE)],
    )
    here = circumstances(tmp_path, store.load(["microsoft"]), at=NOW)
    assert codes(judge.judge(material.proof(impostor), "code-signing", here)) == {"path.untrusted_root"}


def test_the_name_of_a_real_root_opens_no_door(tmp_path: Path) -> None:
    trusted = store.load(["microsoft"])
    real = next(anchor.certificate for anchor in trusted.sources[0].every() if "2011" in anchor.certificate.common_name)
    impostor = make(real.subject, pki.key("p256", "x"), extensions=material.ca_extensions())
    signer = make(name("Signer"), pki.key("p256", "y"), impostor, extensions=[purposes(material.CODE)])
    here = circumstances(tmp_path, trusted, at=NOW)
    judgement = judge.judge(material.proof(signer, impostor), "code-signing", here)
    assert codes(judgement) == {"path.untrusted_root"}


def test_the_certificate_must_be_that_of_the_key(tmp_path: Path) -> None:
    here = circumstances(tmp_path, material.trusting(tmp_path, WORLD.root), at=NOW)
    proof = material.proof(WORLD.signer)
    other = proof._replace(signer=material.read(WORLD.tsa).signer_id)
    assert codes(judge.judge(other, "code-signing", here)) == {"path.key_mismatch"}
    nobody = proof._replace(signer=None)
    assert codes(judge.judge(nobody, "code-signing", here)) == {"path.key_mismatch"}


@pytest.mark.parametrize("certificates", [(), (b"",), (b"\x30\x00",)])
def test_without_a_certificate_there_is_nothing_to_judge(tmp_path: Path, certificates: tuple[bytes, ...]) -> None:
    here = circumstances(tmp_path, material.trusting(tmp_path, WORLD.root), at=NOW)
    proof = Proof(material.read(WORLD.signer).signer_id, "sha256", (), certificates)
    assert codes(judge.judge(proof, "code-signing", here)) == {"path.no_certificate"}


def test_many_signatures_by_one_signer_are_judged_once(tmp_path: Path) -> None:
    here = circumstances(tmp_path, material.trusting(tmp_path, WORLD.root), at=NOW)
    proofs = [
        material.proof(WORLD.signer, stamps=[material.stamp(WORLD.tsa, JULY + number * SECOND)])
        for number in range(500)
    ]
    first = judge.judge(proofs[0], "code-signing", here)
    begin = time.process_time()
    judgements = [judge.judge(proof, "code-signing", here) for proof in proofs]
    assert time.process_time() - begin < 0.5
    assert {judgement.path for judgement in judgements} == {first.path}
    assert [judgement.signed_at for judgement in judgements] == [JULY + number * SECOND for number in range(500)]


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=8), st.booleans())
@settings(max_examples=20)
def test_remembering_changes_no_answer(offsets: list[int], stamped: bool) -> None:  # noqa: FBT001 - drawn
    import pathlib
    import tempfile

    short = pki.leaf(WORLD.issuing, "Short", since=JULY - SECOND, until=JULY + SECOND)
    revoked = [
        material.revocations(WORLD.root, since=NOW),
        material.revocations(WORLD.issuing, material.Revoked(short, JULY), since=NOW),
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        trusted = material.trusting(folder, WORLD.root)
        shared = circumstances(folder, trusted, at=NOW, revocation="require", lists=revoked)
        for offset in offsets:
            found = [material.stamp(WORLD.tsa, JULY + offset * SECOND)] if stamped else []
            proof = material.proof(short, stamps=found)
            alone = circumstances(folder, trusted, at=NOW, revocation="require", lists=revoked)
            assert judge.judge(proof, "code-signing", shared) == judge.judge(proof, "code-signing", alone)


@given(st.data())
@settings(max_examples=100)
def test_no_certificate_does_more_than_be_refused(data: st.DataObject) -> None:
    import pathlib
    import tempfile

    own = bytearray(LEAF.raw)
    above = bytearray(ABOVE.raw)
    for _ in range(data.draw(st.integers(1, 3))):
        target = data.draw(st.sampled_from([own, above]))
        target[data.draw(st.integers(0, len(target) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        here = circumstances(folder, material.trusting(folder, WORLD.root), at=NOW, revocation="prefer")
        proof = Proof(LEAF.view.signer_id, "sha256", (), (bytes(own), bytes(above)))
        judgement = judge.judge(proof, "code-signing", here)
    if (bytes(own), bytes(above)) != (LEAF.raw, ABOVE.raw):
        assert not judgement.trusted


ROOT_BY_HAND = material.Cert(WORLD.root.der, WORLD.root.private_key, WORLD.root.certificate.subject.public_bytes())
ABOVE = make(name("Above"), pki.key("ed25519", "above"), ROOT_BY_HAND, extensions=material.ca_extensions(0))
LEAF = make(name("Below"), pki.key("ed25519", "below"), ABOVE, extensions=[purposes(material.CODE)])


def test_a_signer_that_nobody_can_name_is_never_trusted(tmp_path: Path) -> None:
    for signer in (None, SignerId("x509", "", "")):
        here = circumstances(tmp_path, material.trusting(tmp_path, WORLD.root), at=NOW)
        judgement = judge.judge(Proof(signer, "sha256", ()), "code-signing", here)
        assert not judgement.trusted
        assert "path.no_certificate" in {finding.code for finding in judgement.findings}


def test_a_bare_key_is_believed_only_over_a_sound_digest(tmp_path: Path) -> None:
    trusted = store.load([str(VECTORS / "minisign" / "signer.pub")])
    [known] = trusted.keyring.every()
    here = circumstances(tmp_path, trusted, at=NOW)
    for digest, expected in (("blake2b", set()), ("sha1", {"digest.weak"}), ("", {"digest.unsupported"})):
        judgement = judge.judge(Proof(SignerId("key", "x", known.key.fingerprint), digest, ()), "any", here)
        assert codes(judgement) == expected
        assert judgement.store == known.store
