"""What errors quote is shown as it is, or escaped: no terminal is steered by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import legible, reasons
from chopmark.core.errors import BrokenError, ChopmarkError, MalformedError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a  b", "a  b"),
        ("a\x1b[2J", "a\\x1b[2J"),
        ("a\nb\tc", "a b c"),
        ("\u202eexe.txt", "\\u202eexe.txt"),
        ("\U000e0001\udc80", "\\U000e0001\\udc80"),
    ],
)
def test_what_an_error_quotes_fits_in_a_line(text: str, shown: str) -> None:
    assert str(MalformedError(text)) == shown
    assert str(BrokenError(reasons.FORMAT_MALFORMED, text)).endswith(f"({shown})")
    assert BrokenError(reasons.FORMAT_MALFORMED, text).detail == text


@given(st.text())
def test_whatever_it_is(text: str) -> None:
    assert str(ChopmarkError(text)).isprintable()
    assert legible.clean(legible.clean(text)) == legible.clean(text)
