"""Detached signatures against openssl cms and openssl smime, both ways."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from chopmark.core import reasons as core_reasons
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.envelopes.cms import reasons as cms_reasons
from chopmark.formats.detached import FORMAT, reasons
from tests.support import pki, probing
from tests.support.integrity import Answer, examine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop

DATA = b"first line\nsecond line\r\nbytes \x00\xff and no line break at the end"
KINDS = ("rsa3072", "p256", "p384", "p521")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").write_bytes(DATA)
    (tmp_path / "root.pem").write_bytes(pki.world().root.pem)
    (tmp_path / "chain.pem").write_bytes(pki.world().issuing.pem)
    for kind in (*KINDS, "ed25519"):
        (tmp_path / f"{kind}.pem").write_bytes(pki.world(kind).signer.pem)
        (tmp_path / f"{kind}.key").write_bytes(pki.world(kind).signer.private_pem())
    return tmp_path


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def signed_by_them(folder: Path, *arguments: str, command: str = "cms", kind: str = "p256") -> bytes:
    key = ("-signer", f"{kind}.pem", "-inkey", f"{kind}.key", "-certfile", "chain.pem", "-md", "sha256")
    done = openssl(folder, command, "-sign", *key, "-in", "data", "-out", "signature", *arguments)
    assert done.returncode == 0, done.stderr
    return (folder / "signature").read_bytes()


def look(signature: bytes, data: bytes = DATA) -> Answer:
    [answer] = examine(FORMAT, Artifact.from_bytes(data, "data", {".p7s": signature}))
    return answer


def accepted_by_them(folder: Path, form: str, command: str = "cms") -> bool:
    verify = (command, "-verify", "-binary", "-inform", form, "-in", "data.p7s", "-content", "data")
    done = openssl(folder, *verify, "-purpose", "any", "-CAfile", "root.pem", "-out", "verified")
    assert done.returncode in (0, 4), done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_they_accept_what_we_sign(kind: str, form: str, folder: Path) -> None:
    artifact = Artifact.from_bytes(DATA, "data")
    signer = pki.world(kind).signer
    options = SealOptions(variant=form.lower())
    [payload] = FORMAT.digest(artifact, [FORMAT.recipe(artifact, options)])
    from chopmark.envelopes import cms

    draft = cms.draft(FORMAT.content(artifact, payload, options), signer, signer.certificates, signing_time=pki.NOW)
    patch = FORMAT.embed(artifact, draft.finish(signer.sign(draft.to_be_signed, "sha256")), options)
    (folder / "data.p7s").write_bytes(patch.render(artifact))
    for command in ("cms", "smime"):
        if form == "PEM" and command == "smime":
            continue  # openssl smime knows no BEGIN CMS
        assert accepted_by_them(folder, form, command)
        assert (folder / "verified").read_bytes() == DATA
    (folder / "data").write_bytes(DATA + b"x")
    assert not accepted_by_them(folder, form)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["cms", "smime"])
@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_we_accept_what_they_sign(kind: str, command: str, form: str, folder: Path) -> None:
    signature = signed_by_them(folder, "-binary", "-outform", form, command=command, kind=kind)
    answer = look(signature)
    assert answer.intact, answer.wrong
    assert core_reasons.DIGEST_MISMATCH.code in look(signature, DATA + b"x").wrong


def test_what_they_stream_is_ber(folder: Path) -> None:
    answer = look(signed_by_them(folder, "-binary", "-outform", "DER", "-stream"))
    assert answer.intact, answer.wrong
    answer = look(signed_by_them(folder, "-binary", "-outform", "DER", "-stream", "-nodetach"))
    assert answer.intact, answer.wrong
    assert {cms_reasons.BER.code, reasons.CONTENT_ALONG.code} <= answer.codes


def test_a_content_that_comes_along(folder: Path) -> None:
    signature = signed_by_them(folder, "-binary", "-outform", "DER", "-nodetach")
    assert look(signature).intact
    assert look(signature, DATA[1:]).wrong == {core_reasons.DIGEST_MISMATCH.code}


def test_without_binary_they_sign_another_text(folder: Path) -> None:
    text = b"first line\nsecond line\r\nno line break at the end"
    (folder / "data").write_bytes(text)
    signature = signed_by_them(folder, "-outform", "DER")
    answer = look(signature, text)
    assert {core_reasons.DIGEST_MISMATCH.code, reasons.CHANGED_AS_TEXT.code} <= answer.wrong
    assert "-binary" in answer.detail(reasons.CHANGED_AS_TEXT)
    (folder / "data.p7s").write_bytes(signature)
    assert not accepted_by_them(folder, "DER")
    answer = look(signed_by_them(folder, "-outform", "DER", "-text"), text)
    assert reasons.CHANGED_AS_TEXT.code in answer.wrong


def test_their_default_is_an_email(folder: Path) -> None:
    for arguments in ((), ("-binary",), ("-nodetach",)):
        with pytest.raises(BrokenError) as caught:
            look(signed_by_them(folder, *arguments))
        assert caught.value.reason is reasons.MIME


def test_without_signed_attributes(folder: Path) -> None:
    signature = signed_by_them(folder, "-binary", "-outform", "DER", "-noattr")
    assert cms_reasons.ATTRIBUTES_MISSING.code in look(signature).wrong
    (folder / "data.p7s").write_bytes(signature)
    assert accepted_by_them(folder, "DER")


def test_the_signer_named_by_key(folder: Path) -> None:
    assert look(signed_by_them(folder, "-binary", "-outform", "DER", "-keyid")).intact


def test_without_certificates_nobody_is_known(folder: Path) -> None:
    signature = signed_by_them(folder, "-binary", "-outform", "DER", "-nocerts")
    assert cms_reasons.SIGNER_MISSING.code in look(signature).wrong


def test_two_signers_both_ways(folder: Path) -> None:
    ours = probing.signed(FORMAT, Artifact.from_bytes(DATA, "data"))
    (folder / "first").write_bytes(ours.render(Artifact.from_bytes(DATA, "data")))
    again = ("-signer", "rsa3072.pem", "-inkey", "rsa3072.key", "-md", "sha256")
    done = openssl(
        folder, "cms", "-resign", *again, "-binary", "-inform", "DER", "-in", "first", "-outform", "DER", "-out", "both"
    )
    assert done.returncode == 0, done.stderr
    both = (folder / "both").read_bytes()
    answers = examine(FORMAT, Artifact.from_bytes(DATA, "data", {".p7s": both}))
    assert [answer.intact for answer in answers] == [True, True]

    theirs = signed_by_them(folder, "-binary", "-outform", "DER", kind="p384")
    artifact = Artifact.from_bytes(DATA, "data", {".p7s": theirs})
    merged = probing.signed(FORMAT, artifact, SealOptions(append=True)).render(artifact)
    answers = examine(FORMAT, Artifact.from_bytes(DATA, "data", {".p7s": merged}))
    assert [answer.intact for answer in answers] == [True, True]
    (folder / "data.p7s").write_bytes(merged)
    assert accepted_by_them(folder, "DER")


def test_a_changed_signature_file_is_refused_by_both(folder: Path) -> None:
    signature = signed_by_them(folder, "-binary", "-outform", "DER")
    for place in range(len(signature) - 90, len(signature), 7):
        changed = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
        try:
            assert not look(changed).intact
        except MalformedError:
            continue
