"""Signatures of IMA: what the header says has to be so, and a key that four octets name still has to fit."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark import cli
from chopmark.core import limits
from chopmark.core.artifact import Artifact, UnreadableError
from chopmark.core.contracts import Content, SealOptions
from chopmark.core.errors import BrokenError, RefusedError, UsageError
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check, inspect, sign
from chopmark.envelopes import ima, signatures, x509
from chopmark.envelopes.module import Certificates
from chopmark.formats.ima import FORMAT, metadata
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.contract import laws
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"#!/bin/sh\necho signed\n"
XATTR, BESIDE = "xattr:security.ima", ".sig"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def signer(kind: str = "rsa2048", **more: object) -> pki.Entity:
    return pki.leaf(None, f"Example IMA Signer {kind}", kind=kind, purposes=(), **more)  # type: ignore[arg-type]


def knowing(folder: Path, *entities: pki.Entity) -> contexts.Context:
    path = folder / "store.pem"
    path.write_bytes(b"".join(each.pem for each in entities))
    return contexts.Context(store.load([str(path)]), pki.NOW, contexts.OFF, origins.CrlSource(cache=str(folder)))


def signed(
    entity: pki.Entity, data: bytes = DATA, *, variant: str = "", digest_algorithm: str = "sha256"
) -> laws.State:
    state = laws.State("tool", data, asked="ima")
    return laws.signed(state, entity, SealOptions(variant=variant, digest_algorithm=digest_algorithm))


def judged(state: laws.State, context: contexts.Context, name: str = "") -> Verdict:
    return check.check(state.artifact(), context, name)


def against(verdict: Verdict) -> set[str]:
    found = [*verdict.findings, *(each for seal in verdict.seals for each in seal.findings)]
    return {each.code for each in found if each.outcome in ("no", "unknown")}


@pytest.mark.parametrize("kind", ["rsa2048", "rsa4096", "p256", "p384", "p521"])
@pytest.mark.parametrize(("variant", "place"), [("", XATTR), ("file", BESIDE), ("verity", XATTR)])
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_every_kind_of_key_and_signature(kind: str, variant: str, place: str, digest: str, folder: Path) -> None:
    entity = signer(kind)
    state = signed(entity, variant=variant, digest_algorithm=digest)
    assert list(state.parts) == ["", place]
    for name in ("", "ima"):
        verdict = judged(state, knowing(folder, entity), name)
        assert verdict.status is Status.TRUSTED, verdict
        [seal] = verdict.seals
        assert (seal.scheme, seal.digest_algorithm) == ("ima", digest)
    changed = judged(state.with_part("", DATA + b"#"), knowing(folder, entity))
    assert changed.status is Status.REJECTED
    assert against(changed) == {"ima.signature_wrong"}


def test_several_signatures_count_together(folder: Path) -> None:
    good, other = signer(), signer("p256")
    state = laws.signed(signed(good), other, SealOptions(variant="file"))
    assert judged(state, knowing(folder, good, other)).status is Status.TRUSTED
    assert judged(state, knowing(folder, good)).status is Status.UNDECIDED
    [first, second] = sign.stripped(state.artifact(), "ima")
    assert {first.companion, second.companion} == {XATTR, BESIDE}
    assert state.patched(first).patched(second).companions == ()


def test_a_stranger_is_unknown_and_one_of_the_same_name_is_refused(folder: Path) -> None:
    entity, other = signer(), signer("rsa3072")
    state = signed(entity)
    assert "ima.signer_unknown" in against(judged(state, knowing(folder, other)))
    raw = bytearray(state.parts[XATTR])
    raw[3:7] = x509.certificate(other.der).short_key_id
    renamed = state.with_part(XATTR, bytes(raw))
    verdict = judged(renamed, knowing(folder, other, entity))
    assert verdict.status is Status.REJECTED
    assert against(verdict) == {"ima.signature_wrong"}


def test_a_certificate_without_an_identifier_is_named_by_its_key() -> None:
    entity = pki.issue(pki.name("No Identifier"), pki.key("p256", "bare"), None, ())
    raw = x509.certificate(entity.der)
    assert raw.short_key_id == x509.subject_key_identifier(raw.spki)[-4:]
    assert Certificates([entity.der]).certificates(b"", b"", raw.short_key_id) == [entity.der]
    assert Certificates([entity.der]).certificates(b"", b"", b"\0\0\0\0") == []


def test_only_so_many_certificates_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make keys whose identifiers end in the same four octets."""
    entity = signer()
    artifact = signed(entity, DATA).artifact()
    [seal] = FORMAT.extract(laws.State("tool", DATA + b"#", ((XATTR, artifact.companion(XATTR) or b""),)).artifact())
    tried: list[int] = []
    plain = signatures.verify

    def counted(*given: object, **more: object) -> str | None:
        tried.append(1)
        return plain(*given, **more)  # type: ignore[arg-type]

    class Crowd(Certificates):
        def certificates(self, *_: bytes) -> list[bytes]:
            return [entity.der] * 10_000

    monkeypatch.setattr(signatures, "verify", counted)
    wrong = FORMAT.digest(Artifact.from_bytes(DATA + b"?"), [claim.recipe for claim in seal.claims])
    proof = seal.envelope.check_with(wrong, Crowd([]))  # type: ignore[attr-defined]
    assert [finding.code for finding in proof.findings] == ["ima.signature_wrong"]
    assert len(tried) == limits.IMA_SIGNERS_MAX


def test_a_digest_in_the_attribute_is_no_signature(folder: Path) -> None:
    for value in (b"\x01" + bytes(20), b"\x04\x04" + bytes(32), b"", b"\x02", b"text"):
        state = laws.State("tool", DATA, ((XATTR, value),))
        for name in ("", "ima"):
            assert judged(state, knowing(folder, signer()), name).status is Status.UNSIGNED
        assert state.patched(FORMAT.strip(state.artifact())) != state or not value


def test_a_text_of_that_suffix_is_somebody_elses(folder: Path) -> None:
    state = laws.State("tool", DATA, ((BESIDE, b"untrusted comment: signify\n"),))
    assert judged(state, knowing(folder, signer()), "ima").status is Status.UNSIGNED


def test_a_large_file_of_that_suffix_does_not_hide_the_attribute(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "tool"
    path.write_bytes(DATA)
    path.with_name("tool.sig").write_bytes(b"-----BEGIN PGP PUBLIC KEY BLOCK-----" + bytes(limits.IMA_SIGNATURE_MAX))
    with Artifact.open(path) as artifact:
        assert list(FORMAT.extract(artifact)) == []
    state = signed(signer())
    many = laws.State("tool", DATA, (*state.companions, (BESIDE, bytes(100_000))))
    assert judged(many, knowing(folder, signer())).status is Status.TRUSTED
    huge = laws.State("tool", DATA, ((XATTR, b"\x03\x02\x04" + bytes(65_533)),))
    assert against(judged(huge, knowing(folder, signer()))) == {"ima.header_wrong"}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x03", "ima.header_wrong"),
        (b"\x03\x02\x04abcd\x00\x00", "ima.header_wrong"),
        (b"\x03\x02\x04abcd\x00\x02x", "ima.header_wrong"),
        (b"\x03\x02\x04abcd\x00\x01xy", "ima.header_wrong"),
        (b"\x03\x02\x04abcd\xff\xffx", "ima.header_wrong"),
        (b"\x03\x02\x04abcd\x10\x00" + bytes(0x1000), "ima.header_wrong"),
        (b"\x03\x01\x04abcd\x00\x01x", "ima.unsupported"),
        (b"\x03\x03\x04abcd\x00\x01x", "ima.unsupported"),
        (b"\x06\x02\x04abcd\x00\x01x", "ima.unsupported"),
        (b"\x03\x02\x03abcd\x00\x01x", "ima.unsupported"),
        (b"\x03\x02\xffabcd\x00\x01x", "ima.unsupported"),
    ],
    ids=repr,
)
def test_headers_that_are_wrong(raw: bytes, code: str, folder: Path) -> None:
    for name in ("", "ima"):
        verdict = judged(laws.State("tool", DATA, ((XATTR, raw),)), knowing(folder, signer()), name)
        assert verdict.status is (Status.UNDECIDED if code == "ima.unsupported" else Status.REJECTED)
        assert against(verdict) == {code}


@given(st.binary(max_size=64).map(lambda rest: b"\x03\x02\x04" + rest) | st.binary(max_size=300))
def test_any_bytes_are_a_signature_or_broken(raw: bytes) -> None:
    try:
        envelope = ima.envelope_in(raw)
    except BrokenError:
        return
    assert envelope.raw == raw
    assert not envelope.check([]).intact


def test_an_fs_verity_digest_by_another_algorithm_is_broken(folder: Path) -> None:
    raw = b"\x06\x03\x05abcd\x00\x01x"  # SHA-384, which fs-verity does not have
    verdict = judged(laws.State("tool", DATA, ((XATTR, raw),)), knowing(folder, signer()))
    assert verdict.status is Status.REJECTED


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-65"])
def test_other_kinds_of_keys_do_not_sign(kind: str) -> None:
    with pytest.raises(RefusedError):
        signed(signer(kind), digest_algorithm="sha512")


def test_a_key_that_ima_does_not_know_is_refused_when_it_is_named(folder: Path) -> None:
    entity = signer("ed25519")
    raw = b"\x03\x02\x04" + x509.certificate(entity.der).short_key_id + b"\x00\x40" + entity.sign(DATA, "sha512")
    verdict = judged(laws.State("tool", DATA, ((XATTR, raw),)), knowing(folder, entity))
    assert against(verdict) == {"ima.key_kind"}


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(UsageError):
        signed(signer(), variant="tattoo")
    with pytest.raises(RefusedError):
        signed(signer(), variant="verity", digest_algorithm="sha384")
    with pytest.raises(RefusedError):
        laws.signed(signed(signer()), signer(), SealOptions(append=True))
    with pytest.raises(RefusedError):
        ima.draft(Content("ima-file", "sha256", bytes(32)), signer(), signer().certificates, signing_time=None)
    with pytest.raises(RefusedError):
        FORMAT.embed(laws.State("tool", DATA).artifact(), b"no signature", SealOptions())
    verity = signed(signer(), variant="verity").parts[XATTR]
    with pytest.raises(RefusedError):
        FORMAT.embed(laws.State("tool", DATA).artifact(), verity, SealOptions())


def test_a_file_that_is_too_large_to_be_signed_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONTENT_SIGNED_MAX", 10)
    with pytest.raises(UnreadableError):
        signed(signer())
    assert signed(signer(), variant="verity").parts[XATTR]


def test_inspection_needs_no_key() -> None:
    shown = inspect.inspect(signed(signer()).artifact(), "ima")
    [seal] = shown["seals"]
    assert seal["facts"]["kind"] == "ima-file"
    assert seal["claims"][0]["covers"] == len(DATA)


def test_the_commands_say_what_the_file_system_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entity = signer()
    path, key, certificate = tmp_path / "tool", tmp_path / "key.pem", tmp_path / "certificate.pem"
    path.write_bytes(DATA)
    key.write_bytes(entity.private_pem())
    key.chmod(0o600)
    certificate.write_bytes(entity.pem)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    for name in ("setxattr", "getxattr"):
        monkeypatch.setattr(os, name, refuse)
    asked = ["sign", str(path), "--format", "ima", "--key", str(key), "--cert", str(certificate)]
    assert cli.main(asked) == 4
    assert "extended attribute" in capsys.readouterr().err
    assert cli.main([*asked, "--variant", "file"]) == 0
    assert path.with_name("tool.sig").read_bytes()[:2] == b"\x03\x02"
    judging = ["--store", str(certificate), "--revocation", "off", "--at", "2026-07-01"]
    assert cli.main(["verify", str(path), *judging]) == 0
    path.write_bytes(DATA + b"#")
    assert cli.main(["verify", str(path), *judging]) == 1
    assert cli.main(["strip", str(path)]) == 0
    assert not path.with_name("tool.sig").exists()


def turned(raw: bytes, kind: int) -> bytes:
    """A signature of another kind, with nothing else changed: nothing signs which it is."""
    return bytes([kind, ima.VERSIONS[kind]]) + raw[2:]


def test_what_another_kind_signs_is_no_file(folder: Path) -> None:
    entity = signer()
    state = signed(entity, variant="verity")
    [payload] = FORMAT.digest(state.artifact(), [FORMAT.recipe(state.artifact(), SealOptions(variant="verity"))])
    message = FORMAT.content(state.artifact(), payload, SealOptions(variant="verity")).message
    assert message is not None
    [(_, raw)] = state.companions
    moved = laws.State("other", message, ((XATTR, turned(raw, ima.FILE)),), asked="ima")
    verdict = judged(moved, knowing(folder, entity), "ima")
    assert [each.code for each in verdict.seals[0].findings if each.outcome == "no"] == ["ima.confusable"]
    assert verdict.seals[0].signer is not None, "the signature itself holds"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\6\4" + bytes(32), True),
        (b"\6\6" + bytes(64), True),
        (b"\6\4" + bytes(31), False),
        (b"\6\4" + bytes(64), False),
        (b"\4\4" + bytes(32) + metadata.INODE.pack(0, 0, 0, 0, 0o100755), True),
        (b"\3\2" + bytes(99) + metadata.INODE.pack(0, 0, 7, 7, 0o104755), True),
        (b"#!/bin/sh" + metadata.INODE.pack(0, 0, 0, 0, 0o100755), False),
        (b"\4\4" + bytes(32) + metadata.INODE.pack(9, 0, 0, 0, 0o100755), False),
        (b"\4\4" + bytes(32) + metadata.INODE.pack(0, 0, 0, 0, 0o40755), False),
        (metadata.INODE.pack(0, 0, 0, 0, 0o100755), False),
        (b"\4", False),
        (b"", False),
    ],
)
def test_files_that_are_not_signed_as_they_are(data: bytes, expected: bool) -> None:  # noqa: FBT001 - a case
    artifact = Artifact.from_bytes(data, "tool")
    if not expected:
        assert FORMAT.recipe(artifact, SealOptions()).algorithm == "sha256"
        return
    with pytest.raises(RefusedError):
        FORMAT.recipe(artifact, SealOptions())
    assert FORMAT.recipe(artifact, SealOptions(variant="verity")).transform
