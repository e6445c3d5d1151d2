"""The frame of a list is read by a short way where most look alike; what comes out is what the long way gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.envelopes import der
from chopmark.trust.crl import frame
from tests.support import pki

ISSUER, RSA = pki.world().issuing, pki.authority("Frame RSA", kind="rsa2048")
EMPTY = pki.crl(ISSUER)
FEW = [pki.Revoked(2**100 + number, pki.NOW) for number in range(8)]
SAMPLES = [EMPTY, pki.crl(ISSUER, FEW[:1]), pki.crl(ISSUER, FEW), pki.crl(RSA, FEW), pki.crl(RSA)]


def outcome(read: Any, raw: bytes) -> Any:  # noqa: ANN401 - whatever is read
    try:
        found = read(raw)
    except der.DerError:
        return "refused"
    if found is None:
        return None
    entries = found.entries and (found.entries.start, found.entries.body, found.entries.end)
    return (*found._replace(entries=None), entries)


def alike(raw: bytes) -> bool:
    """Whether the short way says the same as the long one, or nothing."""
    short = outcome(frame.usual, raw)
    return short is None or short == outcome(frame.read, raw)


@pytest.mark.parametrize("raw", SAMPLES)
def test_usual_lists_take_the_short_way(raw: bytes) -> None:
    assert frame.usual(raw) is not None
    assert alike(raw)


@pytest.mark.parametrize("raw", SAMPLES)
def test_every_flipped_octet_of_a_list_is_read_alike(raw: bytes) -> None:
    for position in range(len(raw)):
        for mask in (0x01, 0x20, 0x80, 0xFF):
            assert alike(raw[:position] + bytes((raw[position] ^ mask,)) + raw[position + 1 :])


@pytest.mark.parametrize("raw", SAMPLES)
def test_every_beginning_of_a_list_is_read_alike(raw: bytes) -> None:
    for size in range(len(raw)):
        assert frame.usual(raw[:size]) is None
        assert outcome(frame.read, raw[:size]) == "refused"


@given(st.sampled_from(SAMPLES), st.integers(0, 700), st.integers(0, 4), st.binary(max_size=6))
def test_lists_with_other_octets_in_them_are_read_alike(raw: bytes, at: int, size: int, octets: bytes) -> None:
    assert alike(raw[:at] + octets + raw[at + size :])


@pytest.mark.parametrize("part", [b"\x30\x82\x00\x80" + bytes(128), b"\x30\x81\x80" + bytes(128), b"\x30\0"])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_parts_with_other_lengths_are_read_alike(number: int, part: bytes) -> None:
    tbs, *behind = der.parse(EMPTY).children()
    fields = [each.raw for each in tbs.children()]
    fields[number] = part
    assert alike(der.sequence(der.sequence(*fields), *[each.raw for each in behind]))
    assert alike(der.sequence(tbs.raw, part, behind[1].raw))


def test_an_empty_list_of_entries_takes_the_long_way() -> None:
    outer = der.parse(EMPTY)
    tbs, *behind = outer.children()
    *before, extensions = tbs.children()
    changed = der.sequence(*[each.raw for each in before], der.sequence(), extensions.raw)
    raw = der.sequence(changed, *[each.raw for each in behind])
    assert frame.usual(raw) is None
    assert outcome(frame.read, raw) == "refused"
