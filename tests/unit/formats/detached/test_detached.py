"""Detached signatures: any file, one or more signers beside it, DER, BER or PEM."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core import patch as patches
from chopmark.core import reasons as core_reasons
from chopmark.core.artifact import Artifact, UnreadableError
from chopmark.core.contracts import Content, Format, SealOptions
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.envelopes import cms, der, pem
from chopmark.envelopes.cms import oids
from chopmark.envelopes.cms import reasons as cms_reasons
from chopmark.formats.detached import FORMAT, companion, reasons
from tests.support import pki, probing
from tests.support.integrity import Answer, examine

VECTORS = Path(__file__).parents[3] / "vectors" / "detached"
DATA = b"one\ntwo\n"
CHANGED = {core_reasons.DIGEST_MISMATCH.code}


def beside(data: bytes = DATA, options: SealOptions = probing.DEFAULTS, existing: bytes | None = None) -> bytes:
    artifact = Artifact.from_bytes(data, "x", {} if existing is None else {".p7s": existing})
    patch = probing.signed(FORMAT, artifact, options)
    assert patch.companion == ".p7s"
    return patch.render(artifact)


def answers(data: bytes, signature: bytes) -> list[Answer]:
    return examine(FORMAT, Artifact.from_bytes(data, "x", {".p7s": signature}))


def look(signature: bytes, data: bytes = DATA) -> Answer:
    [answer] = answers(data, signature)
    return answer


def over(digested: bytes, body: bytes | None = None, content_type: str = oids.DATA) -> bytes:
    return probing.envelope(Content(content_type, "sha256", hashlib.sha256(digested).digest(), body))


@pytest.mark.parametrize("data", [b"", DATA, bytes(range(256)), *(p.read_bytes() for p in VECTORS.glob("sample-*"))])
@pytest.mark.parametrize("variant", ["", "pem"])
def test_what_was_signed_is_intact(data: bytes, variant: str) -> None:
    signature = beside(data, SealOptions(variant=variant))
    assert signature.startswith(b"-----BEGIN CMS-----\n") is (variant == "pem")
    answer = look(signature, data)
    assert answer.intact, answer.wrong
    assert answer.where == "detached signature"
    assert look(signature, data + b"x").wrong == CHANGED


def test_it_is_a_format_for_everything() -> None:
    assert isinstance(FORMAT, Format)
    assert FORMAT.companion == ".p7s"
    for head in (b"", b"MZ", b"#!/bin/sh\n"):
        assert FORMAT.detect(head, "x.sh") == 1


def test_without_a_companion_there_is_nothing() -> None:
    assert examine(FORMAT, Artifact.from_bytes(DATA, "x")) == []


def test_in_files(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(DATA)
    path.chmod(0o755)
    with Artifact.open(path) as artifact:
        patches.apply(probing.signed(FORMAT, artifact), artifact)
        [answer] = examine(FORMAT, artifact)
        assert answer.intact
        assert path.read_bytes() == DATA
        assert (tmp_path / "x.bin.p7s").stat().st_mode & 0o777 == 0o644
        patches.apply(FORMAT.strip(artifact), artifact)
        assert [entry.name for entry in tmp_path.iterdir()] == ["x.bin"]


def second(data: bytes, options: SealOptions, existing: bytes) -> bytes:
    signer = pki.leaf(pki.world().issuing, "Example Second Signer")
    artifact = Artifact.from_bytes(data, "x", {".p7s": existing})
    [payload] = FORMAT.digest(artifact, [FORMAT.recipe(artifact, options)])
    draft = cms.draft(FORMAT.content(artifact, payload, options), signer, signer.certificates, signing_time=pki.NOW)
    envelope = draft.finish(signer.sign(draft.to_be_signed, options.digest_algorithm))
    return FORMAT.embed(artifact, envelope, options).render(artifact)


@pytest.mark.parametrize("variant", ["", "pem"])
def test_appending_keeps_the_first_signer_and_the_encoding(variant: str) -> None:
    first = beside(options=SealOptions(variant=variant))
    both = second(DATA, SealOptions(digest_algorithm="sha512", append=True), first)
    assert both.startswith(b"-----BEGIN") is (variant == "pem")
    found = answers(DATA, both)
    assert [answer.where for answer in found] == ["detached signature, signer 1", "detached signature, signer 2"]
    assert all(answer.intact for answer in found)
    own = cms.read(companion.read(first).cms).signers[0].node.raw
    assert own in [signer.node.raw for signer in cms.read(companion.read(both).cms).signers]


def test_signing_again_replaces() -> None:
    assert len(answers(DATA, second(DATA, probing.DEFAULTS, beside()))) == 1


def test_appending_to_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(RefusedError):
        beside(options=SealOptions(append=True), existing=b"-----BEGIN CMS-----\n")
    with pytest.raises(MalformedError):
        beside(options=SealOptions(append=True), existing=b"x")


def test_one_signer_of_two_is_wrong() -> None:
    other = over(b"other")
    from chopmark.envelopes.cms import merging

    found = answers(DATA, merging.merge(second(DATA, probing.DEFAULTS, beside()), other))
    assert sorted(answer.intact for answer in found) == [False, True]


# Encodings


def indefinite(raw: bytes) -> bytes:
    """The outer three levels with indefinite lengths, as a signer writes that does not know the length yet."""
    outer = der.parse(raw)
    kind, body = outer.children()
    inner = body.only_child()
    opened = b"\x30\x80" + inner.value + b"\0\0"
    return b"\x30\x80" + kind.raw + b"\xa0\x80" + opened + b"\0\0\0\0"


def test_ber_is_read_and_told() -> None:
    answer = look(indefinite(beside()))
    assert answer.intact
    assert cms_reasons.BER.code in answer.codes


@pytest.mark.parametrize("label", ["CMS", "PKCS7", "PKCS #7 SIGNED DATA"])
def test_pem_labels(label: str) -> None:
    assert look(pem.encode(label, beside())).intact


def test_pem_with_other_lines() -> None:
    import base64

    text = base64.encodebytes(beside())
    assert look(b"-----BEGIN PKCS7-----\n" + text + b"-----END PKCS7-----\n").intact
    written = pem.encode("CMS", beside())
    assert look(written.replace(b"\n", b"\r\n")).intact


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + b"\n",
        lambda text: text + b"payload",
        lambda text: b"payload\n" + text,
        lambda text: text[:-1],
        lambda text: text.replace(b"\n", b"\r\n", 3),
        lambda text: text.replace(b"\nMII", b"\n MII"),
        lambda text: text.replace(b"\nMII", b"\nMI\nI"),
        lambda text: text.replace(b"-----\nM", b"-----\nHeader: value\n\nM"),
        lambda text: text + text,
        lambda text: text.replace(b" CMS", b" CERTIFICATE"),
        lambda text: text.replace(b"END CMS", b"END PKCS7"),
    ],
)
def test_pem_is_one_block_and_nothing_else(change: object) -> None:
    assert callable(change)
    with pytest.raises(MalformedError):
        answers(DATA, change(pem.encode("CMS", beside())))


def test_pem_that_is_none_says_so() -> None:
    with pytest.raises(BrokenError) as refused:
        answers(DATA, pem.encode("CMS", beside()) * 2)
    assert refused.value.reason.code == "detached.pem_form"


@given(st.data())
def test_no_byte_of_pem_can_be_another(data: st.DataObject) -> None:
    written = pem.encode("CMS", beside())
    place = data.draw(st.integers(0, len(written) - 1))
    changed = bytearray(written)
    changed[place] = data.draw(st.integers(0, 255).filter(lambda octet: octet != written[place]))
    try:
        read = companion.read(bytes(changed))
    except BrokenError:
        return
    assert read.cms != companion.read(written).cms or read.label != "CMS"


def test_an_email_is_not_a_signature_file() -> None:
    with pytest.raises(BrokenError) as caught:
        answers(DATA, b"MIME-Version: 1.0\nContent-Type: multipart/signed\n\n")
    assert caught.value.reason is reasons.MIME


def test_nothing_behind_der() -> None:
    with pytest.raises(MalformedError):
        answers(DATA, beside() + b"\n")


# What it is over


def test_a_content_that_came_along_is_compared_with_the_file() -> None:
    answer = look(over(DATA, DATA))
    assert answer.intact
    assert reasons.CONTENT_ALONG.code in answer.codes
    assert look(over(b"other", b"other")).wrong == {core_reasons.DIGEST_MISMATCH.code}


def test_another_kind_of_object() -> None:
    assert reasons.CONTENT_TYPE.code in look(over(DATA, content_type="1.3.6.1.4.1.311.2.1.4")).wrong
    artifact = Artifact.from_bytes(DATA, "x")
    with pytest.raises(RefusedError):
        FORMAT.embed(artifact, over(DATA, content_type="1.2.3"), probing.DEFAULTS)


def test_nobody_signed() -> None:
    outer = der.parse(beside())
    kind, body = outer.children()
    parts = [node.raw for node in body.only_child().children()[:-1]]
    empty = der.sequence(kind.raw, der.explicit(0, der.sequence(*parts, der.set_of([]))))
    with pytest.raises(BrokenError) as caught:
        answers(DATA, empty)
    assert caught.value.reason is reasons.NOBODY


# Conversions


@pytest.mark.parametrize(
    ("signed", "found", "reason"),
    [
        (b"one\r\ntwo\r\n", b"one\ntwo\n", reasons.CHANGED_AS_TEXT),
        (b"one\ntwo\n", b"one\r\ntwo\r\n", reasons.CHANGED_LINE_BREAKS),
        (b"Content-Type: text/plain\r\n\r\none\r\n", b"one\n", reasons.CHANGED_AS_TEXT),
    ],
)
def test_conversions_are_explained(signed: bytes, found: bytes, reason: core_reasons.Reason) -> None:
    assert look(over(signed), found).wrong == {*CHANGED, reason.code}
    assert look(over(signed), found + b"x").wrong == CHANGED


def test_a_line_break_between_two_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "READ_CHUNK", 4)
    assert reasons.CHANGED_LINE_BREAKS.code in look(over(b"one\ntwo\n\r\r"), b"one\r\ntwo\r\n\r\r").wrong


# Limits


def test_a_companion_that_is_too_large() -> None:
    class Large(Artifact):
        def companion(self, suffix: str, limit: int = limits.ENVELOPE_MAX) -> bytes | None:
            assert limit <= limits.ENVELOPE_MAX
            raise UnreadableError(suffix, core_reasons.INPUT_TOO_LARGE)

    with pytest.raises(UnreadableError):
        examine(FORMAT, Large.from_bytes(DATA))


class _Zeros:
    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        return bytes(max(0, min(length, self.size - offset)))

    def changed(self) -> bool:
        return False


def test_memory_does_not_grow_with_the_file() -> None:
    view = _Zeros(64 * limits.MIB)
    signature = over(b"something else")
    tracemalloc.start()
    try:
        [answer] = examine(FORMAT, Artifact("x", view, None, {".p7s": signature}))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.wrong == CHANGED
    assert peak < 16 * limits.MIB


# Anything at all


def ask(data: bytes, signature: bytes) -> None:
    artifact = Artifact.from_bytes(data, "x", {".p7s": signature})
    for question in probing.questions(FORMAT, artifact):
        probing.clearly(question)


@given(st.binary(max_size=50), st.binary(max_size=200) | st.binary(max_size=80).map(lambda raw: pem.encode("CMS", raw)))
def test_any_bytes(data: bytes, signature: bytes) -> None:
    ask(data, signature)


@given(st.booleans(), st.data())
def test_signatures_changed_at_random(armoured: bool, data: st.DataObject) -> None:  # noqa: FBT001 - drawn
    signature = bytearray(beside(options=SealOptions(variant="pem" if armoured else "")))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(signature) - 1))
        stop = data.draw(st.integers(start, min(len(signature), start + 40)))
        signature[start:stop] = data.draw(st.binary(max_size=8))
        if not signature:
            break
    ask(DATA, bytes(signature))
