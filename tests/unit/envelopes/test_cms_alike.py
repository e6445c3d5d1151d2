"""Signatures read by what was read before: whatever the bytes, the same comes out as without."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.contracts import DATA, Content
from chopmark.core.digest import of
from chopmark.core.errors import MalformedError
from chopmark.envelopes import cms, der
from chopmark.envelopes.cms import alike, reading
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    return _shown([getattr(signed, name) for name in type(signed).__slots__])


def _shown(value: object) -> object:
    if isinstance(value, der.Node):
        return value.tag, value.start, value.raw, value.value, value.buffer
    if isinstance(value, reading.SignerInfo):
        return _shown([getattr(value, name) for name in type(value).__slots__])
    if isinstance(value, dict):
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
