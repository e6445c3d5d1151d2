"""No changed byte, cut or rearrangement gives an intact proof of other content, or another error than ChopmarkError."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import cms, der, timestamp
from chopmark.envelopes.cms import oids
from tests.unit.envelopes import material

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.core.proof import Stamp

KINDS = ("p256", "ed25519")
STAMPED = b"a signature value"


def what_is_signed(raw: bytes, *, allow_ber: bool = False) -> tuple[object, ...] | None:
    """Everything that the signature vouches for, or None when it does not hold (or is none)."""
    try:
        envelope = cms.read(raw, allow_ber=allow_ber)
        proofs = [cms.CmsEnvelope(envelope, signer).check(()) for signer in envelope.signers]
    except ChopmarkError:
        return None
    if len(proofs) != 1 or not proofs[0].intact:
        return None
    (signer,) = envelope.signers
    assert proofs[0].signer is not None
    return envelope.content_type, envelope.content, signer.signed_attributes_der, proofs[0].signer.fingerprint


def what_is_stamped(raw: bytes) -> tuple[object, ...] | None:
    """Everything that a token vouches for, or None when it does not hold (or is none)."""
    try:
        stamp: Stamp = timestamp.check(raw, STAMPED)
    except ChopmarkError:
        return None
    if not stamp.proof.intact:
        return None
    assert stamp.proof.signer is not None
    return stamp.time, stamp.serial, stamp.policy, stamp.accuracy, stamp.proof.signer.fingerprint


@lru_cache
def token() -> bytes:
    return material.token(STAMPED, accuracy=0.25, nonce=99)


def unbound(raw: bytes) -> set[int]:
    """Positions of bytes that the signature cannot vouch for, each with its reason.

    The version number, of which two are right (PKCS #7 has 1, RFC 5652 clause 5.1 makes it depend); certificates other
    than the signer's, which are material for paths, bound by the signatures on them. Time stamps in it bring their own.
    """
    info = der.parse(raw).children()[1].only_child()
    (
        version,
        *_,
    ) = info.children()
    free = set(range(version.body, version.end))
    signer = cms.read(raw).signers[0]
    own = material.prove_alone(raw).certificates[0]
    certificates = next(node for node in info.children() if node.tag == der.context(0))
    for certificate in certificates.children():
        if certificate.raw != own:
            free |= set(range(certificate.start, certificate.end))
    for oid, values in signer.unsigned_attributes.items():
        for value in values:
            if oid in oids.STAMPS:
                free |= {value.start + position for position in unbound(value.raw)}
    return free


def changed(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """The bytes with each one changed, and every third in a second way."""
    for position, octet in enumerate(raw):
        for value in (octet ^ 1 << position % 8, octet ^ 0xFF)[: 1 if position % 3 else 2]:
            yield position, raw[:position] + bytes((value,)) + raw[position + 1 :]


@pytest.mark.parametrize("kind", KINDS)
def test_every_changed_byte_of_a_signature_is_caught_or_unbound(kind: str) -> None:
    raw = material.stamped(kind)
    expected, free = what_is_signed(raw), unbound(raw)
    assert expected is not None
    survivors = set()
    for position, mutant in changed(raw):
        found = what_is_signed(mutant)
        if found is not None:
            assert found == expected
            survivors.add(position)
    assert survivors <= free
    # What is said to be unbound is little: the version and what is not the signer's own certificate.
    assert len(free) < 3 * max(map(len, cms.read(raw).certificates))


def test_every_changed_byte_of_a_token_is_caught_or_unbound() -> None:
    raw = token()
    expected, free = what_is_stamped(raw), unbound(raw)
    assert expected is not None
    survivors = set()
    for position, mutant in changed(raw):
        found = what_is_stamped(mutant)
        if found is not None:
            assert found == expected
            survivors.add(position)
    assert survivors <= free


def test_every_truncation_is_refused() -> None:
    raw = material.stamped("p256")
    for end in range(len(raw)):
        with pytest.raises(ChopmarkError):
            cms.read(raw[:end])
        with pytest.raises(ChopmarkError):
            cms.read(raw[:end], allow_ber=True)
    for end in range(len(token())):
        with pytest.raises(ChopmarkError):
            timestamp.check(token()[:end], STAMPED)


Tree = tuple[int, "bytes | list[Tree]"]


def tree(node: der.Node) -> Tree:
    return (node.tag, [tree(child) for child in node.children()] if node.tag & 0x20 else node.value)


def written(branch: Tree) -> bytes:
    tag, value = branch
    return der.encode(tag, value) if isinstance(value, bytes) else der.encode(tag, *map(written, value))


def rearranged(branch: Tree) -> Iterator[Tree]:
    """The tree with one element removed, doubled, emptied, exchanged with its neighbour, or under another tag."""
    tag, value = branch
    if isinstance(value, bytes):
        yield tag, b""
        yield tag, value + b"\x00"
        yield tag, b"\x00" + value
    else:
        for index, child in enumerate(value):
            yield tag, value[:index] + value[index + 1 :]
            yield tag, [*value[:index], child, *value[index:]]
            if index:
                yield tag, [*value[: index - 1], child, value[index - 1], *value[index + 1 :]]
            for other in rearranged(child):
                yield tag, [*value[:index], other, *value[index + 1 :]]
    for other_tag in (der.SET, der.SEQUENCE, der.context(0), der.context(1), der.OCTET_STRING):
        if other_tag & 0x20 == tag & 0x20 and other_tag != tag:
            yield other_tag, value


@pytest.mark.parametrize(
    ("raw", "vouched"),
    [(material.stamped("p256"), what_is_signed), (token(), what_is_stamped)],
    ids=["signature", "token"],
)
def test_no_rearrangement_vouches_for_anything_else(
    raw: bytes, vouched: Callable[[bytes], tuple[object, ...] | None]
) -> None:
    assert written(tree(der.parse(raw))) == raw
    expected = vouched(raw)
    for mutant in rearranged(tree(der.parse(raw))):
        assert vouched(written(mutant)) in (None, expected)


CUTS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 12), st.binary(max_size=12)), min_size=1, max_size=4)


@given(CUTS, st.booleans())
@settings(max_examples=300)
def test_random_edits_raise_nothing_else_and_vouch_for_nothing_else(
    cuts: list[tuple[int, int, bytes]],
    allow_ber: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    raw = material.stamped("ed25519")
    mutant = raw
    for start, length, insertion in cuts:
        place = start % len(raw)
        mutant = mutant[:place] + insertion + mutant[place + length :]
    found = what_is_signed(mutant, allow_ber=allow_ber)
    assert found is None or found == what_is_signed(raw)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(raw: bytes) -> None:
    for read in (cms.read, lambda data: timestamp.check(data, STAMPED), timestamp.read_request, timestamp.read_info):
        with pytest.raises(ChopmarkError):
            read(raw)


def test_deep_nesting_and_a_million_elements_are_refused() -> None:
    for hostile in (
        b"\x30\x84\x00\xff\xff\xff" * 100_000,
        der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, der.sequence(b"\x31\x00" * 1_000_000))),
        der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, der.encode(der.SEQUENCE, b"\xa0\x80" * 100_000))),
    ):
        for allow_ber in (False, True):
            with pytest.raises(ChopmarkError):
                cms.read(hostile, allow_ber=allow_ber)


def test_stamps_within_stamps_are_not_followed() -> None:
    """A token may not be stamped itself: nothing recurses over input."""
    inner = token()
    for _ in range(3):
        inner = cms.add_unsigned(token(), timestamp.RFC3161_ATTRIBUTE, inner)
    stamp = timestamp.check(inner, STAMPED)
    assert material.codes(stamp.proof) == {"cms.unsigned_unknown"}
