"""Numbers of things in words."""

from __future__ import annotations

import pytest

from chopmark.core.counting import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 files, 0 entries"), (1, "1 file, 1 entry"), (2, "2 files, 2 entries")]
)
def test_one_is_no_plural(number: int, words: str) -> None:
    assert f"{counted(number, 'file')}, {counted(number, 'entry', 'entries')}" == words
