"""Several signers of one content in one SignedData."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.contracts import Content
from chopmark.core.errors import ChopmarkError, RefusedError
from chopmark.envelopes import cms, der
from chopmark.envelopes.cms import merging, oids
from tests.support import pki

DATA = b"content"
DETACHED = Content(oids.DATA, "sha256", hashlib.sha256(DATA).digest())


def signed(signer: pki.Entity, content: Content = DETACHED) -> bytes:
    draft = cms.draft(content, signer, signer.certificates, signing_time=pki.NOW)
    return draft.finish(signer.sign(draft.to_be_signed, content.digest_algorithm))


FIRST = signed(pki.world().signer)
SECOND = signed(pki.world("p384").signer, Content(oids.DATA, "sha384", hashlib.sha384(DATA).digest()))


def test_both_signers_keep_their_bytes_and_verify() -> None:
    merged = cms.read(merging.merge(FIRST, SECOND))
    before = {cms.read(raw).signers[0].node.raw for raw in (FIRST, SECOND)}
    assert {signer.node.raw for signer in merged.signers} == before
    assert merged.ordered
    assert merged.version == merged.cms_version == 1
    assert set(merged.digest_algorithms) == {"sha256", "sha384"}
    assert len(merged.certificates) == 3
    for signer in merged.signers:
        digest = hashlib.new(signer.digest_algorithm, DATA).digest()
        assert cms.check(merged, signer, digest=digest).intact


def test_order_does_not_matter_and_twice_is_once() -> None:
    assert merging.merge(FIRST, SECOND) == merging.merge(SECOND, FIRST)
    assert merging.merge(FIRST, FIRST) == FIRST


def test_a_content_that_came_along_stays() -> None:
    attached = signed(pki.world().signer, Content(oids.DATA, "sha256", b"", DATA))
    for merged in (merging.merge(attached, SECOND), merging.merge(SECOND, attached)):
        assert cms.read(merged).content == DATA
    other = signed(pki.world().signer, Content(oids.DATA, "sha256", b"", b"other"))
    with pytest.raises(RefusedError):
        merging.merge(attached, other)


def test_another_type_of_content_is_refused() -> None:
    other = signed(pki.world().signer, Content("1.2.3", "sha256", bytes(32)))
    with pytest.raises(RefusedError):
        merging.merge(FIRST, other)


def test_there_is_a_limit() -> None:
    merged = FIRST
    for number in range(1, limits.SIGNERS_MAX):
        merged = merging.merge(merged, signed(pki.leaf(pki.world().issuing, f"Signer {number}")))
    assert len(cms.read(merged).signers) == limits.SIGNERS_MAX
    with pytest.raises(RefusedError):
        merging.merge(merged, signed(pki.leaf(pki.world().issuing, "One more")))


def test_crls_stay() -> None:
    outer = der.parse(FIRST).fields()
    kind, body = outer.take().raw, outer.take().only_child().children()
    crl = der.explicit(1, der.sequence(der.integer(7)))
    with_crl = der.sequence(kind, der.explicit(0, der.sequence(*(node.raw for node in body[:-1]), crl, body[-1].raw)))
    assert cms.read(merging.merge(with_crl, SECOND)).crls == (der.sequence(der.integer(7)),)


@given(st.binary(max_size=60), st.booleans())
def test_anything_else_is_a_clear_error(data: bytes, first: bool) -> None:  # noqa: FBT001 - drawn
    with pytest.raises(ChopmarkError):
        merging.merge(*((data, FIRST) if first else (FIRST, data)))
