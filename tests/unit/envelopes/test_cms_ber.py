"""BER: signatures written as a stream are read when that is asked for, and only then."""

from __future__ import annotations

import contextlib
import functools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, MalformedError
from chopmark.core.finding import Outcome
from chopmark.envelopes import cms, der
from chopmark.envelopes.cms import ber, oids
from tests.unit.envelopes import material


def streamed(node: der.Node, depth: int, keep: tuple[bytes, ...] = ()) -> bytes:
    """The same value with indefinite lengths down to a depth, and octet strings there in two pieces; but for `keep`."""
    if depth < 0 or node.raw in keep:
        return node.raw
    if node.tag == der.OCTET_STRING and node.value:
        middle = len(node.value) // 2
        pieces = der.octet_string(node.value[:middle]) + der.octet_string(node.value[middle:])
        return b"\x24\x80" + pieces + b"\x00\x00"
    if not node.tag & 0x20:
        return node.raw
    inside = b"".join(streamed(child, depth - 1, keep) for child in node.children())
    return bytes((node.tag, 0x80)) + inside + b"\x00\x00"


@pytest.mark.parametrize("kind", ["rsa", "p256", "ed25519"])
def test_a_stream_is_read_only_when_asked_for_and_is_the_same_signature(kind: str) -> None:
    strict = material.signed(kind)
    raw = streamed(der.parse(strict), 4, material.chain(kind))
    with pytest.raises(MalformedError):
        cms.read(raw)
    envelope = cms.read(raw, allow_ber=True)
    assert (envelope.was_ber, envelope.raw, envelope.definite) == (True, raw, strict)
    proof = cms.check(envelope, envelope.signers[0])
    assert proof.intact
    assert "cms.ber" in material.codes(proof, Outcome.INFO)


def test_der_is_der_also_when_ber_is_allowed() -> None:
    raw = material.signed("p256")
    envelope = cms.read(raw, allow_ber=True)
    assert not envelope.was_ber
    assert envelope.definite is envelope.raw is raw
    assert not material.codes(cms.check(envelope, envelope.signers[0]), Outcome.INFO)


def test_signed_attributes_in_ber_are_verified_as_der_and_that_is_said() -> None:
    everywhere = streamed(der.parse(material.signed("p256")), 20, material.chain("p256"))
    proof = material.prove(everywhere, allow_ber=True)
    assert proof.intact
    assert {"cms.ber", "cms.attributes_reencoded"} <= material.codes(proof, Outcome.INFO)
    outside = material.prove(streamed(der.parse(material.signed("p256")), 2), allow_ber=True)
    assert "cms.attributes_reencoded" not in material.codes(outside, Outcome.INFO)


def test_what_others_signed_is_der_inside_ber_too() -> None:
    token = material.token(b"a signature value")
    stamp = der.sequence(der.oid(oids.RFC3161_TIMESTAMP), der.encode(der.SET, token))
    lists = [der.sequence(der.integer(number)) for number in (1, 2)]
    strict = material.Loose("p256", unsigned=[stamp], crls=lists).encoded()
    issued = (*material.chain("p256"), *lists, token)
    assert cms.read(streamed(der.parse(strict), 20, issued), allow_ber=True).definite == strict
    for number in range(len(issued)):
        with pytest.raises(MalformedError):
            cms.read(streamed(der.parse(strict), 20, issued[:number] + issued[number + 1 :]), allow_ber=True)


def test_a_length_in_more_bytes_than_it_needs_is_ber() -> None:
    assert ber.normalise(bytes.fromhex("3083000003" + "020105")) == bytes.fromhex("3003020105")
    assert ber.normalise(bytes.fromhex("30800000")) == bytes.fromhex("3000")
    assert ber.normalise(bytes.fromhex("2480" + "2480" + "040161" + "0000" + "040162" + "0000")) == der.octet_string(
        b"ab"
    )
    assert ber.normalise(bytes.fromhex("2406" + "040161" + "040162")) == der.octet_string(b"ab")


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "30",
        "3080",
        "308000",
        "30800500",
        "0480" + "0000",  # an indefinite length of a primitive value
        "3003" + "0480" + "00",
        "300405000500" + "00",  # something behind it
        "3003" + "05000500",  # an element that reaches out of its parent
        "0000",
        "30020000",  # end-of-contents within a definite length
        "2480" + "020100" + "0000",  # an octet string of something else
        "2c80" + "0c0161" + "0000" + "ff",
        "1f8101",
        "3085000000000100",
    ],
)
def test_what_is_not_even_ber_is_refused(raw: str) -> None:
    with pytest.raises(der.DerError):
        ber.normalise(bytes.fromhex(raw))


def test_depth_and_number_of_elements_are_bounded() -> None:
    for hostile in (
        b"\x30\x80" * 1_000_000,
        b"\x30\x80" * (limits.DER_DEPTH_MAX + 2) + b"\x00\x00" * (limits.DER_DEPTH_MAX + 2),
        b"\x30\x80" + b"\x05\x00" * 1_000_000 + b"\x00\x00",
        b"\x24\x80" + b"\x04\x00" * 1_000_000 + b"\x00\x00",
        der.sequence(b"\x05\x00" * 1_000_000),
        der.sequence(*[der.sequence(b"\x05\x00" * (limits.DER_ELEMENTS_MAX // 4))] * 5),
        functools.reduce(lambda inside, _: der.sequence(inside), range(limits.DER_DEPTH_MAX + 2), b""),
    ):
        started = time.process_time()
        with pytest.raises(der.DerError):
            ber.normalise(hostile)
        assert time.process_time() - started < 3


@given(st.integers(0, 20), st.sampled_from(["rsa", "p256", "ed25519"]))
@settings(max_examples=20)
def test_any_depth_of_streaming_comes_back_to_the_same_der(depth: int, kind: str) -> None:
    strict = material.signed(kind)
    assert ber.normalise(streamed(der.parse(strict), depth)) == strict


@given(st.binary(max_size=80))
def test_random_bytes_raise_nothing_but_chopmark_errors(raw: bytes) -> None:
    with contextlib.suppress(ChopmarkError):
        ber.normalise(raw)
    with pytest.raises(ChopmarkError):
        cms.read(raw, allow_ber=True)
