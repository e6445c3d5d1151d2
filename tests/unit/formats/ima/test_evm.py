"""Portable signatures of EVM: metadata count, and never without the file itself."""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING

import pytest

from chopmark.core import patch as patches
from chopmark.core.artifact import Artifact, Metadata
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import RefusedError
from chopmark.core.verdict import Status, Verdict
from chopmark.engine import check, sign
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.contract import laws
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"#!/bin/sh\necho signed\n"
IMA, EVM = "xattr:security.ima", "xattr:security.evm"
CAPABILITY = "xattr:security.capability"
DIGEST = b"\x04\x04" + hashlib.sha256(DATA).digest()
VARIANT = SealOptions(variant="evm")


def signer(kind: str = "rsa2048") -> pki.Entity:
    return pki.leaf(None, f"Example EVM Signer {kind}", kind=kind, purposes=())


def knowing(folder: Path, *entities: pki.Entity) -> contexts.Context:
    path = folder / "store.pem"
    path.write_bytes(b"".join(each.pem for each in entities))
    return contexts.Context(store.load([str(path)]), pki.NOW, contexts.OFF, origins.CrlSource(cache=str(folder)))


def judged(state: laws.State, folder: Path, name: str = "") -> Verdict:
    return check.check(state.artifact(), knowing(folder, signer()), name)


def against(verdict: Verdict) -> set[str]:
    found = [*verdict.findings, *(each for seal in verdict.seals for each in seal.findings)]
    return {each.code for each in found if each.outcome in ("no", "unknown")}


def signed(*attributes: tuple[str, bytes]) -> laws.State:
    return laws.signed(laws.State("tool", DATA, attributes, asked="ima"), signer(), VARIANT)


def test_over_a_digest_of_the_file(tmp_path: Path) -> None:
    state = signed((IMA, DIGEST), (CAPABILITY, b"capable"))
    assert state.parts[EVM][:3] == b"\x05\x02\x04"
    for name in ("", "ima"):
        verdict = judged(state, tmp_path, name)
        assert verdict.status is Status.TRUSTED, verdict
        assert "ima.metadata" in {each.code for each in verdict.seals[0].findings}
    assert against(judged(state.with_part("", DATA + b"#"), tmp_path)) == {"digest.mismatch"}
    assert against(judged(state.with_part(CAPABILITY, b"more"), tmp_path)) == {"ima.signature_wrong"}
    other = b"\x04\x04" + hashlib.sha256(DATA + b"#").digest()
    swapped = state.with_part("", DATA + b"#").with_part(IMA, other)
    assert against(judged(swapped, tmp_path)) == {"ima.signature_wrong"}


def test_over_a_signature_of_the_file(tmp_path: Path) -> None:
    first = laws.signed(laws.State("tool", DATA, asked="ima"), signer())
    state = laws.signed(first, signer(), VARIANT)
    verdict = judged(state, tmp_path)
    assert verdict.status is Status.TRUSTED
    assert len(verdict.seals) == 2
    changed = judged(state.with_part("", DATA + b"#"), tmp_path)
    assert changed.status is Status.REJECTED
    with pytest.raises(RefusedError):  # it would break what is in security.evm
        laws.signed(state, signer())
    patches_ = sign.stripped(state.artifact(), "ima")
    assert {each.companion for each in patches_} == {IMA, EVM}


def test_what_is_covered_and_in_which_order(tmp_path: Path) -> None:
    """struct h_misc behind the values, in the kernel's order."""
    attributes = [
        ("xattr:security.capability", b"7"),
        ("xattr:security.ima", DIGEST),
        ("xattr:security.apparmor", b"5"),
        ("xattr:security.SMACK64", b"2"),
        ("xattr:security.selinux", b"1"),
        ("xattr:user.mime", b"no"),
    ]
    state = laws.State("tool", DATA, tuple(attributes), asked="ima")
    _, _, draft = sign.draft(state.artifact(), laws.request(signer(), VARIANT, format_name="ima"))
    assert draft.to_be_signed == b"125" + DIGEST + b"7" + struct.pack("<QIIIHH", 0, 0, 0, 0, 0o100644, 0)
    assert judged(signed(*attributes), tmp_path).status is Status.TRUSTED


@pytest.mark.parametrize("where", [Metadata(1, 0, 0o100644), Metadata(0, 1, 0o100644), Metadata(0, 0, 0o104755)])
def test_owner_and_mode_count(where: Metadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = signed((IMA, DIGEST))
    monkeypatch.setattr(Artifact, "metadata", lambda _: where)
    assert against(judged(state, tmp_path)) == {"ima.signature_wrong"}


def test_without_the_file_nothing_is_signed(tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        signed()
    state = signed((IMA, DIGEST))
    alone = laws.State("tool", DATA, ((EVM, state.parts[EVM]),))
    assert against(judged(alone, tmp_path)) == {"ima.metadata_alone"}


@pytest.mark.parametrize(
    "value",
    [b"", b"\x01", b"\x01" + bytes(19), b"\x04", b"\x04\x04" + bytes(31), b"\x04\x03" + bytes(20), b"\x02", b"text"],
)
def test_what_is_no_digest_of_the_file_is_refused(value: bytes, tmp_path: Path) -> None:
    assert against(judged(signed((IMA, value)), tmp_path)) == {"ima.file_digest_wrong"}


def test_an_old_digest_of_the_file_is_weak(tmp_path: Path) -> None:
    for kind, algorithm in ((b"\x01", "sha1"), (b"\x04\x02", "sha1"), (b"\x01", "md5")):
        value = kind + hashlib.new(algorithm, DATA, usedforsecurity=False).digest()
        verdict = judged(signed((IMA, value)), tmp_path)
        assert verdict.seals[0].digest_algorithm == algorithm
        assert against(verdict) == {"digest.weak"}


def test_other_kinds_in_security_evm_are_not_looked_at(tmp_path: Path) -> None:
    """An HMAC has a secret key, and the older kind of signature has numbers of the file system in it."""
    for value in (b"\x02" + bytes(20), b"\x03\x02\x04abcd\x00\x01x"):
        state = laws.State("tool", DATA, ((IMA, DIGEST), (EVM, value)))
        assert judged(state, tmp_path, "ima").status is Status.UNSIGNED


@pytest.mark.skipif(os.getuid() != 0, reason="only root sets attributes of the kernel's own security modules")
def test_on_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_bytes(DATA)
    path.chmod(0o750)
    for options in (SealOptions(), VARIANT):
        with Artifact.open(path) as artifact:
            sign.write(artifact, sign.sign(artifact, laws.request(signer(), options, format_name="ima")))
    context = knowing(tmp_path, signer())
    assert check.check_path(str(path), context).status is Status.TRUSTED
    path.chmod(0o4750)
    assert check.check_path(str(path), context).status is Status.REJECTED
    path.chmod(0o750)
    assert check.check_path(str(path), context).status is Status.TRUSTED
    with Artifact.open(path) as artifact:
        for patch in sign.stripped(artifact):
            patches.apply(patch, artifact)
    assert check.check_path(str(path), context).status is Status.UNSIGNED
