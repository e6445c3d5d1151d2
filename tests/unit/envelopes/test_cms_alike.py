"""Signatures read by what was read before: whatever the bytes, the same comes out as without."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.contracts import Content
from chopmark.core.digest import of
from chopmark.core.errors import MalformedError
from chopmark.core.proof import Proof
from chopmark.core.seal import DATA
from chopmark.envelopes import cms, der
from chopmark.envelopes.cms import alike, oids, reading, stamped
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.envelopes.cms.reading import SignedData

STAMP = "1.2.840.113549.1.9.16.2.14"


def signature(content: bytes, *, days: int = 0, kind: str = "rsa2048", body: bytes | None = None) -> bytes:
    signer = pki.world(kind).signer
    at = pki.NOW + dt.timedelta(days=days)
    digest = "sha512" if kind == "ed25519" else "sha256"
    draft = cms.draft(Content(DATA, digest, of(content, digest), body), signer, signer.certificates, signing_time=at)
    return draft.finish(signer.sign(draft.to_be_signed, digest))


@pytest.fixture(autouse=True)
def _nothing_before() -> None:
    alike._before.clear()  # noqa: SLF001 - what others have read
    alike._outlines.clear()  # noqa: SLF001 - likewise


def shown(signed: SignedData) -> object:
    """Everything there is in it, nodes by what they are of."""
    return _shown([getattr(signed, name) for name in reading.SignedData.__slots__])


def _shown(value: object) -> object:
    if isinstance(value, der.Node):
        return value.tag, value.start, value.raw, value.value, value.buffer
    if isinstance(value, reading.SignerInfo):
        return _shown([getattr(value, name) for name in type(value).__slots__])
    if isinstance(value, Mapping):
        return {name: _shown(each) for name, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, (list, tuple)) else value


def outcome(read: object, raw: bytes) -> object:
    try:
        return shown(read(raw))  # type: ignore[operator]
    except MalformedError as error:
        return type(error), str(error)


def test_what_differs_in_content_and_time_is_read_from_what_was_before() -> None:
    first, second, third = (signature(b"%d" % number, days=number) for number in range(3))
    alike.read(first)
    alike.read(second)
    assert alike._outlines  # noqa: SLF001 - it was the second
    read = alike.read(third)
    assert shown(read) == shown(reading.read(third))
    assert read.certificates[0] is alike._before[len(third)].certificates[0]  # noqa: SLF001 - it was not read anew
    [signer] = read.signers
    assert signer.message_digest == of(b"2", "sha256")
    assert signer.signing_time == pki.NOW + dt.timedelta(days=2)


@pytest.mark.parametrize("raw", [b"", signature(b"x", body=b"x"), signature(b"x", kind="p256")], ids=len)
def test_others_are_read_as_ever(raw: bytes) -> None:
    for _ in range(3):
        assert outcome(alike.read, raw) == outcome(reading.read, raw)


def _others() -> Iterator[bytes]:
    plain = signature(b"1")
    yield plain
    yield cms.add_unsigned(plain, STAMP, der.sequence(der.integer(1)))
    yield signature(b"1", kind="ed25519")


OTHERS = tuple(_others())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(OTHERS), st.data())
def test_no_byte_makes_a_difference_to_what_comes_out(raw: bytes, data: st.DataObject) -> None:
    alike.read(raw)
    alike.read(raw)
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(alike.read, bytes(changed)) == outcome(reading.read, bytes(changed))
    assert outcome(alike.read, raw) == outcome(reading.read, raw)


def test_every_byte_of_one_signature() -> None:
    [raw] = OTHERS[2:]
    for place in range(len(raw)):
        alike.read(raw)
        alike.read(raw)
        changed = raw[:place] + bytes((raw[place] ^ 1,)) + raw[place + 1 :]
        assert outcome(alike.read, changed) == outcome(reading.read, changed)


def checked(read: Callable[[bytes], SignedData], raw: bytes) -> object:
    """What the first signer comes to, everything of it."""
    try:
        signed = read(raw)
    except MalformedError as error:
        return type(error), str(error)
    return cms.check(signed, signed.signers[0])


def known(raw: bytes) -> list[object]:
    """Have the outline of a signature, and what it came to; what of it is kept."""
    for _ in range(3):
        checked(alike.read, raw)
    return list(alike._outlines[len(raw)].proven)  # noqa: SLF001 - what this is about


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "ed25519"])
def test_what_one_came_to_holds_for_others_but_for_the_time_and_the_mathematics(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = signature(b"1", kind=kind), signature(b"2", days=3, kind=kind)
    if len(first) == len(second):  # of ECDSA they mostly are not
        assert known(first)
        expected = checked(reading.read, second)
        monkeypatch.setattr(stamped, "check_alone", None)
        found = checked(alike.read, second)
        assert found == expected
        assert isinstance(found, Proof)
        assert found.intact
        assert found.claimed_time == pki.NOW + dt.timedelta(days=3)


def test_every_byte_of_one_signature_counts_as_much_as_ever() -> None:
    [raw] = OTHERS[2:]
    assert known(raw)
    for place in range(len(raw)):
        changed = raw[:place] + bytes((raw[place] ^ 1,)) + raw[place + 1 :]
        assert checked(alike.read, changed) == checked(reading.read, changed)
        assert known(raw)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(OTHERS), st.data())
def test_no_byte_makes_a_difference_to_what_it_comes_to(raw: bytes, data: st.DataObject) -> None:
    known(raw)
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert checked(alike.read, bytes(changed)) == checked(reading.read, bytes(changed))


def test_a_time_that_is_none_and_another_binding_are_told() -> None:
    raw = signature(b"1")
    assert known(raw)
    [signer] = reading.read(raw).signers
    for oid in (oids.SIGNING_TIME, oids.SIGNING_CERTIFICATE_V2, oids.CONTENT_TYPE):
        node = signer.single(oid)
        assert node is not None
        changed = raw[: node.end - 1] + b"\xff" + raw[node.end :]
        proof = checked(alike.read, changed)
        assert isinstance(proof, Proof)
        assert not proof.intact
        assert proof == checked(reading.read, changed)


def test_what_another_signed_attribute_says_is_asked_each_time() -> None:
    """A time that is none, another certificate, another type, each signed as it should be."""
    raw = signature(b"1")
    signer = pki.world("rsa2048").signer
    for oid in (oids.SIGNING_TIME, oids.SIGNING_CERTIFICATE_V2, oids.CONTENT_TYPE):
        assert known(raw)
        [before] = reading.read(raw).signers
        node = before.single(oid)
        assert node is not None
        changed = raw[: node.end - 1] + bytes((raw[node.end - 1] ^ 1,)) + raw[node.end :]
        data = reading.read(changed).signers[0].signed_attributes_der
        made = changed.replace(before.signature, signer.sign(data, "sha256"))
        proof = checked(alike.read, made)
        assert isinstance(proof, Proof)
        assert proof == checked(reading.read, made)
        assert "cms.signature_valid" in {each.code for each in proof.findings}
        assert not proof.intact


def test_what_holds_with_some_unsigned_attributes_is_not_what_holds_with_others() -> None:
    other = "1.2.3.4"
    raw = cms.add_unsigned(signature(b"1"), other, der.sequence(der.integer(1)))
    for _ in range(3):
        signed = alike.read(raw)
        assert cms.check(signed, signed.signers[0], allowed_unsigned=frozenset({other})).intact
    signed = alike.read(raw)
    assert not cms.check(signed, signed.signers[0]).intact


def test_what_does_not_hold_is_not_kept() -> None:
    raw = signature(b"1")
    broken = raw[:-1] + bytes((raw[-1] ^ 1,))
    assert not known(broken)
    assert known(raw)


def test_few_and_small_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CMS_KEPT_MAX", 2)
    for kind in ("rsa1024", "rsa2048", "p256", "ed25519"):
        alike.read(signature(b"x", kind=kind))
        assert len(alike._before) <= 2  # noqa: SLF001 - the bound
    alike._before.clear()  # noqa: SLF001 - likewise
    raw = signature(b"x")
    monkeypatch.setattr(limits, "CMS_KEPT_SIZE_MAX", len(raw) - 1)
    alike.read(raw)
    assert not alike._before  # noqa: SLF001 - likewise
