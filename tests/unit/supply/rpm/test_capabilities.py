"""Capabilities in words and as the kernel keeps them: never more than was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import MalformedError
from chopmark.supply.rpm import capabilities
from chopmark.supply.rpm.capabilities import Sets

RAW = 1 << 13
CHOWN = 1
V2 = bytes.fromhex("01000002 00200000 00000000 00000000 00000000")
"""cap_net_raw=ep, as setcap writes it."""


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ("", Sets()),
        ("cap_net_raw=ep", Sets(RAW, 0, RAW)),
        ("cap_net_raw+p", Sets(0, 0, RAW)),
        ("= cap_chown,cap_net_raw+eip", Sets(RAW | CHOWN, RAW | CHOWN, RAW | CHOWN)),
        ("cap_chown,cap_net_raw=p cap_net_raw+i", Sets(0, RAW, RAW | CHOWN)),
        ("all=p cap_chown-p", Sets(0, 0, (1 << 41) - 2)),
        ("=ep", Sets((1 << 41) - 1, 0, (1 << 41) - 1)),
        ("cap_net_raw=ep-e", Sets(0, 0, RAW)),
        ("cap_net_raw=ep =", Sets()),
    ],
)
def test_words(text: str, sets: Sets) -> None:
    assert capabilities.said(text) == sets


@pytest.mark.parametrize("text", ["cap_everything=ep", "cap_net_raw", "cap_net_raw=x", "ep", "cap_net_raw,=ep"])
def test_words_that_mean_nothing(text: str) -> None:
    with pytest.raises(MalformedError):
        capabilities.said(text)
    assert not capabilities.within(V2, text.encode())
    assert capabilities.within(b"", text.encode())


def test_what_the_kernel_keeps() -> None:
    assert capabilities.stored(V2) == Sets(RAW, 0, RAW)
    assert capabilities.stored(V2[:3] + b"\3" + V2[4:] + bytes(4)) == Sets(RAW, 0, RAW)
    assert capabilities.stored(bytes.fromhex("00000001 00200000 01000000")) == Sets(0, CHOWN, RAW)
    assert capabilities.stored(V2[:12] + bytes.fromhex("01000000 00000000")).permitted == RAW | 1 << 32
    for bad in (b"", V2[:-1], V2 + b"\0", b"\1\0\0\4" + V2[4:], b"\3" + V2[1:]):
        with pytest.raises(MalformedError):
            capabilities.stored(bad)


@pytest.mark.parametrize(
    ("text", "fits"),
    [("cap_net_raw=ep", True), ("cap_net_raw,cap_chown=eip", True), ("=ep", True), ("cap_net_raw=p", False),
     ("cap_chown=ep", False), ("", False)],
)  # fmt: skip
def test_no_more_than_was_said(text: str, *, fits: bool) -> None:
    assert capabilities.within(V2, text.encode()) is fits
    assert not capabilities.within(b"x" + V2, text.encode())


@given(st.text(alphabet="cap_netrw,=+-eip ", max_size=30))
def test_any_words_are_read_or_refused(text: str) -> None:
    try:
        sets = capabilities.said(text)
    except MalformedError:
        return
    assert all(0 <= each < 1 << 41 for each in sets)
