"""Patterns beside one that tries every split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.policy.glob import Pattern, pattern
from tests.support import policy_oracle

ALPHABET = "ab/*?"


@given(st.text(ALPHABET, min_size=1, max_size=9).filter(lambda text: "***" not in text), st.text("ab/", max_size=9))
def test_patterns_fit_as_the_naive_ones(text: str, path: str) -> None:
    assert Pattern(text).matches(path) is policy_oracle.glob(text, path)


@pytest.mark.parametrize("text", ["", "a***b", "a\0b", "*/" * (limits.POLICY_GLOB_MAX + 1)])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        Pattern(text)


@pytest.mark.parametrize("text", ["/" + "**a" * 15 + "b", "/" + "*a" * 15 + "b", "/**" + "a*" * 8 + "b"])
def test_a_hostile_path_does_not_make_a_comparison_long(text: str) -> None:
    assert not Pattern(text).matches("/" + "a" * 4096)  # without atomic groups it would not end at all


def test_equal_patterns_are_one() -> None:
    assert pattern("/a/*") is pattern("/a/*")
    assert Pattern("/a/*") == Pattern("/a/*") != Pattern("/a/**")
    assert (Pattern("/a/b?").literal, Pattern("/a/b").exact) == ("/a/b", True)
